// A text field that is completed by a model in the browser, in any page. Nothing is loaded before it is touched.
//
//   <script type="module" src="kammil-text.js"></script>
//   <kammil-text src="model/"><textarea></textarea></kammil-text>

const STYLE = `
  :host { display: block; position: relative }
  [hidden] { display: none !important }
  .frame { position: absolute; overflow: hidden; pointer-events: none }
  .mirror { box-sizing: border-box; width: 100%; height: 100%; overflow: hidden; visibility: hidden }
  .mirror.ghosted { visibility: visible }
  .caret { position: absolute; width: 2px; margin-inline-start: -1px; background: currentColor; animation: blink 1.06s step-end infinite }
  @keyframes blink { 50% { opacity: 0 } }
  @media (prefers-reduced-motion: reduce) { .caret { animation: none } }
  ::highlight(ghost) { color: var(--kammil-ghost, color-mix(in srgb, var(--color) 65%, transparent)) }
  @media (forced-colors: active) { ::highlight(ghost) { color: GrayText } .caret { background: CanvasText } }
  .words, .words div { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem }
  .words { min-height: 3rem }
  .title, .none { font-size: .9em }
  button { font: inherit; color: inherit; background: none; border: 1px solid; border-radius: 2rem; padding: .2rem .9rem; min-height: 2.2rem; max-width: 100%; cursor: pointer }
  button:focus-visible { outline: 2px solid; outline-offset: 2px }
  .corrects { border-style: dashed }
  @media (pointer: coarse) { button { min-height: 2.75rem } }
  .live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }`;
const FIELD = ".ghosted:is(textarea, input) { -webkit-text-fill-color: transparent !important; caret-color: transparent !important }";
const COPIED = `font-family font-size font-style font-weight font-stretch font-kerning font-feature-settings line-height
  letter-spacing word-spacing text-align text-indent text-transform text-rendering unicode-bidi white-space overflow-wrap
  word-break tab-size color padding-top padding-right padding-bottom padding-left`.split(/\s+/);

const FIELDS = "textarea, or an input of type text or search";
const isField = (one) => /^(text|search|textarea)$/.test(one?.type) && /^(input|textarea)$/.test(one.localName);

const sheets = new Map();
/** Let a document or shadow tree have rules, which no content security policy forbids. */
function adopt(root, rules) {
  if (!sheets.has(rules)) sheets.set(rules, new CSSStyleSheet()).get(rules).replaceSync(rules);
  const sheet = sheets.get(rules);
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}

