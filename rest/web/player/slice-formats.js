// Five seconds out of the middle of a stem's file, as something that a browser decodes to exactly those samples.
//
// Each function gets a slice's place (`peaks` as /apiv1/peaks has them, the track's `starts`, `index`, and `bytes`, the
// file's size) and returns which bytes to fetch, and how to make a file of them and its samples of what that decodes to.

const BITRATES = {
  3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const DECODER_DELAY = 1105; // samples, LAME's 576 among them
const WARM_UP = 10; // frames: an MP3's frames borrow bits from those before them, and overlap
const LONGEST_FRAME = 1441; // bytes
const FLAC_HEADER = 42; // bytes: the word fLaC, and STREAMINFO

/** Where a slice ends in its file. */
function end({ starts, index, bytes }) {
  return starts[index + 1] ?? bytes;
}

/** How many samples a slice has. */
export function length(peaks, index) {
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
    return joined(header, data);
  };
  return { ranges: [[starts[index], end({ starts, index, bytes })]], wrap, skip: () => 0 };
}

export function flac({ starts, index, bytes }) {
  const wrap = (head, frames) => {
    const header = new Uint8Array(head.slice(0));
    header[4] |= 0x80; // the last of the blocks before the frames
    header[21] &= 0xf0; // how many samples there are in all, and their digest: not known
    header.fill(0, 22);
    return joined(header, frames);
  };
  return { ranges: [[0, FLAC_HEADER], [starts[index], end({ starts, index, bytes })]], wrap, skip: () => 0 };
}

/** From ten frames before the slice to the frame that brings its last sample; what comes before is cut off. */
export function mp3({ peaks, starts, index, bytes }) {
  const from = Math.max(starts[0], starts[index] - WARM_UP * LONGEST_FRAME);
  const to = Math.min(bytes, end({ starts, index, bytes }) + 4 * LONGEST_FRAME);
  const frame = peaks.rate < 32_000 ? 576 : 1152;
  const frames = Math.ceil((length(peaks, index) + DECODER_DELAY) / frame);
  const wrap = (fetched) => {
    const data = new Uint8Array(fetched);
    let begin = starts[index] - from;
    let stop = begin;
    for (let i = 0; i < frames && stop < data.length; i++) stop += frameSize(data, stop);
    for (let i = 0; i < WARM_UP && begin > 0; i++) begin = frameBefore(data, begin);
    return data.slice(begin, stop).buffer;
  };
  // Counted from the end: what a decoder leaves out at the beginning is its own business.
  const skip = (decoded, scale) => decoded - Math.round((frames * frame - DECODER_DELAY) * scale);
  return { ranges: [[from, to]], wrap, skip };
}

/** The bytes of the frame whose header is at `at`. */
function frameSize(data, at) {
  const version = (data[at + 1] >> 3) & 3;
  const rates = { 3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000] };
  const bitrate = BITRATES[version === 3 ? 3 : 2][data[at + 2] >> 4] * 1000;
  const rate = rates[version][(data[at + 2] >> 2) & 3];
  return Math.floor(((version === 3 ? 144 : 72) * bitrate) / rate) + ((data[at + 2] >> 1) & 1);
}

/** Where the frame begins that ends at `at`; `at` itself where none is there in full. */
function frameBefore(data, at) {
  const usual = frameSize(data, at);
  for (const size of [usual, usual - 1, usual + 1]) {
    const begin = at - size;
    if (begin >= 0 && data[begin] === 0xff && data[begin + 1] === data[at + 1] && frameSize(data, begin) === size) return begin;
  }
  return at;
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer ?? part), at);
    at += part.byteLength;
  }
  return whole.buffer;
}
