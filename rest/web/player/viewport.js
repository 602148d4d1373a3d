// The part of the song that the waveforms show: from the whole song to two seconds.

const SHORTEST_SECONDS = 2;
const LEADING = 0.05; // the part of the view before the playhead after a turn to the next view

/** Dispatches `change`. */
export class Viewport extends EventTarget {
  #seconds;
  start = 0;
  span;

  /** `seconds` is the song's length. */
  constructor(seconds) {
    super();
    this.#seconds = this.span = seconds;
  }

  get zoomed() {
    return this.span < this.#seconds;
  }

  /** Whether it can show a shorter part. */
  get canZoomIn() {
    return this.span > SHORTEST_SECONDS;
  }

  /** Return where in the view a position is: 0 at its left, 1 at its right, others outside. */
  fractionAt(seconds) {
    return (seconds - this.start) / this.span;
  }

  /** Return the position, in seconds, at a fraction of the view. */
  secondsAt(fraction) {
    return Math.min(Math.max(0, this.start + fraction * this.span), this.#seconds);
  }

  /** Show a part that is `factor` times as short, with the position `around` at the same place. */
  zoom(factor, around) {
    const fraction = Math.min(Math.max(0, this.fractionAt(around)), 1);
    const span = Math.min(Math.max(this.span / factor, SHORTEST_SECONDS), this.#seconds);
    if (span === this.span) return;
    this.span = span;
    this.moveTo(around - fraction * span);
  }

  /** Show the part that begins at `start`, or as near to it as the song allows. */
  moveTo(start) {
    this.start = Math.min(Math.max(0, start), Math.max(0, this.#seconds - this.span));
    this.dispatchEvent(new Event("change"));
  }

  /** Turn to the part with this position if it is not shown. */
  follow(position) {
    const fraction = this.fractionAt(position);
    if (this.zoomed && (fraction < 0 || fraction >= 1)) this.moveTo(position - LEADING * this.span);
  }
}
