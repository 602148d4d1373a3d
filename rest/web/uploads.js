// Songs on their way to the service, one at a time; where it is away, busy or full, they wait. Once it refused one, it
// is asked whether there is room before a file is sent.

import { Away, Problem, backoff, call, content, credentials, problem } from "./api.js";

const LONGEST_PAUSE_MS = 600_000;
const FULL_SECONDS = 30; // after which a full queue is looked at again

export class Uploads {
  #line = [];
  #busy = false;
  #refused = false; // whether one of those in line was, for a reason that passes
  #wake = null;
  #locked;
  #unwanted;

  /** `locked` is called where a key is wanted; what waits goes on with `resume`. `unwanted` gets each song that was
   * cancelled too late to be stopped, and what the service answered. */
  constructor({ locked, unwanted }) {
    this.#locked = locked;
    this.#unwanted = unwanted;
  }

  /** Send the song's file with its options; the song is told how it goes. */
  add(song) {
    song.say({ phase: "waiting", full: false, error: null });
    this.#line.push(song);
    this.resume();
  }

  /** Don't send it, or no further. Once all of it is on its way, the first time is a wish, the second time an end. */
  cancel(song) {
    if (song.phase === "uploading" && song.uploaded === 1) {
      song.say({ phase: "unwanted" }); // the service may have it already: only its answer says so
    } else {
      song.say({ phase: "cancelled", error: null });
      song.abort?.();
      if (song === this.#line[0]) this.wake();
    }
  }

  /** Don't wait any longer before the next try: a song has ended, so there may be room. */
  wake() {
    this.#wake?.();
  }

  /** Go on with what waits. */
  async resume() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#line.length && (await this.#send(this.#line[0]))) this.#line.shift();
    } finally {
      this.#busy = this.#refused = false;
    }
  }

  /** Send one song; whether it is settled, and the next one may follow. */
  async #send(song) {
    let sent = 0;
    for (let failures = 0; song.phase === "waiting"; failures++) {
      try {
        if (this.#refused) await expectRoom();
        if (song.phase !== "waiting") break;
        sent++;
        const taken = await send(song);
        if (song.phase === "unwanted") this.#unwanted(song, taken);
        else song.sent(taken.hash);
        return true;
      } catch (error) {
        const lost = error instanceof Away && !(await readable(song.file));
        if (["cancelled", "unwanted"].includes(song.phase)) {
          song.say({ phase: "cancelled", error: null });
        } else if (error.locked) {
          song.say({ phase: "waiting" });
          this.#locked(error);
          return false;
        } else if (lost) {
          song.say({ phase: "refused", file: null, error: "The file can't be read any more; Retry asks for it." });
        } else if (!error.passing) {
          song.say({ phase: "refused", error: error.message });
        } else {
          this.#refused = true;
          const full = error.code === "queue_full";
          song.say({ phase: "waiting", full, error: full ? null : error.message });
          // Twice as long each time that the whole file was sent in vain.
          await this.#pause(Math.min(LONGEST_PAUSE_MS, backoff(error, failures) * 2 ** Math.max(0, sent - 1)));
        }
      }
    }
    return true;
  }

  /** Wait so many ms, or until `wake`. */
  #pause(ms) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, ms);
    });
  }
}

/** Ask whether the service takes one more song. Raises Problem, `queue_full` where it does not; Away. */
async function expectRoom() {
  const { room } = await content(await call("/apiv1/models"), "json");
  if (room === false) throw new Problem(503, { code: "queue_full" }, FULL_SECONDS);
}

/** Post the song's bytes as they are: fetch can't say how much is on its way, the older request can. */
function send(song) {
  const request = new XMLHttpRequest();
  const { file, options } = song;
  const query = new URLSearchParams({ name: file.name, ...options });
  request.open("POST", `/apiv1/separate?${query}`);
  for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
  const kind = /^(audio|video)\//.test(file.type) ? file.type : "application/octet-stream";
  request.setRequestHeader("Content-Type", kind);
  return new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => song.say({ uploaded: loaded / total });
    request.onload = () => {
      const { status, responseText } = request;
      if (status !== 200) reject(problem(status, responseText, request.getResponseHeader("Retry-After")));
      else if (!responseText.startsWith("{")) reject(new Away()); // what stands between us answered in its place
      else resolve(JSON.parse(responseText));
    };
    request.onerror = request.onabort = () => reject(new Away());
    song.say({ phase: "uploading", uploaded: 0, error: null, abort: () => request.abort() });
    request.send(file);
  });
}

/** Whether the file is still there as it was: a browser says of one that is not, or of a folder, that the service is
 * away. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
