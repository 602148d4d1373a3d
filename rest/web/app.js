// Connects the parts of the page: form, uploads, library, polling, list; the actions on a song; the API key.

import { backoff, call, key } from "./service/api.js";
import { set } from "./dom.js";
import { setUpHelp } from "./player/controls/keys.js";
import { parseLink } from "./player/song-link.js";
import { UploadForm } from "./upload-form.js";
import { LibraryView } from "./songs/library-view.js";
import { Library } from "./songs/library.js";
import { Uploads } from "./service/uploads.js";
import { StatusPoller } from "./service/polling.js";

const at = (id) => document.getElementById(id);
const library = new Library();
const form = new UploadForm(addFiles);
const uploads = new Uploads({ onKeyNeeded: showFailure, onCancelledLate: cancelLate });
const poller = new StatusPoller(library, showFailure);
const view = new LibraryView(library, { retry, cancel, remove });

/** Add songs at the top, in the order of their files, and send them in that order. */
function addFiles(files) {
  const { options } = form;
  const added = files.reverse().map((file) => library.add({ file, name: file.name, options }));
  added.reverse().forEach(send);
}

function send(song) {
  const refusal = form.refusal(song.file);
  if (refusal) song.update({ phase: "refused", file: null, error: refusal });
  else uploads.add(song);
}

/** Show a failure of the service as a whole; null removes it. */
function showFailure(error) {
  const needsKey = Boolean(error?.needsKey);
  set(at("notice"), "textContent", error && !needsKey ? `${error.message} Trying again.` : "");
  at("notice").hidden = !error || needsKey;
  if (needsKey) askForKey(key.get() ? "The service does not know this key." : "The operator of the service can give you one.");
}

/** Show the form for a key, with the reason. */
function askForKey(reason) {
  set(at("key-reason"), "textContent", reason);
  at("forget-key").hidden = true;
  if (at("key").hidden) {
    at("key").hidden = false;
    at("key-input").focus();
  }
}

async function start() {
  for (let failures = 0; ; failures++) {
    try {
      await form.load();
      showFailure(null);
      at("key").hidden = true;
      at("forget-key").hidden = !key.get();
      uploads.resume();
      poller.wake();
      return;
    } catch (error) {
      showFailure(error);
      if (error.needsKey) return;
      await new Promise((resolve) => setTimeout(resolve, backoff(error, failures)));
    }
  }
}

/** Have the service retry a failed song; send the file again if the service does not have it. */
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
      if (problem.code !== "not_failed") { // not_failed: somebody else has retried it
        song.update({ error: problem.message });
        return;
      }
    }
    song.update({ phase: "sent", status: null, etag: null, error: null });
  } else {
    await sendAgain(song);
  }
}

async function sendAgain(song) {
  const file = song.file ?? (await chooseFile());
  if (!file) return;
  song.update({ file, name: file.name });
  send(song);
}

/** Ask for a file that the page does not have any more; null if the person cancels. */
function chooseFile() {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept: "audio/*,video/*" });
  return new Promise((resolve) => {
    input.onchange = () => resolve(input.files[0]);
    input.oncancel = () => resolve(null);
    input.click();
  });
}

async function cancel(song) {
  if (["waiting", "uploading", "cancelling"].includes(song.phase)) uploads.cancel(song);
  else if (song.phase === "sent" && (await removeFromService(song))) song.update({ phase: "cancelled", hash: null, status: null, etag: null, gone: false });
}

/** Cancel a song that the service accepted after it was cancelled here; not one that it has had before. */
function cancelLate(song, { hash, status }) {
  const earlier = library.find(hash);
  if (earlier && !earlier.gone) {
    library.remove(song);
  } else {
    song.markSent(hash);
    if (status !== "succeeded") cancel(song);
  }
}

/** Remove a song from the service; return whether the service has done it. */
async function removeFromService(song) {
  song.update({ phase: "removing", error: null });
  try {
    await call(`/apiv1/remove/${song.hash}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "unknown_song") {
      song.update({ phase: "sent", error: error.message });
      poller.wake();
      return false;
    }
  }
  return true;
}

async function remove(song, fromService) {
  const { hash } = song;
  if (fromService && !(await removeFromService(song))) return;
  library.remove(song);
  if (parseLink(location.hash)?.hash === hash) history.replaceState(null, "", location.pathname);
}

/** Open the song that the page's address names, at its place and with its mix. */
function openLinkedSong() {
  const link = parseLink(location.hash);
  if (!link) return;
  const { hash, settings } = link;
  const song = library.find(hash) ?? library.add({ hash });
  song.goneSince = 0; // so that a song that has been gone for a week stays in the list, which says so
  view.reveal(song, settings);
  poller.wake();
}

library.addEventListener("change", ({ detail: song }) => song.unfinished && !song.status && poller.wake());
library.addEventListener("ended", () => uploads.wake());
at("key").onsubmit = (event) => {
  event.preventDefault();
  const entered = at("key-input").value.trim();
  at("key-input").value = "";
  if (key.isValid(entered)) {
    key.set(entered);
    start();
  } else {
    askForKey("That can't be a key: it contains a space, or a character that no key has. Copy it again.");
  }
};
at("forget-key").onclick = () => {
  key.forget();
  location.reload();
};
setUpHelp(at("keys"), at("show-keys"));
// Only in a secure context, and not in every browser's private windows: without it, the browser's own page says so.
navigator.serviceWorker?.register(new URL("./worker/offline.js", import.meta.url), { scope: "/" }).catch(() => {});
window.addEventListener("hashchange", openLinkedSong);
openLinkedSong();
poller.run();
start();
