// What was entered before in this visit: a thread above the text, which the model reads while that is switched on. It is
// kept nowhere, and goes to the model that is asked and to nobody else.

import { $, element } from "./elements.js";
import { CONTEXT } from "./facts.js";
import { say } from "./i18n.js";
import { model, onModel } from "./models.js";
import { createSwitch } from "./options.js";

/** Handlers: `use(text)`, which has left the thread, and `onChange()`, when something else is read. */
export function createThread({ use, onChange }) {
  const list = $("written"), isRead = createSwitch("readThread", onChange, "on");
  let texts = [];
  const render = () => {
    list.parentElement.hidden = !texts.length;
    $("readThread").parentElement.hidden = !model.reads;
  };
  $("clearThread").addEventListener("click", () => {
    list.replaceChildren();
    texts = [];
    render();
    onChange();
    $("text").focus(); // the button is gone
  });
  onModel(render);
  return {
    /** The texts that are read, as a field of a request. */
    context: () => (model.reads && isRead() && texts.length ? { context: texts.slice(-CONTEXT[0]) } : {}),
    add(text) {
      const reopen = say(element("button", { type: "button" }), "reopen");
      const item = element("li", {}, element("p", { dir: "auto" }, text), reopen);
      reopen.addEventListener("click", () => {
        texts = texts.filter((_, i) => list.children[i] !== item); // or the text would be read before itself
        item.remove();
        render();
        use(text);
      });
      list.append(item);
      texts = [...texts, text];
      render();
      list.scrollTop = list.scrollHeight;
    },
  };
}
