"use strict";

// A window whose question is over closes itself; where it may not, the agent closes its browser.
const rearm = arm();
if (document.querySelector("[data-done]")) {
  window.close();
} else {
  stayAlive();
}
guardKeys();
linkPlaces();
document.querySelectorAll("[role=tree]").forEach(tree);
document.querySelectorAll("[data-source]").forEach(source);
document.querySelectorAll("details[data-document]").forEach(lazy);

// The agent takes the end of this stream for the end of the window. In it stands, again and again, which list is the newest.
async function stayAlive() {
  try {
    const stream = (await fetch("/alive")).body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await stream.read(); !part.done; part = await stream.read()) {
      const shown = document.querySelector("input[name=revision]"), newest = part.value.trim().split("\n").pop();
      if (shown && newest && newest !== shown.value) refresh();
    }
  } catch {
    // the agent is gone, or this page is
  }
}

// What a person has chosen from the list, without the answer and what is typed.
function choices() {
  const sent = new URLSearchParams(new FormData(document.querySelector("form")));
  sent.delete("label");
  return sent.toString();
}

// Puts the newest list in the place of the one that is shown. The agent keeps what is chosen as far as it is still there;
// the fragment is its own, and no script in it would run.
async function refresh() {
  if (refresh.busy) return;
  refresh.busy = true;
  try {
    for (let sent = ""; sent !== choices() && !document.querySelector("form").dataset.sent;) {
      sent = choices();
      const answer = await fetch("/list", { method: "POST", body: sent, headers: { "Content-Type": "application/x-www-form-urlencoded" } });
      if (!answer.ok) throw new Error("refused");
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      if (sent === choices()) { // else something was chosen meanwhile
        show(fresh.content.firstElementChild);
        break;
      }
    }
  } catch {
    // the stream says again that there is a newer one
  }
  refresh.busy = false;
}

function show(fresh) {
  rearm();
  const focused = document.activeElement, yes = document.querySelector("button.yes"), top = yes.getBoundingClientRect().top;
  fresh.querySelectorAll("[data-fresh]").forEach((part) => {
    document.querySelector(`[data-fresh="${part.dataset.fresh}"]`).replaceChildren(...part.childNodes);
  });
  const usable = fresh.hasAttribute("data-usable");
  yes.disabled = !usable;
  document.querySelectorAll("details[data-usable]").forEach((d) => { d.hidden = !usable; });
  linkPlaces();
  const news = document.querySelector(".news");
  news.textContent = fresh.dataset.news;
  news.classList.toggle("warn", fresh.hasAttribute("data-gone"));
  if (!focused.isConnected) {
    const same = [...document.querySelectorAll(focused.tagName)].find((e) => e.name === focused.name && (focused.type !== "radio" || e.value === focused.value));
    (same && !same.disabled ? same : document.querySelector("[data-fresh=list]")).focus({ preventScroll: true });
  }
  // Whatever came or went above a button, the button stays where it was.
  scrollBy({ top: yes.getBoundingClientRect().top - top, behavior: "instant" });
}

// Buttons that commit work only after the window had the person's attention for a second, and not while it has not. What is
// returned begins that second anew; then the pointer must rest on the button, too, before it works again.
function arm() {
  const buttons = document.querySelectorAll("[data-armed]");
  let timer = 0;
  const disarm = () => {
    clearTimeout(timer);
    timer = 0;
    buttons.forEach((b) => b.setAttribute("aria-disabled", "true"));
  };
  const start = () => {
    if (timer || document.hidden || !document.hasFocus()) return;
    timer = setTimeout(() => buttons.forEach((b) => {
      b.setAttribute("aria-disabled", "false");
      b.removeAttribute("title");
    }), 1000);
  };
  const again = () => {
    disarm();
    start();
  };
  let changed = false;
  buttons.forEach((b) => {
    b.addEventListener("click", (e) => {
      if (b.getAttribute("aria-disabled") !== "false") e.preventDefault();
    });
    b.addEventListener("pointermove", () => changed && b.getAttribute("aria-disabled") === "true" && again());
  });
  addEventListener("focus", start);
  addEventListener("blur", disarm);
  document.addEventListener("visibilitychange", () => (document.hidden ? disarm() : start()));
  start();
  return () => {
    changed = true;
    again();
  };
}

