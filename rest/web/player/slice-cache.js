// The sound of a song, five seconds of a track at a time: fetched and decoded when it is wanted, kept for a moment.

import { Changed, call, content } from "../api.js";
import * as cut from "./slice-formats.js";

const KEPT = 3; // slices of each track

export class Slices {
  #context;
  #peaks;
  #tracks;
  #bits;
  #kept = new Map();

  /** `tracks` by name, as the status has them, each with its `sha256`; `bits` of each sample, where the format has a choice. */
  constructor(context, peaks, tracks, bits) {
    this.#context = context;
    this.#peaks = peaks;
    this.#tracks = tracks;
    this.#bits = bits;
  }

  /** Resolve to the slice of a track as an AudioBuffer of exactly its samples. Raises Problem, Away, Changed. */
  get(name, index) {
    const label = `${name} ${index}`;
    const found = this.#kept.get(label) ?? this.#load(name, index);
    this.#kept.delete(label);
    this.#kept.set(label, found); // the one used last comes last
    found.catch(() => this.#kept.delete(label));
    const own = [...this.#kept.keys()].filter((each) => each.startsWith(`${name} `));
    for (const old of own.slice(0, -KEPT)) this.#kept.delete(old);
    return found;
  }

  async #load(name, index) {
    const { url, bytes, sha256 } = this.#tracks.get(name);
    const place = { peaks: this.#peaks, starts: this.#peaks.tracks[name].starts, index, bytes };
    const { ranges, wrap, skip } = cut[url.split(".").pop()](place, this.#bits);
    const parts = await Promise.all(ranges.map((range) => fetched(url, sha256, range)));
    const decoded = await this.#context.decodeAudioData(wrap(...parts));
    // Where the browser's context can't have the song's own rate, it resampled.
    const scale = decoded.sampleRate / this.#peaks.rate;
    const size = Math.round(cut.length(this.#peaks, index) * scale);
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

/** Fetch bytes of the file that has this digest; the service sends the whole file where it has another one by now. */
async function fetched(url, sha256, [from, to]) {
  const condition = sha256 ? { "If-Range": `"${sha256}"` } : {};
  const answer = await call(url, { headers: { Range: `bytes=${from}-${to - 1}`, ...condition } });
  const tag = answer.headers.get("ETag");
  if (sha256 && tag && !tag.includes(sha256)) {
    answer.body?.cancel();
    throw new Changed();
  }
  const sound = await content(answer, "arrayBuffer");
  return answer.status === 206 ? sound : sound.slice(from, to);
}
