// The model in a thread of its own, with one session: it answers [method, ...parameters] with [result, error], in order.

import { load } from "./kammil.js";

const ofSession = ["complete", "suggest", "phrase"];
const loading = load().then((model) => ({ model, session: model.session() }));

onmessage = async ({ data: [method, ...parameters] }) => {
  try {
    const { model, session } = await loading, [text, options] = parameters;
    postMessage([ofSession.includes(method) ? session.update(text)[method](options) : model[method](...parameters)]);
  } catch (error) {
    postMessage([null, error.message]);
  }
};
