// Making DOM elements; formatting times and sizes for people.

import { ICONS } from "./third_party/lucide/icons.js";

/** Make an element: `properties` by name, attributes where the name has a dash or is `role`; then its children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Make a button. */
export function button(text, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, text);
}

/** Make an icon, which screen readers ignore. */
export function icon(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [attribute, value] of [["viewBox", "0 0 24 24"], ["class", "icon"], ["aria-hidden", "true"]]) made.setAttribute(attribute, value);
  made.innerHTML = ICONS[name] ?? ICONS.any;
  return made;
}

/** Make a button with an icon; its text is for screen readers, and its title tells what it does. */
export function iconButton(name, text, onclick, properties = {}) {
  const made = element("button", { type: "button", onclick, title: text, ...properties });
  setLabel(made, name, text, true);
  return made;
}

/** Give an element an icon and a text, which only screen readers get if it is `hidden`. */
export function setLabel(target, name, text, hidden = false) {
  const label = `${name} ${text}${hidden ? " hidden" : ""}`;
  if (target.dataset.label === label) return;
  target.dataset.label = label;
  target.replaceChildren(icon(name), element("span", { className: hidden ? "visually-hidden" : "" }, text));
}

/** Set a property only if its value changes: a screen reader announces every change, and the focus may get lost. */
export function set(target, name, value) {
  if (target[name] !== value) target[name] = value;
}

/** Format a time: 65.4 seconds are 1:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Format a rough duration: 75 seconds are 2 min. */
export function roughly(seconds) {
  return seconds < 60 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.ceil(seconds / 60)} min`;
}

/** Format a file's size: 2345678 bytes are 2.3 MB. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
