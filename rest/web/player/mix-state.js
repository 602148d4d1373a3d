// Which stems of a song are heard, and how loud: mute, solo, volume, and the original instead of all of them.

/** Dispatches `change`. */
export class Mix extends EventTarget {
  original = false;
  #stems;

  /** `names`: of the stems that have a control. */
  constructor(names) {
    super();
    this.#stems = new Map(names.map((name) => [name, { mute: false, solo: false, volume: 1 }]));
  }

  get names() {
    return [...this.#stems.keys()];
  }

  /** Return a stem's `mute`, `solo` and `volume` (0 to 1). */
  get(name) {
    return this.#stems.get(name);
  }

  /** Set some of a stem's fields. */
  set(name, fields) {
    Object.assign(this.#stems.get(name), fields);
    this.#dispatchChange();
  }

  /** Toggle `mute` or `solo` of the stem with a number, from 0; do nothing if there is none. */
  toggle(number, field) {
    const name = this.names[number];
    if (name) this.set(name, { [field]: !this.get(name)[field] });
  }

  setOriginal(on) {
    this.original = on;
    this.#dispatchChange();
  }

  /** Return how loud a stem is, 0 to 1: its volume, unless it is muted or another one is solo. */
  gain(name) {
    const { mute, solo, volume } = this.#stems.get(name);
    const anySolo = [...this.#stems.values()].some((stem) => stem.solo);
    return mute || (anySolo && !solo) ? 0 : volume;
  }

  /** What a link holds: `mute` and `solo` (names), `volumes` by name where they are not 1, `original`. */
  get settings() {
    const stems = [...this.#stems];
    const namesWith = (field) => stems.filter(([, stem]) => stem[field]).map(([name]) => name);
    const volumes = Object.fromEntries(stems.filter(([, { volume }]) => volume !== 1).map(([name, { volume }]) => [name, volume]));
    return { mute: namesWith("mute"), solo: namesWith("solo"), volumes, original: this.original };
  }

  /** Set everything; names that the song does not have are ignored. */
  apply({ mute = [], solo = [], volumes = {}, original = false }) {
    for (const [name, stem] of this.#stems) {
      Object.assign(stem, { mute: mute.includes(name), solo: solo.includes(name), volume: volumes[name] ?? 1 });
    }
    this.setOriginal(original);
  }

  #dispatchChange() {
    this.dispatchEvent(new Event("change"));
  }
}
