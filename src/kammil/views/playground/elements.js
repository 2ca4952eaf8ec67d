export const $ = (id) => document.getElementById(id);

/** Return a new element of the page with these properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Let the user save lines as a file. */
export function saveLines(name, lines) {
  const file = new Blob(lines.map((line) => line + "\n"), { type: "application/jsonl" });
  const link = element("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
