// The tracks of a separated song: its stems, and the mixture if the service has stored it.

export const MIXTURE = "mixture";

/** Return the tracks of a status by name, each with its `url`, `bytes` and `sha256`. */
export function tracksByName({ tracks, mixture, report }) {
  const digests = { ...report?.stems, [MIXTURE]: report?.[MIXTURE] };
  return new Map([...tracks, ...(mixture ? [mixture] : [])].map((track) => [track.name, { ...track, sha256: digests[track.name]?.sha256 }]));
}

/** Return a track's name for people. */
export function title(name) {
  if (name === MIXTURE) return "Original";
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
