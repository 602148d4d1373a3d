// The buttons that zoom the waveforms.

import { element, iconButton } from "../../dom.js";

const STEP = 2;

export class ZoomControls {
  #viewport;
  #position;
  #out = iconButton("zoom-out", "Zoom out", () => this.zoom(1 / STEP));
  #in = iconButton("zoom-in", "Zoom in", () => this.zoom(STEP));
  element = element("span", { className: "zoom", role: "group", "aria-label": "Zoom" }, this.#out, this.#in);

  /** `position` returns where the song is, in seconds: zooming keeps it in view. */
  constructor(viewport, position) {
    this.#viewport = viewport;
    this.#position = position;
    viewport.addEventListener("change", () => this.#show());
    this.#show();
  }

  zoom(factor) {
    this.#viewport.zoom(factor, this.#position());
    this.#viewport.follow(this.#position());
  }

  #show() {
    // Not `disabled`, which would take the focus away from the button that was pressed.
    this.#out.setAttribute("aria-disabled", String(!this.#viewport.zoomed));
    this.#in.setAttribute("aria-disabled", String(!this.#viewport.canZoomIn));
  }
}
