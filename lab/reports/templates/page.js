"use strict";
// Search, filters and sorting of the table, with their state in the address; a claim that is
// linked to opens; commands can be copied. Without this the page is whole, only still.
(() => {
  const form = document.getElementById("filters");
  const body = document.querySelector("#table tbody");
  const rows = [...body.rows];
  const heads = [...document.querySelectorAll("#table th[data-sort]")];
  const words = [...form.elements.verdict.options].map((option) => option.value);
  const fields = ["q", "framework", "topic", "verdict"];
  const texts = new Map(rows.map((row) => [row, textOf(row)]));
  let order = "";  // "effect", or "-effect" for the largest first

  function keyOf(row, by) {
    if (by === "effect" || by === "number") return Number(row.dataset[by]) || 0;
    return by === "verdict" ? words.indexOf(row.dataset.verdict) : row.dataset[by];
  }

  function textOf(row) {
    const claim = document.querySelector(row.querySelector("a").hash);
    const parts = [...claim.querySelectorAll("h3, p:not(.note)")].map((part) => part.textContent);
    return [...parts, row.textContent, row.dataset.framework].join(" ").toLowerCase();
  }

  function isShown(row) {
    const wanted = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const framework = form.elements.framework.value;
    return wanted.every((word) => texts.get(row).includes(word)) &&
      (!framework || row.dataset.framework.split("|").includes(framework)) &&
      ["topic", "verdict"].every((name) =>
        !form.elements[name].value || form.elements[name].value === row.dataset[name]);
  }

  function show() {
    let count = 0;
    for (const row of rows) {
      row.hidden = !isShown(row);
      count += row.hidden ? 0 : 1;
    }
    document.getElementById("count").textContent = `${count} of ${rows.length} claims`;
    const by = order.replace("-", "") || "number";
    const sign = order.startsWith("-") ? -1 : 1;
    const sorted = [...rows].sort((a, b) => {
      const [x, y] = [keyOf(a, by), keyOf(b, by)];
      return x === y ? rows.indexOf(a) - rows.indexOf(b) : sign * (x < y ? -1 : 1);
    });
    body.append(...sorted);
    for (const head of heads) {
      const isSorted = order && head.dataset.sort === by;
      if (isSorted) head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  function read() {
    const said = new URLSearchParams(location.search);
    for (const name of fields) {
      const field = form.elements[name];
      field.value = said.get(name) || "";
      if (field.selectedIndex === -1) field.value = "";  // a value that no option has
    }
    const by = said.get("sort") || "";
    order = heads.some((head) => head.dataset.sort === by.replace("-", "")) ? by : "";
    show();
  }

  function write() {
    const said = new URLSearchParams();
    for (const name of fields) {
      if (form.elements[name].value) said.set(name, form.elements[name].value);
    }
    if (order) said.set("sort", order);
    const query = said.toString();
    history.replaceState(null, "", location.pathname + (query && `?${query}`) + location.hash);
    show();
  }

  function open() {
    const claim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = claim && claim.querySelector("details");
    if (details) details.open = true;
  }

  function addSorting(head) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const by = head.dataset.sort;
      const first = by === "effect" ? `-${by}` : by;
      const second = by === "effect" ? by : `-${by}`;
      order = order === first ? second : first;
      write();
    });
  }

  function addCopying(block) {
    const button = document.createElement("button");
    const code = block.querySelector("code");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${code.textContent.slice(0, 60)}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);  // to be copied by hand
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.append(button);
  }

  heads.forEach(addSorting);
  document.querySelectorAll(".command").forEach(addCopying);
  form.hidden = false;
  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { order = ""; setTimeout(write); });
  addEventListener("popstate", read);
  addEventListener("hashchange", open);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
  read();
  open();
})();
