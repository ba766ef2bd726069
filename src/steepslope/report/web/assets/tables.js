// Tables that sort by a column, show the first rows of many, and define their columns on hover and focus.

const NUMBER = /^[≤+−-]?\s*(\d[\d,]*)?\.?\d+(e[+-]?\d+)?(\s*[%‰])?$/i;  // not a date, nor a range

function sortKey(cell) {
  const text = cell.firstChild ? cell.firstChild.textContent.trim() : "";
  return NUMBER.test(text) ? parseFloat(text.replace(/[,≤+\s]/g, "").replace("−", "-")) : text;
}

function compareKeys(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === typeof b) return a.localeCompare(b, undefined, { numeric: true });
  return typeof a === "number" ? -1 : 1;  // what is no number comes last
}

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row, place) => ({ row, place, key: sortKey(row.cells[column]) }));
  const sign = descending ? -1 : 1;
  keyed.sort((a, b) => {
    const mixed = typeof a.key !== typeof b.key;
    return (mixed ? 1 : sign) * compareKeys(a.key, b.key) || a.place - b.place;
  });
  body.append(...keyed.map((one) => one.row));
  [...table.tHead.rows[0].cells].forEach((cell, place) => {
    if (place === column) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  showFirst(table);
}

function showFirst(table) {
  const shown = Number(table.dataset.shown || Infinity);
  [...table.tBodies[0].rows].forEach((row, place) => { row.hidden = place >= shown; });
}

function offerAll(table) {
  const count = table.tBodies[0].rows.length;
  if (!table.dataset.shown || count <= Number(table.dataset.shown)) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  button.textContent = `Show all ${count}`;
  button.addEventListener("click", () => {
    const first = table.tBodies[0].rows[Number(table.dataset.shown)].cells[0];
    delete table.dataset.shown;
    showFirst(table);
    button.remove();
    first.tabIndex = -1;
    first.focus();
  });
  table.parentElement.after(button);
}

function startTables() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.querySelector("button").addEventListener("click", () => {
        const first = column > 0 ? "descending" : "ascending";
        const now = cell.getAttribute("aria-sort");
        sortTable(table, column, (now === null ? first : now === "ascending" ? "descending" : "ascending") === "descending");
      });
    });
    showFirst(table);
    offerAll(table);
  }
  startDefinitions();
  startFolding();
  startPrinting();
}

// What is unfolded gets its width only then: charts, and tables, which say where they scroll, ask for it at a resize.
function startFolding() {
  const resized = () => dispatchEvent(new Event("resize"));
  const unfold = () => {
    const folded = (document.getElementById(location.hash.slice(1)) || document.body).closest("details");
    if (folded) folded.open = true;
  };
  addEventListener("resize", () => {
    for (const one of document.querySelectorAll(".wide")) one.classList.toggle("scrolls", one.scrollWidth > one.clientWidth);
  });
  for (const one of document.querySelectorAll("details")) one.addEventListener("toggle", resized);
  addEventListener("hashchange", unfold);
  unfold();
  resized();
}

// Paper has nothing to click on: it shows what is folded away on the screen.
function startPrinting() {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
    dispatchEvent(new Event("resize"));
  });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
}

function startDefinitions() {
  const tip = document.getElementById("tip");
  const show = (event) => {
    const named = event.target.closest && event.target.closest("[data-definition]");
    if (!named) return;
    tip.textContent = document.getElementById(named.dataset.definition).textContent;
    tip.hidden = false;
    const place = named.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 8))}px`;
    const below = place.bottom + 6;
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? place.top - tip.offsetHeight - 6 : below}px`;
  };
  const hide = () => { tip.hidden = true; };
  document.addEventListener("mouseover", show);
  document.addEventListener("focusin", show);
  for (const event of ["mouseout", "focusout"]) document.addEventListener(event, hide);
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}
