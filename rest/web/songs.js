// This browser's songs: their names, hashes and options are kept in it; all else is asked of the service.

const KEPT = "msas.songs";

/**
 * A song in the list. Its `phase` on the way to the service: waiting, uploading, refused, cancelled, interrupted (the
 * page was closed meanwhile), and sent; from then on `status` is what the service last said of it.
 */
export class Song {
  status = null;
  etag = null;
  error = null;
  uploaded = 0;
  file = null;
  gone = false;

  constructor(songs, { id, name, hash = null, options = {} }) {
    Object.assign(this, { songs, id, name, hash, options, phase: hash ? "sent" : "interrupted" });
  }

  /** Whether the service still has something to do with it. */
  get open() {
    return this.phase === "sent" && !this.gone && !["succeeded", "failed", "cancelled"].includes(this.status?.status);
  }

  /** Note what is new, and tell whoever shows it. */
  say(news) {
    Object.assign(this, news);
    this.songs.changed(this);
  }

  /** It arrived, under this hash. */
  sent(hash) {
    this.songs.forgetTwin(this, hash);
    this.say({ phase: "sent", hash, status: null, etag: null, gone: false, error: null });
    this.songs.keep();
  }
}

export class Songs extends EventTarget {
  all = [];

  /** Bring back what this browser kept. */
  constructor() {
    super();
    let kept = [];
    try {
      kept = JSON.parse(localStorage.getItem(KEPT)) ?? [];
    } catch {
      // not ours, or of another version
    }
    this.all = kept.map((each) => new Song(this, each));
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

  keep() {
    const kept = this.all.map(({ id, name, hash, options }) => ({ id, name, hash, options }));
    localStorage.setItem(KEPT, JSON.stringify(kept));
  }

  changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }
}
