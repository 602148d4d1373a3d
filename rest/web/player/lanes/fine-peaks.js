// Finer peaks for the part that zoomed waveforms show: computed from its sound, which is fetched for it.

const PER_PEAK = 64; // samples
const LONGEST_SECONDS = 20; // of a view for which sound is fetched
const DELAY_MS = 150; // after the last change of the view

export class FinePeaks {
  #viewport;
  #peaks;
  #slices;
  #waveforms;
  #started = new Set(); // "name index" of each slice that was fetched or is being fetched
  #timer = 0;
  #closed = false;

  /** `peaks` from /apiv1/peaks; `slices`: the SliceCache; `waveforms` by track. */
  constructor(viewport, peaks, slices, waveforms) {
    [this.#viewport, this.#peaks, this.#slices, this.#waveforms] = [viewport, peaks, slices, waveforms];
    viewport.addEventListener("change", () => {
      clearTimeout(this.#timer);
      if (viewport.zoomed && viewport.span <= LONGEST_SECONDS) this.#timer = setTimeout(() => this.#load(), DELAY_MS);
    });
  }

  /** Fetch nothing more. */
  close() {
    clearTimeout(this.#timer);
    this.#closed = true;
  }

  /** Load the slices of the view, one after another; stop where the view has changed meanwhile. */
  async #load() {
    const { start, span } = this.#viewport;
    const { rate, slice, samples } = this.#peaks;
    const end = Math.min(Math.ceil(((start + span) * rate) / slice), Math.ceil(samples / slice));
    for (let index = Math.floor((start * rate) / slice); index < end && this.#viewport.start === start && !this.#closed; index++) {
      await Promise.all([...this.#waveforms.keys()].map((name) => this.#loadSlice(name, index)));
    }
  }

  async #loadSlice(name, index) {
    const label = `${name} ${index}`;
    if (this.#started.has(label)) return;
    this.#started.add(label);
    try {
      const buffer = await this.#slices.getOnce(name, index);
      const perPeak = (PER_PEAK * this.#peaks.rate) / buffer.sampleRate; // in samples of the song
      this.#waveforms.get(name).setFine(index, computePeaks(buffer), perPeak);
    } catch {
      this.#started.delete(label); // the coarse ones stay; playing reports what is wrong with the sound
    }
  }
}

/** Return the lowest and the highest value of each PER_PEAK samples of both channels in turn, as signed bytes. */
function computePeaks(buffer) {
  const count = Math.ceil(buffer.length / PER_PEAK);
  const peaks = new Int8Array(2 * count);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < count; i++) {
      let [low, high] = [0, 0];
      for (let at = i * PER_PEAK; at < Math.min((i + 1) * PER_PEAK, samples.length); at++) {
        if (samples[at] < low) low = samples[at];
        else if (samples[at] > high) high = samples[at];
      }
      peaks[2 * i] = Math.min(peaks[2 * i], Math.max(-127, Math.round(low * 127)));
      peaks[2 * i + 1] = Math.max(peaks[2 * i + 1], Math.min(127, Math.round(high * 127)));
    }
  }
  return peaks;
}
