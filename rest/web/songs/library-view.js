// The list of songs in the page: one item for each song, with its status, its actions and its player.

import { button, element, icon, set, setLabel } from "../dom.js";
import { Player } from "../player/player.js";
import { requestStatus } from "../service/polling.js";
import { statusText } from "./status-text.js";

export class LibraryView {
  #library;
  #actions;
  #items = new Map();
  #announcement = document.getElementById("announcement");

  /** `actions`: retry(song), cancel(song), remove(song, fromService). */
  constructor(library, actions) {
    this.#library = library;
    this.#actions = actions;
    library.addEventListener("change", ({ detail }) => this.#show(detail));
    for (const song of library.songs) this.#show(song);
    this.#arrange();
  }

  /** Open the player of a song with these settings, and scroll to it. */
  reveal(song, settings) {
    const item = this.#items.get(song);
    Object.assign(item, { openWhenDone: true, settings });
    if (item.player && item.slot.hasChildNodes()) item.player.apply(settings);
    item.root.scrollIntoView({ block: "nearest" });
    this.#show(song);
  }

  #show(song) {
    if (this.#library.songs.includes(song)) {
      const item = this.#items.get(song) ?? this.#make(song);
      const { text, progress, error, kind } = statusText(song);
      set(item.name, "textContent", song.name || "A song");
      set(item.status, "textContent", text);
      set(item.facts, "textContent", describeMusic(song.status ?? {}));
      set(item.facts, "hidden", !item.facts.textContent);
      item.cover.style.setProperty("--hue", hueOf(song.name));
      set(item.error, "textContent", error ?? "");
      set(item.error, "hidden", !error);
      set(item.bar, "hidden", progress === null);
      if (progress !== null && progress !== undefined) item.bar.value = progress;
      else item.bar.removeAttribute("value");
      if (item.kind !== kind) {
        // The first status after the page was loaded is not announced.
        if (![undefined, "unknown"].includes(item.kind) && kind !== "unknown") {
          this.#announcement.textContent = `${song.name}: ${text}. ${error ?? ""}`;
        }
        this.#showActions(song, item, kind);
      }
      if (item.openWhenDone && kind === "succeeded" && !item.player) this.#openPlayer(song, item);
    }
    this.#arrange();
  }

