// All tracks of a song, started together and kept together: each slice begins at a sample of the context's own clock.

import { backoff } from "../api.js";

const AHEAD_SECONDS = 4; // a slice is fetched and scheduled so long before its turn
const LEAD_SECONDS = 0.05; // from when all sources were told to when they start
const LOOK_MS = 200;
const SETTLE_MS = 80; // so long must a place be sought before its sound is fetched: while one drags, none is
const PATIENCE_MS = 3_000;
const FADE_SECONDS = 0.01;

/** Tells by `change` whenever it starts, stops or moves, and by `trouble` what keeps it from playing, or null. */
export class Transport extends EventTarget {
  playing = false;
  loading = false;
  #context;
  #slices;
  #peaks;
  #names;
  #gains = new Map();
  #levels = new Map(); // of each track, what was last asked for: a gain's own value is late in some browsers
  #position = 0; // in seconds of song, where it stands or was started
  #zero = 0; // the moment, by the context's clock, at which the song's beginning was or would have been
  #next = 0; // the slice to schedule next
  #sources = [];
  #turn = 0; // each start and stop is a new one: what an older one still waits for is void
  #troubled = false;

  constructor(context, slices, peaks, names) {
    super();
    this.#context = context;
    this.#slices = slices;
    this.#peaks = peaks;
    this.#names = new Set(names);
    const out = context.createGain();
    out.connect(context.destination);
    for (const name of Object.keys(peaks.tracks)) {
      const gain = context.createGain();
      gain.connect(out);
      this.#gains.set(name, gain);
      this.#levels.set(name, 1);
    }
  }

  get seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  /** Where it is, in seconds of song: where it waits for sound, at the end of what it has. */
  get position() {
    if (!this.playing || this.loading) return this.#position;
    const heard = Math.max(this.#position, this.#context.currentTime - this.#zero);
    return Math.min(heard, this.#begin(this.#next), this.seconds);
  }

  /** How loud a track is, 0 to 1, from now on. */
  level(name, volume) {
    const before = this.#levels.get(name);
    if (volume === before) return;
    this.#levels.set(name, volume);
    const { gain } = this.#gains.get(name);
    const now = this.#context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(before, now);
    gain.linearRampToValueAtTime(volume, now + FADE_SECONDS);
  }

  /** Play this track, too, from now on; its sound is not fetched before. */
  include(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.playing) this.#start(this.position);
  }

  play() {
    if (!this.playing) this.#start(this.#position >= this.seconds ? 0 : this.#position);
  }

  pause() {
    this.#trouble(null);
    this.#position = this.position;
    this.#silence();
    this.playing = this.loading = false;
    this.#changed();
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.seconds);
    if (this.playing && to < this.seconds) this.#start(to, SETTLE_MS);
    else {
      if (this.playing) this.pause();
      this.#position = to;
      this.#changed();
    }
  }

  async #start(position, settle = 0) {
    const turn = this.#silence();
    this.#position = position;
    this.playing = this.loading = true;
    this.#changed();
    // Counted in samples: in seconds, a slice's own beginning may come out a hair before it.
    const { rate, samples, slice } = this.#peaks;
    const sample = Math.min(Math.round(position * rate), samples - 1);
    const index = Math.floor(sample / slice);
    try {
      if (settle) await sleep(settle);
      if (turn === this.#turn) await this.#wake(turn);
      const buffers = await this.#load(index, turn);
      for (let lead = LEAD_SECONDS; turn === this.#turn; lead *= 2) {
        const when = this.#sample(this.#context.currentTime + lead);
        this.#zero = when - this.#sample(position);
        this.#schedule(buffers, index, sample / rate - this.#begin(index));
        await sleep(0);
        if (turn !== this.#turn) return;
        if (this.#context.currentTime < when) break;
        this.#stopSources(); // told too late, some of them would be out of step
      }
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
      return;
    }
    if (turn !== this.#turn) return;
    this.#next = index + 1;
    this.loading = false;
    this.#changed();
    this.#follow(turn);
  }

  /** Schedule slice after slice, each a while before its turn; where one comes too late, start anew there. */
  async #follow(turn) {
    const slices = Math.ceil(this.#peaks.samples / this.#peaks.slice);
    while (turn === this.#turn) {
      const due = this.#begin(this.#next);
      if (this.#next >= slices) {
        if (this.position >= this.seconds) return this.#end();
      } else if (this.#zero + due - this.#context.currentTime < AHEAD_SECONDS) {
        try {
          const buffers = await this.#load(this.#next, turn);
          if (turn !== this.#turn) return;
          if (this.#zero + due < this.#context.currentTime + LEAD_SECONDS) return this.#start(due);
          this.#schedule(buffers, this.#next, 0);
          this.#next++;
        } catch (error) {
          if (turn === this.#turn) this.#fail(error);
          return;
        }
        continue;
      }
      await sleep(LOOK_MS);
    }
  }

  /** Have the context run; one that finds nothing to play on may never do. */
  async #wake(turn) {
    const silent = new Error("The browser finds nothing to play sound on.");
    const late = setTimeout(() => turn === this.#turn && this.#trouble(silent), PATIENCE_MS);
    try {
      await this.#context.resume();
    } finally {
      clearTimeout(late);
    }
  }

  /** Load a slice of every track; where the service is away or busy, again and again until the turn is over. */
  async #load(index, turn) {
    for (let failures = 0; turn === this.#turn; failures++) {
      try {
        const loaded = await Promise.all([...this.#names].map(async (name) => [name, await this.#slices.get(name, index)]));
        if (turn === this.#turn) this.#trouble(null);
        return loaded;
      } catch (error) {
        if (turn !== this.#turn || !error.passing) throw error;
        this.#trouble(error);
        await sleep(backoff(error, failures));
      }
    }
    return [];
  }

  #schedule(buffers, index, offset) {
    const when = this.#sample(this.#zero + this.#begin(index) + offset);
    for (const [name, buffer] of buffers) {
      const source = new AudioBufferSourceNode(this.#context, { buffer });
      source.connect(this.#gains.get(name));
      source.start(when, this.#sample(offset));
      this.#sources.push(source);
      source.onended = () => {
        source.disconnect();
        this.#sources = this.#sources.filter((each) => each !== source);
      };
    }
  }

  /** Where a slice begins, in seconds of song. */
  #begin(index) {
    return (index * this.#peaks.slice) / this.#peaks.rate;
  }

  /** The moment of the sample nearest to it. */
  #sample(seconds) {
    return Math.round(seconds * this.#context.sampleRate) / this.#context.sampleRate;
  }

  #silence() {
    this.#stopSources();
    return ++this.#turn;
  }

  #stopSources() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#sources = [];
  }

  #end() {
    this.pause();
    this.#position = 0;
    this.#changed();
  }

  #fail(error) {
    this.pause();
    this.#trouble(error);
  }

  #trouble(error) {
    if (error || this.#troubled) this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    this.#troubled = Boolean(error);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
