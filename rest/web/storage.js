// What this browser keeps from visit to visit; where it keeps nothing, or has no room, as long as the page is open.

const unkept = new Map();

/** Return what was kept under a name; `otherwise` where there is nothing, or nothing that can be read. */
export function read(name, otherwise) {
  if (unkept.has(name)) return unkept.get(name) ?? otherwise;
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

/** Return all names that begin so and were kept by an earlier visit or another tab. */
export function names(beginning) {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(beginning));
  } catch {
    return [];
  }
}

/** Call `changed` with each name that begins so, whenever another tab keeps something else under it, or forgets it. */
export function follow(beginning, changed) {
  window.addEventListener("storage", ({ key }) => key?.startsWith(beginning) && changed(key));
}