export class KammilText extends (globalThis.HTMLElement ?? Object) {
  #ended = new AbortController(); #opened = null; #field = null;

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).append(document.createElement("slot"));
    adopt(this.shadowRoot, STYLE);
  }

  /** The text area, or single line of text: the first inside, or the one that `attach` was given. */
  get field() {
    const inside = [...this.querySelectorAll("textarea, input")];
    const make = () => Object.assign(document.createElement("textarea"), { ariaLabel: this.ariaLabel });
    return (this.#field ??= inside.find(isField) ?? this.appendChild(make()));
  }

  set field(field) {
    if (!isField(field)) throw new TypeError(`${field?.cloneNode?.().outerHTML ?? field} cannot be completed; give a ${FIELDS}`);
    this.#field = field;
  }

  connectedCallback() {
    [this.#ended, this.#opened] = [new AbortController(), null];
    const { signal } = this.#ended, listen = () => {
      for (const kind of ["focus", "pointerdown", "input"])
        this.field.addEventListener(kind, () => this.open().catch(() => {}), { signal }); // the next touch tries again
    };
    if (document.readyState !== "loading") listen();
    else document.addEventListener("DOMContentLoaded", listen, { signal }); // the field may still come
  }

  /** Load the model now, as a touch of the field does. */
  open() {
    const { signal } = this.#ended;
    return (this.#opened ??= this.#open(signal).catch((error) => {
      if (!signal.aborted) this.#opened = null;
      throw error;
    }));
  }

  disconnectedCallback() {
    this.#ended.abort();
    this.#opened = null;
    this.shadowRoot.replaceChildren(document.createElement("slot"));
  }

  async learn(text = this.field.value) {
    await this.#ask("learn", { text });
  }

  learnt() {
    return this.#ask("learnt");
  }

  async wipe() {
    await this.#ask("wipe");
  }

  async #ask(...question) {
    const { connect } = await import("./client.js");
    return connect(this.getAttribute("src") ?? undefined)(...question);
  }

  async #open(signal) {
    const { field } = this, root = field.getRootNode();
    const [{ createField }, { element }, { message, setLanguage }] = await Promise.all([
      import("./ui/field.js"),
      import("./ui/elements.js"),
      import("./ui/i18n.js"),
      import("./client.js"), // for `#ask`
    ]);
    if (signal.aborted) return;
    adopt(root, FIELD);
    setLanguage(document.documentElement.lang || navigator.language);
    if (!field.hasAttribute("aria-autocomplete")) {
      field.setAttribute("aria-autocomplete", "inline");
      signal.addEventListener("abort", () => field.removeAttribute("aria-autocomplete"));
    }
    const mirror = element("div", { className: "mirror", ariaHidden: "true" });
    const caret = element("div", { className: "caret", hidden: true });
    const title = element("span", { className: "title", id: "title" }), none = element("span", { className: "none" });
    const group = element("div", { role: "group" });
    group.setAttribute("aria-labelledby", "title");
    const frame = element("div", { className: "frame" }, mirror, caret), live = element("p", { className: "live", ariaLive: "polite" });
    this.shadowRoot.append(frame, element("div", { className: "words" }, title, group, none), live);
    const place = (ghost) => {
      if (!ghost) return;
      const style = getComputedStyle(field), at = field.getBoundingClientRect(), origin = this.getBoundingClientRect();
      const scale = origin.width / this.offsetWidth || 1; // of a zoom or transform around it
      const set = (target, name, value) => target.style.setProperty(name, value);
      for (const name of COPIED) set(mirror, name, style.getPropertyValue(name));
      set(frame, "color", style.color);
      set(frame, "--color", style.color); // `currentColor` of a highlight is not the field's
      set(frame, "z-index", style.zIndex === "auto" ? "auto" : `${Number(style.zIndex) + 1}`);
      set(frame, "left", `${(at.left - origin.left) / scale - this.clientLeft + field.clientLeft}px`);
      set(frame, "top", `${(at.top - origin.top) / scale - this.clientTop + field.clientTop}px`);
      set(frame, "width", `${field.clientWidth}px`);
      set(frame, "height", `${field.clientHeight}px`);
      if (field.localName === "input") {
        set(mirror, "white-space", "pre");
        set(mirror, "line-height", `${field.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom)}px`);
      }
      const isAtEnd = field.scrollTop + field.clientHeight >= field.scrollHeight - 1 - parseFloat(style.paddingBottom);
      mirror.scrollTop = isAtEnd ? mirror.scrollHeight : field.scrollTop; // a ghost may need another line
      mirror.scrollLeft = field.scrollLeft;
    };
    const report = (error) => {
      none.hidden = !error && none.hidden;
      const told = error && new ErrorEvent("error", { error, message: error.message, cancelable: true });
      if (told && this.dispatchEvent(told)) console.error(error.message);
      if (error) completed.say((none.textContent = message(error.kind ?? "refused", { message: error.message })));
    };
    let thread = null, heard = [];
    const read = () => (heard = Array.from(thread.children, ({ textContent }) => textContent));
    const watch = new MutationObserver(() => {
      read();
      completed.renew();
    });
    signal.addEventListener("abort", () => watch.disconnect());
    /** The messages above: given, or read in the element that the attribute names, anew once it has changed. */
    const context = () => {
      if (this.context) return typeof this.context === "function" ? this.context() : this.context;
      const found = root.getElementById(this.getAttribute("context"));
      if (found === thread) return heard;
      watch.disconnect();
      [thread, heard] = [found, []];
      if (thread) watch.observe(thread, { childList: true, subtree: true, characterData: true });
      return thread ? read() : heard;
    };
    const suggest = (body, signal) => this.#ask("suggest", { ...body, context: context() }, signal);
    const completed = createField(
      { field, mirror, caret, title, group, none, live },
      { suggest, report, onRender: place, direction: () => getComputedStyle(this).direction, onlyFocused: true, signal },
    );
    const render = () => completed.editor.render();
    field.addEventListener("scroll", render, { signal });
    const observer = new ResizeObserver(render);
    observer.observe(field);
    signal.addEventListener("abort", () => observer.disconnect());
    completed.editor.read();
    this.learnt().catch(report); // which loads it, wherever the caret is
  }
}

const hosts = new WeakMap(); // by the fields that `attach` was given
/** Complete what is typed into a text area by a model in a folder, `model/` beside this module by default; `remove()` ends it. */
export function attach(field, { model, context } = {}) {
  if (hosts.get(field)?.isConnected) return hosts.get(field);
  const host = document.createElement("kammil-text");
  if (model) host.setAttribute("src", model);
  Object.assign(host, { field, context });
  hosts.set(field, host);
  field.after(host);
  return host;
}

if (globalThis.customElements && !customElements.get("kammil-text")) customElements.define("kammil-text", KammilText);
