// Draws the waveform of a track: the part that the viewport shows, from the song's coarse peaks, and from finer ones of the
// slices that have them.

// Each canvas' paint function. One listener serves all: one for each canvas would keep removed canvases in memory.
const painters = new WeakMap();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  requestAnimationFrame(() => document.querySelectorAll("canvas").forEach((canvas) => painters.get(canvas)?.())),
);

/** Decode a track's peaks from base64: signed bytes, lowest and highest in turn. */
function decodePeaks(encoded) {
  return Int8Array.from(atob(encoded), (c) => c.charCodeAt(0));
}

export class Waveform {
  #canvas;
  #viewport;
  #rate;
  #slice;
  #coarse;
  #perPeak;
  #fine = new Map(); // the finer peaks of a slice, and how many samples each of them stands for

  /** `peaks` from /apiv1/peaks, `encoded` those of the track. */
  constructor(canvas, viewport, { rate, slice, per_peak: perPeak }, encoded) {
    [this.#canvas, this.#viewport, this.#rate, this.#slice, this.#perPeak] = [canvas, viewport, rate, slice, perPeak];
    this.#coarse = decodePeaks(encoded);
    const paint = () => this.#paint();
    new ResizeObserver(paint).observe(canvas);
    viewport.addEventListener("change", paint);
    painters.set(canvas, paint);
  }

  /** Use finer peaks for a slice. */
  setFine(index, peaks, perPeak) {
    this.#fine.set(index, { peaks, perPeak });
    this.#paint();
  }

  #paint() {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.#canvas.clientWidth * scale, this.#canvas.clientHeight * scale].map(Math.round);
    if (!width || !height) return;
    Object.assign(this.#canvas, { width, height });
    const pen = this.#canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    const { start, span } = this.#viewport;
    const perPixel = (span * this.#rate) / width;
    const middle = height / 2;
    for (let x = 0; x < width; x++) {
      const from = start * this.#rate + x * perPixel;
      const [low, high] = this.#extremes(from, from + perPixel);
      pen.fillRect(x, middle - (high / 127) * middle, 1, Math.max(scale, ((high - low) / 127) * middle));
    }
  }

  /** Return the lowest and the highest of the samples from one to another. */
  #extremes(from, to) {
    const index = Math.floor(from / this.#slice);
    const fine = this.#fine.get(index);
    if (fine && to - from < this.#perPeak) {
      const base = index * this.#slice;
      return extremesOf(fine.peaks, (from - base) / fine.perPeak, (to - base) / fine.perPeak);
    }
    return extremesOf(this.#coarse, from / this.#perPeak, to / this.#perPeak);
  }
}

function extremesOf(peaks, from, to) {
  const first = Math.floor(from);
  const last = Math.min(Math.max(first + 1, Math.floor(to)), peaks.length / 2);
  let [low, high] = [0, 0];
  for (let i = first; i < last; i++) {
    low = Math.min(low, peaks[2 * i]);
    high = Math.max(high, peaks[2 * i + 1]);
  }
  return [low, high];
}
