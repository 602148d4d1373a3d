// The audio context's graph: a gain for each track, all into one output, and the sources that are scheduled.

const FADE_SECONDS = 0.01;

export class Outputs {
  #context;
  #out;
  #gains = new Map();
  #volumes = new Map(); // the last one set for each track: a gain's own value is late in some browsers
  #sources = [];

  /** `names` of all tracks. */
  constructor(context, names) {
    this.#context = context;
    this.#out = context.createGain();
    this.#out.connect(context.destination);
    for (const name of names) {
      const gain = context.createGain();
      gain.connect(this.#out);
      this.#gains.set(name, gain);
      this.#volumes.set(name, 1);
    }
  }

  /** The volume of each track by name, 0 to 1. */
  get volumes() {
    return Object.fromEntries(this.#volumes);
  }

  setVolume(name, volume) {
    const before = this.#volumes.get(name);
    if (volume === before) return;
    this.#volumes.set(name, volume);
    const { gain } = this.#gains.get(name);
    const now = this.#context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(before, now);
    gain.linearRampToValueAtTime(volume, now + FADE_SECONDS);
  }

  /** Schedule the sounds of a part of a Sequence that starts at the time `start` of the context's clock. */
  schedule(sounds, start) {
    for (const { name, buffer, time, offset, duration } of sounds) {
      const source = new AudioBufferSourceNode(this.#context, { buffer });
      source.start(this.toSample(start + time), this.toSample(offset), duration && this.toSample(duration));
      this.connect(source, name);
    }
  }

  /** Connect a source that was scheduled to a track, or directly to the output, until it has ended. */
  connect(source, name = null) {
    source.connect(this.#gains.get(name) ?? this.#out);
    this.#sources.push(source);
    source.onended = () => {
      source.disconnect();
      this.#sources = this.#sources.filter((each) => each !== source);
    };
  }

  /** Stop all that is scheduled. */
  stop() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#sources = [];
  }

  /** Round a time to the nearest sample of the context. */
  toSample(seconds) {
    return Math.round(seconds * this.#context.sampleRate) / this.#context.sampleRate;
  }
}
