// The worker that stretches: changes the tempo of all tracks, and the pitch of those that are transposed.
//
// {start: {rate, tempo, semitones, names}}: begin anew, with these tracks. {id, push: {tracks, weights, last}}: the next
// samples of each track, as two channels; answered by {id, blocks}, each with its track's `name`, the number `at` of its
// first sample since the start, and its `channels`.

import { Resampler } from "./resampler.js";
import { Splicer, concatenate } from "./splicer.js";

const UNPITCHED = new Set(["drums"]); // these keep their pitch
const FLUSH_SECONDS = 0.5; // of silence after the last sample, which completes the pieces before it

/** Tracks that are stretched and transposed alike, cut at the same places. */
class Group {
  #names;
  #tempo;
  #rate;
  #stages;
  #splicer = null;
  #taken = 0; // samples of input
  #given = 0; // samples of output

  constructor(names, { rate, tempo }, semitones) {
    const ratio = 2 ** (semitones / 12);
    const channels = 2 * names.length;
    [this.#names, this.#tempo, this.#rate] = [names, tempo, rate];
    if (tempo !== ratio) this.#splicer = new Splicer(tempo / ratio, channels, rate);
    const resampler = ratio === 1 ? null : new Resampler(ratio, channels);
    this.#stages = [this.#splicer, resampler].filter(Boolean);
  }

  push({ tracks, weights, last }) {
    const channels = this.#names.flatMap((name) => tracks[name]);
    if (this.#splicer) this.#splicer.weights = this.#names.flatMap((name) => [weights[name], weights[name]]);
    this.#taken += channels[0].length;
    let made = this.#pass(channels);
    if (last) {
      const silence = new Float32Array(FLUSH_SECONDS * this.#rate);
      const rest = this.#pass(channels.map(() => silence));
      const missing = Math.round(this.#taken / this.#tempo) - this.#given - made[0].length;
      made = made.map((samples, i) => concatenate(samples, rest[i].subarray(0, missing)));
    }
    const at = this.#given;
    this.#given += made[0].length;
    return this.#names.map((name, i) => ({ name, at, channels: made.slice(2 * i, 2 * i + 2) }));
  }

  #pass(channels) {
    return this.#stages.reduce((samples, stage) => stage.push(samples), channels);
  }
}

let groups = [];

onmessage = ({ data: { id, start, push } }) => {
  if (start) {
    const { names, semitones } = start;
    const [unpitched, pitched] = [true, false].map((keep) => names.filter((name) => UNPITCHED.has(name) === keep));
    groups = [[unpitched, 0], [pitched, semitones]].filter(([own]) => own.length).map(([own, shift]) => new Group(own, start, shift));
  } else {
    const blocks = groups.flatMap((group) => group.push(push)).filter(({ channels }) => channels[0].length);
    postMessage({ id, blocks }, blocks.flatMap(({ channels }) => channels.map(({ buffer }) => buffer)));
  }
};
