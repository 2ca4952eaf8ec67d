// Storage in this browser: the language, the model, the options, a random name, and answers about stock phrases if they
// are asked for (feedback.js). Else never a text, and never a key.

/** Return a stored string; null if there is none, or if the browser stores nothing. */
export function load(key) {
  try {
    return localStorage.getItem("kammil." + key);
  } catch {
    return null;
  }
}

/** Store a string; return whether the browser allows it. A private window may not: the next visit has the defaults. */
export function store(key, value) {
  try {
    localStorage.setItem("kammil." + key, value);
    return true;
  } catch {
    return false;
  }
}

/** Return a random name for this browser, under which the server keeps what it learns from it. */
export function browserName() {
  const random = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  if (!load("browser")) store("browser", random);
  return load("browser") ?? random;
}
