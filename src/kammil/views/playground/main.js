// The page: its beginning, and all that is no part of its own.

import { HERE, setKey } from "./api.js";
import "./compare.js";
import "./completions.js";
import { reporting } from "./debounce.js";
import { $ } from "./elements.js";
import "./examples.js";
import "./feedback.js";
import "./heatmap.js";
import { message, messageNodes, onLanguage, setUpLanguage } from "./i18n.js";
import { finish } from "./learning.js";
import { loadModels } from "./models.js";
import { report } from "./problem.js";
import { editor, keep, onInput } from "./text.js";

const isLocal = HERE || ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
const renderKeys = () => {
  const word = "Ctrl+" + (editor.direction === "rtl" ? "←" : "→");
  $("keys").replaceChildren(...messageNodes("keys", "kbd", { tab: "Tab", word, esc: "Esc", down: "↓" }));
};
setUpLanguage($("language"));
onLanguage(() => {
  $("intro").textContent = message("intro", { place: message(isLocal ? "thisMachine" : "thisServer") });
  renderKeys();
});
onInput((text) => {
  $("done").disabled = !text.trim();
  renderKeys();
});
$("done").addEventListener("click", () => {
  finish(editor.text.trimEnd());
  keep();
  editor.replaceText("");
});

// Only a server has other models, and ready-made phrases.
const feedbackSwitch = $("feedback").parentElement;
for (const part of [$("rivals").parentElement, feedbackSwitch, feedbackSwitch.nextElementSibling]) part.hidden = HERE;
const drawer = $("drawer");
$("settings").addEventListener("click", () => drawer.showModal());
$("close").addEventListener("click", () => drawer.close());
drawer.addEventListener("click", ({ target }) => target === drawer && drawer.close()); // beside it

const open = () => reporting(report, loadModels, null, ({ kind }) => kind === "busy" || kind === "unreachable");
$("key").addEventListener("submit", async (event) => {
  event.preventDefault();
  setKey($("secret").value);
  await open();
  if ($("key").hidden) editor.focus();
});
open();
editor.focus();
