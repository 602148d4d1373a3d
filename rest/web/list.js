// The list of songs as a person sees it: one item a song, what it is doing, and what can be done with it.

import { about, button, element, set } from "./dom.js";
import { Player } from "./player.js";

const STAGES = {
  fetching: "Fetching", decoding: "Decoding", separating: "Separating", encoding: "Encoding", storing: "Storing",
};

export class List {
  #songs;
  #actions;
  #items = new Map();
  #said = document.getElementById("said");

  /** `actions`: retry, cancel, remove(song, everywhere); each gets the song. */
  constructor(songs, actions) {
    this.#songs = songs;
    this.#actions = actions;
    songs.addEventListener("change", ({ detail }) => this.#show(detail));
    for (const song of songs.all) this.#show(song);
    this.#order();
  }

  /** Open the player of a song, and bring it into view. */
  reveal(song) {
    const item = this.#items.get(song);
    item.wanted = true;
    item.root.scrollIntoView({ block: "nearest" });
    this.#show(song);
  }

  #show(song) {
    if (!this.#songs.all.includes(song)) {
      this.#items.get(song)?.player?.close();
      this.#items.get(song)?.root.remove();
      this.#items.delete(song);
    } else {
      const item = this.#items.get(song) ?? this.#make(song);
      const { words, share, error, kind } = described(song);
      set(item.name, "textContent", song.name || "A song");
      if (item.words.textContent !== words) {
        item.words.textContent = words;
        if (item.kind !== undefined && item.kind !== kind) this.#said.textContent = `${song.name}: ${words}`;
      }
      set(item.error, "textContent", error ?? "");
      set(item.error, "hidden", !error);
      set(item.bar, "hidden", share === null);
      if (share !== null && share !== undefined) item.bar.value = share;
      else item.bar.removeAttribute("value");
      if (item.kind !== kind) this.#turned(song, item, kind);
      if (item.wanted && kind === "succeeded" && !item.player) this.#listen(song, item);
    }
    this.#order();
  }

  #make(song) {
    const item = {
      name: element("h3"),
      words: element("p", { className: "words" }),
      bar: element("progress", { max: 1, "aria-label": "Progress" }),
      error: element("p", { className: "error" }),
      actions: element("div", { className: "actions" }),
      slot: element("div"),
    };
    item.root = element("li", { className: "song" }, item.name, item.words, item.bar, item.error, item.actions, item.slot);
    this.#items.set(song, item);
    return item;
  }

  /** It is in another kind of state than before: other things can be done with it. */
  #turned(song, item, kind) {
    const before = item.kind;
    item.kind = kind;
    item.root.dataset.kind = kind;
    const { retry, cancel } = this.#actions;
    const remove = button("Remove", () => this.#ask(song, item), { className: "quiet" });
    const focused = item.actions.contains(document.activeElement);
    const choices = {
      moving: [button("Cancel", () => cancel(song))],
      failed: [button("Retry", () => retry(song), { className: "main" }), remove],
      succeeded: [(item.open = button("Listen", () => this.#toggle(song, item), { className: "main", "aria-expanded": "false" })), remove],
    };
    item.actions.replaceChildren(...choices[kind]);
    if (focused) item.actions.querySelector("button").focus();
    if (kind !== "succeeded") this.#fold(item);
    else if (before === "moving" && ![...this.#items.values()].some((each) => each.player)) item.wanted = true;
  }

  #toggle(song, item) {
    if (item.player) this.#fold(item);
    else this.#listen(song, item);
  }

  async #listen(song, item) {
    item.player = new Player(song.status);
    item.open.setAttribute("aria-expanded", "true");
    item.open.textContent = "Close";
    item.slot.replaceChildren(item.player.element);
    try {
      await item.player.open();
    } catch (error) {
      this.#fold(item);
      song.say({ error: error.message });
    }
  }

  #fold(item) {
    item.wanted = false;
    item.player?.close();
    item.player = null;
    item.slot.replaceChildren();
    item.open?.setAttribute("aria-expanded", "false");
    if (item.open) item.open.textContent = "Listen";
  }

  /** Removing from the service takes it from everybody who has its link. */
  #ask(song, item) {
    const { remove } = this.#actions;
    if (!song.hash || song.gone) {
      remove(song, false);
      return;
    }
    const back = () => {
      item.kind = undefined;
      this.#show(song);
      item.actions.querySelector("button").focus();
    };
    const first = button("From this list", () => remove(song, false));
    item.actions.replaceChildren(
      element("p", {}, "Remove it from where?"),
      first,
      button("From the service, with all stems", () => remove(song, true)),
      button("Keep it", back, { className: "quiet" }),
    );
    first.focus();
  }

  #order() {
    const place = document.getElementById("songs");
    this.#songs.all.forEach((song, i) => {
      const { root } = this.#items.get(song) ?? {};
      if (root && place.children[i] !== root) place.insertBefore(root, place.children[i] ?? null);
    });
    document.getElementById("empty").hidden = this.#songs.all.length > 0;
  }
}

/** What a song is doing in words; how far it is, 0 to 1, undefined where nobody knows, null where nothing moves. */
function described(song) {
  const { phase, status, error } = song;
  const failed = (words, why) => ({ kind: "failed", words, error: why, share: null });
  const moving = (words, share, why = null) => ({ kind: "moving", words, share, error: why });
  if (phase === "waiting") return moving(error ? "Not sent yet; trying again" : "Waiting to be sent", undefined, error);
  if (phase === "uploading") return moving(song.uploaded < 1 ? `Sending, ${percent(song.uploaded)}` : "Sent; being checked", song.uploaded);
  if (phase === "refused") return failed("Refused", error);
  if (phase === "cancelled") return failed("Cancelled", error);
  if (phase === "interrupted") return failed("Not sent", "The page was closed before the song was sent. Retry asks for its file.");
  if (song.gone) return failed("Gone", error);
  switch (status?.status) {
    case undefined:
      return moving("Asking the service", undefined);
    case "queued": {
      const place = status.queue_position ? `number ${status.queue_position} in line` : "waiting for the next try";
      return moving(`Queued, ${place}${left(status)}`, undefined, status.error?.message);
    }
    case "running": {
      const again = status.attempt > 1 ? `, attempt ${status.attempt}` : "";
      return moving(`${STAGES[status.stage] ?? "Running"}, ${percent(status.progress)}${again}${left(status)}`, status.progress);
    }
    case "succeeded":
      return { kind: "succeeded", words: `Done, with ${status.model}`, share: null, error };
    case "cancelled":
      return failed("Cancelled", null);
    default:
      return failed("Failed", status.error?.message);
  }
}

function percent(share) {
  return `${Math.floor(share * 100)} %`;
}

function left({ eta_seconds: seconds }) {
  return seconds === null ? "" : `, about ${about(seconds)} left`;
}
