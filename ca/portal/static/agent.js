// What the two pages that talk to CertSign share: the connection's status, the hints while the person decides elsewhere,
// and problems. Every text comes from the page; everything is written as text, never as markup.

const lang = document.documentElement.lang;
const texts = JSON.parse(document.getElementById("page-texts").textContent);

export const byId = (id) => document.getElementById(id);
export const text = (key) => texts[key] ?? key;

/** Shows or hides elements. */
export function show(visible, ...elements) {
  for (const e of elements) e.hidden = !visible;
}

/** The state of the connection, as the person reads it. A state's own hint goes when the state does. */
let stateHint = "";
export function setState(state) {
  const status = byId("agent-status");
  const key = `agent.state.${state}`;
  status.dataset.state = state;
  status.textContent = texts[key] ?? texts["agent.state.searching"];
  const hint = texts[`agent.hint.${state}`] ?? "";
  if (hint !== "" || byId("agent-hint").textContent === stateHint) setHint(hint);
  stateHint = hint;
}

/** What the person should do now, or what is going on. */
export function setHint(message) {
  byId("agent-hint").textContent = message;
}

/** An event of a running operation: CertSign waits for the person in a window of its own. */
export function onEvent({ event, data }) {
  if (event !== "awaiting-user") return;
  setHint(texts[`agent.for.${data?.for}`] ?? texts["agent.for.other"]);
}

/** A problem that the portal answered with (RFC 9457). */
export class PortalError extends Error {
  constructor(document) {
    super(document.title);
    this.code = document.code;
    this.remedy = document.remedy ?? "";
  }
}

/** Calls the portal's API; an answer that is no success becomes a PortalError. */
export async function callPortal(path, init) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (cause) {
    throw new Error(text("agent.problem.portal"), { cause });
  }
  if (response.ok) return response;
  if ((response.headers.get("Content-Type") ?? "").startsWith("application/problem+json")) {
    throw new PortalError(await response.json());
  }
  throw new Error(text("agent.problem.portal"));
}

/** Shows what went wrong, why, and what to do. */
export function showProblem(error) {
  const box = byId("agent-problem");
  let title = error?.message || text("agent.problem.unknown");
  let cause = "";
  let remedy = error?.remedy ?? "";
  let code = error?.code ?? "internal_error";
  if (!(error instanceof PortalError) && error?.code && globalThis.CertSign?.describe) {
    const described = globalThis.CertSign.describe(error.code, lang);
    if (described) {
      title = described.message;
      cause = described.reason ?? "";
      remedy = described.remedy ?? "";
    }
  } else if (!error?.code) {
    console.error(error);
  }
  byId("agent-problem-title").textContent = title;
  byId("agent-problem-cause").textContent = cause;
  byId("agent-problem-remedy").textContent = remedy;
  byId("agent-problem-code").textContent = code;
  box.dataset.code = code;
  show(true, box);
}

export function hideProblem() {
  show(false, byId("agent-problem"));
}

/** Whether the person gave the operation up on this page. A refusal in CertSign is shown like any other outcome. */
export function cancelled(error) {
  return error?.name === "AbortError";
}

let client;

/**
 * Runs an operation with a connection to CertSign, a standing one or a new one. Only after a click: on a gesture the browser
 * asks for its permission, and starts CertSign.
 */
export async function withAgent(signal, operation) {
  if (!globalThis.CertSign) throw new Error(text("agent.problem.library"));
  if (!client?.connected) {
    client = undefined;
    client = await globalThis.CertSign.connect({ onState: setState, signal, launch: true });
  }
  return operation(client);
}

addEventListener("pagehide", () => client?.close());
