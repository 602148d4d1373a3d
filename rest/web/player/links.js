// The links below and beside the waveforms: a stem, all stems, the mix that is heard, and the link to the song.

import { download, key } from "../service/api.js";
import { element, setLabel } from "../dom.js";
import { MIXTURE } from "./tracks.js";

/**
 * Make a link that downloads what `getUrl` returns at the click. With a key, each click requests a signed link;
 * `showError` gets the message if there is none, and "" before.
 */
export function downloadLink(getUrl, content, showError) {
  const onclick = async (event) => {
    link.href = getUrl();
    if (!key.get()) return;
    event.preventDefault();
    showError("");
    await download(link.getAttribute("href")).catch((error) => showError(error.message));
  };
  const link = element("a", { href: getUrl(), download: "", onclick }, ...content);
  return link;
}

/**
 * Return the address of what is heard: the mix within the loop, at its tempo and in its key; for the original, the mixture or
 * a mix of all stems.
 */
export function mixUrl({ hash, options }, tracks, mix, loop, { tempo, semitones }) {
  if (mix.original && !loop.on && tempo === 1 && !semitones) return tracks.get(MIXTURE).url;
  const given = mix.names.map((name) => [name, mix.original ? 1 : mix.gain(name)]).filter(([, gain]) => gain !== 1);
  const query = new URLSearchParams(given.length ? { gains: given.map((each) => each.join(":")).join(",") } : {});
  if (loop.on) [["start", loop.start], ["end", loop.end]].forEach(([name, value]) => query.set(name, value.toFixed(6)));
  if (tempo !== 1) query.set("tempo", tempo);
  if (semitones) query.set("transpose", semitones);
  return `/apiv1/mix/${hash}.${options.format}${query.size ? `?${query}` : ""}`;
}

/** Make a link whose click copies the address that `getFragment` returns, and puts it into the address bar. */
export function copyLink(getFragment) {
  const onclick = async (event) => {
    event.preventDefault();
    link.href = getFragment();
    history.replaceState(null, "", link.href);
    await navigator.clipboard?.writeText(link.href).then(() => setLabel(link, "done", "Link copied"), () => {});
    setTimeout(() => setLabel(link, "link", "Copy link"), 2_000);
  };
  // A link can also be opened or copied by the browser's menu, which asks for its address before any click.
  const refresh = () => (link.href = getFragment());
  const link = element("a", { href: getFragment(), onclick, onpointerdown: refresh, onfocus: refresh, title: "Opens the song here, with this mix" });
  setLabel(link, "link", "Copy link");
  return link;
}
