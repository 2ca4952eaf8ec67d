// What this browser stores: the language, the model, the options and a random name. Never a text, never a key.

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

/** Return a random name for this browser, under which the server keeps what it learns from it. */
export function browserName() {
  const random = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  if (!load("browser")) store("browser", random);
  return load("browser") ?? random;
}
