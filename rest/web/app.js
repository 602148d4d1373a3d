// The page: puts form, uploads, songs, news and list together.

import { backoff, call, key } from "./api.js";
import { set } from "./dom.js";
import { Form } from "./upload-form.js";
import { List } from "./library-view.js";
import { Songs } from "./library.js";
import { Uploads } from "./uploads.js";
import { Watch } from "./polling.js";

const at = (id) => document.getElementById(id);
const songs = new Songs();
const form = new Form(dropped);
const uploads = new Uploads({ locked: told, unwanted: takeBack });
const watch = new Watch(songs, told);
const list = new List(songs, { retry, cancel, remove });

/** The newest songs stand on top, the first of several above the others and first in line. */
function dropped(files) {
  const { options } = form;
  const added = files.reverse().map((file) => songs.add({ file, name: file.name, options }));
  added.reverse().forEach(send);
}

function send(song) {
  const refusal = form.refusal(song.file);
  if (refusal) song.say({ phase: "refused", file: null, error: refusal });
  else uploads.add(song);
}

/** A failure of the service as a whole; null: all is well. */
function told(error) {
  const locked = Boolean(error?.locked);
  set(at("notice"), "textContent", error && !locked ? `${error.message} Trying again.` : "");
  at("notice").hidden = !error || locked;
  if (locked) lock(key.get() ? "That key does not fit: the service does not know it." : "Those who run it can give you one.");
}

/** Ask for a key, and say why. */
function lock(why) {
  set(at("key-why"), "textContent", why);
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
      if (error.locked) return;
      await new Promise((resolve) => setTimeout(resolve, backoff(error, failures)));
    }
  }
}

/** Have the service try again what it still has; send it again otherwise. */
async function retry(song) {
  const { status, error } = song.status ?? {};
  if (status === "failed" && error?.code !== "song_missing") {
    try {
      await call(`/apiv1/retry/${song.hash}`, { method: "POST" });
    } catch (problem) {
      if (["song_missing", "unknown_song"].includes(problem.code)) {
        await sendAgain(song);
        return;
      }
      if (problem.code !== "not_failed") { // else somebody else was faster
        song.say({ error: problem.message });
        return;
      }
    }
    song.say({ phase: "sent", status: null, etag: null, error: null });
  } else {
    await sendAgain(song);
  }
}

async function sendAgain(song) {
  const file = song.file ?? (await chosen());
  if (!file) return;
  song.say({ file, name: file.name });
  send(song);
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
  if (["waiting", "uploading", "unwanted"].includes(song.phase)) uploads.cancel(song);
  else if (song.phase === "sent" && (await leave(song))) song.say({ phase: "cancelled", hash: null, status: null, etag: null, gone: false });
}

/** The service took a song that was cancelled meanwhile: take it back, unless it was there before. */
function takeBack(song, { hash, status }) {
  const twin = songs.find(hash);
  if (twin && !twin.gone) {
    songs.remove(song);
  } else {
    song.sent(hash);
    if (status !== "succeeded") cancel(song);
  }
}

/** Remove it from the service; whether that is done. */
async function leave(song) {
  song.say({ phase: "leaving", error: null });
  try {
    await call(`/apiv1/remove/${song.hash}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "unknown_song") {
      song.say({ phase: "sent", error: error.message });
      watch.wake();
      return false;
    }
  }
  return true;
}

async function remove(song, everywhere) {
  const { hash } = song;
  if (everywhere && !(await leave(song))) return;
  songs.remove(song);
  if (location.hash === `#${hash}`) history.replaceState(null, "", location.pathname);
}

/** A link to a song names its hash. */
function follow() {
  const hash = location.hash.slice(1);
  if (!/^[0-9a-f]{56}$/.test(hash)) return;
  const song = songs.find(hash) ?? songs.add({ hash });
  song.goneSince = 0; // opening the song says that it is gone, even after a week
  list.reveal(song);
  watch.wake();
}

songs.addEventListener("change", ({ detail }) => detail.open && !detail.status && watch.wake());
songs.addEventListener("ended", () => uploads.wake());
at("key").onsubmit = (event) => {
  event.preventDefault();
  const given = at("key-given").value.trim();
  at("key-given").value = "";
  if (key.fits(given)) {
    key.set(given);
    start();
  } else {
    lock("That can't be a key: it has a blank in it, or a letter that no key has. Copy it once more.");
  }
};
at("forget").onclick = () => {
  key.forget();
  location.reload();
};
window.addEventListener("hashchange", follow);
follow();
watch.run();
start();
