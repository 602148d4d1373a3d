// All tracks of a song, started together and kept together: each slice begins at a sample of the context's own clock.

const AHEAD_SECONDS = 4; // a slice is fetched and scheduled so long before its turn
const LEAD_SECONDS = 0.05; // from when all sources were told to when they start
const LOOK_MS = 200;
const FADE_SECONDS = 0.01;

export class Transport extends EventTarget {
  playing = false;
  loading = false;
  #context;
  #slices;
  #peaks;
  #names;
  #gains = new Map();
  #position = 0; // in seconds of song, where it stands or was started
  #zero = 0; // the moment, by the context's clock, at which the song's beginning was or would have been
  #next = 0; // the slice to schedule next
  #sources = [];
  #turn = 0; // each start and stop is a new one: what an older one still waits for is void

  constructor(context, slices, peaks, names) {
    super();
    this.#context = context;
    this.#slices = slices;
    this.#peaks = peaks;
    this.#names = new Set(names);
    const out = context.createGain();
    out.connect(context.destination);
    for (const name of Object.keys(peaks.tracks)) {
      const gain = context.createGain();
      gain.connect(out);
      this.#gains.set(name, gain);
    }
  }

  get seconds() {
    return this.#peaks.samples / this.#peaks.rate;
  }

  get #sliceSeconds() {
    return this.#peaks.slice / this.#peaks.rate;
  }

  /** Where it is, in seconds of song. */
  get position() {
    if (!this.playing || this.loading) return this.#position;
    return Math.min(this.seconds, Math.max(this.#position, this.#context.currentTime - this.#zero));
  }

  /** How loud a track is, 0 to 1, from now on. */
  level(name, volume) {
    const { gain } = this.#gains.get(name);
    const now = this.#context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.linearRampToValueAtTime(volume, now + FADE_SECONDS);
  }

  /** Play this track, too, from now on; its sound is not fetched before. */
  include(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.playing) this.#start(this.position);
  }

  play() {
    if (!this.playing) this.#start(this.#position >= this.seconds ? 0 : this.#position);
  }

  pause() {
    this.#position = this.position;
    this.#silence();
    this.playing = this.loading = false;
    this.#changed();
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.seconds);
    if (this.playing && to < this.seconds) this.#start(to);
    else {
      if (this.playing) this.pause();
      this.#position = to;
      this.#changed();
    }
  }

  async #start(position) {
    const turn = this.#silence();
    this.#position = position;
    this.playing = this.loading = true;
    this.#changed();
    const index = Math.floor(position / this.#sliceSeconds);
    try {
      await this.#context.resume();
      const buffers = await this.#load(index);
      for (let lead = LEAD_SECONDS; turn === this.#turn; lead *= 2) {
        const when = this.#sample(this.#context.currentTime + lead);
        this.#zero = when - this.#sample(position);
        this.#schedule(buffers, index, position - index * this.#sliceSeconds);
        await new Promise((resolve) => setTimeout(resolve));
        if (turn !== this.#turn) return;
        if (this.#context.currentTime < when) break;
        this.#stopSources(); // told too late, some of them would be out of step
      }
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
      return;
    }
    if (turn !== this.#turn) return;
    this.#next = index + 1;
    this.loading = false;
    this.#changed();
    this.#follow(turn);
  }

  /** Schedule slice after slice, each a while before its turn; where one comes too late, start anew there. */
  async #follow(turn) {
    while (turn === this.#turn) {
      const due = this.#next * this.#sliceSeconds;
      const left = this.#zero + due - this.#context.currentTime;
      if (due >= this.seconds) {
        if (this.position >= this.seconds) return this.#end();
      } else if (left < AHEAD_SECONDS) {
        try {
          const buffers = await this.#load(this.#next);
          if (turn !== this.#turn) return;
          if (this.#zero + due < this.#context.currentTime + LEAD_SECONDS) return this.#start(Math.min(due, this.position));
          this.#schedule(buffers, this.#next, 0);
          this.#next++;
        } catch (error) {
          if (turn === this.#turn) this.#fail(error);
          return;
        }
        continue;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #load(index) {
    return Promise.all([...this.#names].map(async (name) => [name, await this.#slices.get(name, index)]));
  }

  #schedule(buffers, index, offset) {
    const when = this.#sample(this.#zero + index * this.#sliceSeconds + offset);
    for (const [name, buffer] of buffers) {
      const source = new AudioBufferSourceNode(this.#context, { buffer });
      source.connect(this.#gains.get(name));
      source.start(when, this.#sample(offset));
      this.#sources.push(source);
      source.onended = () => {
        source.disconnect();
        this.#sources = this.#sources.filter((each) => each !== source);
      };
    }
  }

  /** The moment of the sample nearest to it. */
  #sample(seconds) {
    return Math.round(seconds * this.#context.sampleRate) / this.#context.sampleRate;
  }

  #silence() {
    this.#stopSources();
    return ++this.#turn;
  }

  #stopSources() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#sources = [];
  }

  #end() {
    this.pause();
    this.#position = 0;
    this.#changed();
  }

  #fail(error) {
    this.pause();
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
