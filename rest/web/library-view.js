// The list of songs as a person sees it: one item a song, what it is doing, and what can be done with it.

import { button, element, set } from "./dom.js";
import { Player } from "./player/player.js";
import { ask } from "./polling.js";
import { described } from "./status-text.js";

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
    if (this.#songs.all.includes(song)) {
      const item = this.#items.get(song) ?? this.#make(song);
      const { words, share, error, kind } = described(song);
      set(item.name, "textContent", song.name || "A song");
      set(item.words, "textContent", words);
      set(item.error, "textContent", error ?? "");
      set(item.error, "hidden", !error);
      set(item.bar, "hidden", share === null);
      if (share !== null && share !== undefined) item.bar.value = share;
      else item.bar.removeAttribute("value");
      if (item.kind !== kind) {
        // What was so when the page came up is no news.
        if (![undefined, "asking"].includes(item.kind) && kind !== "asking") {
          this.#said.textContent = `${song.name}: ${words}. ${error ?? ""}`;
        }
        this.#turned(song, item, kind);
      }
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
    item.root = element("li", { className: "song", tabIndex: -1 }, item.name, item.words, item.bar, item.error, item.actions, item.slot);
    this.#items.set(song, item);
    return item;
  }

  /** It went off the list; who stood on it by keyboard goes on with its neighbour. */
  #drop(song) {
    const item = this.#items.get(song);
    if (!item) return;
    const next = item.root.nextElementSibling ?? item.root.previousElementSibling;
    const focused = item.root.contains(document.activeElement);
    item.player?.close();
    item.root.remove();
    this.#items.delete(song);
    if (focused) (next?.querySelector("button") ?? document.getElementById("choose")).focus();
  }

  /** It is in another kind of state than before: other things can be done with it. */
  #turned(song, item, kind) {
    const before = item.kind;
    item.kind = kind;
    item.root.dataset.kind = kind;
    const { retry, cancel } = this.#actions;
    // The second click of a double click is meant for the button that was there, not for the one that came.
    const act = (text, action, properties) => button(text, (event) => event.detail < 2 && action(), properties);
    const remove = act("Remove", () => this.#ask(song, item), { className: "quiet" });
    const focused = item.root === document.activeElement || item.actions.contains(document.activeElement);
    item.open = button("Listen", () => (item.player ? this.#fold(item) : this.#listen(song, item)), { className: "main" });
    const choices = {
      asking: [remove],
      moving: [act("Cancel", () => cancel(song))],
      leaving: [],
      failed: [act("Retry", () => retry(song), { className: "main" }), remove],
      succeeded: [item.open, remove],
    };
    item.actions.replaceChildren(...choices[kind]);
    if (focused) (item.actions.querySelector("button") ?? item.root).focus();
    if (kind !== "succeeded") this.#fold(item);
    else if (before === "moving" && ![...this.#items.values()].some((each) => each.player)) item.wanted = true;
    this.#name(item);
  }

  /** Open the player, on what the service has of the song now: others may have removed it, or some of it. */
  async #listen(song, item, position = null) {
    const player = (item.player = new Player((seconds) => this.#reopen(song, item, seconds)));
    this.#name(item);
    song.say({ error: null });
    try {
      await ask(song);
      if (item.player !== player) return;
      await player.open(song.status);
      if (item.player !== player) return;
      item.slot.replaceChildren(player.element);
      if (position !== null) player.resume(position);
    } catch (error) {
      if (item.player !== player) return;
      this.#fold(item);
      song.say({ error: error.message });
    }
  }

  /** The stems that it plays are no more: play on with those that the service has now. */
  async #reopen(song, item, position) {
    const focused = item.slot.contains(document.activeElement);
    this.#fold(item);
    await this.#listen(song, item, position);
    if (focused) (item.slot.querySelector(".play") ?? item.root).focus();
  }

  #fold(item) {
    item.wanted = false;
    item.player?.close();
    item.player = null;
    item.slot.replaceChildren();
    this.#name(item);
  }

  /** Say on the button whether the player is open. */
  #name({ open, player }) {
    set(open, "textContent", player ? "Close" : "Listen");
    open.setAttribute("aria-expanded", String(Boolean(player)));
  }

  /** Removing from the service takes it from everybody who has its link. */
  #ask(song, item) {
    const { remove } = this.#actions;
    if (!song.hash || song.gone) {
      remove(song, false);
      return;
    }
    const back = () => {
      this.#turned(song, item, item.kind);
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
    const { all } = this.#songs;
    const here = new Set(all);
    for (const song of this.#items.keys()) if (!here.has(song)) this.#drop(song);
    const roots = all.filter((song) => this.#items.has(song)).map((song) => this.#items.get(song).root);
    roots.forEach((root, i) => place.children[i] !== root && place.insertBefore(root, place.children[i] ?? null));
    document.getElementById("empty").hidden = this.#songs.all.length > 0;
  }
}
