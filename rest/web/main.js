// The page: puts form, uploads, songs, news and list together.

import { backoff, call, key } from "./api.js";
import { Form } from "./form.js";
import { List } from "./list.js";
import { Songs } from "./songs.js";
import { Uploads } from "./upload.js";
import { Watch } from "./watch.js";

const at = (id) => document.getElementById(id);
const songs = new Songs();
const form = new Form(dropped);
const uploads = new Uploads(told);
const watch = new Watch(songs, told);
const list = new List(songs, { retry, cancel, remove });

/** The newest songs stand on top, the first of several above the others and first in line. */
function dropped(files) {
  const { options } = form;
  const added = files.reverse().map((file) => songs.add({ file, name: file.name, options }));
  added.reverse().forEach(send);
}

function send(song) {
  uploads.add(song);
}

/** A failure of the service as a whole; null: all is well. */
function told(error) {
  const locked = error?.status === 401;
  at("notice").hidden = !error || locked;
  at("notice").textContent = error && !locked ? `${error.message} Trying again.` : "";
  if (!locked) return;
  at("key-why").textContent = key.get() ? "That key does not fit: the service does not know it." : "Those who run it can give you one.";
  at("forget").hidden = true;
  if (at("key").hidden) {
    at("key").hidden = false;
    at("key-given").focus();
  }
}

async function start() {
  for (let failures = 0; ; failures++) {
    try {
      await form.load();
      told(null);
      at("key").hidden = true;
      at("forget").hidden = !key.get();
      uploads.resume();
      watch.wake();
      return;
    } catch (error) {
      told(error);
      if (error.status === 401) return;
      await new Promise((resolve) => setTimeout(resolve, backoff(error, failures)));
    }
  }
}

async function retry(song) {
  if (song.hash && song.status?.status === "failed") {
    try {
      await call(`/apiv1/retry/${song.hash}`, { method: "POST" });
      song.say({ status: null, etag: null, error: null });
      return;
    } catch (error) {
      if (!["song_missing", "unknown_song"].includes(error.code)) {
        told(error);
        return;
      }
    }
  }
  song.file ??= await chosen();
  if (song.file) send(song);
}

/** Ask for a file that the page does not have any more; null where nobody gives it. */
function chosen() {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept: "audio/*,video/*" });
  return new Promise((resolve) => {
    input.onchange = () => resolve(input.files[0]);
    input.oncancel = () => resolve(null);
    input.click();
  });
}

async function cancel(song) {
  if (song.phase === "sent" && song.hash) {
    await taken(song);
  } else {
    song.say({ phase: "cancelled", error: null });
    song.abort?.();
  }
}

/** Remove it from the service; whether that is done. */
async function taken(song) {
  try {
    await call(`/apiv1/remove/${song.hash}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "unknown_song") {
      song.say({ error: error.message });
      return false;
    }
  }
  song.hash = null;
  song.say({ phase: "cancelled", status: null, etag: null, error: null });
  songs.keep();
  return true;
}

async function remove(song, everywhere) {
  if (!everywhere || (await taken(song))) songs.remove(song);
}

/** A link to a song names its hash. */
function follow() {
  const hash = location.hash.slice(1);
  if (!/^[0-9a-f]{56}$/.test(hash)) return;
  list.reveal(songs.find(hash) ?? songs.add({ hash }));
  watch.wake();
}

songs.addEventListener("change", ({ detail }) => detail.open && !detail.status && watch.wake());
at("key").onsubmit = (event) => {
  event.preventDefault();
  key.set(at("key-given").value.trim());
  at("key-given").value = "";
  start();
};
at("forget").onclick = () => {
  key.forget();
  location.reload();
};
window.addEventListener("hashchange", follow);
follow();
watch.run();
start();
