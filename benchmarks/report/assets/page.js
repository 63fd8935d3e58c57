"use strict";
// Selectors, filter, sorting and hover of the page. Its whole state stands after `?` in the address's fragment.
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const one = (id) => document.getElementById(id);
  const THEMES = ["system", "light", "dark"];
  const sorted = new Map(); // key of a table -> [column, direction]
  let theme = "system";

  // --- which datasets, groups and neurons are shown
  const boxes = { dataset: all("[data-choose=dataset] input"), group: all("[data-choose=group] input") };
  const chosen = (what) => new Set(boxes[what].filter((box) => box.checked).map((box) => box.value));
  const filtered = all("main [data-dataset], nav [data-dataset], main [data-group], main [data-neuron]");
  const columns = all("thead th[data-dataset]");

  function filter() {
    const datasets = chosen("dataset");
    const groups = chosen("group");
    const words = one("find").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const element of filtered) {
      const { dataset, group, neuron } = element.dataset;
      const named = neuron === undefined || !words.length || words.some((word) => neuron.toLowerCase().includes(word));
      const off = (dataset !== undefined && !datasets.has(dataset)) || (group !== undefined && !group.split(" ").some((own) => groups.has(own))) || !named;
      element.classList.toggle("off", off);
    }
    for (const heading of columns) {
      const off = !datasets.has(heading.dataset.dataset);
      for (const row of heading.closest("table").tBodies[0].rows) row.cells[heading.cellIndex]?.classList.toggle("off", off);
    }
    for (const table of all("main table")) {
      table.classList.toggle("none", !all("tbody tr", table).some((row) => !row.classList.contains("off")));
    }
    const entries = all("details.neuron");
    const left = entries.filter((entry) => !entry.classList.contains("off")).length;
    one("datasets-shown").textContent = `${datasets.size}/${boxes.dataset.length}`;
    one("groups-shown").textContent = `${groups.size}/${boxes.group.length}`;
    one("count").textContent = `${left} of ${entries.length} rows shown`;
  }

  // --- sorting: by the number that a cell's title or text begins with, words by their letters, what is missing last
  const NUMBER = /^(?:mean |median |[≈#~]\s*)?([+−-]?\d[\d,]*(?:\.\d+)?(?:e[+−-]?\d+)?)/;

  function key(row, column) {
    const cell = row.cells[column];
    if (!cell || cell.colSpan > 1) return null;
    const text = cell.textContent.trim();
    const number = cell.tagName === "TD" && (NUMBER.exec(cell.title) ?? NUMBER.exec(text));
    if (number) return Number(number[1].replaceAll(",", "").replaceAll("−", "-"));
    return text === "" || text === "–" ? null : text;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    table.rowsAtFirst ??= [...body.rows];
    const rows = [...table.rowsAtFirst];
    if (direction) {
      const keys = new Map(rows.map((row) => [row, key(row, column)]));
      rows.sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        if (a === null || b === null) return (a === null) - (b === null);
        return direction * compare(a, b);
      });
    }
    body.append(...rows);
    for (const heading of table.tHead.rows[0].cells) heading.removeAttribute("aria-sort");
    if (direction) table.tHead.rows[0].cells[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    if (direction) sorted.set(table.dataset.key, [column, direction]);
    else sorted.delete(table.dataset.key);
  }

  const tables = new Map(all("main table[data-key]").map((table) => [table.dataset.key, table]));
  for (const table of tables.values()) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
    }
  }
  document.addEventListener("click", (event) => {
    const heading = event.target.closest("table[data-key] thead th");
    if (!heading) return;
    const now = { ascending: -1, descending: 0 }[heading.getAttribute("aria-sort")] ?? 1;
    sort(heading.closest("table"), heading.cellIndex, now);
    remember();
  });

  // --- the address keeps the view: #place?d=...&g=...&q=...&t=...&s=...
  function remember() {
    const state = new URLSearchParams();
    for (const [letter, what] of [["d", "dataset"], ["g", "group"]]) {
      if (chosen(what).size < boxes[what].length) state.set(letter, JSON.stringify([...chosen(what)]));
    }
    if (one("find").value.trim()) state.set("q", one("find").value.trim());
    if (theme !== "system") state.set("t", theme);
    if (sorted.size) state.set("s", JSON.stringify([...sorted].map(([name, how]) => [name, ...how])));
    const place = location.hash.slice(1).split("?")[0];
    const text = state.toString();
    one("reset").hidden = !text;
    history.replaceState(null, "", place || text ? `#${place}${text ? `?${text}` : ""}` : location.pathname + location.search);
  }

  function listed(text) {
    try {
      const found = JSON.parse(text);
      return Array.isArray(found) ? found : null;
    } catch {
      return null; // an address that was cut short shows everything
    }
  }

  function recall() {
    const state = new URLSearchParams(location.hash.split("?")[1] ?? "");
    for (const [letter, what] of [["d", "dataset"], ["g", "group"]]) {
      const names = listed(state.get(letter));
      for (const box of boxes[what]) box.checked = !names || names.includes(box.value);
    }
    one("find").value = state.get("q") ?? "";
    theme = THEMES.includes(state.get("t")) ? state.get("t") : "system";
    const wanted = new Map((listed(state.get("s")) ?? []).filter(Array.isArray).map(([name, ...how]) => [name, how]));
    for (const name of sorted.keys()) if (!wanted.has(name)) sort(tables.get(name), 0, 0);
    for (const [name, [column, direction]] of wanted) {
      if (tables.get(name)?.tHead.rows[0].cells[column]) sort(tables.get(name), column, direction < 0 ? -1 : 1);
    }
    show();
  }

  function go() {
    const target = one(decodeURIComponent(location.hash.slice(1).split("?")[0]));
    for (let around = target; around; around = around.parentElement) if (around.tagName === "DETAILS") around.open = true;
    target?.scrollIntoView();
  }

  function show() {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    one("theme").textContent = `Theme: ${theme}`;
    filter();
  }

  const change = () => { show(); remember(); };
  const form = one("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", change);
  one("find").addEventListener("input", change);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `#${location.hash.slice(1).split("?")[0]}`);
    recall();
    remember();
  });
  one("theme").addEventListener("click", () => { theme = THEMES[(THEMES.indexOf(theme) + 1) % 3]; change(); });
  for (const button of all("[data-all], [data-none]", form)) {
    button.addEventListener("click", () => {
      for (const box of all("input", button.parentElement)) box.checked = button.hasAttribute("data-all");
      change();
    });
  }
  addEventListener("hashchange", () => {
    if (location.hash.includes("?")) recall();
    else remember();
    go();
  });

  // --- menus close by Escape and by a click elsewhere
  const menus = all("details.menu");
  const close = (but) => { for (const menu of menus) if (menu !== but) menu.open = false; };
  document.addEventListener("click", (event) => close(event.target.closest("details.menu")));

  // --- what a cell's title says, for keyboards and fingers too: click a cell, or walk with the arrow keys
  const tip = one("tip");
  function tell(cell) {
    tip.textContent = cell?.title ?? "";
    tip.hidden = !tip.textContent;
  }
  document.addEventListener("click", (event) => tell(event.target.closest("td[title]")));
  document.addEventListener("focusin", (event) => tell(event.target.closest("td[title]")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const open = menus.find((menu) => menu.open);
      close(null);
      open?.querySelector("summary").focus();
      tell(null);
    }
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const cell = event.target.closest?.("tbody td, tbody th");
    if (!step || !cell) return;
    const rows = [...cell.closest("tbody").rows].filter((row) => !row.classList.contains("off"));
    const row = rows[rows.indexOf(cell.parentElement) + step[0]];
    const next = row?.cells[cell.cellIndex + step[1]];
    if (!next) return;
    event.preventDefault();
    const target = next.querySelector("a") ?? next;
    if (target === next) next.tabIndex = -1;
    target.focus();
  });

  // --- print everything that the selectors leave
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("main details:not([open])");
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of closed) details.open = false; });

  form.hidden = false;
  one("theme").hidden = false;
  recall();
  remember();
  go();
})();
