// Plays all tracks of a song in step: schedules each slice at a sample of the audio context's clock.

import { backoff } from "../api.js";

const AHEAD_SECONDS = 4; // a slice is fetched and scheduled this long before it sounds
const LEAD_SECONDS = 0.05; // between the scheduling of the first slices and their start
const SCHEDULE_MS = 200;
const SEEK_DELAY_MS = 80; // after a seek, before its sound is fetched: dragging fetches none
const NO_OUTPUT_MS = 3_000;
const FADE_SECONDS = 0.01;

/** Dispatches `change` when it starts, stops or moves, and `failure` with the error that keeps it from playing, or null. */
export class Playback extends EventTarget {
  playing = false;
  loading = false;
  #context;
  #slices;
  #peaks;
  #names;
  #gains = new Map();
  #volumes = new Map(); // the last one set for each track: a gain's own value is late in some browsers
  #position = 0; // in seconds of song, where it is paused or was started
  #songStart = 0; // the time of the context's clock at which the song's first sample was, or would have been, played
  #next = 0; // the slice to schedule next
  #sources = [];
  #run = 0; // counts starts and stops: what an older one still awaits is ignored
  #failing = false;

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
      this.#volumes.set(name, 1);
    }
  }

  get seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  /** The position in seconds of song; while it waits for sound, the end of what is scheduled. */
  get position() {
    if (!this.playing || this.loading) return this.#position;
    const heard = Math.max(this.#position, this.#context.currentTime - this.#songStart);
    return Math.min(heard, this.#startOf(this.#next), this.seconds);
  }

  /** Set a track's volume, 0 to 1. */
  setVolume(name, volume) {
    const before = this.#volumes.get(name);
    if (volume === before) return;
    this.#volumes.set(name, volume);
    const { gain } = this.#gains.get(name);
    const now = this.#context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(before, now);
    gain.linearRampToValueAtTime(volume, now + FADE_SECONDS);
  }

  /** Play this track too, from now on; its sound is not fetched before. */
  include(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.playing) this.#start(this.position);
  }

  play() {
    if (!this.playing) this.#start(this.#position >= this.seconds ? 0 : this.#position);
  }

  pause() {
    this.#report(null);
    this.#position = this.position;
    this.#cancelRun();
    this.playing = this.loading = false;
    this.#dispatchChange();
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.seconds);
    if (this.playing && to < this.seconds) this.#start(to, SEEK_DELAY_MS);
    else {
      if (this.playing) this.pause();
      this.#position = to;
      this.#dispatchChange();
    }
  }

  async #start(position, delay = 0) {
    const run = this.#cancelRun();
    this.#position = position;
    this.playing = this.loading = true;
    this.#dispatchChange();
    // Counted in samples: rounding may put the beginning of a slice, in seconds, into the slice before.
    const { rate, samples, slice } = this.#peaks;
    const sample = Math.min(Math.round(position * rate), samples - 1);
    const index = Math.floor(sample / slice);
    try {
      if (delay) await sleep(delay);
      if (run === this.#run) await this.#resumeContext(run);
      const buffers = await this.#load(index, run);
      for (let lead = LEAD_SECONDS; run === this.#run; lead *= 2) {
        const when = this.#toSample(this.#context.currentTime + lead);
        this.#songStart = when - this.#toSample(position);
        this.#schedule(buffers, index, sample / rate - this.#startOf(index));
        await sleep(0);
        if (run !== this.#run) return;
        if (this.#context.currentTime < when) break;
        this.#stopSources(); // scheduled too late: they would not start together
      }
    } catch (error) {
      if (run === this.#run) this.#fail(error);
      return;
    }
    if (run !== this.#run) return;
    this.#next = index + 1;
    this.loading = false;
    this.#dispatchChange();
    this.#scheduleAhead(run);
  }

  /** Schedule slice after slice, AHEAD_SECONDS before each one's time; start again where one comes too late. */
  async #scheduleAhead(run) {
    const slices = Math.ceil(this.#peaks.samples / this.#peaks.slice);
    while (run === this.#run) {
      const due = this.#startOf(this.#next);
      if (this.#next >= slices) {
        if (this.position >= this.seconds) return this.#end();
      } else if (this.#songStart + due - this.#context.currentTime < AHEAD_SECONDS) {
        try {
          const buffers = await this.#load(this.#next, run);
          if (run !== this.#run) return;
          if (this.#songStart + due < this.#context.currentTime + LEAD_SECONDS) return this.#start(due);
          this.#schedule(buffers, this.#next, 0);
          this.#next++;
        } catch (error) {
          if (run === this.#run) this.#fail(error);
          return;
        }
        continue;
      }
      await sleep(SCHEDULE_MS);
    }
  }

  /** Start the context's clock. A browser without an audio output may never do that. */
  async #resumeContext(run) {
    const noOutput = new Error("The browser finds no audio output.");
    const timer = setTimeout(() => run === this.#run && this.#report(noOutput), NO_OUTPUT_MS);
    try {
      await this.#context.resume();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Load a slice of every track; retry while the service is unreachable or busy, until the run is over. */
  async #load(index, run) {
    for (let failures = 0; run === this.#run; failures++) {
      try {
        const loaded = await Promise.all([...this.#names].map(async (name) => [name, await this.#slices.get(name, index)]));
        if (run === this.#run) this.#report(null);
        return loaded;
      } catch (error) {
        if (run !== this.#run || !error.temporary) throw error;
        this.#report(error);
        await sleep(backoff(error, failures));
      }
    }
    return [];
  }

  #schedule(buffers, index, offset) {
    const when = this.#toSample(this.#songStart + this.#startOf(index) + offset);
    for (const [name, buffer] of buffers) {
      const source = new AudioBufferSourceNode(this.#context, { buffer });
      source.connect(this.#gains.get(name));
      source.start(when, this.#toSample(offset));
      this.#sources.push(source);
      source.onended = () => {
        source.disconnect();
        this.#sources = this.#sources.filter((each) => each !== source);
      };
    }
  }

  /** The start of a slice, in seconds of song. */
  #startOf(index) {
    return (index * this.#peaks.slice) / this.#peaks.rate;
  }

  /** Round a time to the nearest sample of the context. */
  #toSample(seconds) {
    return Math.round(seconds * this.#context.sampleRate) / this.#context.sampleRate;
  }

  #cancelRun() {
    this.#stopSources();
    return ++this.#run;
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
    this.#dispatchChange();
  }

  #fail(error) {
    this.pause();
    this.#report(error);
  }

  #report(error) {
    if (error || this.#failing) this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    this.#failing = Boolean(error);
  }

  #dispatchChange() {
    this.dispatchEvent(new Event("change"));
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
