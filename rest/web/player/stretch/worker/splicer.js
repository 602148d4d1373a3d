// Changes the duration of sound without its pitch: cuts the input into pieces and joins them, with a crossfade, where the
// waveforms fit best (WSOLA). All its channels are cut at the same places, so that tracks stay in step to the sample.

const OVERLAP_SECONDS = 0.012;
const SEARCH_SECONDS = 0.012; // how far a cut may lie from its place, in both directions
const COARSE = 4; // samples between the places that are compared first, and between the samples compared there

/** The length of a piece, in seconds: long ones keep slow music smooth; short ones skip little of fast music, so that no beat is lost. */
function pieceSeconds(speed) {
  return Math.min(0.1, Math.max(0.045, 0.13 - 0.06 * speed));
}

export class Splicer {
  #speed;
  #piece;
  #overlap;
  #search;
  #weights;
  #input; // the samples of each channel that are still needed
  #base = 0; // the number of the first of them
  #length = 0;
  #tails = null; // what follows the last piece in each channel: the next one fades in over it
  #pieces = 0;

  /** `speed`: samples of input for each sample of output; `channels`: their number; `rate` in Hz. */
  constructor(speed, channels, rate) {
    this.#speed = speed;
    this.#overlap = Math.round(OVERLAP_SECONDS * rate);
    this.#search = Math.round(SEARCH_SECONDS * rate);
    this.#piece = Math.round(pieceSeconds(speed) * rate);
    this.#input = Array.from({ length: channels }, () => new Float32Array(0));
    this.#weights = Array.from({ length: channels }, () => 1);
  }

  /** Set how much each channel counts in the choice of the cuts. */
  set weights(weights) {
    this.#weights = weights.some(Boolean) ? weights : weights.map(() => 1);
  }

  /** Take in the next samples of each channel; return the output that they complete, by channel. */
  push(channels) {
    this.#input = this.#input.map((before, i) => concatenate(before, channels[i]));
    this.#length += channels[0].length;
    const out = this.#input.map(() => []);
    while (this.#takePiece(out));
    return out.map((parts) => concatenate(...parts));
  }

  /** Append the next piece to `out`; return false if its input is not there yet. */
  #takePiece(out) {
    const [piece, overlap, search] = [this.#piece, this.#overlap, this.#search];
    // The middle of a piece lies at its place in time. The first piece begins the output.
    const middle = (this.#pieces + 0.5) * piece * this.#speed;
    const place = this.#tails ? Math.round(middle - piece / 2) : 0;
    if (place + search + piece + overlap > this.#length) return false;
    const begin = this.#tails ? this.#findBest(Math.max(this.#base, place - search), place + search) : 0;
    this.#input.forEach((input, i) => {
      const samples = input.subarray(begin - this.#base, begin - this.#base + piece + overlap);
      out[i].push(this.#tails ? fadeInto(this.#tails[i], samples.slice(0, piece)) : samples.slice(0, piece));
    });
    this.#tails = this.#input.map((input) => input.slice(begin - this.#base + piece, begin - this.#base + piece + overlap));
    this.#pieces++;
    this.#forget(Math.round((this.#pieces + 0.5) * piece * this.#speed - piece / 2) - search);
    return true;
  }

  /** Return where from `first` to `last` the input fits best to the tails. */
  #findBest(first, last) {
    const tail = this.#mixDown(this.#tails, 0, this.#overlap);
    const mixture = this.#mixDown(this.#input, first - this.#base, last - first + this.#overlap);
    const best = (from, to, step) => {
      let [found, highest] = [Math.round((first + last) / 2) - first, -Infinity];
      for (let at = from; at <= to; at += step) {
        let [product, energy] = [0, 1e-9];
        for (let i = 0; i < tail.length; i += step) {
          const sample = mixture[at + i];
          product += sample * tail[i];
          energy += sample * sample;
        }
        const fit = product / Math.sqrt(energy);
        if (fit > highest) [found, highest] = [at, fit];
      }
      return found;
    };
    const coarse = best(0, last - first, COARSE);
    return first + best(Math.max(0, coarse - COARSE), Math.min(last - first, coarse + COARSE), 1);
  }

  #mixDown(channels, begin, length) {
    const mixture = new Float32Array(length);
    channels.forEach((samples, c) => {
      const weight = this.#weights[c];
      if (weight) for (let i = 0; i < length; i++) mixture[i] += weight * samples[begin + i];
    });
    return mixture;
  }

  /** Drop the samples before a place: no later piece begins there. */
  #forget(place) {
    const count = Math.min(Math.max(0, place - this.#base), this.#length - this.#base);
    this.#input = this.#input.map((samples) => samples.slice(count));
    this.#base += count;
  }
}

/** Fade `samples` in over a tail, which fades out; change and return them. */
function fadeInto(tail, samples) {
  for (let i = 0; i < tail.length; i++) samples[i] = tail[i] + ((samples[i] - tail[i]) * (i + 1)) / (tail.length + 1);
  return samples;
}

/** Join arrays of samples. */
export function concatenate(...parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
