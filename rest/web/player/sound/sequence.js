// The sounds of a song in the order in which they are played: slice after slice, in a loop again and again, stretched if
// the tempo or the key is changed.

import { LAG_SECONDS } from "../stretch/stretch-client.js";
import { loadCrossfade, loadPart } from "./scheduled-parts.js";

const STRETCHED_SECONDS = 1; // of song that are stretched at once, so that sound begins soon

export class Sequence {
  #peaks;
  #loop;
  #load;
  #stretch;
  #start;
  #rate; // of the buffers, in Hz
  #next;
  #elapsed = 0;

  /**
   * `begin`: the first sample of the song; `loop`: its `begin` and `end` in samples, or null; `load` resolves to a slice of
   * every track; `rate` of the context. `stretch`: null, or the Stretcher with `tempo`, `semitones`, `names`, and
   * `weights()`, the present volumes by track.
   */
  constructor({ peaks, loop, begin, load, rate, stretch }) {
    Object.assign(this, { tempo: stretch?.tempo ?? 1 });
    [this.#peaks, this.#loop, this.#next, this.#load, this.#rate, this.#stretch] = [peaks, loop, begin, load, rate, stretch];
    if (stretch) this.#start = stretch.stretcher.start({ rate, tempo: stretch.tempo, semitones: stretch.semitones, names: stretch.names });
  }

  /** The seconds after the start up to which the sounds are complete. */
  get complete() {
    return this.#elapsed - (this.#stretch && !this.ended ? LAG_SECONDS / this.tempo : 0);
  }

  get ended() {
    return this.#next >= this.#peaks.samples && this.#next !== this.#loop?.end;
  }

  /**
   * Return the next part: its `begin` and `end` in samples of the song, its `time` in seconds after the start, and its
   * `sounds`. A sound has the `name` of its track, a `buffer`, its own `time`, and, if it is not the whole buffer, the
   * `offset` and the `duration` in seconds.
   */
  async next() {
    const { samples, rate } = this.#peaks;
    const returns = this.#next === this.#loop?.end;
    const longest = this.#stretch ? Math.round(STRETCHED_SECONDS * rate) : samples;
    const part = await (returns
      ? loadCrossfade(this.#peaks, this.#loop, this.#load)
      : loadPart(this.#peaks, this.#loop, this.#next, this.#load, longest));
    this.#next = part.end;
    const time = this.#elapsed;
    const sounds = this.#stretch ? await this.#stretchPart(part) : this.#cut(part, time);
    this.#elapsed += (part.end - part.begin) / rate / this.tempo;
    return { begin: part.begin, end: part.end, time, sounds };
  }

  #cut({ begin, end, offset, whole, buffers }, time) {
    const { rate } = this.#peaks;
    const duration = whole ? undefined : (end - begin) / rate;
    return buffers.map(([name, buffer]) => ({ name, buffer, time, offset: offset / rate, duration }));
  }

  async #stretchPart({ begin, end, offset, buffers }) {
    if (!buffers.length) return []; // playing was stopped while they were loaded
    const scale = this.#rate / this.#peaks.rate; // a browser whose context can't run at the song's rate has resampled
    const [first, length] = [Math.round(offset * scale), Math.round(end * scale) - Math.round(begin * scale)];
    const channel = (buffer, i) => {
      const samples = new Float32Array(length);
      samples.set(buffer.getChannelData(Math.min(i, buffer.numberOfChannels - 1)).subarray(first, first + length));
      return samples;
    };
    const tracks = Object.fromEntries(buffers.map(([name, buffer]) => [name, [channel(buffer, 0), channel(buffer, 1)]]));
    const { stretcher, weights } = this.#stretch;
    const blocks = await stretcher.push(this.#start, { tracks, weights: weights(), last: this.ended });
    return blocks.map(({ name, at, channels }) => {
      const buffer = new AudioBuffer({ length: channels[0].length, numberOfChannels: 2, sampleRate: this.#rate });
      channels.forEach((samples, i) => buffer.copyToChannel(samples, i));
      return { name, buffer, time: at / this.#rate, offset: 0 };
    });
  }
}
