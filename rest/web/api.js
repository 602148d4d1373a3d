// The service: every call with the key, every failure in its own words.

import { read, write } from "./storage.js";

const KEY = "msas.key";

/** What the service refused: `code` is stable, the message is for people. `retryAfter` in seconds, or null. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "" }, retryAfter = null) {
    super(detail || `The service answered with ${status}.`);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether a good key is needed. Calls without one get `too_many` where many came from the same address. */
  get locked() {
    return this.status === 401 || (this.code === "too_many" && !key.get());
  }

  /** Whether the same call may succeed a little later. */
  get passing() {
    return this.status === 429 || this.status >= 502;
  }
}

/** What was fetched in part is another file now. */
export class Changed extends Error {
  constructor() {
    super("The song was separated again meanwhile.");
  }
}

/** The service did not answer at all. */
export class Away extends Error {
  passing = true;
  retryAfter = null;
  constructor() {
    super("The service can't be reached.");
  }
}

export const key = {
  get: () => String(read(KEY, "")),
  set: (value) => write(KEY, value),
  forget: () => write(KEY, null),
  /** Whether it can be sent at all: what was copied along with a key may be a letter that no header can hold. */
  fits: (value) => /^[\x21-\x7e]+$/.test(value),
};

/** The headers that every call takes along. */
export function credentials() {
  return key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
}

/** Call the service; return its answer, 304 among them. Raises Problem, Away, or an AbortError. */
export async function call(path, { headers = {}, ...options } = {}) {
  let answer;
  const given = new Headers({ ...headers, ...credentials() });
  try {
    answer = await fetch(path, { ...options, headers: given });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Away();
  }
  if (answer.ok || answer.status === 304) return answer;
  throw problem(answer.status, await content(answer, "text"), answer.headers.get("Retry-After"));
}

/** Read an answer's body, as `json`, `text` or `arrayBuffer`: one that breaks off is no better than none. */
export async function content(answer, kind) {
  try {
    return await answer[kind]();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Away();
  }
}

/** Read a refusal; what stands between us and the service may answer in other words than its own. */
export function problem(status, text, retryAfter) {
  let said = {};
  try {
    said = JSON.parse(text) ?? {};
  } catch {
    // a proxy's page
  }
  return new Problem(status, said, Number(retryAfter) || null);
}

/** How long to wait before the next try, in ms: as long as the service said, else twice as long each time. */
export function backoff(error, failures) {
  return error.retryAfter ? error.retryAfter * 1000 : Math.min(30_000, 500 * 2 ** failures);
}

/** Have the browser download a file by a signed link, which brings no key along. Each link works for minutes only. */
export async function download(path) {
  const headers = { "Content-Type": "application/json" };
  const answer = await call("/apiv1/links", { method: "POST", headers, body: JSON.stringify({ paths: [path] }) });
  const [href] = (await content(answer, "json")).links;
  Object.assign(document.createElement("a"), { href, download: "" }).click();
}
