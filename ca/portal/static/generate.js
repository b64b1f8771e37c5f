// Generating a customs certificate: CertSign makes the key and the request, the portal decides on the request, CertSign
// obtains the certificate. The key stays with CertSign; this page carries the request and the one-time token.
//
// What names the enrolment is kept for this tab until the certificate is there, so that after a reload or a lost connection
// it is finished with the key that was made. Nothing of it is secret: the token is not kept, and the portal gives out another.
import { byId, callPortal, cancelled, hideProblem, onEvent, setHint, show, showProblem, text, withAgent } from "./agent.js";

const start = byId("start");
const resume = byId("resume");
const stop = byId("stop");

const slot = "certsign.enrolment";
const { account } = start.dataset;

/** The enrolment that this account began in this tab and has not finished, or null. */
let begun = null;
try {
  const kept = JSON.parse(sessionStorage.getItem(slot));
  if (kept?.account === account) begun = kept;
} catch {
  // the browser keeps nothing for this page
}

function remember(enrolment) {
  begun = enrolment;
  try {
    if (enrolment) sessionStorage.setItem(slot, JSON.stringify({ account, ...enrolment }));
    else sessionStorage.removeItem(slot);
  } catch {
    // then it cannot be finished after a reload
  }
}

/** Has the portal decide on a request, and returns its one-time token. A request that it granted before gets another one. */
async function obtainToken({ csr, csrSHA256 }, signal) {
  setHint(text("enroll.request"));
  const answer = await callPortal("/api/v1/enrolments", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ csr }),
    signal,
  });
  const enrolment = await answer.json();
  if (enrolment.csrSHA256.toLowerCase() !== csrSHA256.toLowerCase()) throw new Error(text("agent.problem.portal"));
  setHint(text("enroll.issue"));
  return enrolment.token;
}

function enroll(client, signal) {
  setHint(text("enroll.key"));
  return client.enroll({ onEvent, signal }, ({ ceremony, csr, csrSHA256 }) => {
    remember({ ceremony, csr, csrSHA256 });
    return obtainToken({ csr, csrSHA256 }, signal);
  });
}

/** What CertSign says when it needs another token to go on. */
const wantsToken = ["token_invalid", "token_expired", "token_spent"];

async function finish(client, signal) {
  setHint(text("enroll.issue"));
  try {
    // CertSign may have got the token, or even the certificate, before the connection was lost.
    return await client.finish(begun.ceremony, "", { onEvent, signal });
  } catch (error) {
    if (!wantsToken.includes(error.code)) throw error;
  }
  let token;
  try {
    token = await obtainToken(begun, signal);
  } catch (error) {
    if (error.code === "key_already_certified") return; // the certificate is there, and is saved from its own page
    throw error;
  }
  await client.finish(begun.ceremony, token, { onEvent, signal });
}

/** Puts the buttons as things stand. */
function offer() {
  const interrupted = begun !== null;
  show(interrupted, resume, byId("interrupted"));
  show(true, start);
  start.classList.toggle("primary", !interrupted);
  start.classList.toggle("secondary", interrupted);
  if (interrupted) start.textContent = text("enroll.anew");
}

async function generate(work) {
  const abort = new AbortController();
  const cancel = () => abort.abort();
  stop.addEventListener("click", cancel, { once: true });
  hideProblem();
  start.disabled = resume.disabled = true;
  show(true, stop);
  try {
    await withAgent(abort.signal, (client) => work(client, abort.signal));
    setHint(text("enroll.done"));
    const { csrSHA256 } = begun;
    remember(null);
    location.assign(`${start.dataset.issued}?csr=${encodeURIComponent(csrSHA256)}`);
  } catch (error) {
    if (error?.code === "ceremony_unknown") remember(null);
    setHint(cancelled(error) ? text(begun ? "enroll.interrupted" : "enroll.cancelled") : "");
    if (!cancelled(error)) showProblem(error);
    if (error?.code === "second_factor_required" || error?.code === "terms_not_accepted") {
      location.assign("/my/certificates/generate");
      return;
    }
    start.textContent = text("enroll.again");
    offer();
    start.disabled = resume.disabled = false;
    (begun ? resume : start).focus();
  } finally {
    stop.removeEventListener("click", cancel);
    show(false, stop);
  }
}

start.addEventListener("click", () => generate(enroll));
resume.addEventListener("click", () => generate(finish));
offer();
