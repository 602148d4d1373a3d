// This browser's songs: their names, hashes and options are kept in it; all else is asked of the service.

import { follow, read, write } from "./kept.js";

const KEPT = "msas.songs";

/**
 * A song in the list. Its `phase` on the way to the service: waiting, uploading, unwanted (cancelled after all its bytes
 * were on their way), refused, cancelled, interrupted (the page was closed meanwhile), and sent; from then on `status` is
 * what the service last said of it, until it is leaving the service again.
 */
export class Song {
  status = null;
  etag = null;
  uploaded = 0;
  file = null;
  gone = false;

  constructor(songs, { id, name, hash = null, options = {}, phase = "", error = null }) {
    const settled = ["refused", "cancelled"].includes(phase) ? phase : "interrupted";
    Object.assign(this, { songs, id, name, hash, options, error, phase: hash ? "sent" : settled });
  }

  /** Whether the service still has something to do with it. */
  get open() {
    return this.phase === "sent" && !this.gone && !["succeeded", "failed", "cancelled"].includes(this.status?.status);
  }

  /** What is kept of it. */
  get kept() {
    const { id, name, hash, options, phase } = this;
    return { id, name, hash, options, phase, error: hash ? null : this.error };
  }

  /** Note what is new, and tell whoever shows it. */
  say(news) {
    Object.assign(this, news);
    if ("phase" in news || "name" in news) this.songs.keep();
    this.songs.changed(this);
  }

  /** It arrived, under this hash. */
  sent(hash) {
    this.songs.forgetTwin(this, hash);
    this.say({ phase: "sent", hash, status: null, etag: null, gone: false, error: null });
  }
}

export class Songs extends EventTarget {
  all = [];
  #stored = new Set(); // the ids that were kept when we last looked: what is new or missing since, another tab did

  /** Bring back what this browser kept. */
  constructor() {
    super();
    this.#takeOver();
    follow(KEPT, () => this.#takeOver());
  }

  /** Add a song on top: one with a `file` to be sent, or one that the service has under a `hash`. */
  add({ file = null, name = "", hash = null, options = {} }) {
    const song = new Song(this, { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), name, hash, options });
    song.file = file;
    this.all.unshift(song);
    this.keep();
    this.changed(song);
    return song;
  }

  /** Take a song off the list. */
  remove(song) {
    this.all = this.all.filter((each) => each !== song);
    this.keep();
    this.changed(song);
  }

  /** The same song with the same options is one: what stood here of it goes. */
  forgetTwin(song, hash) {
    for (const twin of this.all.filter((each) => each !== song && each.hash === hash)) this.remove(twin);
  }

  find(hash) {
    return this.all.find((song) => song.hash === hash);
  }

  /** Keep the list as it is here, with what other tabs did to it since. */
  keep() {
    this.#takeOver();
    this.#stored = new Set(this.all.map(({ id }) => id));
    write(KEPT, this.all.map(({ kept }) => kept));
  }

  changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }

  #takeOver() {
    const kept = read(KEPT, []);
    const there = new Map((Array.isArray(kept) ? kept : []).map((each) => [each.id, each]));
    const gone = this.all.filter(({ id }) => this.#stored.has(id) && !there.has(id));
    const known = new Set([...this.#stored, ...this.all.map(({ id }) => id)]);
    const added = [...there.values()].filter(({ id }) => !known.has(id)).map((each) => new Song(this, each));
    // One that we saw on its way has arrived from the tab that sent it.
    const arrived = this.all.filter((song) => song.phase === "interrupted" && there.get(song.id)?.hash);
    for (const song of arrived) Object.assign(song, { phase: "sent", hash: there.get(song.id).hash });
    this.all = [...added, ...this.all.filter((song) => !gone.includes(song))];
    this.#stored = new Set(there.keys());
    for (const song of [...gone, ...added, ...arrived]) this.changed(song);
  }
}
