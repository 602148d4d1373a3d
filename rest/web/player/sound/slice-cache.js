// Fetches and decodes slices of five seconds of a track, and keeps the last few.

import { StemReplaced, call, readBody } from "../../service/api.js";
import * as formats from "./slice-formats.js";

const SLICES_KEPT = 3; // of each track

export class SliceCache {
  #context;
  #peaks;
  #tracks;
  #bits;
  #cache = new Map();

  /** `tracks`: the status' tracks by name, each with its `sha256`; `bits`: of a sample, for WAV and FLAC. */
  constructor(context, peaks, tracks, bits) {
    this.#context = context;
    this.#peaks = peaks;
    this.#tracks = tracks;
    this.#bits = bits;
  }

  /** Resolve to a slice of a track, an AudioBuffer of exactly its samples. Throws Problem, Unreachable, StemReplaced. */
  get(name, index) {
    const label = `${name} ${index}`;
    const found = this.#cache.get(label) ?? this.#load(name, index);
    this.#cache.delete(label);
    this.#cache.set(label, found); // the most recently used comes last
    found.catch(() => this.#cache.delete(label));
    const own = [...this.#cache.keys()].filter((each) => each.startsWith(`${name} `));
    for (const old of own.slice(0, -SLICES_KEPT)) this.#cache.delete(old);
    return found;
  }

  /** Resolve to a slice like `get`, without keeping it. */
  getOnce(name, index) {
    return this.#cache.get(`${name} ${index}`) ?? this.#load(name, index);
  }

  /** Free all slices. */
  clear() {
    this.#cache.clear();
  }

  async #load(name, index) {
    const { url, bytes, sha256 } = this.#tracks.get(name);
    const place = { peaks: this.#peaks, starts: this.#peaks.tracks[name].starts, index, bytes };
    const { ranges, wrap, skip } = formats[url.split(".").pop()](place, this.#bits);
    const parts = await Promise.all(ranges.map((range) => fetchRange(url, sha256, range)));
    const decoded = await this.#context.decodeAudioData(wrap(...parts));
    // The browser resampled if its context can't run at the song's rate.
    const scale = decoded.sampleRate / this.#peaks.rate;
    const size = Math.round(formats.sliceLength(this.#peaks, index) * scale);
    if (decoded.length === size) return decoded;
    const buffer = new AudioBuffer({ length: size, numberOfChannels: 2, sampleRate: decoded.sampleRate });
    const begin = Math.max(0, skip(decoded.length, scale));
    for (const channel of [0, 1]) {
      const samples = decoded.getChannelData(Math.min(channel, decoded.numberOfChannels - 1));
      buffer.copyToChannel(samples.subarray(begin, begin + size), channel);
    }
    return buffer;
  }
}

/** Fetch bytes of the file with this digest. Throws StemReplaced if the service has another file. */
async function fetchRange(url, sha256, [from, to]) {
  const condition = sha256 ? { "If-Range": `"${sha256}"` } : {};
  const response = await call(url, { headers: { Range: `bytes=${from}-${to - 1}`, ...condition } });
  const tag = response.headers.get("ETag");
  if (sha256 && tag && !tag.includes(sha256)) {
    response.body?.cancel();
    throw new StemReplaced();
  }
  const sound = await readBody(response, "arrayBuffer");
  return response.status === 206 ? sound : sound.slice(from, to);
}
