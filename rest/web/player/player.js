// The player of one song: a waveform per track, one playhead, mute, solo, volume, and the song itself to compare.

import { Changed, call, content, download, key } from "../api.js";
import { button, clock, element, set, size } from "../dom.js";
import { Slices } from "./slice-cache.js";
import { Transport } from "./playback.js";
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
  #frame = 0;
  #trouble = element("p", { className: "error", role: "alert", hidden: true });
  #outdated;
  element = element("div", { className: "player", role: "group", "aria-label": "Player" });

  /** `outdated` gets the position, in seconds, at which it stopped because the stems were separated again meanwhile. */
  constructor(outdated) {
    this.#outdated = outdated;
  }

  /** Fetch the waveforms of the song whose status this is, and show everything; without them, the downloads alone. */
  async open(status) {
    this.#status = status;
    const digests = { ...status.report?.stems, [MIXTURE]: status.report?.[MIXTURE] };
    for (const track of [...status.tracks, ...(status.mixture ? [status.mixture] : [])]) {
      this.#tracks.set(track.name, { ...track, sha256: digests[track.name]?.sha256 });
    }
    try {
      this.#peaks = await content(await call(`/apiv1/peaks/${status.hash}`), "json");
    } catch (error) {
      this.#tell(error.message);
    }
    const rows = [...this.#tracks.keys()].map((name) => this.#row(name));
    this.element.append(
      ...(this.#peaks ? [this.#head()] : []),
      this.#trouble,
      element("ul", { className: "tracks" }, ...rows),
      element("p", { className: "links" }, this.#link(`/apiv1/archive/${status.hash}.zip`, "All stems as ZIP"), this.#share()),
    );
    if (this.#peaks) this.#show();
  }

  #head() {
    this.toggle = button("Play", () => this.#playOrPause(), { className: "main play" });
    this.slider = element("input", {
      type: "range", min: 0, max: this.#seconds, step: 0.01, value: 0, className: "position", "aria-label": "Position",
      oninput: () => this.#seek(this.slider.valueAsNumber),
      onkeydown: (event) => this.#stepByKey(event),
    });
    this.time = element("span", { className: "time" });
    this.compare = button("Original", () => this.#compare(), { "aria-pressed": "false", title: "The song as it was" });
    const compare = this.#tracks.has(MIXTURE) ? this.compare : null;
    return element("div", { className: "transport" }, this.toggle, this.slider, this.time, compare);
  }

  /** Play from there on, where there is something to play. */
  resume(seconds) {
    if (!this.#peaks) return;
    this.#seek(seconds);
    this.#ready().play();
  }

  /** Stop, and let go of the sound. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.#transport?.pause();
    this.#context?.close();
    this.#transport = this.#context = null;
  }

  get #seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  #row(name) {
    const { url, bytes } = this.#tracks.get(name);
    const get = this.#link(url, `${url.split(".").pop().toUpperCase()}, ${size(bytes)}`);
    get.setAttribute("aria-label", `Download ${title(name)}`);
    const heading = element("span", { className: "name" }, title(name));
    const shown = this.#peaks?.tracks[name];
    const mixer = shown && name !== MIXTURE ? this.#mixer(name) : element("span");
    const wave = shown ? this.#wave(name, shown.peaks) : element("span");
    return element("li", { className: `track ${name}` }, heading, mixer, wave, get);
  }

  #wave(name, peaks) {
    const canvas = element("canvas", { className: "wave", role: "img", "aria-label": `Waveform: ${title(name)}` });
    draw(canvas, read(peaks));
    const at = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      this.#seek(((event.clientX - left) / width) * this.#seconds);
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      at(event);
    };
    canvas.onpointermove = (event) => canvas.hasPointerCapture(event.pointerId) && at(event);
    return element("div", { className: "scope" }, canvas);
  }

  #mixer(name) {
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
    return element("span", { className: "mixer" }, controls.mute, controls.solo, volume);
  }

  /** A download: where the service needs a key, each click asks for a signed link. */
  #link(url, text) {
    const onclick = async (event) => {
      if (!key.get()) return;
      event.preventDefault();
      this.#tell("");
      await download(url).catch((error) => this.#tell(error.message));
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
    this.#transport.addEventListener("trouble", ({ detail: error }) => {
      if (error instanceof Changed) {
        this.#outdated(this.#transport.position);
        return;
      }
      this.#tell(error ? `${error.message} ${this.#transport?.playing ? "Trying again." : "Press Play to go on."}` : "");
    });
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

  #tell(words) {
    set(this.#trouble, "textContent", words);
    this.#trouble.hidden = !words;
  }

  #show() {
    const transport = this.#transport;
    const position = transport ? transport.position : this.slider.valueAsNumber;
    if (transport) this.slider.value = position;
    this.slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.#seconds)}`);
    set(this.time, "textContent", `${clock(position)} / ${clock(this.#seconds)}`);
    this.element.style.setProperty("--at", position / this.#seconds);
    set(this.toggle, "textContent", transport?.playing ? "Pause" : "Play");
    this.toggle.setAttribute("aria-busy", String(Boolean(transport?.loading)));
    cancelAnimationFrame(this.#frame);
    if (transport?.playing) this.#frame = requestAnimationFrame(() => this.#show());
  }
}

function title(name) {
  if (name === MIXTURE) return "Original";
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
