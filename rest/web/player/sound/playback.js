// Plays all tracks of a song in step: schedules each slice at a sample of the audio context's clock.

import { backoff } from "../../service/api.js";
import { Stretcher } from "../stretch/stretch-client.js";
import { countIn } from "./count-in.js";
import { Outputs } from "./outputs.js";
import { Sequence } from "./sequence.js";
import { Timeline } from "./timeline.js";

const AHEAD_SECONDS = 4; // a slice is fetched and scheduled this long before it sounds
const LEAD_SECONDS = 0.05; // between the scheduling of the first slices and their start
const START_SECONDS = 0.5; // of sound that are there before the first of it plays
const SCHEDULE_MS = 200;
const SEEK_DELAY_MS = 80; // after a seek, before its sound is fetched: dragging fetches none
const NO_OUTPUT_MS = 3_000;
export const SHORTEST_LOOP_SECONDS = 0.1;

/** Dispatches `change` when it starts, stops or moves, and `failure` with the error that keeps it from playing, or null. */
export class Playback extends EventTarget {
  playing = false;
  loading = false;
  countInBpm = null; // beats a minute of the song, if one bar is counted before it plays
  #context;
  #slices;
  #peaks;
  #names;
  #outputs;
  #position = 0; // in seconds of song, where it is paused or was started
  #timeline = null; // what is scheduled
  #loop = null; // its `begin` and `end` in samples
  #tempo = 1;
  #semitones = 0;
  #stretcher = new Stretcher();
  #run = 0; // counts starts and stops: what an older one still awaits is ignored
  #failing = false;

  constructor(context, slices, peaks, names) {
    super();
    this.#context = context;
    this.#slices = slices;
    this.#peaks = peaks;
    this.#names = new Set(names);
    this.#outputs = new Outputs(context, Object.keys(peaks.tracks));
  }

  get seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  /** The position in seconds of song; while it waits for sound, the end of what is scheduled. */
  get position() {
    if (!this.playing || this.loading) return this.#position;
    return this.#timeline.positionAt(this.#context.currentTime);
  }

  /** Play from `start` to `end`, in seconds, again and again; without arguments, play to the song's end. */
  setLoop(start = 0, end = 0) {
    const position = this.position;
    const [begin, stop] = [start, end].map((seconds) => Math.round(seconds * this.#peaks.rate));
    this.#loop = end - start >= SHORTEST_LOOP_SECONDS ? { begin, end: Math.min(stop, this.#peaks.samples) } : null;
    const outside = this.#loop && (position < start || position >= end);
    if (this.playing || outside) this.seek(outside ? start : position);
  }

  /** Play at `tempo` times the song's tempo, and all but the drums `semitones` higher. */
  setTempoAndKey(tempo, semitones) {
    const { position } = this;
    [this.#tempo, this.#semitones] = [tempo, semitones];
    if (this.playing) this.seek(position);
  }

  /** Set a track's volume, 0 to 1. */
  setVolume(name, volume) {
    this.#outputs.setVolume(name, volume);
  }

  /** Play this track too, from now on; its sound is not fetched before. */
  include(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.playing) this.#start(this.position);
  }

  play() {
    if (!this.playing) this.#start(this.#position >= this.seconds ? 0 : this.#position, 0, this.countInBpm);
  }

  pause() {
    this.#report(null);
    this.#position = this.position;
    this.#cancelRun();
    this.playing = this.loading = false;
    this.#dispatchChange();
  }

  /** Stop, and end the worker that stretches. */
  close() {
    this.pause();
    this.#stretcher.close();
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

  /** Play from a position, `delay` ms from now; count one bar before, if there is a tempo to count in. */
  async #start(position, delay = 0, countInBpm = null) {
    const run = this.#cancelRun();
    this.#position = position;
    this.playing = this.loading = true;
    this.#dispatchChange();
    try {
      if (delay) await sleep(delay);
      if (run === this.#run) await this.#resumeContext(run);
      if (run !== this.#run) return;
      const { rate, samples } = this.#peaks;
      const sequence = this.#makeSequence(Math.min(Math.round(position * rate), samples - 1), run);
      const parts = [await sequence.next()];
      while (run === this.#run && sequence.complete < START_SECONDS && !sequence.ended) parts.push(await sequence.next());
      for (let lead = LEAD_SECONDS; run === this.#run; lead *= 2) {
        const earliest = this.#context.currentTime + lead;
        const clicks = countInBpm ? countIn(this.#context, earliest, countInBpm * sequence.tempo) : { sources: [], end: earliest };
        for (const click of clicks.sources) this.#outputs.connect(click);
        const start = this.#outputs.toSample(clicks.end);
        this.#timeline = new Timeline(rate, sequence.tempo, start);
        for (const part of parts) this.#schedule(part, start);
        await sleep(0);
        if (run !== this.#run) return;
        if (this.#context.currentTime < earliest) {
          this.loading = false;
          this.#dispatchChange();
          await this.#scheduleAhead(sequence, start, run);
          return;
        }
        this.#outputs.stop(); // scheduled too late: they would not start together
      }
    } catch (error) {
      if (run === this.#run) this.#fail(error);
    }
  }

  #makeSequence(begin, run) {
    const stretched = this.#tempo !== 1 || this.#semitones !== 0;
    const stretch = stretched && {
      stretcher: this.#stretcher, tempo: this.#tempo, semitones: this.#semitones, names: [...this.#names],
      weights: () => this.#outputs.volumes,
    };
    return new Sequence({ peaks: this.#peaks, loop: this.#loop, begin, load: (index) => this.#load(index, run), rate: this.#context.sampleRate, stretch: stretch || null });
  }

  /** Schedule part after part, AHEAD_SECONDS before each one's time; start again where one comes too late. */
  async #scheduleAhead(sequence, start, run) {
    while (run === this.#run) {
      const now = this.#context.currentTime;
      const complete = start + sequence.complete;
      if (sequence.ended) {
        if (now >= complete) return this.#end();
      } else if (complete - now < AHEAD_SECONDS) {
        const part = await sequence.next();
        if (run !== this.#run) return;
        if (complete < this.#context.currentTime + LEAD_SECONDS) return this.#start(this.position);
        this.#schedule(part, start);
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

  #schedule(part, start) {
    this.#timeline.add(part);
    this.#outputs.schedule(part.sounds, start);
  }

  #cancelRun() {
    this.#outputs.stop();
    return ++this.#run;
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
