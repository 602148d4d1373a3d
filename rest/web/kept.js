// What this browser keeps from visit to visit; where it keeps nothing, or has no room, as long as the page is open.

const unkept = new Map();

/** Return what was kept under a name; `otherwise` where there is nothing, or nothing that can be read. */
export function read(name, otherwise) {
  if (unkept.has(name)) return unkept.get(name);
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Keep a value under a name; null forgets it. */
export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
    unkept.delete(name);
  } catch {
    unkept.set(name, value);
  }
}

/** Call `changed` whenever another tab of this browser keeps something else under the name. */
export function follow(name, changed) {
  window.addEventListener("storage", (event) => event.key === name && changed());
}
