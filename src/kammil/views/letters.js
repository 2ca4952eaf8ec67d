// Colours laid over a text whose letters stay joined, and the one letter that is pointed at, or reached with the keys.
// The playground imports this file; a page of `kammil explain` holds it.

/** `levels` are the colours of a text's characters (code points) and of what follows them, such as the end; `show` is
 * told the number of the one that is looked at. */
export function letters(text, levels, show) {
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
    for (const name of [...CSS.highlights.keys()]) if (/^(l\d+|at)$/.test(name)) CSS.highlights.delete(name);
    const painted = {};
    ranges.forEach((range, i) => (painted[levels[i]] ??= new Highlight()).add(range));
    for (const level in painted) CSS.highlights.set("l" + level, painted[level]);
    document.documentElement.classList.add("painted");
  }
  let at = -1;
  const look = (i) => {
    if (i < 0 || i >= levels.length) return;
    at = i;
    if (able) {
      const marked = new Highlight(...ranges.slice(at, at + 1));
      marked.priority = 1;
      CSS.highlights.set("at", marked);
    }
    show(at);
  };
  const holds = (range, x, y) =>
    [...range.getClientRects()].some((r) => x >= r.left && x < r.right && y >= r.top && y < r.bottom);
  const point = (event) => {
    const found = ranges.findIndex((range) => holds(range, event.clientX, event.clientY));
    if (found >= 0 && found !== at) look(found);
  };
  for (const kind of ["pointermove", "pointerdown"]) text.addEventListener(kind, point);
  text.tabIndex = 0;
  text.setAttribute("role", "group");
  text.addEventListener("focus", () => { if (at < 0) look(0); });
  text.addEventListener("keydown", (event) => {
    const step = getComputedStyle(text).direction === "rtl" ? -1 : 1;
    const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: levels.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    look(to);
  });
}
