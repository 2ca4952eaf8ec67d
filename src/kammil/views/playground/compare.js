// Several models on one text: what each suggests, how surprised it is, and how it goes on.

import { complete, score, suggest } from "./api.js";
import { reporting } from "./debounce.js";
import { $, element } from "./elements.js";
import { endOf } from "./ghost.js";
import { decimal, message, messageNodes, onLanguage } from "./i18n.js";
import { allModels, familyName, onModel } from "./models.js";
import { readOptions } from "./options.js";
import { report } from "./problem.js";
import { allowed, editor, onInput } from "./text.js";

const LENGTH = 30; // characters of each completion

let latest = new AbortController();
let results = [];
const render = () => {
  const several = allModels().length > 1;
  const hint = messageNodes(several ? "compareHelp" : "compareOne", "code", { command: "kammil serve levantine FOLDER" });
  $("compare").disabled = !editor.text.trim();
  $("compare").hidden = !several;
  $("compare-help").replaceChildren(...hint);
  $("rivals").replaceChildren(...results.map(createRow));
};
const clear = () => {
  latest.abort();
  results = [];
  render();
};
$("compare").addEventListener("click", () => {
  clear();
  const { signal } = (latest = new AbortController()), { text } = editor;
  reporting(report, async () => {
    for (const { id: model, card } of allModels()) {
      const { suggestions } = await suggest({ model, prefix: text, k: 3 }, signal);
      const { bits_per_character: bits } = await score({ model, text, top: 0 }, signal);
      const options = { ...readOptions(), ...allowed(), max_tokens: LENGTH, n: 1 };
      const completion = await complete({ ...options, model, prompt: text }, signal);
      results.push({ model, family: card.family, text, bits, words: suggestions.map((one) => one.text), completion });
      render();
    }
  }, signal);
});
onInput(clear);
onModel(clear);
onLanguage(render);

function createRow({ model, family, text, bits, words, completion }) {
  const next = words.flatMap((word) => [element("bdi", { className: "word" }, word), " "]);
  const surprise = bits === null ? "" : message("surprise", { bits: decimal(bits, 2) });
  return element(
    "li",
    {},
    element("h3", {}, element("bdi", {}, model), ": " + familyName(family)),
    element("p", {}, ...next),
    element("p", { dir: "auto", className: "text" }, endOf(text) + completion.text),
    element("p", { className: "quiet", hidden: !completion.stock }, message("stockPhrase")),
    element("p", { className: "quiet" }, surprise),
  );
}
