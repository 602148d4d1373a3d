// Songs on their way to the service, one at a time; where it is away or busy, they wait.

import { Away, backoff, credentials, problem } from "./api.js";

export class Uploads {
  #line = [];
  #busy = false;
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
    song.say({ phase: "waiting", error: null });
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
    }
  }

  /** Go on with what waits. */
  async resume() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#line.length && (await this.#send(this.#line[0]))) this.#line.shift();
    } finally {
      this.#busy = false;
    }
  }

  /** Send one song; whether it is settled, and the next one may follow. */
  async #send(song) {
    for (let failures = 0; song.phase === "waiting"; failures++) {
      try {
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
          song.say({ phase: "waiting", error: error.message });
          await new Promise((resolve) => setTimeout(resolve, backoff(error, failures)));
        }
      }
    }
    return true;
  }
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
