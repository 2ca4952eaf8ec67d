// What this browser stores: the language, the model and the options. Never a text, never a key.

const prefixed = (key) => "kammil." + key;

/** Return a stored string; null if there is none, or if the browser stores nothing. */
export function load(key) {
  try {
    return localStorage.getItem(prefixed(key));
  } catch {
    return null;
  }
}

/** Store a string, if the browser allows it. */
export function store(key, value) {
  try {
    localStorage.setItem(prefixed(key), value);
  } catch {
    // A private window may refuse; then the next visit begins with the defaults.
  }
}

/** Return a random name for this tab, which survives a reload. */
export function sessionName() {
  const random = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    if (!sessionStorage.getItem(prefixed("visit"))) sessionStorage.setItem(prefixed("visit"), random);
    return sessionStorage.getItem(prefixed("visit"));
  } catch {
    return random;
  }
}
