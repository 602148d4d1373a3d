// One lane for each track: its name, mute, solo and volume, its waveform, and its download; above them the ruler.

import { button, element, icon, size } from "../../dom.js";
import { downloadLink } from "../links.js";
import { MIXTURE, title } from "../tracks.js";
import { Ruler } from "./ruler.js";
import { Waveform } from "./waveform.js";
import { ZoomControls } from "./zoom-controls.js";

export class Lanes {
  #mix;
  #viewport;
  #peaks;
  #seekTo;
  #loop;
  #controls = new Map(); // the elements of each stem's mute, solo and volume
  #rows = new Map();
  waveforms = new Map();
  element = element("div", { className: "lanes" });

  /**
   * `tracks`: the status' tracks by name; `peaks`: from /apiv1/peaks, or null, and then neither `viewport` nor `loop` (the
   * LoopControls). `seekTo` and `position` are in seconds; `showError` gets a message.
   */
  constructor({ tracks, peaks, mix, viewport, loop, seekTo, position, showError }) {
    [this.#mix, this.#viewport, this.#peaks, this.#loop, this.#seekTo] = [mix, viewport, peaks, loop, seekTo];
    for (const [name, track] of tracks) this.#rows.set(name, this.#row(name, track, showError));
    if (peaks) {
      const zoom = new ZoomControls(viewport, position);
      this.element.append(element("div", { className: "track ruler-row" }, zoom.element, new Ruler(viewport, loop, seekTo).element, element("span")));
    }
    const list = element("ul", { className: "tracks" }, ...this.#rows.values());
    list.onwheel = (event) => this.#zoomByWheel(event, list);
    this.element.append(list);
    mix.addEventListener("change", () => this.#show());
    this.#show();
  }

  #row(name, { url, bytes }, showError) {
    const format = url.split(".").pop().toUpperCase();
    const download = downloadLink(() => url, [icon("download"), element("span", {}, `${format}, ${size(bytes)}`)], showError);
    Object.assign(download, { className: "download", title: `Download ${title(name)}: ${format}, ${size(bytes)}` });
    download.setAttribute("aria-label", `Download ${title(name)}`);
    const heading = element("span", { className: "name" }, icon(name), element("span", {}, title(name)));
    const panel = element("div", { className: "panel" }, heading, ...(this.#mix.names.includes(name) ? this.#mixer(name) : []));
    const wave = this.#peaks?.tracks[name] ? this.#makeWaveform(name) : element("span");
    return element("li", { className: `track ${name}` }, panel, wave, download);
  }

  #mixer(name) {
    const toggle = (text, field) => button(text[0], () => this.#mix.toggle(this.#mix.names.indexOf(name), field), {
      className: field, "aria-label": `${text} ${title(name)}`, title: `${text} ${title(name)}`,
    });
    const volume = element("input", {
      type: "range", min: 0, max: 1, step: 0.01, className: "volume", "aria-label": `Volume of ${title(name)}`,
      oninput: () => this.#mix.set(name, { volume: volume.valueAsNumber }),
    });
    const controls = { mute: toggle("Mute", "mute"), solo: toggle("Solo", "solo"), volume };
    this.#controls.set(name, controls);
    return [element("span", { className: "switches" }, controls.mute, controls.solo), volume];
  }

  /** Make a track's waveform. A click or drag seeks; a drag with Shift sets the loop. */
  #makeWaveform(name) {
    const canvas = element("canvas", { className: "wave", role: "img", "aria-label": `Waveform: ${title(name)}` });
    this.waveforms.set(name, new Waveform(canvas, this.#viewport, this.#peaks, this.#peaks.tracks[name].peaks));
    const secondsAt = (event) => this.#viewport.secondsAt(fractionOf(canvas, event));
    let loopFrom = null; // where a drag with Shift began
    const follow = (event) => (loopFrom === null ? this.#seekTo(secondsAt(event)) : this.#loop.setRegion(loopFrom, secondsAt(event)));
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      loopFrom = event.shiftKey ? secondsAt(event) : null;
      follow(event);
    };
    canvas.onpointermove = (event) => canvas.hasPointerCapture(event.pointerId) && follow(event);
    return element("div", { className: "waveform" }, canvas);
  }

  /** Zoom with Ctrl and the wheel (or a pinch on a touchpad), move with Shift and the wheel. */
  #zoomByWheel(event, list) {
    const canvas = list.querySelector("canvas");
    if (!canvas || !(event.ctrlKey || event.shiftKey)) return;
    event.preventDefault();
    const delta = event.deltaY || event.deltaX;
    if (event.ctrlKey) this.#viewport.zoom(1.003 ** -delta, this.#viewport.secondsAt(fractionOf(canvas, event)));
    else this.#viewport.moveTo(this.#viewport.start + (delta / 1000) * this.#viewport.span);
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

/** Return where in an element a pointer is: 0 at its left, 1 at its right. */
function fractionOf(target, event) {
  const { left, width } = target.getBoundingClientRect();
  return Math.min(Math.max(0, (event.clientX - left) / width), 1);
}
