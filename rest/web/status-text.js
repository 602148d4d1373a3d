// What a song is doing, in words.

import { about } from "./dom.js";

const STAGES = {
  fetching: "Fetching", decoding: "Decoding", separating: "Separating", encoding: "Encoding", storing: "Storing",
};

/**
 * What a song is doing: its `kind` of state (asking, moving, leaving, failed, succeeded), the words for it, what went wrong, and
 * as `share` how far it is: 0 to 1, undefined where nobody knows, null where nothing moves.
 */
export function described(song) {
  const { phase, status, error } = song;
  const failed = (words, why = error) => ({ kind: "failed", words, error: why, share: null });
  const moving = (words, share, why = error) => ({ kind: "moving", words, share, error: why });
  if (phase === "waiting" && song.full) return moving("The queue is full; this song is sent when there is room", undefined);
  if (phase === "waiting") return moving(error ? "Not sent yet; trying again" : "Waiting to be sent", undefined);
  if (phase === "uploading") return moving(song.uploaded < 1 ? `Sending, ${percent(song.uploaded)}` : "Sent; being checked", song.uploaded);
  if (phase === "unwanted") return moving("Being cancelled", undefined);
  if (phase === "leaving") return { ...moving("Being removed", undefined), kind: "leaving" };
  if (phase === "refused") return failed("Refused");
  if (phase === "cancelled") return failed("Cancelled");
  if (phase === "interrupted") return failed("Not sent", "Another tab sends it, or the page was closed before it was sent. Retry asks for its file.");
  if (song.gone) return failed("Gone");
  const why = error ?? status?.error?.message;
  switch (status?.status) {
    case undefined: // sent just now, or of an earlier visit
      return { ...moving("Asking the service", undefined), ...(song.file || song.asked ? {} : { kind: "asking" }) };
    case "queued": {
      const { queue_position: position, error: failure } = status;
      const place = position ? `number ${position} in line` : failure ? "waiting for the next try" : "next in line";
      return moving(`Queued, ${place}${left(status)}`, undefined, why);
    }
    case "running": {
      const again = status.attempt > 1 ? `, attempt ${status.attempt}` : "";
      return moving(`${STAGES[status.stage] ?? "Running"}, ${percent(status.progress)}${again}${left(status)}`, status.progress);
    }
    case "succeeded":
      return { kind: "succeeded", words: `Done, with ${status.model}`, share: null, error };
    case "cancelled":
      return failed("Cancelled");
    default:
      return failed("Failed", why);
  }
}

function percent(share) {
  return `${Math.floor(share * 100)} %`;
}

function left({ eta_seconds: seconds }) {
  return seconds === null ? "" : `, about ${about(seconds)} left`;
}