// Enter answers only on the button that has the focus; Escape is always the safe answer.
function guardKeys() {
  addEventListener("keydown", (e) => {
    if (e.key === "Enter" && e.target instanceof HTMLInputElement) e.preventDefault();
    if (e.key === "Escape" && !e.repeat) document.querySelector("[data-escape]")?.click();
  });
  document.querySelector("form")?.addEventListener("submit", (e) => {
    if (!e.submitter || e.target.dataset.sent) return e.preventDefault();
    e.target.dataset.sent = "yes";
  });
}

// Choosing a card chooses its store, and a store shows its own kinds of keys.
function linkPlaces() {
  const stores = document.querySelectorAll("input[name=store]");
  const show = () => stores.forEach((s) => {
    const field = document.querySelector(`.field[data-store="${CSS.escape(s.value)}"]`);
    if (field) field.hidden = !s.checked;
  });
  stores.forEach((s) => s.addEventListener("change", show));
  document.querySelectorAll("input[data-store]").forEach((place) => place.addEventListener("change", () => {
    document.getElementById("store-" + place.dataset.store).checked = true;
    show();
  }));
  show();
}

// A tree with one tab stop and arrow keys (WAI-ARIA Authoring Practices, tree view).
function tree(root) {
  const items = () => [...root.querySelectorAll("[role=treeitem]")].filter((i) => !i.parentElement.closest("[aria-expanded=false]"));
  let current = root.querySelector("[role=treeitem]");
  if (!current) return;
  root.querySelectorAll("[role=treeitem]").forEach((i) => i.setAttribute("tabindex", "-1"));
  current.setAttribute("tabindex", "0");
  const go = (item) => {
    if (!item) return;
    current.setAttribute("tabindex", "-1");
    current = item;
    current.setAttribute("tabindex", "0");
    current.focus();
  };
  const fold = (item, open) => item.hasAttribute("aria-expanded") && item.setAttribute("aria-expanded", String(open));
  root.addEventListener("click", (e) => {
    const item = e.target.closest(".row")?.parentElement;
    if (!item) return;
    if (!String(getSelection())) fold(item, item.getAttribute("aria-expanded") !== "true");
    go(item);
  });
  root.addEventListener("keydown", (e) => {
    const shown = items(), at = shown.indexOf(current), open = current.getAttribute("aria-expanded");
    switch (e.key) {
      case "ArrowDown": go(shown[at + 1]); break;
      case "ArrowUp": go(shown[at - 1]); break;
      case "ArrowRight": open === "false" ? fold(current, true) : open && go(shown[at + 1]); break;
      case "ArrowLeft": open === "true" ? fold(current, false) : go(current.parentElement.closest("[role=treeitem]")); break;
      case "Home": go(shown[0]); break;
      case "End": go(shown[shown.length - 1]); break;
      default: return;
    }
    e.preventDefault();
  });
}

// A document's text, in parts, as text.
function source(box) {
  const pre = box.querySelector("pre"), more = box.querySelector(".more"), end = box.querySelector(".end");
  let next = 0, loading = false;
  const load = async () => {
    if (loading) return;
    loading = true;
    try {
      const answer = await fetch(`/document/${box.dataset.source}/source?from=${next}`);
      if (!answer.ok) throw new Error("refused");
      next = Number(answer.headers.get("X-Next"));
      pre.append(await answer.text());
      more.hidden = next === 0;
      end.hidden = next !== 0;
    } catch {
      pre.append(pre.dataset.failed);
    }
    loading = false;
  };
  more.addEventListener("click", load);
  if (box.hasAttribute("data-now")) load();
  else box.addEventListener("toggle", () => box.open && !pre.firstChild && load());
}

// One of several documents is fetched when it is opened. The fragment is the agent's own, and no script in it would run.
function lazy(details) {
  details.addEventListener("toggle", async () => {
    const place = details.querySelector(".fetched");
    if (!details.open || place.dataset.state) return;
    place.dataset.state = "loading";
    place.textContent = place.dataset.loading;
    try {
      const answer = await fetch("/document/" + details.dataset.document);
      if (!answer.ok) throw new Error("refused");
      place.innerHTML = await answer.text();
      place.querySelectorAll("[role=tree]").forEach(tree);
      place.querySelectorAll("[data-source]").forEach(source);
    } catch {
      place.textContent = place.dataset.failed;
      delete place.dataset.state;
    }
  });
}
