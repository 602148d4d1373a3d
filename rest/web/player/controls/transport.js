// The bar that stays in view while one scrolls: play, position, time, the original, and the controls for practice.

import { clock, element, iconButton, set, setLabel } from "../../dom.js";

export class Transport {
  #seconds;
  #play;
  #slider;
  #time = element("span", { className: "time" });
  #original;
  #countIn;
  #practice;
  element;

  /**
   * `seconds` is the song's length, `hasOriginal` whether it can be played, `hasBeat` whether its tempo is known. `groups`:
   * elements for practice. `actions`: play(), seek(seconds), step(direction), toggleOriginal(), toggleCountIn().
   */
  constructor({ seconds, hasOriginal, hasBeat, groups, actions }) {
    this.#seconds = seconds;
    this.#play = iconButton("play", "Play", actions.play, { className: "main play", title: "Play or pause: space bar" });
    this.#slider = element("input", {
      type: "range", min: 0, max: seconds, step: 0.01, value: 0, className: "position", "aria-label": "Position",
      oninput: () => actions.seek(this.#slider.valueAsNumber),
      onkeydown: (event) => this.#stepByKey(event, actions.seek),
    });
    this.#original = iconButton("original", "Original", actions.toggleOriginal, { "aria-pressed": "false", className: "toggle", title: "The song as it was: key O" });
    this.#countIn = iconButton("count-in", "Count in", actions.toggleCountIn, { "aria-pressed": "false", className: "toggle", title: "Count one bar before it plays: key C" });
    setLabel(this.#original, "original", "Original");
    setLabel(this.#countIn, "count-in", "Count in");
    const practice = element(
      "div", { className: "practice", id: `practice-${crypto.getRandomValues(new Uint32Array(1))}` },
      ...(hasOriginal ? [this.#original] : []), ...groups, ...(hasBeat ? [this.#countIn] : []),
    );
    this.#practice = iconButton("practice", "Loop, tempo and key", () => this.#togglePractice(), { className: "quiet more", "aria-expanded": "false", "aria-controls": practice.id });
    this.element = element(
      "div", { className: "transport" },
      element(
        "div", { className: "playing" },
        iconButton("to-start", "To the start", () => actions.seek(0), { className: "quiet" }),
        this.#play, this.#time, this.#slider, this.#practice,
      ),
      practice,
    );
  }

  /** The slider's position, in seconds. */
  get position() {
    return this.#slider.valueAsNumber;
  }

  set position(seconds) {
    this.#slider.value = seconds;
  }

  show({ position, playing, loading, original, countIn }) {
    this.#slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.#seconds)}`);
    set(this.#time, "textContent", `${clock(position)} / ${clock(this.#seconds)}`);
    setLabel(this.#play, playing ? "pause" : "play", playing ? "Pause" : "Play", true);
    this.#play.setAttribute("aria-busy", String(loading));
    this.#original.setAttribute("aria-pressed", String(original));
    this.#countIn.setAttribute("aria-pressed", String(countIn));
  }

  #stepByKey(event, seek) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -4, PageUp: 4 }[event.key];
    if (!step) return;
    event.preventDefault();
    seek(this.position + step * this.stepSeconds);
  }

  /** The seconds by which an arrow key moves. */
  get stepSeconds() {
    return Math.min(5, this.#seconds / 20);
  }

  /** On a phone, the controls for practice are hidden until they are asked for. */
  #togglePractice() {
    const open = this.element.classList.toggle("open");
    this.#practice.setAttribute("aria-expanded", String(open));
  }
}
