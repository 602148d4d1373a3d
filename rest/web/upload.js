// Songs on their way to the service, one at a time; where it is away or busy, they wait.

import { Away, backoff, credentials, problem } from "./api.js";

export class Uploads {
  #line = [];
  #busy = false;
  #unauthorized;

  /** `unauthorized` is called where a key is wanted; what waits goes on with `resume`. */
  constructor(unauthorized) {
    this.#unauthorized = unauthorized;
  }

  /** Send the song's file with its options; the song is told how it goes. */
  add(song) {
    song.say({ phase: "waiting", error: null });
    this.#line.push(song);
    this.resume();
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
    for (let failures = 0; song.phase !== "cancelled"; failures++) {
      try {
        const { hash } = await send(song);
        song.sent(hash);
        return true;
      } catch (error) {
        if (song.phase === "cancelled") return true;
        if (error.status === 401) {
          song.say({ phase: "waiting" });
          this.#unauthorized(error);
          return false;
        }
        if (!error.passing) {
          song.say({ phase: "refused", error: error.message });
          return true;
        }
        song.say({ phase: "waiting", error: error.message });
        await new Promise((resolve) => setTimeout(resolve, backoff(error, failures)));
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
      if (request.status === 200) resolve(JSON.parse(request.responseText));
      else reject(problem(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = request.onabort = () => reject(new Away());
    song.say({ phase: "uploading", uploaded: 0, error: null, abort: () => request.abort() });
    request.send(file);
  });
}
