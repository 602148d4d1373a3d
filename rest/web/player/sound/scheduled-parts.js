// The parts of a song that are scheduled one after another: to the end of a slice, to the end of a loop, and the crossfade
// from a loop's end to its start.
//
// A part has its `begin` and `end` in samples of the song, its `buffers` by track, the `offset` in samples at which it
// begins there, and `whole`: whether it lasts until the end of the buffers.

const FADE_SECONDS = 0.01;

/**
 * Load the samples from `begin` to the end of their slice, or of the loop, but at most the `longest` number of samples;
 * `load` resolves to a slice of every track.
 */
export async function loadPart({ samples, slice }, loop, begin, load, longest = samples) {
  const index = Math.floor(begin / slice);
  const sliceEnd = Math.min((index + 1) * slice, samples);
  const end = Math.min(begin < loop?.end ? Math.min(sliceEnd, loop.end) : sliceEnd, begin + longest);
  return { begin, end, offset: begin - index * slice, whole: end === sliceEnd, buffers: await load(index) };
}

/** Load what follows the end of a loop: its first samples, into which the samples after its end fade. */
export async function loadCrossfade(peaks, loop, load) {
  const length = Math.round(FADE_SECONDS * peaks.rate);
  const [from, to] = [await loadPlace(peaks, loop.end, length, load), await loadPlace(peaks, loop.begin, length, load)];
  const buffers = [...to.slices[0].keys()].map((name) => [name, crossfade(peaks, from, to, name, length)]);
  return { begin: loop.begin, end: loop.begin + length, offset: 0, whole: true, buffers };
}

/** Load the slice that holds a sample, and the next one if it holds some of the `length` samples from there on. */
async function loadPlace({ samples, slice }, sample, length, load) {
  const index = Math.min(Math.floor(sample / slice), Math.ceil(samples / slice) - 1);
  const next = (index + 1) * slice;
  const slices = [new Map(await load(index))];
  if (next < samples && sample + length > next) slices.push(new Map(await load(index + 1)));
  return { slices, offset: sample - index * slice };
}

function crossfade({ rate }, from, to, name, length) {
  const { sampleRate } = to.slices[0].get(name);
  const scale = sampleRate / rate; // a browser whose context can't run at the song's rate has resampled
  const buffer = new AudioBuffer({ length: Math.round(length * scale), numberOfChannels: 2, sampleRate });
  for (const channel of [0, 1]) {
    const [before, after] = [from, to].map((place) => copySamples(place, name, channel, scale, buffer.length));
    buffer.copyToChannel(after.map((sample, i) => before[i] + ((sample - before[i]) * (i + 1)) / (buffer.length + 1)), channel);
  }
  return buffer;
}

/** Copy `length` samples of a channel from a place on; silence after the song's end. */
function copySamples({ slices, offset }, name, channel, scale, length) {
  const copy = new Float32Array(length);
  let [at, start] = [0, Math.round(offset * scale)];
  for (const slice of slices) {
    const buffer = slice.get(name);
    const part = buffer.getChannelData(Math.min(channel, buffer.numberOfChannels - 1)).subarray(start, start + length - at);
    copy.set(part, at);
    [at, start] = [at + part.length, 0];
  }
  return copy;
}
