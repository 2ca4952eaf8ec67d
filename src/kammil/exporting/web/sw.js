// Lets the page open without a network after a visit. The export writes VERSION, FILES and LATER above: all files, and
// those that are kept only once a browser has asked for them.

const NAME = `kammil ${registration.scope} `, CACHE = NAME + VERSION;
const nameOf = (url) => url.slice(registration.scope.length).replace(/[?#].*/, "") || "./";
const isOurs = (url) => url.startsWith(registration.scope) && FILES.includes(nameOf(url));

addEventListener("install", (event) => {
  const fill = async () => (await caches.open(CACHE)).addAll(FILES.filter((file) => !LATER.includes(file)));
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
    const cache = await caches.open(CACHE), kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    const response = await fetch(request);
    if (response.ok && response.status !== 206) await cache.put(request, response.clone());
    return response;
  };
  event.respondWith(answer());
});
