// Lets the page open without a network after a visit. The export writes VERSION, FILES and LATER above: all files, and
// those that are kept only once a browser has asked for them.

const NAME = `kammil ${registration.scope} `, CACHE = NAME + VERSION;
const FRESH = { cache: "no-cache" }; // asks the host, whatever the browser kept for it
const nameOf = (url) => url.slice(registration.scope.length).replace(/[?#].*|^index\.html(?=[?#]|$)/g, "") || "./";
const isOurs = (url) => url.startsWith(registration.scope) && FILES.includes(nameOf(url));

addEventListener("install", (event) => {
  const files = FILES.filter((file) => !LATER.includes(file)).map((file) => new Request(file, FRESH));
  const fill = async () => (await caches.open(CACHE)).addAll(files);
  event.waitUntil(fill().then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const clear = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(NAME) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
  };
  event.waitUntil(clear());
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !isOurs(request.url)) return;
  const answer = async () => {
    const cache = await caches.open(CACHE), name = nameOf(request.url), kept = await cache.match(name, { ignoreVary: true });
    if (kept) return kept;
    const response = await fetch(request, FRESH);
    if (response.ok && response.status !== 206) await cache.put(name, response.clone()).catch(() => {}); // storage may be full
    return response;
  };
  event.respondWith(answer());
});
