const text = document.getElementById("text"), detail = document.getElementById("detail");
const rows = [...document.getElementById("rows").rows];
const heads = [...document.querySelectorAll("thead th")].map((head) => head.textContent);
let shown;
text.setAttribute("aria-label", "The text; arrow keys go from character to character.");
// Row i is about character i, the last row about the end.
letters(text, rows.map((row) => row.dataset.level), (i) => {
  shown?.classList.remove("at");
  shown = rows[i];
  shown.classList.add("at");
  const cells = [...shown.cells];
  detail.replaceChildren();
  cells.forEach((cell, n) => {
    if (!cell.textContent) return;
    const part = document.createElement("span");
    part.append(n ? " " + heads[n] + " " : "", ...cell.cloneNode(true).childNodes, n < cells.length - 1 ? " \u00b7" : "");
    detail.append(part);
  });
  detail.hidden = false;
});
