// The player of one song: a waveform for each track, one playhead, mute, solo, volume, and the original to compare.

import { StemReplaced, call, readBody, download, key } from "../service/api.js";
import { button, clock, element, set, size } from "../dom.js";
import { LoopControls } from "./loop-controls.js";
import { Playback } from "./sound/playback.js";
import { SliceCache } from "./sound/slice-cache.js";
import { decodePeaks, drawWaveform } from "./waveform.js";

const MIXTURE = "mixture";
const RATES = [8_000, 96_000]; // Hz, the lowest and the highest that every browser plays
let activePlayer = null; // only one song plays at a time

export class Player {
  #status;
  #tracks = new Map();
  #controls = new Map(); // each track's mute, solo and volume
  #original = false;
  #loop = null;
  #peaks = null;
  #playback = null;
  #context = null;
  #frame = 0;
  #error = element("p", { className: "error", role: "alert", hidden: true });
  #onStemsReplaced;
  element = element("div", { className: "player", role: "group", "aria-label": "Player" });

  /** `onStemsReplaced` gets the position, in seconds, at which playing stopped because the song was separated again. */
  constructor(onStemsReplaced) {
    this.#onStemsReplaced = onStemsReplaced;
  }

  /** Fetch the waveforms of the song with this status, and show the player; without waveforms, the downloads alone. */
  async open(status) {
    this.#status = status;
    const digests = { ...status.report?.stems, [MIXTURE]: status.report?.[MIXTURE] };
    for (const track of [...status.tracks, ...(status.mixture ? [status.mixture] : [])]) {
      this.#tracks.set(track.name, { ...track, sha256: digests[track.name]?.sha256 });
    }
    try {
      this.#peaks = await readBody(await call(`/apiv1/peaks/${status.hash}`), "json");
    } catch (error) {
      this.#showError(error.message);
    }
    const rows = [...this.#tracks.keys()].map((name) => this.#row(name));
    this.element.append(
      ...(this.#peaks ? [this.#transportBar()] : []),
      this.#error,
      element("ul", { className: "tracks" }, ...rows),
      element(
        "p", { className: "links" },
        this.#peaks && this.#downloadLink(() => this.#mixUrl(), "Download this mix"),
        this.#downloadLink(() => `/apiv1/archive/${status.hash}.zip`, "All stems as ZIP"),
        this.#songLink(),
      ),
    );
    if (this.#peaks) this.#render();
  }

  #transportBar() {
    this.toggle = button("Play", () => this.#playOrPause(), { className: "main play" });
    this.slider = element("input", {
      type: "range", min: 0, max: this.#seconds, step: 0.01, value: 0, className: "position", "aria-label": "Position",
      oninput: () => this.#seek(this.slider.valueAsNumber),
      onkeydown: (event) => this.#stepByKey(event),
    });
    this.time = element("span", { className: "time" });
    this.originalButton = button("Original", () => this.#toggleOriginal(), { "aria-pressed": "false", title: "The song as it was" });
    const originalButton = this.#tracks.has(MIXTURE) ? this.originalButton : null;
    this.#loop = new LoopControls(this.#seconds, () => this.#position);
    this.#loop.addEventListener("change", () => this.#applyLoop());
    document.addEventListener("keydown", this.#onKey);
    return element("div", { className: "transport" }, this.toggle, this.slider, this.time, originalButton, this.#loop.element);
  }

  /** Play from a position, in seconds; do nothing without waveforms. */
  resume(seconds) {
    if (!this.#peaks) return;
    this.#seek(seconds);
    this.#ensurePlayback().play();
  }

  /** Stop, and free the decoded sound. */
  close() {
    document.removeEventListener("keydown", this.#onKey);
    if (activePlayer === this) activePlayer = null;
    cancelAnimationFrame(this.#frame);
    this.#playback?.pause();
    this.#context?.close();
    this.#playback = this.#context = null;
  }

  get #position() {
    return this.#playback ? this.#playback.position : this.slider.valueAsNumber;
  }

  /** Keys [ and ] set the start and the end of the loop of the player that plays, or has the focus. */
  #onKey = (event) => {
    const { activeElement, body } = document;
    const isMeant = this.element.contains(activeElement) || (activeElement === body && (activePlayer ?? this) === this);
    if (!isMeant || event.metaKey) return;
    if (event.key === "[") this.#loop.setStart();
    else if (event.key === "]") this.#loop.setEnd();
  };

  #applyLoop() {
    const { start, end, on } = this.#loop;
    this.element.classList.toggle("looping", on);
    this.element.style.setProperty("--from", start / this.#seconds);
    this.element.style.setProperty("--to", end / this.#seconds);
    if (on) this.#playback?.setLoop(start, end);
    else this.#playback?.setLoop();
  }

  get #seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  #row(name) {
    const { url, bytes } = this.#tracks.get(name);
    const download = this.#downloadLink(() => url, `${url.split(".").pop().toUpperCase()}, ${size(bytes)}`);
    download.setAttribute("aria-label", `Download ${title(name)}`);
    const heading = element("span", { className: "name" }, title(name));
    const shown = this.#peaks?.tracks[name];
    const mixer = shown && name !== MIXTURE ? this.#mixer(name) : element("span");
    const wave = shown ? this.#wave(name, shown.peaks) : element("span");
    return element("li", { className: `track ${name}` }, heading, mixer, wave, download);
  }

  #wave(name, peaks) {
    const canvas = element("canvas", { className: "wave", role: "img", "aria-label": `Waveform: ${title(name)}` });
    drawWaveform(canvas, decodePeaks(peaks));
    const secondsAt = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      return Math.min(Math.max(0, (event.clientX - left) / width), 1) * this.#seconds;
    };
    let loopFrom = null; // where a drag with Shift began
    const seekTo = (event) => {
      if (loopFrom === null) this.#seek(secondsAt(event));
      else this.#loop.setRegion(loopFrom, secondsAt(event));
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      loopFrom = event.shiftKey ? secondsAt(event) : null;
      seekTo(event);
    };
    canvas.onpointermove = (event) => canvas.hasPointerCapture(event.pointerId) && seekTo(event);
    return element("div", { className: "waveform" }, canvas);
  }

  #mixer(name) {
    const toggle = (text) => {
      const toggled = button(text, () => {
        toggled.setAttribute("aria-pressed", String(toggled.getAttribute("aria-pressed") !== "true"));
        this.#applyVolumes();
      }, { "aria-pressed": "false", "aria-label": `${text} ${title(name)}` });
      return toggled;
    };
    const volume = element("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: 1, "aria-label": `Volume of ${title(name)}`, oninput: () => this.#applyVolumes(),
    });
    const controls = { mute: toggle("Mute"), solo: toggle("Solo"), volume };
    this.#controls.set(name, controls);
    return element("span", { className: "mixer" }, controls.mute, controls.solo, volume);
  }

  /** Make a link that downloads what `getUrl` returns at the click. With a key, each click requests a signed link. */
  #downloadLink(getUrl, text) {
    const onclick = async (event) => {
      link.href = getUrl();
      if (!key.get()) return;
      event.preventDefault();
      this.#showError("");
      await download(link.getAttribute("href")).catch((error) => this.#showError(error.message));
    };
    const link = element("a", { href: getUrl(), download: "", onclick }, text);
    return link;
  }

  /** The address of what is heard: the mix with these gains, within the loop; for a loop of the original, of all stems. */
  #mixUrl() {
    if (this.#original && !this.#loop.on) return this.#tracks.get(MIXTURE).url;
    const gains = [...this.#controls.keys()].map((name) => [name, this.#original ? 1 : this.#volume(name)]).filter(([, gain]) => gain !== 1);
    const query = new URLSearchParams(gains.length ? { gains: gains.map((each) => each.join(":")).join(",") } : {});
    if (this.#loop.on) [["start", this.#loop.start], ["end", this.#loop.end]].forEach(([name, value]) => query.set(name, value.toFixed(6)));
    const { hash, options } = this.#status;
    return `/apiv1/mix/${hash}.${options.format}${query.size ? `?${query}` : ""}`;
  }

  #songLink() {
    const link = element("a", { href: `#${this.#status.hash}` }, "Link to this song");
    link.onclick = async (event) => {
      event.preventDefault();
      history.replaceState(null, "", link.href);
      await navigator.clipboard?.writeText(link.href).then(() => (link.textContent = "Link copied"), () => {});
    };
    return link;
  }

  #playOrPause() {
    if (this.#playback?.playing) this.#playback.pause();
    else this.#ensurePlayback().play();
  }

  /** Return the playback, with a context at the song's sample rate. It is made on the first gesture, as browsers require. */
  #ensurePlayback() {
    if (activePlayer !== this) activePlayer?.close();
    activePlayer = this;
    if (this.#playback) return this.#playback;
    this.#context = new AudioContext({ sampleRate: Math.min(Math.max(this.#peaks.rate, RATES[0]), RATES[1]), latencyHint: "playback" });
    const sliceCache = new SliceCache(this.#context, this.#peaks, this.#tracks, this.#status.options.bit_depth);
    const names = [...this.#controls.keys()];
    this.#playback = new Playback(this.#context, sliceCache, this.#peaks, names);
    this.#playback.addEventListener("change", () => this.#render());
    this.#playback.addEventListener("failure", ({ detail: error }) => {
      if (error instanceof StemReplaced) {
        this.#onStemsReplaced(this.#playback.position);
        return;
      }
      this.#showError(error ? `${error.message} ${this.#playback?.playing ? "Trying again." : "Press Play to go on."}` : "");
    });
    if (this.#original) this.#playback.include(MIXTURE);
    this.#applyVolumes();
    this.#playback.seek(this.slider.valueAsNumber);
    this.#applyLoop();
    return this.#playback;
  }

  #seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.#seconds);
    if (this.#playback) this.#playback.seek(to);
    else this.slider.value = to;
    this.#render();
  }

  #stepByKey(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -4, PageUp: 4 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.#seek(this.slider.valueAsNumber + step * Math.min(5, this.#seconds / 20));
  }

  #toggleOriginal() {
    this.#original = !this.#original;
    this.originalButton.setAttribute("aria-pressed", String(this.#original));
    this.element.classList.toggle("original", this.#original);
    if (this.#original) this.#playback?.include(MIXTURE);
    this.#applyVolumes();
  }

  /** The volume of a stem in the mix, 0 to 1: that of its control, unless it is muted or another one is solo. */
  #volume(name) {
    const pressed = (each) => each.getAttribute("aria-pressed") === "true";
    const solo = [...this.#controls.values()].some((controls) => pressed(controls.solo));
    const { mute, solo: own, volume } = this.#controls.get(name);
    return pressed(mute) || (solo && !pressed(own)) ? 0 : volume.valueAsNumber;
  }

  #applyVolumes() {
    for (const name of this.#controls.keys()) {
      const volume = this.#original ? 0 : this.#volume(name);
      this.element.querySelector(`.${CSS.escape(name)}`)?.classList.toggle("silent", !volume);
      this.#playback?.setVolume(name, volume);
    }
    if (this.#tracks.has(MIXTURE)) this.#playback?.setVolume(MIXTURE, this.#original ? 1 : 0);
  }

  #showError(message) {
    set(this.#error, "textContent", message);
    this.#error.hidden = !message;
  }

  #render() {
    const playback = this.#playback;
    const position = this.#position;
    if (playback) this.slider.value = position;
    this.slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.#seconds)}`);
    set(this.time, "textContent", `${clock(position)} / ${clock(this.#seconds)}`);
    this.element.style.setProperty("--at", position / this.#seconds);
    set(this.toggle, "textContent", playback?.playing ? "Pause" : "Play");
    this.toggle.setAttribute("aria-busy", String(Boolean(playback?.loading)));
    cancelAnimationFrame(this.#frame);
    if (playback?.playing) this.#frame = requestAnimationFrame(() => this.#render());
  }
}

function title(name) {
  if (name === MIXTURE) return "Original";
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
