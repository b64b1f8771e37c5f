// Signing a document with CertSign and sending it. Between Sign and Send the signed document is kept by this page only.
import { byId, callPortal, cancelled, hideProblem, onEvent, setHint, show, showProblem, text, withAgent } from "./agent.js";

const sign = byId("sign");
const send = byId("send");
const stop = byId("stop");
const save = byId("save-signed");

let signed = null; // Blob

function signedName(name) {
  return name.replace(/(\.[^.]*)?$/, "-signed.xml");
}

async function signDocument() {
  const abort = new AbortController();
  const cancel = () => abort.abort();
  stop.addEventListener("click", cancel, { once: true });
  hideProblem();
  sign.disabled = true;
  send.disabled = true;
  show(true, stop);
  try {
    setHint(text("sign.reading"));
    const data = await (await callPortal(sign.dataset.content, { signal: abort.signal })).blob();
    const outcome = await withAgent(abort.signal, (client) => {
      setHint(text("sign.signing"));
      return client.sign([{ name: sign.dataset.name, mime: sign.dataset.mime || "application/xml", data }], {
        format: "xades", packaging: "enveloped", level: "B-B", onEvent, signal: abort.signal,
      });
    });
    const result = outcome.results[0];
    if (result.error) throw result.error;
    signed = result.data;
    if (save.href) URL.revokeObjectURL(save.href);
    save.href = URL.createObjectURL(signed);
    save.download = signedName(sign.dataset.name);
    setHint(text("sign.signed"));
    show(true, send, save);
    sign.classList.replace("primary", "secondary");
    send.disabled = false;
    send.focus();
  } catch (error) {
    setHint(cancelled(error) ? text("sign.cancelled") : "");
    if (!cancelled(error)) showProblem(error);
    if (signed) send.disabled = false;
  } finally {
    stop.removeEventListener("click", cancel);
    show(false, stop);
    sign.disabled = false;
  }
}

async function sendDocument() {
  hideProblem();
  sign.disabled = true;
  send.disabled = true;
  setHint(text("sign.sending"));
  try {
    const answer = await callPortal(send.dataset.submit, {
      method: "POST",
      headers: { "Content-Type": "application/xml" },
      body: signed,
    });
    location.assign((await answer.json()).page); // accepted or refused: the page says which
  } catch (error) {
    setHint("");
    showProblem(error);
    sign.disabled = false;
    send.disabled = false;
  }
}

sign.addEventListener("click", signDocument);
send.addEventListener("click", sendDocument);
show(true, sign);
