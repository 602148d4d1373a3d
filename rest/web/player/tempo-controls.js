// The controls of the tempo, 50 to 150 %, and of the key, six semitones up or down.

import { button, element } from "../dom.js";

const SLOWEST = 50; // percent
const FASTEST = 150;
const MOST_SEMITONES = 6;

/** Dispatches `change` when the tempo or the key does. */
export class TempoControls extends EventTarget {
  tempo = 1;
  semitones = 0;
  #slider = element("input", {
    type: "range", min: SLOWEST, max: FASTEST, step: 1, value: 100, "aria-label": "Tempo, in percent",
    oninput: () => this.apply({ tempo: this.#slider.valueAsNumber / 100 }),
    ondblclick: () => this.apply({ tempo: 1 }),
  });
  #tempoText = element("output", { className: "tempo-text" });
  #keyText = element("output", { className: "key-text" });
  element = element(
    "span", { className: "tempo", role: "group", "aria-label": "Tempo and key" },
    element("span", {}, "Tempo"), this.#slider, this.#tempoText,
    element("span", {}, "Key"),
    button("−", () => this.apply({ semitones: this.semitones - 1 }), { "aria-label": "Transpose down", title: "A semitone lower; drums keep their pitch" }),
    this.#keyText,
    button("+", () => this.apply({ semitones: this.semitones + 1 }), { "aria-label": "Transpose up", title: "A semitone higher; drums keep their pitch" }),
  );

  constructor() {
    super();
    this.#show();
  }

  /** Set the tempo (1: the song's) and the semitones; what is left out stays. */
  apply({ tempo = this.tempo, semitones = this.semitones }) {
    this.tempo = Math.min(Math.max(Math.round(tempo * 100), SLOWEST), FASTEST) / 100;
    this.semitones = Math.min(Math.max(Math.round(semitones), -MOST_SEMITONES), MOST_SEMITONES);
    this.#show();
    this.dispatchEvent(new Event("change"));
  }

  #show() {
    const { tempo, semitones } = this;
    this.#slider.value = Math.round(tempo * 100);
    this.#tempoText.textContent = `${Math.round(tempo * 100)} %`;
    this.#keyText.textContent = semitones > 0 ? `+${semitones}` : String(semitones).replace("-", "−");
  }
}
