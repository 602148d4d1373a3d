// The player of one song: a waveform per track, one playhead, mute, solo, volume, and the song itself to compare.

import { call, download, key } from "./api.js";
import { button, clock, element, set, size } from "./dom.js";
import { Slices } from "./slices.js";
import { Transport } from "./transport.js";
import { draw, read } from "./waveform.js";

const MIXTURE = "mixture";
const RATES = [8_000, 96_000]; // Hz, that every browser plays
let sounding = null; // one song at a time

export class Player {
  #status;
  #tracks = new Map();
  #controls = new Map(); // of each track: its mute, solo and volume
  #original = false;
  #peaks = null;
  #transport = null;
  #context = null;
  element = element("div", { className: "player", role: "group", "aria-label": "Player" });

  constructor(status) {
    this.#status = status;
    for (const track of [...status.tracks, ...(status.mixture ? [status.mixture] : [])]) this.#tracks.set(track.name, track);
  }

  /** Fetch the waveforms, and show everything. Raises Problem, Away. */
  async open() {
    this.#peaks = await (await call(`/apiv1/peaks/${this.#status.hash}`)).json();
    this.toggle = button("Play", () => this.#playOrPause(), { className: "main play" });
    this.slider = element("input", {
      type: "range", min: 0, max: this.#seconds, step: 0.01, value: 0, className: "position", "aria-label": "Position",
      oninput: () => this.#seek(this.slider.valueAsNumber),
      onkeydown: (event) => this.#stepByKey(event),
    });
    this.time = element("span", { className: "time" });
    this.compare = button("Original", () => this.#compare(), { "aria-pressed": "false", title: "The song as it was" });
    this.trouble = element("p", { className: "error", role: "alert", hidden: true });
    const rows = [...this.#tracks.keys()].map((name) => this.#row(name));
    this.element.append(
      element("div", { className: "transport" }, this.toggle, this.slider, this.time, this.#tracks.has(MIXTURE) ? this.compare : null),
      this.trouble,
      element("ul", { className: "tracks" }, ...rows),
      element("p", { className: "links" }, this.#link(`/apiv1/archive/${this.#status.hash}.zip`, "All stems as ZIP"), this.#share()),
    );
    this.#show();
  }

  /** Stop, and let go of the sound. */
  close() {
    this.#transport?.pause();
    this.#context?.close();
    this.#transport = this.#context = null;
  }

  get #seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  #row(name) {
    const canvas = element("canvas", { className: "wave", role: "img", "aria-label": `Waveform: ${title(name)}` });
    draw(canvas, read(this.#peaks.tracks[name].peaks));
    const at = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      this.#seek(((event.clientX - left) / width) * this.#seconds);
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      at(event);
    };
    canvas.onpointermove = (event) => canvas.hasPointerCapture(event.pointerId) && at(event);
    const { url, bytes } = this.#tracks.get(name);
    const get = this.#link(url, `${url.split(".").pop().toUpperCase()}, ${size(bytes)}`);
    get.setAttribute("aria-label", `Download ${title(name)}`);
    const wave = element("div", { className: "scope" }, canvas);
    const heading = element("span", { className: "name" }, title(name));
    if (name === MIXTURE) return element("li", { className: `track ${name}` }, heading, element("span"), wave, get);
    const press = (text) => {
      const made = button(text, () => {
        made.setAttribute("aria-pressed", String(made.getAttribute("aria-pressed") !== "true"));
        this.#levels();
      }, { "aria-pressed": "false", "aria-label": `${text} ${title(name)}` });
      return made;
    };
    const volume = element("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: 1, "aria-label": `Volume of ${title(name)}`, oninput: () => this.#levels(),
    });
    const controls = { mute: press("Mute"), solo: press("Solo"), volume };
    this.#controls.set(name, controls);
    const mixer = element("span", { className: "mixer" }, controls.mute, controls.solo, volume);
    return element("li", { className: `track ${name}` }, heading, mixer, wave, get);
  }

  /** A download: with a key, the page fetches it, for a link can't bring one along. */
  #link(url, text) {
    const onclick = async (event) => {
      if (!key.get()) return;
      event.preventDefault();
      await download(url).catch((error) => this.#tell(error));
    };
    return element("a", { href: url, download: "", onclick }, text);
  }

  #share() {
    const link = element("a", { href: `#${this.#status.hash}` }, "Link to this song");
    link.onclick = async (event) => {
      event.preventDefault();
      history.replaceState(null, "", link.href);
      await navigator.clipboard?.writeText(link.href).then(() => (link.textContent = "Link copied"), () => {});
    };
    return link;
  }

  #playOrPause() {
    if (this.#transport?.playing) this.#transport.pause();
    else this.#ready().play();
  }

  /** The transport, with a context at the song's own rate: made when first needed, for browsers want a gesture. */
  #ready() {
    if (sounding !== this) sounding?.close();
    sounding = this;
    if (this.#transport) return this.#transport;
    this.#context = new AudioContext({ sampleRate: Math.min(Math.max(this.#peaks.rate, RATES[0]), RATES[1]), latencyHint: "playback" });
    const slices = new Slices(this.#context, this.#peaks, this.#tracks, this.#status.options.bit_depth);
    const names = [...this.#controls.keys()];
    this.#transport = new Transport(this.#context, slices, this.#peaks, names);
    this.#transport.addEventListener("change", () => this.#show());
    this.#transport.addEventListener("fail", ({ detail }) => this.#tell(detail));
    if (this.#original) this.#transport.include(MIXTURE);
    this.#levels();
    this.#transport.seek(this.slider.valueAsNumber);
    return this.#transport;
  }

  #seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.#seconds);
    if (this.#transport) this.#transport.seek(to);
    else this.slider.value = to;
    this.#show();
  }

  #stepByKey(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -4, PageUp: 4 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.#seek(this.slider.valueAsNumber + step * Math.min(5, this.#seconds / 20));
  }

  #compare() {
    this.#original = !this.#original;
    this.compare.setAttribute("aria-pressed", String(this.#original));
    this.element.classList.toggle("original", this.#original);
    if (this.#original) this.#transport?.include(MIXTURE);
    this.#levels();
  }

  #levels() {
    const pressed = (each) => each.getAttribute("aria-pressed") === "true";
    const solo = [...this.#controls.values()].some((controls) => pressed(controls.solo));
    for (const [name, controls] of this.#controls) {
      const heard = !this.#original && !pressed(controls.mute) && (!solo || pressed(controls.solo));
      this.element.querySelector(`.${CSS.escape(name)}`)?.classList.toggle("silent", !heard);
      this.#transport?.level(name, heard ? controls.volume.valueAsNumber : 0);
    }
    if (this.#tracks.has(MIXTURE)) this.#transport?.level(MIXTURE, this.#original ? 1 : 0);
  }

  #tell(error) {
    this.trouble.textContent = error ? `${error.message} Press Play to go on.` : "";
    this.trouble.hidden = !error;
  }

  #show() {
    const transport = this.#transport;
    if (transport?.playing) this.#tell(null);
    const position = transport ? transport.position : this.slider.valueAsNumber;
    if (transport) this.slider.value = position;
    this.slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.#seconds)}`);
    set(this.time, "textContent", `${clock(position)} / ${clock(this.#seconds)}`);
    this.element.style.setProperty("--at", position / this.#seconds);
    set(this.toggle, "textContent", transport?.playing ? "Pause" : "Play");
    this.toggle.setAttribute("aria-busy", String(Boolean(transport?.loading)));
    if (transport?.playing) requestAnimationFrame(() => transport === this.#transport && this.#show());
  }
}

function title(name) {
  if (name === MIXTURE) return "Original";
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
