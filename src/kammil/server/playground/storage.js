// What this browser remembers: the language, the model, the sliders. Never a text, never a key.

const name = (key) => "kammil." + key;

/** What was remembered; null for nothing, or where the browser remembers nothing. */
export function recall(key) {
  try {
    return localStorage.getItem(name(key));
  } catch {
    return null;
  }
}

/** Remember a string, where the browser does. */
export function remember(key, value) {
  try {
    localStorage.setItem(name(key), value);
  } catch {
    // A private window may refuse; then the page begins afresh next time.
  }
}

/** A name for this tab, made by chance; a reload keeps it. */
export function visit() {
  const made = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    if (!sessionStorage.getItem(name("visit"))) sessionStorage.setItem(name("visit"), made);
    return sessionStorage.getItem(name("visit"));
  } catch {
    return made;
  }
}
