// Where in the song the playback is at a time of the audio context's clock.

export class Timeline {
  #rate;
  #tempo;
  #start;
  #parts = []; // what is scheduled: `time` of the context's clock in seconds, `begin` and `end` in samples of the song

  /** `rate` in samples of the song for each second of song; `tempo` in seconds of song for each second; `start`: a time. */
  constructor(rate, tempo, start) {
    this.#rate = rate;
    this.#tempo = tempo;
    this.#start = start;
  }

  /** Add a part of the song, `time` seconds after the start. */
  add({ time, begin, end }) {
    this.#parts.push({ time: this.#start + time, begin, end });
  }

  /** The time at which the last part ends. */
  get end() {
    const { time, begin, end } = this.#parts.at(-1);
    return time + (end - begin) / this.#rate / this.#tempo;
  }

  /** Return the position in seconds of song; after the last part, its end. Earlier times are forgotten. */
  positionAt(now) {
    while (this.#parts[1]?.time <= now) this.#parts.shift();
    const { time, begin, end } = this.#parts[0];
    const sample = begin + Math.max(0, now - time) * this.#tempo * this.#rate;
    return Math.min(sample, end) / this.#rate;
  }
}
