// The text and the progress that the list shows for a song's status.

import { roughly } from "../dom.js";

const STAGES = {
  "loading model": "Loading the model", fetching: "Fetching", decoding: "Decoding", separating: "Separating", encoding: "Encoding", storing: "Storing",
};

/**
 * Return how to show a song: its `kind` (unknown, active, removing, failed, succeeded), the `text` of its status, the
 * `error` message, and its `progress`: 0 to 1, undefined while it is not known, null for no bar.
 */
export function statusText(song) {
  const { phase, status, error } = song;
  const failed = (text, message = error) => ({ kind: "failed", text, error: message, progress: null });
  const active = (text, progress, message = error) => ({ kind: "active", text, progress, error: message });
  if (phase === "waiting" && song.queueFull) return active("The queue is full; this song is sent when there is room", undefined);
  if (phase === "waiting") return active(error ? "Not sent yet; trying again" : "Waiting to be sent", undefined);
  if (phase === "uploading") return active(song.uploaded < 1 ? `Sending, ${percent(song.uploaded)}` : "Sent; being checked", song.uploaded);
  if (phase === "cancelling") return active("Being cancelled", undefined);
  if (phase === "removing") return { ...active("Being removed", undefined), kind: "removing" };
  if (phase === "refused") return failed("Refused");
  if (phase === "cancelled") return failed("Cancelled");
  if (phase === "interrupted") return failed("Not sent", "Another tab sends it, or the page was closed before it was sent. Retry asks for its file.");
  if (song.gone) return failed("Gone");
  const message = error ?? status?.error?.message;
  switch (status?.status) {
    case undefined: // sent a moment ago, or stored by an earlier visit
      return { ...active("Asking the service", undefined), ...(song.file || song.answered ? {} : { kind: "unknown" }) };
    case "queued": {
      const { queue_position: position, error: failure } = status;
      const place = position ? `number ${position} in the queue` : failure ? "waiting for the next attempt" : "next in the queue";
      return active(`Queued, ${place}${timeLeft(status)}`, undefined, message);
    }
    case "running": {
      const again = status.attempt > 1 ? `, attempt ${status.attempt}` : "";
      const done = status.loading ? megabytes(status.loading) : percent(status.progress);
      return active(`${STAGES[status.stage] ?? "Running"}, ${done}${again}${timeLeft(status)}`, status.progress);
    }
    case "succeeded":
      return { kind: "succeeded", text: `Done, with ${status.model}`, progress: null, error };
    case "cancelled":
      return failed("Cancelled");
    default:
      return failed("Failed", message);
  }
}

function percent(fraction) {
  return `${Math.floor(fraction * 100)} %`;
}

function megabytes({ bytes, total_bytes: total }) {
  return `${Math.floor(bytes / 1e6)} of ${Math.ceil(total / 1e6)} MB`;
}

function timeLeft({ eta_seconds: seconds }) {
  return seconds === null ? "" : `, about ${roughly(seconds)} left`;
}
