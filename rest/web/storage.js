// Values in localStorage, as JSON; in memory where the browser refuses to store them.

const inMemory = new Map();

/** Return the value stored under a name; `fallback` if there is none, or none that is JSON. */
export function read(name, fallback) {
  if (inMemory.has(name)) return inMemory.get(name) ?? fallback;
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Store a value under a name; null removes it. */
export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
    inMemory.delete(name);
  } catch {
    inMemory.set(name, value);
  }
}

/** Return all names in localStorage that begin with `prefix`. */
export function namesWith(prefix) {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(prefix));
  } catch {
    return [];
  }
}

/** Call `onChange` with each name that begins with `prefix`, whenever another tab stores or removes its value. */
export function watch(prefix, onChange) {
  window.addEventListener("storage", ({ key }) => key?.startsWith(prefix) && onChange(key));
}
