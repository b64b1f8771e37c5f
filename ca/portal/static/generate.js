// Generating a customs certificate: CertSign makes the key and the request, the portal decides on the request, CertSign
// obtains the certificate. The key stays with CertSign; this page carries the request and the one-time token.
import { byId, callPortal, cancelled, hideProblem, onEvent, setHint, show, showProblem, text, withAgent } from "./agent.js";

const start = byId("start");
const stop = byId("stop");

async function generate() {
  const abort = new AbortController();
  const cancel = () => abort.abort();
  stop.addEventListener("click", cancel, { once: true });
  hideProblem();
  start.disabled = true;
  show(true, stop);
  let request = "";
  try {
    await withAgent(abort.signal, (client) => {
      setHint(text("enroll.key"));
      return client.enroll({ onEvent, signal: abort.signal }, async ({ csr, csrSHA256 }) => {
        setHint(text("enroll.request"));
        const answer = await callPortal("/api/v1/enrolments", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ csr }),
          signal: abort.signal,
        });
        const enrolment = await answer.json();
        if (csrSHA256 && enrolment.csrSHA256.toLowerCase() !== csrSHA256.toLowerCase()) {
          throw new Error(text("agent.problem.portal"));
        }
        request = enrolment.csrSHA256;
        setHint(text("enroll.issue"));
        return enrolment.token;
      });
    });
    setHint(text("enroll.done"));
    location.assign(`${start.dataset.issued}?csr=${encodeURIComponent(request)}`);
  } catch (error) {
    setHint(cancelled(error) ? text("enroll.cancelled") : "");
    if (!cancelled(error)) showProblem(error);
    if (error?.code === "second_factor_required" || error?.code === "terms_not_accepted") {
      location.assign("/my/certificates/generate");
      return;
    }
    start.textContent = text("enroll.again");
    start.disabled = false;
    start.focus();
  } finally {
    stop.removeEventListener("click", cancel);
    show(false, stop);
  }
}

start.addEventListener("click", generate);
show(true, start);
