// The smallest page: what is typed is completed by a model in this browser, and nothing leaves it.

const TEXTS = {
  en: { title: "Complete a text", waits: "The model is being loaded.", take: "Take over (Tab)", learn: "Learn this text" },
  ar: { title: "تكملة النص", waits: "عم يتحمّل النموذج.", take: "خود التكملة (Tab)", learn: "اتعلّم هالنص" },
};
const language = navigator.language.startsWith("ar") ? "ar" : "en", texts = TEXTS[language];
const [input, output, status, taking, learning] = ["text", "completion", "status", "take", "learn"].map((id) =>
  document.getElementById(id),
);
Object.assign(document.documentElement, { lang: language, dir: language === "ar" ? "rtl" : "ltr" });
for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" }), waiting = [];
worker.onmessage = ({ data: [result, error] }) => {
  const then = waiting.shift();
  status.textContent = error ?? "";
  if (!error) then(result);
};
worker.onerror = ({ message }) => (status.textContent = message);
const call = (then, ...request) => {
  waiting.push(then);
  worker.postMessage(request);
};

function complete() {
  const typed = input.value;
  output.textContent = "";
  // The last of several answers counts.
  call(({ text }) => { if (typed === input.value) output.textContent = text; }, "complete", typed);
}

function take() {
  input.value += output.textContent;
  input.focus();
  complete();
}

input.addEventListener("input", complete);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Tab" || event.shiftKey || !output.textContent) return;
  event.preventDefault();
  take();
});
taking.addEventListener("click", take);
learning.addEventListener("click", () => call(complete, "learn", input.value));
complete();
