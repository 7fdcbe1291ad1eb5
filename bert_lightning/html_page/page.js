"use strict";
// The page can be read without this script. It adds: tables that sort, a switch of the colours, open details in print.
(() => {
  const key = (cell) => {
    const own = cell.dataset.key;
    const text = own === undefined ? cell.textContent.trim() : own;
    const number = text === "" || text === "–" ? null : Number(text.replace(/−/g, "-").replace(/[,\s]/g, ""));
    return { text, number, missing: number === null };
  };

  const compare = (a, b) =>
    Number.isNaN(a.number) || Number.isNaN(b.number)
      ? a.text.localeCompare(b.text, undefined, { numeric: true })
      : a.number - b.number;

  const sort = (table, head) => {
    const column = head.cellIndex;
    const numeric = head.classList.contains("number") || head.classList.contains("measure");
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of head.parentElement.cells) {
      if (each.hasAttribute("aria-sort")) each.setAttribute("aria-sort", each === head ? order : "none");
    }
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, key: key(row.cells[column]) }));
    rows.sort((a, b) => a.key.missing - b.key.missing || sign * compare(a.key, b.key)); // missing values stay last
    body.append(...rows.map((each) => each.row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, head));
    }
  }

  // Only a table that is wider than its box takes the focus, to be scrolled by keyboard.
  const boxes = document.querySelectorAll(".scroll");
  const reach = () => {
    for (const box of boxes) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  window.addEventListener("resize", reach);
  reach();

  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remember = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* storage may be off */ } };
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* storage may be off */ }
  if (stored === "dark" || stored === "light") root.dataset.theme = stored;
  const button = document.getElementById("theme");
  const name = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  button.hidden = false;
  name();
  dark.addEventListener("change", name);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    name();
  });

  // Print shows every part, and closes again what was closed.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  window.addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
