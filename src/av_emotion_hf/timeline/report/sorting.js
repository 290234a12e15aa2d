// A table that is sorted by the buttons in its head; rows without a value stay last.

const sortable = byId("sortable"), body = sortable.tBodies[0];
const heads = [...sortable.tHead.rows[0].cells];
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** The value that a row has in a column: a number, a text, or null. */
function sortValue(row, place, isNumber) {
  const cell = row.cells[place];
  if (!cell || cell.colSpan > 1) return null;
  if (!isNumber) return cell.textContent === "-" ? null : cell.textContent;
  return cell.dataset.value ? Number(cell.dataset.value) : null;
}

heads.forEach((head, place) => {
  head.querySelector("button")?.addEventListener("click", () => {
    const isNumber = head.classList.contains("number"), isDown = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const keyed = [...body.rows].map((row) => [sortValue(row, place, isNumber), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return (isNumber ? a - b : collator.compare(a, b)) * (isDown ? -1 : 1);
    });
    body.append(...keyed.map(([, row]) => row));
  });
});
