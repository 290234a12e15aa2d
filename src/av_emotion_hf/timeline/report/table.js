// The table of windows, a page of it at a time, and its download.

const PAGE = 50;
const HEADS = {
  start: "Start", end: "End", person: "Person", emotion: "Emotion", confidence: "Confidence", face_coverage: "Face",
  voice_coverage: "Voice", share_audio: "By voice", share_image: "By face", loudness: "Loudness, dB", pitch: "Pitch, Hz",
  num_persons: "Persons", text: "Text",
};
const WORDS = new Set(["person", "emotion", "text"]);
const tableHead = document.querySelector("#rows thead tr"), tableBody = document.querySelector("#rows tbody");
const who = byId("who");

for (const name of data.fields) {
  element("th", { scope: "col", class: WORDS.has(name) ? null : "number" }, tableHead, HEADS[name] ?? name.replace("score_", ""));
}
names.forEach((name, person) => element("option", { value: person }, who, name));

const shownRows = () => (who.value === "" ? Array.from({ length: numRows }, (_, row) => row) : tracks[who.value].rows);
let tableRows = shownRows();

function shownCell(name, row) {
  if (name === "person") return names[columns.person[row]];
  const value = WORDS.has(name) ? NaN : columns[name][row];
  if (Number.isNaN(value)) return cell(name, row) || "–";
  if (name === "end") return clock(value);
  if (name === "loudness") return value.toFixed(1);
  return name === "pitch" || name === "num_persons" ? value.toFixed(0) : value.toFixed(2);
}

function showPage(page) {
  const pages = Math.max(1, Math.ceil(tableRows.length / PAGE));
  state.page = Math.min(Math.max(page, 0), pages - 1);
  tableBody.replaceChildren();
  for (const row of tableRows.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
    const line = element("tr", { "data-row": row }, tableBody);
    for (const name of data.fields) {
      if (name !== "start") {
        element("td", { class: WORDS.has(name) ? null : "number" }, line, shownCell(name, row));
        continue;
      }
      const time = columns.start[row], head = element("td", { class: "number" }, line);
      const button = element("button", { type: "button", "aria-label": `Go to ${clock(time)}` }, head, clock(time));
      button.addEventListener("click", () => setTime(center(row)));
    }
  }
  byId("page").textContent = `${state.page + 1} of ${pages}`;
  for (const button of document.querySelectorAll("[data-page]")) {
    const isBack = ["first", "previous"].includes(button.dataset.page), isForward = ["next", "last"].includes(button.dataset.page);
    button.disabled = (isBack && state.page === 0) || (isForward && state.page === pages - 1);
  }
  markRow();
}

/** Marks the windows that the cursor is in the middle of. */
function markRow() {
  const current = new Set(persons.map((_, person) => String(rowAt(person, state.time))));
  for (const line of tableBody.children) line.classList.toggle("current", current.has(line.dataset.row));
}

const PAGES = {
  first: () => 0,
  previous: () => state.page - 1,
  next: () => state.page + 1,
  last: () => Infinity,
  now: () => {
    const place = tableRows.findIndex((row) => center(row) >= state.time - 1e-6);
    return place < 0 ? Infinity : Math.floor(place / PAGE);
  },
};
for (const button of document.querySelectorAll("[data-page]")) {
  button.addEventListener("click", () => showPage(PAGES[button.dataset.page]()));
}
who.addEventListener("change", () => {
  tableRows = shownRows();
  showPage(0);
});
byId("csv").addEventListener("click", () => {
  const link = element("a", { download: data.csv, href: URL.createObjectURL(new Blob([csvText()], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
