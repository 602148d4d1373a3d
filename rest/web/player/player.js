// The player of one song: connects the transport bar, the lanes of the tracks, the mix, the loop, and playback.

import { StemReplaced, call, readBody } from "../service/api.js";
import { button, clock, element, set } from "../dom.js";
import { copyLink, downloadLink, mixUrl } from "./downloads.js";
import { Lanes } from "./lanes.js";
import { LoopControls } from "./loop-controls.js";
import { Mix } from "./mix.js";
import { formatLink } from "./song-link.js";
import { TempoControls } from "./tempo-controls.js";
import { Playback } from "./sound/playback.js";
import { SliceCache } from "./sound/slice-cache.js";
import { MIXTURE, tracksByName } from "./tracks.js";

const RATES = [8_000, 96_000]; // Hz, the lowest and the highest that every browser plays
let activePlayer = null; // only one song plays at a time

export class Player {
  #status;
  #tracks;
  #mix;
  #loop = null;
  #tempo = null;
  #peaks = null;
  #playback = null;
  #context = null;
  #frame = 0;
  #error = element("p", { className: "error", role: "alert", hidden: true });
  #onStemsReplaced;
  element = element("div", { className: "player", role: "group", "aria-label": "Player" });

  /** `onStemsReplaced` gets the settings with which playing stopped because the song was separated again. */
  constructor(onStemsReplaced) {
    this.#onStemsReplaced = onStemsReplaced;
  }

  /** Fetch the waveforms of the song with this status, and show the player; without waveforms, the downloads alone. */
  async open(status) {
    this.#status = status;
    this.#tracks = tracksByName(status);
    try {
      this.#peaks = await readBody(await call(`/apiv1/peaks/${status.hash}`), "json");
    } catch (error) {
      this.#showError(error.message);
    }
    const names = [...this.#tracks.keys()].filter((name) => name !== MIXTURE && this.#peaks?.tracks[name]);
    this.#mix = new Mix(names);
    this.#mix.addEventListener("change", () => this.#applyMix());
    const showError = (message) => this.#showError(message);
    const lanes = new Lanes(this.#tracks, this.#peaks, this.#mix, {
      seekTo: (fraction) => this.#seek(fraction * this.#seconds),
      loop: (from, to) => this.#loop.setRegion(from * this.#seconds, to * this.#seconds),
      showError,
    });
    this.element.append(
      ...(this.#peaks ? [this.#transportBar()] : []),
      this.#error,
      lanes.element,
      element(
        "p", { className: "links" },
        this.#peaks && downloadLink(() => this.#mixUrl(), "Download this mix", showError),
        downloadLink(() => `/apiv1/archive/${status.hash}.zip`, "All stems as ZIP", showError),
        copyLink(() => formatLink(status.hash, this.settings)),
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
    this.originalButton = button("Original", () => this.#mix.setOriginal(!this.#mix.original), { "aria-pressed": "false", title: "The song as it was" });
    const originalButton = this.#tracks.has(MIXTURE) ? this.originalButton : null;
    this.#loop = new LoopControls(this.#seconds, () => this.#position);
    this.#loop.addEventListener("change", () => this.#applyLoop());
    this.#tempo = new TempoControls();
    this.#tempo.addEventListener("change", () => this.#applyTempo());
    document.addEventListener("keydown", this.#onKey);
    return element(
      "div", { className: "transport" },
      this.toggle, this.slider, this.time, originalButton, this.#loop.element, this.#tempo.element,
    );
  }

  /** The position, in seconds, the mix, the loop, the tempo and the semitones, as a link holds them. */
  get settings() {
    if (!this.#peaks) return {};
    const { start, end, on } = this.#loop;
    const { tempo, semitones } = this.#tempo;
    return { position: this.#position, ...this.#mix.settings, loop: on ? { start, end } : null, tempo, semitones };
  }

  /** Set everything that `settings` has; do nothing without waveforms. */
  apply({ position = 0, loop = null, tempo = 1, semitones = 0, ...mix }) {
    if (!this.#peaks) return;
    this.#tempo.apply({ tempo, semitones });
    this.#mix.apply({ ...mix, original: Boolean(mix.original) && this.#tracks.has(MIXTURE) });
    this.#loop.setOrRemove(loop);
    this.#seek(position);
  }

  /** Play; do nothing without waveforms. */
  play() {
    if (this.#peaks) this.#ensurePlayback().play();
  }

  /** Stop, and free the decoded sound. */
  close() {
    document.removeEventListener("keydown", this.#onKey);
    if (activePlayer === this) activePlayer = null;
    cancelAnimationFrame(this.#frame);
    this.#playback?.close();
    this.#context?.close();
    this.#playback = this.#context = null;
  }

  get #position() {
    return this.#playback ? this.#playback.position : this.slider.valueAsNumber;
  }

  get #seconds() {
    return this.#peaks.samples / this.#peaks.rate;
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

  #applyTempo() {
    this.#playback?.setTempoAndKey(this.#tempo.tempo, this.#tempo.semitones);
  }

  /** The address of what is heard: the mix within the loop; for the original, the mixture or a mix of all stems. */
  #mixUrl() {
    const { original, names } = this.#mix;
    if (original && !this.#loop.on) return this.#tracks.get(MIXTURE).url;
    const gains = names.map((name) => [name, original ? 1 : this.#mix.gain(name)]);
    return mixUrl(this.#status, Object.fromEntries(gains), this.#loop);
  }

  #playOrPause() {
    if (this.#playback?.playing) this.#playback.pause();
    else this.play();
  }

  /** Return the playback, with a context at the song's sample rate. It is made on the first gesture, as browsers require. */
  #ensurePlayback() {
    if (activePlayer !== this) activePlayer?.close();
    activePlayer = this;
    if (this.#playback) return this.#playback;
    this.#context = new AudioContext({ sampleRate: Math.min(Math.max(this.#peaks.rate, RATES[0]), RATES[1]), latencyHint: "playback" });
    const sliceCache = new SliceCache(this.#context, this.#peaks, this.#tracks, this.#status.options.bit_depth);
    this.#playback = new Playback(this.#context, sliceCache, this.#peaks, this.#mix.names);
    this.#playback.addEventListener("change", () => this.#render());
    this.#playback.addEventListener("failure", ({ detail: error }) => {
      if (error instanceof StemReplaced) {
        this.#onStemsReplaced(this.settings);
        return;
      }
      this.#showError(error ? `${error.message} ${this.#playback?.playing ? "Trying again." : "Press Play to go on."}` : "");
    });
    this.#applyMix();
    this.#applyTempo();
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

  #applyMix() {
    const { original, names } = this.#mix;
    this.originalButton.setAttribute("aria-pressed", String(original));
    if (original) this.#playback?.include(MIXTURE);
    for (const name of names) this.#playback?.setVolume(name, original ? 0 : this.#mix.gain(name));
    if (this.#tracks.has(MIXTURE)) this.#playback?.setVolume(MIXTURE, original ? 1 : 0);
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
