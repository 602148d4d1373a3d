// Uploads songs to the service, one at a time; retries while it is unreachable, busy or its queue is full. After a
// refusal it first asks whether the queue has room, and then sends the file.

import { Unreachable, Problem, backoff, call, readBody, credentials, toProblem } from "./api.js";

const LONGEST_PAUSE_MS = 600_000;
const FULL_SECONDS = 30; // between two questions whether a full queue has room again

export class Uploads {
  #pending = [];
  #running = false;
  #refused = false; // whether the service refused one of the pending songs, for a temporary reason
  #wake = null;
  #onKeyNeeded;
  #onCancelledLate;

  /** `onKeyNeeded` is called with the error if the service wants a key; `resume` continues. `onCancelledLate` gets each song
   * that was cancelled after its upload, and the service's response. */
  constructor({ onKeyNeeded, onCancelledLate }) {
    this.#onKeyNeeded = onKeyNeeded;
    this.#onCancelledLate = onCancelledLate;
  }

  /** Send the song's file with its options; the song's fields follow the upload. */
  add(song) {
    song.update({ phase: "waiting", queueFull: false, error: null });
    this.#pending.push(song);
    this.resume();
  }

  /** Cancel an upload. If the whole body was sent, the first cancel waits for the response, which decides whether the
   * service has the song; a second cancel aborts the request. */
  cancel(song) {
    if (song.phase === "uploading" && song.uploaded === 1) {
      song.update({ phase: "cancelling" }); // the response says whether the service has it
    } else {
      song.update({ phase: "cancelled", error: null });
      song.abort?.();
      if (song === this.#pending[0]) this.wake();
    }
  }

  /** End the pause before the next attempt: a song has ended, so the queue may have room. */
  wake() {
    this.#wake?.();
  }

  /** Send all pending songs. */
  async resume() {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#pending.length && (await this.#send(this.#pending[0]))) this.#pending.shift();
    } finally {
      this.#running = this.#refused = false;
    }
  }

  /** Send one song; return whether the next one may follow. */
  async #send(song) {
    let sent = 0;
    for (let failures = 0; song.phase === "waiting"; failures++) {
      try {
        if (this.#refused) await requireRoom();
        if (song.phase !== "waiting") break;
        sent++;
        const accepted = await send(song);
        if (song.phase === "cancelling") this.#onCancelledLate(song, accepted);
        else song.markSent(accepted.hash);
        return true;
      } catch (error) {
        const unreadable = error instanceof Unreachable && !(await canRead(song.file));
        if (["cancelled", "cancelling"].includes(song.phase)) {
          song.update({ phase: "cancelled", error: null });
        } else if (error.needsKey) {
          song.update({ phase: "waiting" });
          this.#onKeyNeeded(error);
          return false;
        } else if (unreadable) {
          song.update({ phase: "refused", file: null, error: "The file can't be read any more; Retry asks for it." });
        } else if (!error.temporary) {
          song.update({ phase: "refused", error: error.message });
        } else {
          this.#refused = true;
          const queueFull = error.code === "queue_full";
          song.update({ phase: "waiting", queueFull, error: queueFull ? null : error.message });
          // Doubles with each time that the whole file was sent without success.
          await this.#pause(Math.min(LONGEST_PAUSE_MS, backoff(error, failures) * 2 ** Math.max(0, sent - 1)));
        }
      }
    }
    return true;
  }

  /** Wait for `ms`, or until `wake`. */
  #pause(ms) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, ms);
    });
  }
}

/** Throw a Problem `queue_full` if the queue has no room for one more song. Throws Unreachable too. */
async function requireRoom() {
  const { room } = await readBody(await call("/apiv1/models"), "json");
  if (room === false) throw new Problem(503, { code: "queue_full" }, FULL_SECONDS);
}

/** Post the song's bytes. XMLHttpRequest reports the progress of an upload, fetch does not. */
function send(song) {
  const request = new XMLHttpRequest();
  const { file, options } = song;
  const query = new URLSearchParams({ name: file.name, ...options });
  request.open("POST", `/apiv1/separate?${query}`);
  for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
  const kind = /^(audio|video)\//.test(file.type) ? file.type : "application/octet-stream";
  request.setRequestHeader("Content-Type", kind);
  return new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => song.update({ uploaded: loaded / total });
    request.onload = () => {
      const { status, responseText } = request;
      if (status !== 200) reject(toProblem(status, responseText, request.getResponseHeader("Retry-After")));
      else if (!responseText.startsWith("{")) reject(new Unreachable()); // the page of a proxy
      else resolve(JSON.parse(responseText));
    };
    request.onerror = request.onabort = () => reject(new Unreachable());
    song.update({ phase: "uploading", uploaded: 0, error: null, abort: () => request.abort() });
    request.send(file);
  });
}

/** Whether the file can still be read. If not, or if it is a folder, a browser reports the same error as for a service
 * that is unreachable. */
async function canRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
