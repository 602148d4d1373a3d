// The songs that this browser lists. It stores their names, hashes, options and final statuses; the service has the rest.

import { namesWith, read, watch, write } from "../storage.js";

const PREFIX = "msas.song."; // one entry for each song, so that no tab overwrites what another one stored
const DAY_MS = 86_400_000;

/** Return the fields of a song from its stored entry. A song that was not sent completely is interrupted. */
function fromStored({ since = 0, name = "", hash = null, options = {}, phase = "", error = null, final = null, checked = 0, goneSince = 0 }) {
  const settled = ["refused", "cancelled"].includes(phase) ? phase : "interrupted";
  return { since, name, hash, options, error, phase: hash ? "sent" : settled, status: hash ? final : null, checked, goneSince };
}

/**
 * A song in the list. Its `phase` in this browser: waiting, uploading, cancelling (cancelled after its last byte was
 * sent), refused, cancelled, interrupted (the page was closed during the upload), sent, removing. From `sent` on `status`
 * is the service's last answer; one that an earlier visit stored has only the main fields. `checked` is the time of that
 * answer, `goneSince` the time of the first answer that the service does not have the song, both in ms.
 */
export class Song {
  etag = null;
  answered = false; // whether the service has answered about it in this visit
  uploaded = 0;
  file = null;
  gone = false;
  queueFull = false; // whether it waits because the queue is full

  /** `id` names its stored entry; `stored` holds the entry's fields. */
  constructor(library, id, stored) {
    Object.assign(this, { library, id, ...fromStored(stored) });
  }

  /** Whether this tab is sending, cancelling or removing it. */
  get busy() {
    return ["waiting", "uploading", "cancelling", "removing"].includes(this.phase);
  }

  /** Whether its status is final. */
  get ended() {
    return ["succeeded", "failed", "cancelled"].includes(this.status?.status);
  }

  /** Whether its status may still change. */
  get unfinished() {
    return this.phase === "sent" && !this.gone && !this.ended;
  }

  /** Whether its status must be requested at once: there is none, or a final one that is older than a day. */
  get statusDue() {
    return this.phase === "sent" && !this.gone && (!this.status || (this.ended && !(Date.now() - this.checked < DAY_MS)));
  }

  /** Whether the service may have it queued or running. */
  get inService() {
    return Boolean(this.hash) && !this.gone && !this.ended;
  }

  /** Set fields, and dispatch `change`; `ended` too if the service is done with it. */
  update(fields) {
    const before = this.inService;
    Object.assign(this, fields);
    if ("phase" in fields || "name" in fields) this.store();
    this.library.changed(this);
    if (before && !this.inService) this.library.dispatchEvent(new Event("ended"));
  }

  /** Set the status that the service answered. */
  setStatus(status, etag = null) {
    const error = status.status === this.status?.status ? this.error : null; // an older failure is over
    const name = this.name ? {} : { name: status.name };
    const wasGone = this.goneSince > 0;
    this.update({ status, etag, error, answered: true, checked: Date.now(), goneSince: 0, ...name });
    if (this.ended || wasGone) this.store();
  }

  /** Set that the service does not have it, with its message. A song that has been gone for a week is removed from the list. */
  markGone(message) {
    const goneSince = this.goneSince || Date.now();
    this.update({ gone: true, goneSince, status: null, etag: null, error: message });
    if (Date.now() - goneSince < 7 * DAY_MS) this.store();
    else this.library.remove(this);
  }

  /** Set that the service has it, under this hash. */
  markSent(hash) {
    this.library.removeDuplicates(this, hash);
    this.update({ phase: "sent", hash, status: null, etag: null, gone: false, goneSince: 0, error: null });
  }

  /** Store it in this browser. A song that was removed from the list is not stored again. */
  store() {
    if (!this.library.songs.includes(this)) return;
    const { since, name, hash, options, phase, error, checked, goneSince, status } = this;
    const final = this.ended ? { status: status.status, model: status.model, error: status.error } : null;
    write(PREFIX + this.id, { since, name, hash, options, phase, error: hash ? null : error, final, checked, goneSince });
  }
}

export class Library extends EventTarget {
  songs = []; // the newest first

  /** Read the songs that this browser stored. */
  constructor() {
    super();
    namesWith(PREFIX).forEach((name) => this.#readEntry(name));
    watch(PREFIX, (name) => this.#readEntry(name));
  }

  /** Add a song at the top: one with a `file` to send, or one that the service has under a `hash`. */
  add({ file = null, name = "", hash = null, options = {} }) {
    const since = Math.max(Date.now(), (this.songs[0]?.since ?? 0) + 1);
    const song = new Song(this, crypto.getRandomValues(new Uint32Array(2)).join("-"), { since, name, hash, options });
    if (file) Object.assign(song, { file, phase: "waiting" });
    this.songs.unshift(song);
    song.store();
    this.changed(song);
    return song;
  }

  /** Remove a song from the list, not from the service. */
  remove(song) {
    write(PREFIX + song.id, null);
    this.#removeFromList(song);
  }

  /** Remove all other songs with the same hash from the list. */
  removeDuplicates(song, hash) {
    for (const other of this.songs.filter((each) => each !== song && each.hash === hash)) this.remove(other);
  }

  find(hash) {
    return this.songs.find((song) => song.hash === hash);
  }

  changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }

  #removeFromList(song) {
    this.songs = this.songs.filter((each) => each !== song);
    this.changed(song);
  }

  /** Read a stored entry, which another tab or an earlier visit wrote; ignore it while this tab works on the song. */
  #readEntry(name) {
    const id = name.slice(PREFIX.length);
    const stored = read(name, null);
    const song = this.songs.find((each) => each.id === id);
    if (song?.busy) return;
    if (!(stored instanceof Object)) {
      if (song) this.#removeFromList(song);
    } else if (!song) {
      const added = new Song(this, id, stored);
      this.songs = [...this.songs, added].sort((one, other) => other.since - one.since);
      this.changed(added);
    } else {
      const { hash, phase, error, status, checked, goneSince } = fromStored(stored);
      if (hash !== song.hash || phase !== song.phase || status?.status !== (song.ended ? song.status.status : undefined)) {
        Object.assign(song, { hash, phase, error, status, checked, goneSince, etag: null, gone: false });
      }
      this.changed(song);
    }
  }
}
