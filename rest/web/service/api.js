// Calls to the service: adds the API key to each one, turns failures into errors with a message for people.

import { read, write } from "../storage.js";

const KEY = "msas.key";

/** An error response of the service: `code` is stable, the message is for people, `retryAfter` is in seconds or null. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "" }, retryAfter = null) {
    super(detail || `The service answered with ${status}.`);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether the call needs a valid key. Calls without one get `too_many` if many came from the same address. */
  get needsKey() {
    return this.status === 401 || (this.code === "too_many" && !key.get());
  }

  /** Whether the same call may succeed later. */
  get temporary() {
    return this.status === 429 || this.status >= 502;
  }
}

/** A range was requested of a stem that the service has replaced by another one. */
export class StemReplaced extends Error {
  constructor() {
    super("The song was separated again meanwhile.");
  }
}

/** The service did not respond. */
export class Unreachable extends Error {
  temporary = true;
  retryAfter = null;
  constructor() {
    super("The service can't be reached.");
  }
}

export const key = {
  get: () => String(read(KEY, "")),
  set: (value) => write(KEY, value),
  forget: () => write(KEY, null),
  /** Whether an HTTP header can hold this value: a copied key may contain other characters. */
  isValid: (value) => /^[\x21-\x7e]+$/.test(value),
};

/** Return the headers that authenticate a call. */
export function credentials() {
  return key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
}

/** Call the service; return its response, also one of 304. Throws Problem, Unreachable or an AbortError. */
export async function call(path, { headers = {}, ...options } = {}) {
  let response;
  const allHeaders = new Headers({ ...headers, ...credentials() });
  try {
    response = await fetch(path, { ...options, headers: allHeaders });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable();
  }
  if (response.ok || response.status === 304) return response;
  throw toProblem(response.status, await readBody(response, "text"), response.headers.get("Retry-After"));
}

/** Read a response's body as `json`, `text` or `arrayBuffer`. A body that breaks off throws Unreachable. */
export async function readBody(response, kind) {
  try {
    return await response[kind]();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable();
  }
}

/** Make a Problem of an error response. A proxy may send a body that is no problem document. */
export function toProblem(status, text, retryAfter) {
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // not JSON: the page of a proxy
  }
  return new Problem(status, body, Number(retryAfter) || null);
}

/** The pause before the next attempt, in ms: the service's Retry-After, or a pause that doubles with each failure. */
export function backoff(error, failures) {
  return error.retryAfter ? error.retryAfter * 1000 : Math.min(30_000, 500 * 2 ** failures);
}

/** Have the browser download a file by a signed link, for it can't send the key. A link is valid for minutes. */
export async function download(url) {
  const [path, query] = url.split("?");
  const headers = { "Content-Type": "application/json" };
  const response = await call("/apiv1/links", { method: "POST", headers, body: JSON.stringify({ paths: [path] }) });
  const [link] = (await readBody(response, "json")).links;
  const href = query ? `${link}${link.includes("?") ? "&" : "?"}${query}` : link;
  Object.assign(document.createElement("a"), { href, download: "" }).click();
}
