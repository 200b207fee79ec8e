// The report's table sorts, filters and searches; candidate pages turn with the arrow keys. No library, no network.
"use strict";

const PAGE = 200; // rows shown at once; the rest waits for "Show all" or for print

function startTable(table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({
    row,
    words: null, // in lower case, when first searched
    tags: {
      verdict: [row.dataset.verdict],
      status: row.dataset.status.split(" "),
      flag: row.dataset.flag.split(" "),
    },
  }));
  const search = document.getElementById("search");
  const selects = Array.from(document.querySelectorAll("select[data-filter]"));
  const chips = Array.from(document.querySelectorAll("button[data-filter]"));
  const sorters = Array.from(table.querySelectorAll("button[data-sort]"));
  const shown = document.getElementById("shown");
  const more = document.getElementById("more");
  const state = { sort: 0, descending: false, all: false };

  function text(item) {
    item.words ??= item.row.textContent.toLowerCase();
    return item.words;
  }

  function matches(item) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return words.every((word) => text(item).includes(word))
      && selects.every((s) => !s.value || item.tags[s.dataset.filter].includes(s.value));
  }

  function show() {
    let n = 0;
    for (const item of rows) {
      const fits = matches(item);
      item.row.classList.toggle("out", !fits);
      item.row.classList.toggle("later", fits && !state.all && n >= PAGE);
      if (fits) n += 1;
    }
    shown.textContent = `${n} of ${rows.length} candidates`;
    more.hidden = state.all || n <= PAGE;
    more.firstElementChild.textContent = `Show all ${n}`;
    for (const chip of chips) {
      const select = selects.find((s) => s.dataset.filter === chip.dataset.filter);
      chip.setAttribute("aria-pressed", String(select.value === chip.dataset.value));
    }
  }

  function sort() {
    const column = state.sort;
    const sign = state.descending ? -1 : 1;
    const button = sorters.find((b) => Number(b.dataset.sort) === column);
    if (button) {
      const numeric = "numeric" in button.dataset;
      const collator = new Intl.Collator("en", { numeric: true });
      const values = new Map(rows.map((item) => {
        const cell = item.row.cells[column];
        const value = cell.dataset.value ?? cell.textContent.trim();
        return [item, numeric ? parseFloat(value) : value];
      }));
      rows.sort((a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        const [noX, noY] = numeric ? [Number.isNaN(x), Number.isNaN(y)] : [x === "", y === ""];
        if (noX || noY) return noX - noY; // what is missing stays at the end, either way
        return sign * (numeric ? x - y : collator.compare(x, y));
      });
      body.append(...rows.map((item) => item.row));
    }
    for (const b of sorters) {
      const order = Number(b.dataset.sort) === column ? (state.descending ? "descending" : "ascending") : "none";
      b.closest("th").setAttribute("aria-sort", order);
    }
  }

  function remember() {
    const hash = new URLSearchParams();
    if (search.value) hash.set("q", search.value);
    for (const s of selects) if (s.value) hash.set(s.dataset.filter, s.value);
    if (state.sort) hash.set("sort", (state.descending ? "-" : "") + state.sort);
    history.replaceState(null, "", "#" + hash);
  }

  function recall() {
    const hash = new URLSearchParams(location.hash.slice(1));
    search.value = hash.get("q") ?? "";
    for (const s of selects) {
      const value = hash.get(s.dataset.filter) ?? "";
      s.value = Array.from(s.options).some((option) => option.value === value) ? value : "";
    }
    const column = parseInt(hash.get("sort") ?? "0", 10) || 0;
    state.sort = Math.abs(column);
    state.descending = column < 0;
  }

  function changed() { show(); remember(); }

  search.addEventListener("input", changed);
  for (const s of selects) s.addEventListener("change", changed);
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const select = selects.find((s) => s.dataset.filter === chip.dataset.filter);
      select.value = select.value === chip.dataset.value ? "" : chip.dataset.value;
      changed();
    });
  }
  for (const button of sorters) {
    button.addEventListener("click", () => {
      const column = Number(button.dataset.sort);
      state.descending = state.sort === column ? !state.descending : false;
      state.sort = column;
      sort();
      changed();
    });
  }
  document.getElementById("clear").addEventListener("click", () => {
    search.value = "";
    for (const s of selects) s.value = "";
    changed();
  });
  more.firstElementChild.addEventListener("click", () => { state.all = true; show(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement === search) {
      search.value = "";
      changed();
    }
  });
  window.addEventListener("hashchange", () => { recall(); sort(); show(); });
  recall();
  if (state.sort) sort();
  show();
}

function startPage() {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`a[rel="${rel}"]`);
    if (link) location.href = link.href;
  });
  const closed = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) { details.open = true; closed.push(details); }
  });
  window.addEventListener("afterprint", () => { for (const details of closed.splice(0)) details.open = false; });
}

const table = document.getElementById("candidates");
if (table) startTable(table);
startPage();
