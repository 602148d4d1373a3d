// Changes the tempo of sound without its pitch, and its pitch without its tempo, in a worker.

/** The longest time, in seconds of song, by which the output may end before what was pushed. */
export const LAG_SECONDS = 0.2;

export class Stretcher {
  #worker = null;
  #waiting = new Map(); // the promises of pushes that are not answered, by their number
  #pushes = 0;
  #starts = 0;

  /**
   * Begin anew; return the number of the start. `rate` in Hz, `tempo` 0.5 to 1.5, `semitones` -6 to 6 (drums keep their
   * pitch), `names` of the tracks.
   */
  start(settings) {
    if (!this.#worker) {
      this.#worker = new Worker(new URL("./worker/worker.js", import.meta.url), { type: "module" });
      this.#worker.onmessage = ({ data: { id, blocks } }) => {
        this.#waiting.get(id).resolve(blocks);
        this.#waiting.delete(id);
      };
      this.#worker.onerror = () => this.close(new Error("The browser can't change the tempo or the key: its worker did not start."));
    }
    this.#worker.postMessage({ start: settings });
    return ++this.#starts;
  }

  /**
   * Stretch the next samples: `tracks` (two channels by name; they are transferred), `weights` (how much each counts in the
   * choice of the cuts), and whether they are the `last`. Resolves to blocks: `name`, `channels`, and `at`, the number of
   * their first sample since the start; to none if there was a later `start`.
   */
  push(start, message) {
    if (start !== this.#starts) return Promise.resolve([]);
    if (!this.#worker) return Promise.reject(new Error("The player was closed."));
    const id = this.#pushes++;
    const transferred = Object.values(message.tracks).flatMap((channels) => channels.map(({ buffer }) => buffer));
    this.#worker.postMessage({ id, push: message }, transferred);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** End the worker; pushes without an answer get the error. */
  close(error = new Error("The player was closed.")) {
    this.#worker?.terminate();
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
