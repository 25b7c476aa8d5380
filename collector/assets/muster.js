// Conveniences of the pages. Every page works without this script, and it loads nothing but pages of this board.

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Shows times in the viewer's zone. A deadline keeps UTC beside it. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const shown = local.format(at);
    time.dataset.local = "";
    if (time.className === "at") {
      time.title = time.textContent;
      time.textContent = shown;
    } else {
      time.title = time.className === "ago" ? `${shown} (${time.title})` : `${shown} (${zone})`;
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

/** The numbers of the board are those of a moment ago. */
async function refresh() {
  const live = document.querySelectorAll("[data-live]");
  if (live.length === 0 || document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { "x-muster-refresh": "1" } });
    if (answer.redirected) {
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of live) {
      const newer = page.querySelector(`[data-live="${part.dataset.live}"]`);
      // Whoever works in a part with the keyboard must not lose the place.
      if (!newer || part.contains(document.activeElement)) continue;
      localTimes(newer);
      part.replaceChildren(...newer.childNodes);
    }
  } catch {
    // The collector cannot be reached; the next time may be better.
  }
}

const note = document.querySelector(".zone");
if (note) note.textContent = `Times are of ${zone}; deadlines are UTC.`;
// Empty fields would only make the address longer.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) {
    if (field.name && field.value === "") field.disabled = true;
  }
});
document.addEventListener("keydown", (event) => {
  const field = document.querySelector(".find input");
  if (event.key !== "/" || !field || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  field.focus();
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form :disabled")) field.disabled = false;
});
localTimes(document);
submitOnChange(document);
copyButtons(document);
setInterval(refresh, 30_000);
