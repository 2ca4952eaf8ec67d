"use strict";
{
  const text = document.getElementById("text"), detail = document.getElementById("detail");
  const rows = [...document.getElementById("rows").rows];
  const heads = [...document.querySelectorAll("thead th")].map((head) => head.textContent);
  // One range for each character (code point), in order: row i is about range i, the last row about the end.
  const ranges = [];
  const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  for (let node; (node = nodes.nextNode()); ) {
    let offset = 0;
    for (const character of node.data) {
      const range = new Range();
      range.setStart(node, offset);
      range.setEnd(node, (offset += character.length));
      ranges.push(range);
    }
  }
  const able = "highlights" in CSS;
  if (able) {
    const levels = {};
    ranges.forEach((range, i) => (levels[rows[i].dataset.level] ??= new Highlight()).add(range));
    for (const level in levels) CSS.highlights.set("l" + level, levels[level]);
    document.documentElement.classList.add("painted");
  }
  let at = -1;
  const show = (i) => {
    if (i < 0 || i >= rows.length) return;
    rows[at]?.classList.remove("at");
    at = i;
    rows[at].classList.add("at");
    if (able) {
      const marked = new Highlight(...ranges.slice(at, at + 1));
      marked.priority = 1;
      CSS.highlights.set("at", marked);
    }
    const cells = [...rows[at].cells];
    detail.replaceChildren();
    cells.forEach((cell, n) => {
      if (!cell.textContent) return;
      const part = document.createElement("span");
      part.append(n ? " " + heads[n] + " " : "", ...cell.cloneNode(true).childNodes, n < cells.length - 1 ? " \u00b7" : "");
      detail.append(part);
    });
    detail.hidden = false;
  };
  const holds = (range, x, y) =>
    [...range.getClientRects()].some((r) => x >= r.left && x < r.right && y >= r.top && y < r.bottom);
  const point = (event) => {
    const found = ranges.findIndex((range) => holds(range, event.clientX, event.clientY));
    if (found >= 0 && found !== at) show(found);
  };
  for (const kind of ["pointermove", "pointerdown"]) text.addEventListener(kind, point);
  text.tabIndex = 0;
  text.setAttribute("role", "group");
  text.setAttribute("aria-label", "The text; arrow keys go from character to character.");
  text.addEventListener("focus", () => { if (at < 0) show(0); });
  text.addEventListener("keydown", (event) => {
    const step = getComputedStyle(text).direction === "rtl" ? -1 : 1;
    const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}
