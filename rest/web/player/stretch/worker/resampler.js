// Plays sound faster or slower, which shifts its pitch: a low-pass filter of windowed sinc functions between the samples.

import { concatenate } from "./splicer.js";

const ZEROS = 16; // crossings of the sinc on each side
const PHASES = 512;

export class Resampler {
  #step;
  #half; // samples on each side of a position that it takes
  #kernel;
  #input;
  #position; // of the next sample of output in the input

  /** `step`: samples of input for each sample of output; `channels`: their number. */
  constructor(step, channels) {
    this.#step = step;
    const cutoff = Math.min(1, 1 / step) * 0.95; // of the input's highest frequency: above it, what is played faster would fold back
    this.#half = Math.ceil(ZEROS / cutoff);
    this.#kernel = makeKernel(cutoff, this.#half);
    this.#input = Array.from({ length: channels }, () => new Float32Array(this.#half)); // silence before the sound
    this.#position = this.#half;
  }

  /** Take in the next samples of each channel; return the output that they complete, by channel. */
  push(channels) {
    const [half, step] = [this.#half, this.#step];
    this.#input = this.#input.map((before, i) => concatenate(before, channels[i]));
    const count = Math.max(0, Math.ceil((this.#input[0].length - half - this.#position) / step));
    const out = this.#input.map((input) => {
      const made = new Float32Array(count);
      for (let i = 0; i < count; i++) made[i] = this.#sampleAt(input, this.#position + i * step);
      return made;
    });
    const position = this.#position + count * step;
    const done = Math.min(Math.floor(position) - half, this.#input[0].length);
    this.#input = this.#input.map((input) => input.slice(done));
    this.#position = position - done;
    return out;
  }

  #sampleAt(input, position) {
    const [half, kernel] = [this.#half, this.#kernel];
    const first = Math.floor(position);
    const phase = Math.round((position - first) * PHASES) * 2 * half;
    let sum = 0;
    for (let i = 0; i < 2 * half; i++) sum += kernel[phase + i] * input[first - half + 1 + i];
    return sum;
  }
}

/** The filter's values around each of PHASES + 1 positions between two samples, one after another. */
function makeKernel(cutoff, half) {
  const kernel = new Float32Array((PHASES + 1) * 2 * half);
  for (let phase = 0; phase <= PHASES; phase++) {
    let sum = 0;
    const row = kernel.subarray(phase * 2 * half, (phase + 1) * 2 * half);
    for (let i = 0; i < 2 * half; i++) {
      const distance = i - half + 1 - phase / PHASES;
      const x = Math.PI * distance * cutoff;
      const window = Math.abs(distance) < half ? Math.cos((Math.PI * distance) / (2 * half)) ** 2 : 0;
      sum += row[i] = (x ? Math.sin(x) / x : 1) * window;
    }
    for (let i = 0; i < row.length; i++) row[i] /= sum;
  }
  return kernel;
}