  #make(song) {
    const item = {
      cover: element("span", { className: "cover" }, icon("music")),
      name: element("h3"),
      status: element("p", { className: "status" }),
      facts: element("p", { className: "facts", hidden: true }),
      bar: element("progress", { max: 1, "aria-label": "Progress" }),
      error: element("p", { className: "error" }),
      actions: element("div", { className: "actions" }),
      slot: element("div"),
    };
    const texts = element("div", {}, item.name, item.status, item.facts);
    const head = element("div", { className: "song-head" }, item.cover, texts, item.actions);
    item.root = element("li", { className: "song", tabIndex: -1 }, head, item.bar, item.error, item.slot);
    this.#items.set(song, item);
    return item;
  }

  /** Remove a song's item; a neighbour gets the focus if the item had it. */
  #removeItem(song) {
    const item = this.#items.get(song);
    if (!item) return;
    const next = item.root.nextElementSibling ?? item.root.previousElementSibling;
    const focused = item.root.contains(document.activeElement);
    item.player?.close();
    item.root.remove();
    this.#items.delete(song);
    if (focused) (next?.querySelector("button") ?? document.getElementById("choose")).focus();
  }

  /** Show the actions of this kind of status. */
  #showActions(song, item, kind) {
    const before = item.kind;
    item.kind = kind;
    item.root.dataset.kind = kind;
    const { retry, cancel } = this.#actions;
    // Ignore the second click of a double click: it was meant for the button that this one replaced.
    const actionButton = (text, action, properties) => button(text, (event) => event.detail < 2 && action(), properties);
    const remove = actionButton("Remove", () => this.#askWhereToRemove(song, item), { className: "quiet" });
    const focused = item.root === document.activeElement || item.actions.contains(document.activeElement);
    item.open = button("Listen", () => (item.player ? this.#closePlayer(item) : this.#openPlayer(song, item)), { className: "main" });
    const buttons = {
      unknown: [remove],
      active: [actionButton("Cancel", () => cancel(song))],
      removing: [],
      failed: [actionButton("Retry", () => retry(song), { className: "main" }), remove],
      succeeded: [item.open, remove],
    };
    item.actions.replaceChildren(...buttons[kind]);
    if (focused) (item.actions.querySelector("button") ?? item.root).focus();
    if (kind !== "succeeded") this.#closePlayer(item);
    else if (before === "active" && ![...this.#items.values()].some((each) => each.player)) item.openWhenDone = true;
    this.#labelButton(item);
  }

  /** Open the player with the stems that the service has now: others may have removed some. */
  async #openPlayer(song, item, playing = false) {
    const player = (item.player = new Player((settings) => this.#reopenPlayer(song, item, settings)));
    this.#labelButton(item);
    song.update({ error: null });
    try {
      await requestStatus(song);
      if (item.player !== player) return;
      await player.open(song.status);
      if (item.player !== player) return;
      item.slot.replaceChildren(player.element);
      player.apply(item.settings ?? {});
      if (playing) player.play();
    } catch (error) {
      if (item.player !== player) return;
      this.#closePlayer(item);
      song.update({ error: error.message });
    }
  }

  /** Open the player again with its settings, and play: the stems that it played were replaced. */
  async #reopenPlayer(song, item, settings) {
    const focused = item.slot.contains(document.activeElement);
    this.#closePlayer(item);
    item.settings = settings;
    await this.#openPlayer(song, item, true);
    if (focused) (item.slot.querySelector(".play") ?? item.root).focus();
  }

  #closePlayer(item) {
    Object.assign(item, { openWhenDone: false, settings: null });
    item.player?.close();
    item.player = null;
    item.slot.replaceChildren();
    this.#labelButton(item);
  }

  /** Show on the button whether the player is open. */
  #labelButton({ open, player }) {
    setLabel(open, player ? "close" : "headphones", player ? "Close" : "Listen");
    open.classList.toggle("main", !player);
    open.setAttribute("aria-expanded", String(Boolean(player)));
  }

  /** Ask whether to remove the song from the list alone, or from the service, for everybody who has its link. */
  #askWhereToRemove(song, item) {
    const { remove } = this.#actions;
    if (!song.hash || song.gone) {
      remove(song, false);
      return;
    }
    const back = () => {
      this.#showActions(song, item, item.kind);
      item.actions.querySelector("button").focus();
    };
    const fromList = button("From this list", () => remove(song, false));
    item.actions.replaceChildren(
      element("p", {}, "Remove it from where?"),
      fromList,
      button("From the service, with all stems", () => remove(song, true)),
      button("Keep it", back, { className: "quiet" }),
    );
    fromList.focus();
  }

  /** Bring the items into the order of the library, and remove those whose songs are gone. */
  #arrange() {
    const list = document.getElementById("songs");
    const { songs } = this.#library;
    const listed = new Set(songs);
    for (const song of this.#items.keys()) if (!listed.has(song)) this.#removeItem(song);
    const roots = songs.filter((song) => this.#items.has(song)).map((song) => this.#items.get(song).root);
    roots.forEach((root, i) => list.children[i] !== root && list.insertBefore(root, list.children[i] ?? null));
    document.getElementById("empty").hidden = songs.length > 0;
    document.body.classList.toggle("has-songs", songs.length > 0);
  }
}

/** Return the tempo and the key of a song, where its status has them. */
function describeMusic({ tempo_bpm: bpm, key }) {
  return [bpm && `${Math.round(bpm)} BPM`, key].filter(Boolean).join(", ");
}

/** Return a colour for a name, in degrees of hue: always the same one. */
function hueOf(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}
