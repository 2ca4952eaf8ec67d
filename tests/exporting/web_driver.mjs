// Answers a list of calls, [name, ...parameters], of the module of a site: node web_driver.mjs SITE < CALLS > ANSWERS
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const site = pathToFileURL(`${process.argv[2]}/`);
const [{ load }, { textRules }, { Random }] = await Promise.all(
  ["kammil.js", "text.js", "random.js"].map((name) => import(new URL(name, site))),
);
const calls = JSON.parse(readFileSync(0));
const others = {
  rules: (rules, texts) => texts.map(textRules(rules)),
  random: (seed, n) => {
    const random = new Random(seed.map(BigInt));
    return Array.from({ length: n }, () => random.next());
  },
  typed: (texts, options) => texts.map((text) => session.update(text).complete(options).text),
  suggested: (texts) => texts.map((text) => session.update(text).suggest()),
  turns: (texts, contexts) => {
    const sessions = contexts.map((context) => model.session(context));
    return texts.flatMap((text) => sessions.map((each) => each.update(text).suggest()));
  },
  grows: (text, times) => {
    const type = () => [...text].forEach((_, i) => (session.update(text.slice(0, i + 1)).suggest(), session.phrase()));
    type();
    const before = model.engine.bytes;
    for (let i = 0; i < times; i++) type();
    return model.engine.bytes - before;
  },
  after: (text) => [...model.after(text)],
};
const needed = calls.some(([name]) => !["rules", "random"].includes(name));
const model = needed ? await load() : {}, session = model.session?.();
const answers = calls.map(([name, ...parameters]) => {
  try {
    return (others[name] ?? model[name].bind(model))(...parameters) ?? null;
  } catch (error) {
    return { error: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
