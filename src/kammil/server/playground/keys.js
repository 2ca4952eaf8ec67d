// The help on keys, with the arrow that points in the direction of the text.

import { message } from "./i18n.js";

/** Return a function that shows the keys in a paragraph, for a text of a direction, `rtl` or `ltr`. */
export function createKeyHelp(paragraph) {
  let shown = "";
  return (direction) => {
    const keys = { tab: "Tab", word: "Ctrl+" + (direction === "rtl" ? "←" : "→"), esc: "Esc", down: "↓" };
    const marked = Object.fromEntries(Object.keys(keys).map((name) => [name, `\0${name}\0`]));
    const help = message("keys", marked);
    if (shown === help + keys.word) return;
    shown = help + keys.word;
    paragraph.replaceChildren(
      ...help.split("\0").map((part, i) => {
        if (i % 2 === 0) return part;
        return Object.assign(document.createElement("kbd"), { textContent: keys[part], dir: "ltr" });
      }),
    );
  };
}
