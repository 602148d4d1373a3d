// The controls of the tempo, 50 to 150 %, and of the key, six semitones up or down.

import { element, icon, iconButton } from "../../dom.js";

const SLOWEST = 50; // percent
const FASTEST = 150;
const MOST_SEMITONES = 6;
const NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

/** Dispatches `change` when the tempo or the key does. */
export class TempoControls extends EventTarget {
  tempo = 1;
  semitones = 0;
  #bpm;
  #key;
  #slider = element("input", {
    type: "range", min: SLOWEST, max: FASTEST, step: 1, value: 100, "aria-label": "Tempo, in percent", title: "Keys − and +; double-click for 100 %",
    oninput: () => this.apply({ tempo: this.#slider.valueAsNumber / 100 }),
    ondblclick: () => this.apply({ tempo: 1 }),
  });
  #tempoText = element("output", { className: "tempo-text" });
  #keyText = element("output", { className: "key-text" });
  element = element(
    "span", { className: "tempo-and-key" },
    element("span", { className: "group", role: "group", "aria-label": "Tempo", title: "Tempo" }, icon("tempo"), this.#slider, this.#tempoText),
    element(
      "span", { className: "group", role: "group", "aria-label": "Key", title: "Key" }, icon("key"),
      iconButton("minus", "Transpose down", () => this.apply({ semitones: this.semitones - 1 }), { title: "A semitone lower; drums keep their pitch" }),
      this.#keyText,
      iconButton("plus", "Transpose up", () => this.apply({ semitones: this.semitones + 1 }), { title: "A semitone higher; drums keep their pitch" }),
    ),
  );

  /** `bpm` and `key` (as "F# minor") are the song's, or null. */
  constructor(bpm, key) {
    super();
    this.#bpm = bpm;
    this.#key = key;
    this.#show();
  }

  /** Set the tempo (1: the song's) and the semitones. An argument that is not given changes nothing. */
  apply({ tempo = this.tempo, semitones = this.semitones }) {
    this.tempo = Math.min(Math.max(Math.round(tempo * 100), SLOWEST), FASTEST) / 100;
    this.semitones = Math.min(Math.max(Math.round(semitones), -MOST_SEMITONES), MOST_SEMITONES);
    this.#show();
    this.dispatchEvent(new Event("change"));
  }

  #show() {
    const { tempo, semitones } = this;
    this.#slider.value = Math.round(tempo * 100);
    this.#tempoText.textContent = `${Math.round(tempo * 100)} %${this.#bpm ? `, ${Math.round(this.#bpm * tempo)} BPM` : ""}`;
    const steps = semitones > 0 ? `+${semitones}` : String(semitones).replace("-", "\u2212");
    const key = transposedKey(this.#key, semitones);
    this.#keyText.textContent = key ? `${steps}, ${key}` : steps;
  }
}

/** Return a key some semitones higher; empty if it is not known. */
function transposedKey(key, semitones) {
  const [note, mode] = (key ?? "").split(" ");
  const index = NOTES.indexOf(note);
  return index < 0 ? "" : `${NOTES[(index + semitones + 12) % 12]} ${mode}`;
}
