// Requests the statuses of the songs in the list: unknown ones together in one call, those of queued and running songs by
// long polls. One call at a time and at most two and a half a second for any number of songs; few while the page is
// hidden. (Opening a player costs one call more.)

import { backoff, call, readBody } from "./api.js";

const GAP_MS = 400;
const SONGS_PER_CALL = 500;
const ALONE_SECONDS = 25;
const AMONG_OTHERS_SECONDS = 2;
const HIDDEN_MS = [5_000, 15_000, 60_000];

/**
 * Request a song's status and set it on the song; with `wait`, the service answers when it changes, or after that many
 * seconds. Throws Problem, Unreachable, AbortError.
 */
export async function requestStatus(song, wait = 0, signal = undefined) {
  const { hash, etag } = song;
  const stillSame = unchangedSince(song);
  try {
    const response = await call(`/apiv1/status/${hash}?wait=${wait}`, { headers: wait ? { "If-None-Match": etag } : {}, signal });
    const unchanged = response.status === 304;
    const status = unchanged ? song.status : await readBody(response, "json");
    if (!stillSame()) return;
    // eta_seconds is not part of the ETag: after a 304 the next call is unconditional, to get the present estimate.
    if (unchanged) {
      song.etag = null;
      return;
    }
    song.setStatus(status, response.headers.get("ETag"));
  } catch (error) {
    if (error.code !== "unknown_song") throw error;
    if (stillSame()) song.markGone(error.message);
  }
}

/** Request the statuses of several songs in one call, and set them. Throws Problem, Unreachable. */
async function requestStatuses(songs) {
  const requested = songs.map((song) => [song, song.hash, unchangedSince(song)]);
  const body = JSON.stringify({ songs: songs.map(({ hash }) => hash) });
  const response = await call("/apiv1/status", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const found = new Map((await readBody(response, "json")).songs.map((status) => [status.hash, status]));
  for (const [song, hash, stillSame] of requested) {
    if (!stillSame()) continue;
    if (found.has(hash)) song.setStatus(found.get(hash));
    else song.markGone("The service has no song under that hash any more.");
  }
}

/** Return a function that says whether the song has still its present hash: not cancelled or sent again meanwhile. */
function unchangedSince(song) {
  const { hash } = song;
  return () => song.hash === hash && song.phase === "sent";
}

export class StatusPoller {
  #library;
  #onFailure;
  #stop = new AbortController();
  #calls = 0;

  /** `onFailure` gets every failure that concerns no single song (Unreachable or a Problem), and null after the next success. */
  constructor(library, onFailure) {
    this.#library = library;
    this.#onFailure = onFailure;
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** Poll at once: a song was added, the page became visible, or a key was entered. */
  wake() {
    this.#stop.abort();
  }

  async run() {
    let failures = 0;
    let hiddenCalls = 0;
    for (;;) {
      this.#stop = new AbortController();
      hiddenCalls = document.hidden ? hiddenCalls + 1 : 0;
      const due = this.#library.songs.filter((song) => song.statusDue).slice(0, SONGS_PER_CALL);
      const song = due[0] ?? this.#next();
      if (!song) {
        if (failures) this.#onFailure(null);
        failures = 0;
        await this.#sleep(Infinity);
        continue;
      }
      try {
        await (due.length > 1 ? requestStatuses(due) : this.#poll(song, failures > 0));
        if (failures) this.#onFailure(null);
        failures = 0;
        await this.#sleep(hiddenCalls ? HIDDEN_MS[Math.min(hiddenCalls, HIDDEN_MS.length) - 1] : GAP_MS, !hiddenCalls);
      } catch (error) {
        if (error.name === "AbortError") {
          await this.#sleep(GAP_MS, true);
          continue;
        }
        this.#onFailure(error);
        await this.#sleep(error.needsKey ? Infinity : backoff(error, failures++));
      }
    }
  }

  /** Every second call is about the running song, or the first in the queue; the calls between rotate through the others. */
  #next() {
    const unfinished = this.#library.songs.filter((song) => song.unfinished);
    this.#calls++;
    const rank = (song) => (song.status.status === "running" ? 0 : (song.status.queue_position ?? Infinity));
    const first = unfinished.reduce((best, song) => (best && rank(best) <= rank(song) ? best : song), undefined);
    if (unfinished.length < 2 || this.#calls % 2) return first;
    const others = unfinished.filter((song) => song !== first);
    return others[(this.#calls / 2) % others.length];
  }

  /** Poll one song. The first call after a failure is no long poll, so that its response comes at once. */
  #poll(song, failed) {
    const waits = !failed && song.etag && !document.hidden && (this.#calls % 2 || this.#alone);
    return requestStatus(song, waits ? (this.#alone ? ALONE_SECONDS : AMONG_OTHERS_SECONDS) : 0, this.#stop.signal);
  }

  get #alone() {
    return this.#library.songs.filter((song) => song.unfinished).length === 1;
  }

  /** Wait for `ms`, or until `wake`; with `whole`, wait for all of it. */
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
