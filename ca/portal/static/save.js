// Saving a certificate: CertSign finds its key, wherever it keeps keys, and puts the certificate beside it. The certificate's
// file can be downloaded without CertSign and without scripts.
import { byId, cancelled, hideProblem, onEvent, setHint, show, showProblem, text, withAgent } from "./agent.js";

const save = byId("save-certificate");
const stop = byId("stop");
const { certificate, chain } = JSON.parse(byId("certificate-data").textContent);

async function saveCertificate() {
  const abort = new AbortController();
  const cancel = () => abort.abort();
  stop.addEventListener("click", cancel, { once: true });
  hideProblem();
  save.disabled = true;
  delete save.dataset.saved;
  show(true, stop, byId("saving"));
  try {
    const saved = await withAgent(abort.signal, (client) => {
      setHint(text("save.looking"));
      return client.save([certificate, ...(chain ?? [])], { onEvent, signal: abort.signal });
    });
    setHint(saved.map(({ state, store }) => `${text(`save.${state}`)} ${text(`origin.store.${store}`)}.`).join(" "));
    save.dataset.saved = saved.map(({ state }) => state).join(" ");
  } catch (error) {
    setHint(cancelled(error) ? text("save.cancelled") : "");
    if (!cancelled(error)) showProblem(error);
  } finally {
    stop.removeEventListener("click", cancel);
    show(false, stop);
    save.disabled = false;
  }
}

save.addEventListener("click", saveCertificate);
show(true, save);
