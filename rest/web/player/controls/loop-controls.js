// The loop's controls: its start (A) and end (B) as fields, buttons that set them to the position, and on or off.

import { button, element, iconButton, setLabel } from "../../dom.js";
import { SHORTEST_LOOP_SECONDS } from "../sound/playback.js";

/** Dispatches `change` when the loop does. */
export class LoopControls extends EventTarget {
  #seconds;
  #position;
  #toggle = iconButton("loop", "Loop", () => this.toggle(), { "aria-pressed": "false", className: "toggle", title: "Repeat from A to B: key L" });
  #fields;
  start = 0;
  end;
  on = false;

  /** `seconds` is the song's length; `position` returns where it is, in seconds. */
  constructor(seconds, position) {
    super();
    this.#seconds = this.end = seconds;
    this.#position = position;
    const field = (name) => element("input", {
      type: "number", min: 0, max: seconds, step: "any", "aria-label": `Loop ${name}, in seconds`,
      onchange: () => this.#set(...this.#fields.map((each) => each.valueAsNumber), true),
    });
    setLabel(this.#toggle, "loop", "Loop");
    this.#fields = [field("start"), field("end")];
    this.element = element(
      "span", { className: "group loop", role: "group", "aria-label": "Loop" },
      this.#toggle,
      button("A", () => this.setStart(), { "aria-label": "Start the loop here", title: "Start the loop here: key [" }),
      this.#fields[0],
      button("B", () => this.setEnd(), { "aria-label": "End the loop here", title: "End the loop here: key ]" }),
      this.#fields[1],
    );
    this.#show();
  }

  toggle() {
    this.#set(this.start, this.end, !this.on);
  }

  setStart() {
    const start = this.#position();
    this.#set(start, this.end > start ? this.end : this.#seconds, true);
  }

  setEnd() {
    const end = this.#position();
    this.#set(this.start < end ? this.start : 0, end, true);
  }

  /** Loop between two positions in either order. */
  setRegion(one, other) {
    this.#set(Math.min(one, other), Math.max(one, other), true);
  }

  /** Loop a region ({start, end}, in seconds); null ends the loop. */
  setOrRemove(region) {
    if (region) this.#set(region.start, region.end, true);
    else this.#set(this.start, this.end, false);
  }

  /** Keep the loop as it is where the new one would be outside of the song, or too short. */
  #set(start, end, on) {
    if (start >= 0 && end <= this.#seconds + 0.001 && end - start >= SHORTEST_LOOP_SECONDS) {
      Object.assign(this, { start, end: Math.min(end, this.#seconds), on });
      this.dispatchEvent(new Event("change"));
    }
    this.#show();
  }

  #show() {
    this.#toggle.setAttribute("aria-pressed", String(this.on));
    [this.start, this.end].forEach((seconds, i) => (this.#fields[i].value = Math.round(seconds * 1000) / 1000));
  }
}
