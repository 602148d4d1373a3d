// The clicks of one bar before a song plays.

const BEATS = 4;
const CLICK_SECONDS = 0.04;
const [ACCENT_HZ, BEAT_HZ] = [1_600, 1_100];
const LOUDNESS = 0.4;

/** Schedule a bar of clicks from a `time` of the context's clock on; return their sources, and the bar's end. */
export function countIn(context, time, bpm) {
  const beat = 60 / bpm;
  const sources = Array.from({ length: BEATS }, (_, i) => {
    const source = new AudioBufferSourceNode(context, { buffer: makeClick(context.sampleRate, i ? BEAT_HZ : ACCENT_HZ) });
    source.start(time + i * beat);
    return source;
  });
  return { sources, end: time + BEATS * beat };
}

function makeClick(sampleRate, hz) {
  const length = Math.round(CLICK_SECONDS * sampleRate);
  const samples = Float32Array.from({ length }, (_, i) => LOUDNESS * Math.sin((2 * Math.PI * hz * i) / sampleRate) * (1 - i / length) ** 2);
  const buffer = new AudioBuffer({ length, numberOfChannels: 1, sampleRate });
  buffer.copyToChannel(samples, 0);
  return buffer;
}
