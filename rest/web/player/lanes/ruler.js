// The ruler above the waveforms: the time, and the loop, which a drag makes and whose ends can be dragged.

import { clock, element } from "../../dom.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800]; // seconds between two marks
const MARK_PX = 64; // the least distance of two marks
const LABEL_PX = 40; // the width of a label
const DRAG_PX = 4; // a shorter movement is a click

export class Ruler {
  #viewport;
  #loop;
  #marks = element("div", { className: "marks" });
  #region = element("div", { className: "region", hidden: true }, element("i", { className: "end-a" }), element("i", { className: "end-b" }));
  element = element("div", { className: "ruler", title: "Drag to make a loop; click to go there" }, this.#marks, this.#region);

  /** `loop`: the LoopControls; `seekTo` gets a position in seconds. */
  constructor(viewport, loop, seekTo) {
    this.#viewport = viewport;
    this.#loop = loop;
    this.element.setAttribute("aria-hidden", "true"); // the loop's fields and keys do the same
    let drag = null; // where it began, the fixed end of the loop, and whether it has moved
    this.element.onpointerdown = (event) => {
      const [a, b] = ["end-a", "end-b"].map((end) => event.target.classList.contains(end));
      const fixed = a ? loop.end : b ? loop.start : this.#secondsAt(event);
      drag = { x: event.clientX, fixed, moved: false, handle: a || b };
      this.element.setPointerCapture(event.pointerId);
    };
    this.element.onpointermove = (event) => {
      if (!drag || (!drag.moved && Math.abs(event.clientX - drag.x) < DRAG_PX)) return;
      drag.moved = true;
      loop.setRegion(drag.fixed, this.#secondsAt(event));
    };
    this.element.onpointerup = (event) => {
      if (drag && !drag.moved && !drag.handle) seekTo(this.#secondsAt(event));
      drag = null;
    };
    this.element.onpointercancel = () => (drag = null);
    viewport.addEventListener("change", () => this.#show());
    loop.addEventListener("change", () => this.#showLoop());
    new ResizeObserver(() => this.#show()).observe(this.element);
  }

  #secondsAt(event) {
    const { left, width } = this.element.getBoundingClientRect();
    return this.#viewport.secondsAt((event.clientX - left) / width);
  }

  #show() {
    const { start, span } = this.#viewport;
    const width = this.element.clientWidth;
    if (!width) return;
    const step = STEPS.find((each) => (each / span) * width >= MARK_PX) ?? STEPS.at(-1);
    const first = Math.ceil(start / step);
    const last = Math.floor((start + span * (1 - LABEL_PX / width)) / step);
    const marks = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const seconds = (first + i) * step;
      const tenths = step < 1 ? `.${Math.round((seconds % 1) * 10) % 10}` : "";
      const mark = element("span", {}, clock(seconds + 1e-6) + tenths);
      mark.style.left = `${100 * this.#viewport.fractionAt(seconds)}%`;
      return mark;
    });
    this.#marks.replaceChildren(...marks);
    this.#showLoop();
  }

  #showLoop() {
    const { start, end, on } = this.#loop;
    const [from, to] = [start, end].map((seconds) => Math.min(Math.max(0, this.#viewport.fractionAt(seconds)), 1));
    this.#region.hidden = !on || to <= from;
    this.#region.style.left = `${100 * from}%`;
    this.#region.style.width = `${100 * (to - from)}%`;
  }
}
