// The fragment of the page's address that opens a song at a place with a mix:
// #song=HASH&t=12.5&mute=vocals,drums&solo=bass&volume=other:0.4&original=1&loop=30-45&tempo=0.7&transpose=-2. Older links
// have the hash alone.

const HASH = /^[0-9a-f]{56}$/;

/** Return the fragment for a song and its settings: `position` in seconds, those of Mix, `loop` ({start, end} or null), `tempo`, `semitones`. */
export function formatLink(hash, settings = {}) {
  const { position = 0, mute = [], solo = [], volumes = {}, original = false, loop = null, tempo = 1, semitones = 0 } = settings;
  const fields = {
    song: hash,
    t: position ? shortest(position) : "",
    mute: mute.join(),
    solo: solo.join(),
    volume: Object.entries(volumes).map(([name, volume]) => `${name}:${shortest(volume)}`).join(),
    original: original ? "1" : "",
    loop: loop ? `${shortest(loop.start)}-${shortest(loop.end)}` : "",
    tempo: tempo === 1 ? "" : shortest(tempo),
    transpose: semitones ? String(semitones) : "",
  };
  return "#" + Object.entries(fields).filter(([, value]) => value).map((field) => field.join("=")).join("&");
}

/** Return the `hash` and the `settings` of a link's fragment; null if it names no song. Ignores values that are none. */
export function parseLink(fragment) {
  const text = fragment.replace(/^#/, "");
  if (HASH.test(text)) return { hash: text, settings: {} };
  const fields = new URLSearchParams(text);
  const hash = fields.get("song") ?? "";
  if (!HASH.test(hash)) return null;
  const names = (field) => (fields.get(field) ?? "").split(",").filter(Boolean);
  const volumes = names("volume").map((each) => each.split(":")).map(([name, volume]) => [name, number(volume, 0, 1)]);
  const [start, end] = (fields.get("loop") ?? "").split("-").map((each) => number(each, 0, Infinity));
  const loop = start !== null && start < end ? { start, end } : null;
  const settings = {
    position: number(fields.get("t"), 0, Infinity) ?? loop?.start ?? 0,
    mute: names("mute"),
    solo: names("solo"),
    volumes: Object.fromEntries(volumes.filter(([, volume]) => volume !== null)),
    original: fields.get("original") === "1",
    loop,
    tempo: number(fields.get("tempo"), 0.5, 1.5) ?? 1,
    semitones: number(fields.get("transpose"), -6, 6) ?? 0,
  };
  return { hash, settings };
}

/** Return a number between two others, or null. */
function number(text, lowest, highest) {
  const value = text ? Number(text) : NaN;
  return value >= lowest && value <= highest ? value : null;
}

/** Format a number with at most three decimals. */
function shortest(value) {
  return String(Math.round(value * 1000) / 1000);
}
