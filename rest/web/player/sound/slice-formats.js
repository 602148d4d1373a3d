// Makes a file of one slice of a stem, which a browser decodes to exactly the slice's samples: wav, flac, mp3.
//
// Each function gets the slice (`peaks` from /apiv1/peaks, the track's `starts`, the slice's `index`, and `bytes`, the
// file's size) and returns `ranges`, the bytes to fetch, `wrap`, which makes a file of them, and `skip`, which returns how
// many samples to cut off from the beginning of what it decodes to.

const BITRATES = {
  3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const DECODER_DELAY = 1105; // samples, including LAME's 576
const WARM_UP = 10; // frames: an MP3 frame uses bits of the frames before it, and overlaps with them
const LONGEST_FRAME = 1441; // bytes
const FLAC_HEADER = 42; // bytes: the word fLaC, and STREAMINFO

/** The position in the file, in bytes, at which a slice ends. */
function end({ starts, index, bytes }) {
  return starts[index + 1] ?? bytes;
}

/** The number of samples of a slice. */
export function sliceLength(peaks, index) {
  return Math.min(peaks.slice, peaks.samples - index * peaks.slice);
}

export function wav({ peaks, starts, index, bytes }, bits) {
  const wrap = (data) => {
    const header = new DataView(new ArrayBuffer(44));
    const word = (at, text) => [...text].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
    const frame = (2 * bits) / 8;
    word(0, "RIFF");
    header.setUint32(4, 36 + data.byteLength, true);
    word(8, "WAVEfmt ");
    header.setUint32(16, 16, true);
    header.setUint16(20, bits === 32 ? 3 : 1, true);
    header.setUint16(22, 2, true);
    header.setUint32(24, peaks.rate, true);
    header.setUint32(28, peaks.rate * frame, true);
    header.setUint16(32, frame, true);
    header.setUint16(34, bits, true);
    word(36, "data");
    header.setUint32(40, data.byteLength, true);
    return concatenate(header, data);
  };
  return { ranges: [[starts[index], end({ starts, index, bytes })]], wrap, skip: () => 0 };
}

export function flac({ starts, index, bytes }) {
  const wrap = (head, frames) => {
    const header = new Uint8Array(head.slice(0));
    header[4] |= 0x80; // marks the last metadata block
    header[21] &= 0xf0; // total number of samples and their digest: unknown
    header.fill(0, 22);
    return concatenate(header, frames);
  };
  return { ranges: [[0, FLAC_HEADER], [starts[index], end({ starts, index, bytes })]], wrap, skip: () => 0 };
}

/** Takes the bytes from ten frames before the slice to the frame with its last sample; the samples before it are cut off. */
export function mp3({ peaks, starts, index, bytes }) {
  const from = Math.max(starts[0], starts[index] - WARM_UP * LONGEST_FRAME);
  const to = Math.min(bytes, end({ starts, index, bytes }) + 4 * LONGEST_FRAME);
  const frame = peaks.rate < 32_000 ? 576 : 1152;
  const frames = Math.ceil((sliceLength(peaks, index) + DECODER_DELAY) / frame);
  const wrap = (fetched) => {
    const data = new Uint8Array(fetched);
    let begin = starts[index] - from;
    let stop = begin;
    for (let i = 0; i < frames && stop < data.length; i++) stop += frameSize(data, stop);
    for (let i = 0; i < WARM_UP && begin > 0; i++) begin = frameBefore(data, begin);
    return data.slice(begin, stop).buffer;
  };
  // Counted from the end, because decoders differ in how many samples they leave out at the beginning.
  const skip = (decoded, scale) => decoded - Math.round((frames * frame - DECODER_DELAY) * scale);
  return { ranges: [[from, to]], wrap, skip };
}

/** The size in bytes of the frame whose header is at `at`. */
function frameSize(data, at) {
  const version = (data[at + 1] >> 3) & 3;
  const rates = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };
  const bitrate = BITRATES[version === 3 ? 3 : 2][data[at + 2] >> 4] * 1000;
  const rate = rates[version][(data[at + 2] >> 2) & 3];
  return Math.floor(((version === 3 ? 144 : 72) * bitrate) / rate) + ((data[at + 2] >> 1) & 1);
}

/** The start of the frame that ends at `at`; `at` itself if the data holds no whole frame there. */
function frameBefore(data, at) {
  const expected = frameSize(data, at);
  for (const size of [expected, expected - 1, expected + 1]) {
    const begin = at - size;
    if (begin >= 0 && data[begin] === 0xff && data[begin + 1] === data[at + 1] && frameSize(data, begin) === size) return begin;
  }
  return at;
}

function concatenate(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer ?? part), at);
    at += part.byteLength;
  }
  return whole.buffer;
}
