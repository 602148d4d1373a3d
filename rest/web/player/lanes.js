// One lane for each track: its name, mute, solo and volume, its waveform, and its download.

import { button, element, size } from "../dom.js";
import { downloadLink } from "./downloads.js";
import { MIXTURE, title } from "./tracks.js";
import { decodePeaks, drawWaveform } from "./waveform.js";

export class Lanes {
  #mix;
  #controls = new Map(); // the elements of each stem's mute, solo and volume
  #rows = new Map();
  element = element("ul", { className: "tracks" });

  /**
   * `tracks`: the status' tracks by name; `peaks`: from /apiv1/peaks, or null. `actions`: seekTo(fraction), loop(from, to)
   * with fractions of the song, showError(message).
   */
  constructor(tracks, peaks, mix, actions) {
    this.#mix = mix;
    for (const [name, track] of tracks) this.#rows.set(name, this.#row(name, track, peaks?.tracks[name], actions));
    this.element.append(...this.#rows.values());
    mix.addEventListener("change", () => this.#show());
    this.#show();
  }

  #row(name, { url, bytes }, shown, actions) {
    const download = downloadLink(() => url, `${url.split(".").pop().toUpperCase()}, ${size(bytes)}`, actions.showError);
    download.setAttribute("aria-label", `Download ${title(name)}`);
    const heading = element("span", { className: "name" }, title(name));
    const mixer = this.#mix.names.includes(name) ? this.#mixer(name) : element("span");
    const wave = shown ? makeWaveform(name, shown.peaks, actions) : element("span");
    return element("li", { className: `track ${name}` }, heading, mixer, wave, download);
  }

  #mixer(name) {
    const toggle = (text, field) => button(text, () => this.#mix.set(name, { [field]: !this.#mix.get(name)[field] }), { "aria-label": `${text} ${title(name)}` });
    const volume = element("input", {
      type: "range", min: 0, max: 1, step: 0.01, "aria-label": `Volume of ${title(name)}`,
      oninput: () => this.#mix.set(name, { volume: volume.valueAsNumber }),
    });
    const controls = { mute: toggle("Mute", "mute"), solo: toggle("Solo", "solo"), volume };
    this.#controls.set(name, controls);
    return element("span", { className: "mixer" }, controls.mute, controls.solo, volume);
  }

  #show() {
    for (const [name, { mute, solo, volume }] of this.#controls) {
      const stem = this.#mix.get(name);
      mute.setAttribute("aria-pressed", String(stem.mute));
      solo.setAttribute("aria-pressed", String(stem.solo));
      volume.value = stem.volume;
      this.#rows.get(name).classList.toggle("silent", this.#mix.original || !this.#mix.gain(name));
    }
    this.#rows.get(MIXTURE)?.classList.toggle("silent", !this.#mix.original);
  }
}

/** Make a track's waveform. A click or drag seeks; a drag with Shift sets the loop. */
function makeWaveform(name, peaks, { seekTo, loop }) {
  const canvas = element("canvas", { className: "wave", role: "img", "aria-label": `Waveform: ${title(name)}` });
  drawWaveform(canvas, decodePeaks(peaks));
  const fractionAt = (event) => {
    const { left, width } = canvas.getBoundingClientRect();
    return Math.min(Math.max(0, (event.clientX - left) / width), 1);
  };
  let loopFrom = null; // where a drag with Shift began
  const follow = (event) => (loopFrom === null ? seekTo(fractionAt(event)) : loop(loopFrom, fractionAt(event)));
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    loopFrom = event.shiftKey ? fractionAt(event) : null;
    follow(event);
  };
  canvas.onpointermove = (event) => canvas.hasPointerCapture(event.pointerId) && follow(event);
  return element("div", { className: "waveform" }, canvas);
}
