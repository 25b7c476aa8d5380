// Conveniences of the pages. Every page works without this script, and it loads nothing but pages of this board.

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const EVERY = 30_000;

/** Shows times in the viewer's zone. A deadline keeps UTC and gets the viewer's time beside it. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const shown = local.format(at);
    time.dataset.local = "";
    if (time.className === "at") {
      time.title = time.textContent;
      time.textContent = shown;
    } else if (time.className === "ago") {
      time.title = `${shown} (${time.title})`;
    } else if (zone !== "UTC") {
      const beside = document.createElement("small");
      beside.className = "soft here";
      beside.textContent = ` (${shown} here)`;
      time.after(beside);
    }
  }
}

/** Forms of filters show their answer as soon as something is chosen. */
function submitOnChange(root) {
  for (const form of root.querySelectorAll("form[data-submit]")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
    });
  }
}

/** Commands can be copied. */
function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const block of root.querySelectorAll("pre[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.after(button);
  }
}

/** Makes an element equal to a newer one. What is equal stays as it is, so nobody loses a place, and what somebody opened stays open. */
function renew(old, newer) {
  if (old.isEqualNode(newer)) return;
  if (old.nodeName !== newer.nodeName) {
    old.replaceWith(newer);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = newer.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!newer.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of newer.attributes) {
    if (name !== "open") old.setAttribute(name, value);
  }
  const parts = [...old.childNodes];
  const news = [...newer.childNodes];
  parts.slice(news.length).forEach((part) => part.remove());
  news.forEach((part, at) => (at < parts.length ? renew(parts[at], part) : old.append(part)));
}

const stale = document.querySelector(".stale");
let fresh = new Date();

/** Says since when the numbers are old; empty while they are not. */
function tellStale(text) {
  if (stale && stale.textContent !== text) stale.textContent = text;
}

/** The numbers of the board and of lists are those of a moment ago. */
async function refresh() {
  if (document.hidden || !document.querySelector("main [data-live]")) return;
  try {
    const answer = await fetch(location.href, { headers: { "x-muster-refresh": "1" }, signal: AbortSignal.timeout(EVERY) });
    if (answer.redirected) {
      // The session is over, and the page leads to the form.
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    localTimes(page);
    for (const part of document.querySelectorAll("[data-live]")) {
      const newer = page.querySelector(`[data-live="${part.dataset.live}"]`);
      if (newer) renew(part, newer.cloneNode(true));
    }
    fresh = new Date();
    tellStale("");
  } catch {
    tellStale(`Not refreshed since ${clock.format(fresh)}: the collector does not answer.`);
  }
}

const note = document.querySelector(".zone");
if (note) note.textContent = zone === "UTC" ? "Times are in UTC." : `Times are in the zone ${zone}; deadlines also in UTC.`;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "post") {
    // A second click would send the form again, and the answer to the first, perhaps with a token, would be lost.
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    return;
  }
  // Empty fields would only make the address longer.
  for (const field of form.elements) {
    if (field.name && field.value === "") field.disabled = true;
  }
});
document.addEventListener("keydown", (event) => {
  const field = document.querySelector(".find input");
  const isOther = event.ctrlKey || event.altKey || event.metaKey || event.isComposing;
  if (event.key !== "/" || isOther || !field || event.target.closest("input, select, textarea, [contenteditable]")) return;
  event.preventDefault();
  field.focus();
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
  for (const field of document.querySelectorAll("form :disabled")) field.disabled = false;
});
document.addEventListener("visibilitychange", refresh);
localTimes(document);
submitOnChange(document);
copyButtons(document);
setInterval(refresh, EVERY);
