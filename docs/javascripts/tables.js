// On a telephone a wide table becomes cards, a row each. Each cell then shows its column's heading, which this writes into it.
const label = () => {
  for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
    const headings = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    if (headings.length < 3) continue;
    table.dataset.cards = "";
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, column) => { cell.dataset.heading = headings[column] ?? ""; });
    }
  }
};
if (document.readyState === "loading") addEventListener("DOMContentLoaded", label);
else label();
