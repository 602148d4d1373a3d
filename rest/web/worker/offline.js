// The page's service worker: while the service can't be reached, a visit gets a page that says so. It keeps nothing, and
// touches no other call.

const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>MSaaS is offline</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<h1>MSaaS can't be reached</h1>
<p>This device is offline, or the service is not running. Your songs are still listed when it is back.</p>
<p><a href="/">Try again</a></p></html>`;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { mode, url } = event.request;
  if (mode !== "navigate" || new URL(url).pathname !== "/") return;
  const offline = () => new Response(PAGE, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
  event.respondWith(fetch(event.request).catch(offline));
});
