// What keeps people from using a page, found in the page as the browser shows it: contrast below WCAG 2.2 AA, fields without a
// name, pictures without one, wide content that makes the whole page scroll sideways, and controls too small to hit.
const faults = [];
const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const describe = (element) => `<${element.localName}> ${JSON.stringify((element.textContent || element.name || "").trim().slice(0, 40))}`;

// Colours of any notation as they are painted.
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const brush = canvas.getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = colour;
  brush.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
function background(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reverse().reduce((below, layer) => over(layer, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function ratio(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.textContent.trim() || !shown(element) || element.closest("svg, .hidden, .skip, option")) continue;
  const style = getComputedStyle(element);
  const behind = background(element);
  const measured = ratio(over(rgba(style.color), behind), behind);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight, 10) >= 700);
  if (measured < (isLarge ? 3 : 4.5)) faults.push(`contrast ${measured.toFixed(2)} of ${describe(element)}`);
}
// The shape of a lane has to be seen, too.
for (const lane of document.querySelectorAll(".lane")) {
  if (!shown(lane)) continue;
  const colour = rgba(getComputedStyle(lane).getPropertyValue("--lane"));
  const measured = ratio(colour, background(lane));
  if (measured < 3) faults.push(`contrast ${measured.toFixed(2)} of the shape of ${describe(lane)}`);
}
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  if (!field.labels?.length && !field.getAttribute("aria-label")) faults.push(`no label: ${describe(field)}`);
}
for (const control of document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")) {
  if (!shown(control) || control.closest(".skip")) continue;
  const box = control.getBoundingClientRect();
  if (box.height < 14 || box.width < 6) faults.push(`too small: ${describe(control)} ${box.width}x${box.height}`);
}
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
  const next = Number(heading.localName[1]);
  if (next > level + 1) faults.push(`${heading.localName} comes after h${level}: ${describe(heading)}`);
  level = next;
}
if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
if (!document.title || !document.documentElement.lang) faults.push("no title or no language");
const sideways = document.documentElement.scrollWidth - document.documentElement.clientWidth;
if (sideways > 0) {
  const wide = [...document.body.querySelectorAll("*")].filter((element) => shown(element) && !element.closest(".scroll > *, nav > *")
    && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(0, 3).map(describe);
  faults.push(`the page is ${sideways} pixels too wide: ${wide.join(", ")}`);
}
return faults;
