// The player of one song: connects the transport bar, the lanes of the tracks, the mix, the loop, and playback.

import { StemReplaced, call, readBody } from "../service/api.js";
import { element, icon, set } from "../dom.js";
import { actionFor } from "./controls/keys.js";
import { LoopControls } from "./controls/loop-controls.js";
import { TempoControls } from "./controls/tempo-controls.js";
import { Transport } from "./controls/transport.js";
import { copyLink, downloadLink, mixUrl } from "./links.js";
import { FinePeaks } from "./lanes/fine-peaks.js";
import { Lanes } from "./lanes/lanes.js";
import { Mix } from "./mix-state.js";
import { formatLink } from "./song-link.js";
import { Playback } from "./sound/playback.js";
import { SliceCache } from "./sound/slice-cache.js";
import { MIXTURE, tracksByName } from "./tracks.js";
import { Viewport } from "./viewport.js";

const RATES = [8_000, 96_000]; // Hz, the lowest and the highest that every browser plays
let activePlayer = null; // only one song plays at a time

export class Player {
  #status;
  #tracks;
  #mix;
  #loop = null;
  #tempo = null;
  #transport = null;
  #viewport = null;
  #peaks = null;
  #playback = null;
  #context = null;
  #slices = null;
  #finePeaks = null;
  #frame = 0;
  #countIn = false;
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
    this.#mix = new Mix([...this.#tracks.keys()].filter((name) => name !== MIXTURE && this.#peaks?.tracks[name]));
    if (this.#peaks) this.#makeControls();
    const showError = (message) => this.#showError(message);
    const lanes = new Lanes({
      tracks: this.#tracks, peaks: this.#peaks, mix: this.#mix, viewport: this.#viewport, loop: this.#loop, showError,
      seekTo: (seconds) => this.#seek(seconds), position: () => this.#position,
    });
    if (this.#peaks) this.#finePeaks = new FinePeaks(this.#viewport, this.#peaks, this.#slices, lanes.waveforms);
    const links = element(
      "p", { className: "links" },
      this.#peaks && downloadLink(() => mixUrl(status, this.#tracks, this.#mix, this.#loop, this.#tempo), [icon("download"), "Download this mix"], showError),
      downloadLink(() => `/apiv1/archive/${status.hash}.zip`, [icon("archive"), "All stems as ZIP"], showError),
      copyLink(() => formatLink(status.hash, this.settings)),
    );
    this.element.append(this.#error, lanes.element, links, ...(this.#transport ? [this.#transport.element] : []));
    if (this.#peaks) this.#render();
  }

  #makeControls() {
    // An offline context decodes before the first gesture, from which on a browser allows sound.
    this.#slices = new SliceCache(new OfflineAudioContext(2, 1, this.#contextRate), this.#peaks, this.#tracks, this.#status.options.bit_depth);
    const { tempo_bpm: bpm = null, key = null } = this.#status;
    this.#viewport = new Viewport(this.#seconds);
    this.#loop = new LoopControls(this.#seconds, () => this.#position);
    this.#tempo = new TempoControls(bpm, key);
    this.#transport = new Transport({
      seconds: this.#seconds, hasOriginal: this.#tracks.has(MIXTURE), hasBeat: Boolean(bpm),
      groups: [this.#loop.element, this.#tempo.element], actions: this.#actions,
    });
    this.#viewport.addEventListener("change", () => this.#render());
    this.#loop.addEventListener("change", () => this.#applyLoop());
    this.#tempo.addEventListener("change", () => this.#playback?.setTempoAndKey(this.#tempo.tempo, this.#tempo.semitones));
    this.#mix.addEventListener("change", () => this.#applyMix());
    document.addEventListener("keydown", this.#onKey);
  }

  /** What buttons and keys do. */
  #actions = {
    play: () => this.#actions.playOrPause(),
    playOrPause: () => (this.#playback?.playing ? this.#playback.pause() : this.play()),
    seek: (seconds) => this.#seek(seconds),
    step: (direction) => this.#seek(this.#position + direction * this.#transport.stepSeconds),
    toStart: () => this.#seek(0),
    setLoopStart: () => this.#loop.setStart(),
    setLoopEnd: () => this.#loop.setEnd(),
    toggleLoop: () => this.#loop.toggle(),
    toggleMute: (number) => this.#mix.toggle(number, "mute"),
    toggleSolo: (number) => this.#mix.toggle(number, "solo"),
    toggleOriginal: () => this.#tracks.has(MIXTURE) && this.#mix.setOriginal(!this.#mix.original),
    toggleCountIn: () => this.#setCountIn(!this.#countIn && Boolean(this.#status.tempo_bpm)),
    changeTempo: (difference) => this.#tempo.apply({ tempo: this.#tempo.tempo + difference }),
    transpose: (semitones) => this.#tempo.apply({ semitones: this.#tempo.semitones + semitones }),
    zoom: (factor) => this.#viewport.zoom(factor, this.#position),
  };

  /** Keys are for the player that has the focus, or, where none has, for the one that plays. */
  #onKey = (event) => {
    const { activeElement, body } = document;
    const inside = this.element.contains(activeElement) || (activeElement !== body && activeElement.contains(this.element));
    const isMeant = inside || (activeElement === body && (activePlayer ?? this) === this);
    const action = isMeant && actionFor(event);
    if (!action) return;
    event.preventDefault();
    const [name, value] = action;
    this.#actions[name](value);
  };

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

  close() {
    document.removeEventListener("keydown", this.#onKey);
    this.#finePeaks?.close();
    this.#stop();
  }

  /** Stop, and free the decoded sound. */
  #stop() {
    if (activePlayer === this) activePlayer = null;
    cancelAnimationFrame(this.#frame);
    this.#playback?.close();
    this.#context?.close();
    this.#slices?.clear();
    this.#playback = this.#context = null;
  }

  get #position() {
    return this.#playback ? this.#playback.position : this.#transport.position;
  }

  /** The song's sample rate, or the nearest one that every browser plays, in Hz. */
  get #contextRate() {
    return Math.min(Math.max(this.#peaks.rate, RATES[0]), RATES[1]);
  }

  get #seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  #applyLoop() {
    const { start, end, on } = this.#loop;
    if (on) this.#playback?.setLoop(start, end);
    else this.#playback?.setLoop();
    this.#render();
  }

  #setCountIn(on) {
    this.#countIn = on;
    if (this.#playback) this.#playback.countInBpm = on ? this.#status.tempo_bpm : null;
    this.#render();
  }

  /** Return the playback, with a context at the song's sample rate. It is made on the first gesture, as browsers require. */
  #ensurePlayback() {
    if (activePlayer !== this) activePlayer?.#stop();
    activePlayer = this;
    if (this.#playback) return this.#playback;
    this.#context = new AudioContext({ sampleRate: this.#contextRate, latencyHint: "playback" });
    this.#playback = new Playback(this.#context, this.#slices, this.#peaks, this.#mix.names);
    this.#playback.addEventListener("change", () => this.#render());
    this.#playback.addEventListener("failure", ({ detail: error }) => {
      if (error instanceof StemReplaced) {
        this.#onStemsReplaced(this.settings);
        return;
      }
      this.#showError(error ? `${error.message} ${this.#playback?.playing ? "Trying again." : "Press Play to go on."}` : "");
    });
    this.#applyMix();
    this.#playback.setTempoAndKey(this.#tempo.tempo, this.#tempo.semitones);
    this.#playback.countInBpm = this.#countIn ? this.#status.tempo_bpm : null;
    this.#playback.seek(this.#transport.position);
    this.#applyLoop();
    return this.#playback;
  }

  #seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.#seconds);
    if (this.#playback) this.#playback.seek(to);
    else this.#transport.position = to;
    this.#render();
  }

  #applyMix() {
    const { original, names } = this.#mix;
    if (original) this.#playback?.include(MIXTURE);
    for (const name of names) this.#playback?.setVolume(name, original ? 0 : this.#mix.gain(name));
    if (this.#tracks.has(MIXTURE)) this.#playback?.setVolume(MIXTURE, original ? 1 : 0);
    this.#render();
  }

  #showError(message) {
    set(this.#error, "textContent", message);
    this.#error.hidden = !message;
  }

  #render() {
    const { playing = false, loading = false } = this.#playback ?? {};
    const position = this.#position;
    if (this.#playback) this.#transport.position = position;
    if (playing) this.#viewport.follow(position);
    this.#transport.show({ position, playing, loading, original: this.#mix.original, countIn: this.#countIn });
    const { start, end, on } = this.#loop;
    const places = { "--at": position, "--from": on ? start : 0, "--to": on ? end : 0 };
    for (const [name, seconds] of Object.entries(places)) {
      this.element.style.setProperty(name, Math.min(Math.max(-0.1, this.#viewport.fractionAt(seconds)), 1.1));
    }
    this.element.classList.toggle("looping", on);
    cancelAnimationFrame(this.#frame);
    if (playing) this.#frame = requestAnimationFrame(() => this.#render());
  }
}
