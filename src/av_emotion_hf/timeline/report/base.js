// What all pages share: their data, elements, numbers as text, and the switch between dark and light.

const SVG = "http://www.w3.org/2000/svg";
const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

/** An element with attributes (`null` leaves one out), inside `parent`. */
function element(name, attributes = {}, parent = null, text = null) {
  const made = document.createElement(name);
  return fill(made, attributes, parent, text);
}

/** The same of SVG. */
function drawn(name, attributes = {}, parent = null, text = null) {
  return fill(document.createElementNS(SVG, name), attributes, parent, text);
}

function fill(made, attributes, parent, text) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

/** `4.5` as `0:04.5`, `3723` as `1:02:03`. */
function clock(seconds, digits = 1) {
  const unit = 10 ** digits, all = Math.max(0, Math.round(seconds * unit)), whole = Math.floor(all / unit);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  const tail = digits ? `.${String(all % unit).padStart(digits, "0")}` : "";
  return (hours ? `${hours}:${two(minutes)}` : minutes) + `:${two(rest)}${tail}`;
}

function percent(fraction) {
  return Number.isNaN(fraction) || fraction === null ? "-" : `${Math.round(100 * fraction)} %`;
}

const theme = document.getElementById("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : prefersDark.matches;
}

function showTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", isDark() ? "Use light colors" : "Use dark colors");
  theme.setAttribute("aria-pressed", String(isDark()));
}

theme.hidden = false;
try {
  const kept = localStorage.getItem("av-emotion-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* pages of a file may have no storage */ }
showTheme();
prefersDark.addEventListener("change", showTheme);
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("av-emotion-theme", document.documentElement.dataset.theme); } catch { /* as above */ }
  showTheme();
});
