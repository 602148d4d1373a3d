// The keys of the player, and the help that `?` opens.

import { element } from "../../dom.js";

const HELP = [
  [["Space"], "Play or pause"],
  [["←", "→"], "Back or forward by 5 seconds"],
  [["Home"], "To the start"],
  [["[", "]"], "Start or end the loop here"],
  [["L"], "Loop on or off"],
  [["1", "9"], "Mute a stem by its place in the list; with Shift, solo"],
  [["O"], "The original instead of the stems"],
  [["−", "+"], "Slower or faster by 5 %"],
  [["Shift ↓", "Shift ↑"], "A semitone lower or higher; drums keep their pitch"],
  [["C"], "Count one bar before it plays, where the tempo is known"],
  [["Z", "X"], "Zoom the waveforms in or out"],
  [["Shift drag"], "Loop a part of a waveform; on the ruler, without Shift"],
  [["?"], "This help"],
];
const FIELDS = "input:not([type=range]):not([type=checkbox]), select, textarea, dialog *";
const CONTROLS = "button, a, input, summary"; // these have a use for the space bar and the arrows themselves
/** The action of a key and its argument: everywhere, outside of fields, and outside of all controls. */
const EVERYWHERE = { "[": ["setLoopStart"], "]": ["setLoopEnd"] };
const OUTSIDE_FIELDS = {
  l: ["toggleLoop"], o: ["toggleOriginal"], c: ["toggleCountIn"], z: ["zoom", 2], x: ["zoom", 0.5],
  "-": ["changeTempo", -0.05], "+": ["changeTempo", 0.05], "=": ["changeTempo", 0.05],
};
const OUTSIDE_CONTROLS = { " ": ["playOrPause"], ArrowLeft: ["step", -1], ArrowRight: ["step", 1], Home: ["toStart"] };
const WITH_SHIFT = { ArrowDown: ["transpose", -1], ArrowUp: ["transpose", 1] };

/** Return the name of the action that a key press in the page stands for, and its argument; null if there is none. */
export function actionFor({ key, code, shiftKey, ctrlKey, metaKey, altKey, target }) {
  if (metaKey || (ctrlKey && !altKey)) return null; // some keyboards have [ and ] on AltGr, which is Ctrl and Alt
  if (key in EVERYWHERE) return EVERYWHERE[key];
  if (altKey || target.matches(FIELDS)) return null;
  const digit = /^Digit([1-9])$/.exec(code);
  if (digit) return [shiftKey ? "toggleSolo" : "toggleMute", Number(digit[1]) - 1];
  if (key.toLowerCase() in OUTSIDE_FIELDS) return OUTSIDE_FIELDS[key.toLowerCase()];
  if (target.matches(CONTROLS)) return null;
  return (shiftKey ? WITH_SHIFT : OUTSIDE_CONTROLS)[key] ?? null;
}

/** Fill the dialog with the keys, and open it by `?` and by a button. */
export function setUpHelp(dialog, opener) {
  const rows = HELP.map(([keys, text]) => element("div", {}, element("dt", {}, ...keys.map((each) => element("kbd", {}, each))), element("dd", {}, text)));
  dialog.querySelector("dl").replaceChildren(...rows);
  opener.onclick = () => dialog.showModal();
  dialog.querySelector("button").onclick = () => dialog.close();
  dialog.onclick = (event) => event.target === dialog && dialog.close(); // a click beside it
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.target.matches("input:not([type=range]):not([type=checkbox]), textarea")) return;
    if (dialog.open) dialog.close();
    else dialog.showModal();
  });
}
