// This browser's songs: their names, hashes, options and final statuses are kept in it; all else is asked of the service.

import { follow, names, read, write } from "./storage.js";

const KEPT = "msas.song."; // a name for each song: several tabs keep songs, and none may undo what another kept
const DAY_MS = 86_400_000;

/** What becomes of a kept song in another tab, or at the next visit. */
function restored({ since = 0, name = "", hash = null, options = {}, phase = "", error = null, final = null, checked = 0, goneSince = 0 }) {
  const settled = ["refused", "cancelled"].includes(phase) ? phase : "interrupted";
  return { since, name, hash, options, error, phase: hash ? "sent" : settled, status: hash ? final : null, checked, goneSince };
}

/**
 * A song in the list. Its `phase` on the way to the service: waiting, uploading, unwanted (cancelled after all its bytes
 * were on their way), refused, cancelled, interrupted (the page was closed meanwhile), and sent; from then on `status` is
 * what the service last said of it, until it is leaving the service again. `checked` is when it said so, and `goneSince`
 * when it first had it no more, both in ms; of a status that an earlier visit kept only the main fields are there.
 */
export class Song {
  etag = null;
  asked = false; // whether the service said anything of it in this visit
  uploaded = 0;
  file = null;
  gone = false;
  full = false; // whether it waits for room in the queue

  /** `id` is its name here, `kept` what is known of it, since when (in ms) among it. */
  constructor(songs, id, kept) {
    Object.assign(this, { songs, id, ...restored(kept) });
  }

  /** Whether this tab is doing something to it. */
  get busy() {
    return ["waiting", "uploading", "unwanted", "leaving"].includes(this.phase);
  }

  /** Whether its status is final. */
  get ended() {
    return ["succeeded", "failed", "cancelled"].includes(this.status?.status);
  }

  /** Whether the service still has something to do with it. */
  get open() {
    return this.phase === "sent" && !this.gone && !this.ended;
  }

  /** Whether the service is to be asked at once: nothing is known of it, or what is known is older than a day. */
  get due() {
    return this.phase === "sent" && !this.gone && (!this.status || (this.ended && !(Date.now() - this.checked < DAY_MS)));
  }

  /** Whether it has, or may have, a place in the queue or a worker. */
  get held() {
    return Boolean(this.hash) && !this.gone && !this.ended;
  }

  /** Note what is new, and tell whoever shows it. */
  say(news) {
    const held = this.held;
    Object.assign(this, news);
    if ("phase" in news || "name" in news) this.keep();
    this.songs.changed(this);
    if (held && !this.held) this.songs.dispatchEvent(new Event("ended"));
  }

  /** Note its status as the service has it. */
  heard(status, etag = null) {
    const error = status.status === this.status?.status ? this.error : null; // what failed before is over
    const name = this.name ? {} : { name: status.name };
    const found = this.goneSince > 0;
    this.say({ status, etag, error, asked: true, checked: Date.now(), goneSince: 0, ...name });
    if (this.ended || found) this.keep();
  }

  /** Note that the service has it no more, and why; one that has been gone for a week goes off the list. */
  missed(why) {
    const goneSince = this.goneSince || Date.now();
    this.say({ gone: true, goneSince, status: null, etag: null, error: why });
    if (Date.now() - goneSince < 7 * DAY_MS) this.keep();
    else this.songs.remove(this);
  }

  /** It arrived, under this hash. */
  sent(hash) {
    this.songs.forgetTwin(this, hash);
    this.say({ phase: "sent", hash, status: null, etag: null, gone: false, goneSince: 0, error: null });
  }

  /** Keep it in this browser, unless it went off the list: late news must not bring it back. */
  keep() {
    if (!this.songs.all.includes(this)) return;
    const { since, name, hash, options, phase, error, checked, goneSince, status } = this;
    const final = this.ended ? { status: status.status, model: status.model, error: status.error } : null;
    write(KEPT + this.id, { since, name, hash, options, phase, error: hash ? null : error, final, checked, goneSince });
  }
}

export class Songs extends EventTarget {
  all = []; // the newest first

  /** Bring back what this browser kept. */
  constructor() {
    super();
    names(KEPT).forEach((name) => this.#hear(name));
    follow(KEPT, (name) => this.#hear(name));
  }

  /** Add a song on top: one with a `file` to be sent, or one that the service has under a `hash`. */
  add({ file = null, name = "", hash = null, options = {} }) {
    const since = Math.max(Date.now(), (this.all[0]?.since ?? 0) + 1);
    const song = new Song(this, crypto.getRandomValues(new Uint32Array(2)).join("-"), { since, name, hash, options });
    if (file) Object.assign(song, { file, phase: "waiting" });
    this.all.unshift(song);
    song.keep();
    this.changed(song);
    return song;
  }

  /** Take a song off the list. */
  remove(song) {
    write(KEPT + song.id, null);
    this.#drop(song);
  }

  /** The same song with the same options is one: what stood here of it goes. */
  forgetTwin(song, hash) {
    for (const twin of this.all.filter((each) => each !== song && each.hash === hash)) this.remove(twin);
  }

  find(hash) {
    return this.all.find((song) => song.hash === hash);
  }

  changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }

  #drop(song) {
    this.all = this.all.filter((each) => each !== song);
    this.changed(song);
  }

  /** Take over what another tab, or an earlier visit, kept under this name; but not of what we have in hands. */
  #hear(name) {
    const id = name.slice(KEPT.length);
    const kept = read(name, null);
    const song = this.all.find((each) => each.id === id);
    if (song?.busy) return;
    if (!(kept instanceof Object)) {
      if (song) this.#drop(song);
    } else if (!song) {
      const added = new Song(this, id, kept);
      this.all = [...this.all, added].sort((one, other) => other.since - one.since);
      this.changed(added);
    } else {
      const { hash, phase, error, status, checked, goneSince } = restored(kept);
      if (hash !== song.hash || phase !== song.phase || status?.status !== (song.ended ? song.status.status : undefined)) {
        Object.assign(song, { hash, phase, error, status, checked, goneSince, etag: null, gone: false });
      }
      this.changed(song);
    }
  }
}
