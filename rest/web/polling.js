// News of the songs: those of which nothing is known are asked about together, then those that wait or run by the long
// poll of their status. One call at a time, at most two and a half a second, whatever the number of songs; seldom while
// nobody looks. (And one more when a player opens.)

import { backoff, call, content } from "./api.js";

const GAP_MS = 400;
const TOGETHER = 500; // songs, of which one call may ask
const ALONE_SECONDS = 25;
const AMONG_OTHERS_SECONDS = 2;
const HIDDEN_MS = [5_000, 15_000, 60_000];

/**
 * Ask how a song is doing, once that changed, or after `wait` seconds, and note it: also that the service has it no
 * more. Raises Problem, Away, AbortError.
 */
export async function ask(song, wait = 0, signal = undefined) {
  const { hash, etag } = song;
  const meant = asNow(song);
  try {
    const answer = await call(`/apiv1/status/${hash}?wait=${wait}`, { headers: wait ? { "If-None-Match": etag } : {}, signal });
    const unchanged = answer.status === 304;
    const status = unchanged ? song.status : await content(answer, "json");
    if (!meant()) return;
    // Its estimate changes all the time, and counts for no change: after a 304 the next call asks for it.
    if (unchanged) {
      song.etag = null;
      return;
    }
    song.heard(status, answer.headers.get("ETag"));
  } catch (error) {
    if (error.code !== "unknown_song") throw error;
    if (meant()) song.missed(error.message);
  }
}

/** Ask how several songs are doing, in one call, and note it. Raises Problem, Away. */
async function askTogether(songs) {
  const asked = songs.map((song) => [song, song.hash, asNow(song)]);
  const body = JSON.stringify({ songs: songs.map(({ hash }) => hash) });
  const answer = await call("/apiv1/status", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const found = new Map((await content(answer, "json")).songs.map((status) => [status.hash, status]));
  for (const [song, hash, meant] of asked) {
    if (!meant()) continue;
    if (found.has(hash)) song.heard(found.get(hash));
    else song.missed("The service has no song under that hash any more.");
  }
}

/** A function that says whether the song is still the one that it is now: neither cancelled nor sent anew meanwhile. */
function asNow(song) {
  const { hash } = song;
  return () => song.hash === hash && song.phase === "sent";
}

export class Watch {
  #songs;
  #told;
  #stop = new AbortController();
  #turn = 0;

  /** `told` gets every failure that is no song's own: Away, or a Problem; null once all is well again. */
  constructor(songs, told) {
    this.#songs = songs;
    this.#told = told;
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** Look at once: there is a new song, somebody looks again, or there is a key. */
  wake() {
    this.#stop.abort();
  }

  async run() {
    let failures = 0;
    let looks = 0;
    for (;;) {
      this.#stop = new AbortController();
      looks = document.hidden ? looks + 1 : 0;
      const due = this.#songs.all.filter((song) => song.due).slice(0, TOGETHER);
      const song = due[0] ?? this.#next();
      if (!song) {
        if (failures) this.#told(null);
        failures = 0;
        await this.#sleep(Infinity);
        continue;
      }
      try {
        await (due.length > 1 ? askTogether(due) : this.#ask(song, failures > 0));
        if (failures) this.#told(null);
        failures = 0;
        await this.#sleep(looks ? HIDDEN_MS[Math.min(looks, HIDDEN_MS.length) - 1] : GAP_MS, !looks);
      } catch (error) {
        if (error.name === "AbortError") {
          await this.#sleep(GAP_MS, true);
          continue;
        }
        this.#told(error);
        await this.#sleep(error.locked ? Infinity : backoff(error, failures++));
      }
    }
  }

  /** The song that moves, or comes next in line, each second time; else the others in turn. */
  #next() {
    const open = this.#songs.all.filter((song) => song.open);
    this.#turn++;
    const place = (song) => (song.status.status === "running" ? 0 : (song.status.queue_position ?? Infinity));
    const first = open.reduce((best, song) => (best && place(best) <= place(song) ? best : song), undefined);
    if (open.length < 2 || this.#turn % 2) return first;
    const others = open.filter((song) => song !== first);
    return others[(this.#turn / 2) % others.length];
  }

  /** After a failure the call doesn't wait for a change, so that its answer tells at once that the service is back. */
  #ask(song, failed) {
    const waits = !failed && song.etag && !document.hidden && (this.#turn % 2 || this.#alone);
    return ask(song, waits ? (this.#alone ? ALONE_SECONDS : AMONG_OTHERS_SECONDS) : 0, this.#stop.signal);
  }

  get #alone() {
    return this.#songs.all.filter((song) => song.open).length === 1;
  }

  /** Wait so many ms, or until `wake`; where `whole`, the pause between two calls is kept all the same. */
  #sleep(ms, whole = false) {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      if (ms < Infinity) setTimeout(resolve, ms);
      if (whole) return;
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
