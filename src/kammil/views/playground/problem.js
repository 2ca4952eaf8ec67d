// The last error, on the page until something goes right.

import { reporting } from "./debounce.js";
import { $ } from "./elements.js";
import { message, onLanguage } from "./i18n.js";

let error = null;
const render = () => {
  const kind = error?.kind === "busy" && !error.retries ? "tryAgain" : error?.kind;
  const isSaid = error !== null && kind !== "key"; // the field for the key says enough
  $("problem").hidden = !isSaid;
  $("problem").textContent = isSaid ? message(kind, { message: error.message }) : "";
  $("key").hidden = !["key", "wrongKey"].includes(kind);
};
onLanguage(render);

/** Show an error, or null for none. */
export function report(newError) {
  error = newError;
  render();
}

export const reportErrors = (action) => reporting(report, action);
