"use strict";
(() => {
  function key(row, column) {
    const cell = row.children[column];
    if (!("value" in cell.dataset)) return null;
    return column === 0 ? cell.dataset.value : Number(cell.dataset.value);
  }

  function compare(a, b) {
    return typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
  }

  function sort(table, heading, direction) {
    const column = heading.cellIndex;
    const sign = direction === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const rows = [...body.querySelectorAll("tr[data-row]")];
      const keyed = rows.map((row) => [key(row, column), row]);
      keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    }
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction);
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const button of table.querySelectorAll("thead button")) {
      button.addEventListener("click", () => {
        const heading = button.closest("th");
        const now = heading.getAttribute("aria-sort");
        const opposite = now === "ascending" ? "descending" : "ascending";
        sort(table, heading, now ? opposite : button.dataset.first);
      });
    }
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
      return;
    }
    button.textContent = "Copied";
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
})();
