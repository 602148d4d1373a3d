"""Drives one tab of the page, and checks that it never violates its policy, logs an error or contacts another host."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from tests.support.audio import Wave
from tests.support.processes import eventually

# Collects each status text that was shown, in order, and the gain node of each track, in the order of the list.
_OBSERVE = """
window.statuses = [];
window.gains = [];
document.addEventListener("securitypolicyviolation", (event) => violated(event.violatedDirective));
new MutationObserver(() => {
  for (const { textContent } of document.querySelectorAll(".status")) statuses.push(textContent);
}).observe(document, { subtree: true, childList: true, characterData: true });
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (this instanceof GainNode && to instanceof GainNode) gains.push(this);
  return connect.call(this, to, ...rest);
};
"""
# Records the left channel of every track, from before the first sound on.
_START_RECORDING = """async () => {
  const { context } = gains[0];
  const code = `registerProcessor("recorder", class extends AudioWorkletProcessor {
    process(inputs) {
      this.port.postMessage(inputs.map((each) => each[0]?.slice() ?? new Float32Array(128)));
      return true;
    }
  });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "recorder", { numberOfInputs: gains.length });
  window.recorded = [];
  node.port.onmessage = ({ data }) => recorded.push(data);
  gains.forEach((gain, i) => gain.connect(node, 0, i));
  node.connect(context.destination);
}"""
_RECORDED = """() => gains.map((_, i) => {
  const bytes = new Uint8Array(new Float32Array(recorded.flatMap((each) => [...each[i]])).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
})"""
_LEVELS = """() => Promise.all(gains.map(async (gain) => {
  const analyser = gain.context.createAnalyser();
  gain.connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 150));
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  gain.disconnect(analyser);
  return Math.max(...samples.map(Math.abs));
}))"""
_DROP = """([name, content]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, { type: "audio/mpeg" }));
  for (const kind of ["dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.getElementById("drop").dispatchEvent(event);
  }
}"""

# The songs that the browser stores, the newest first.
_STORED = """Object.entries(localStorage).filter(([name]) => name.startsWith("msas.song."))
  .map(([, kept]) => JSON.parse(kept)).sort((one, other) => other.since - one.since)"""
_UNMUTE_ALL = """() => gains.forEach(({ gain }) => {
  gain.linearRampToValueAtTime = () => {};
  gain.cancelScheduledValues(0);
  gain.value = 1;
})"""
# The number of painted pixels in each row of a canvas.
_INKED_ROWS = """each => {
  const { data } = each.getContext("2d").getImageData(0, 0, each.width, each.height);
  return Array.from({ length: each.height }, (_, y) => {
    let inked = 0;
    for (let x = 0; x < each.width; x++) inked += data[4 * (y * each.width + x) + 3] > 0;
    return inked;
  });
}"""


class Visit:
    """One tab on the page; `hosts` are all that it contacted, `errors` the errors in its console, and `failed` those
    that the browser itself logs there for calls that failed."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.failed: list[str] = []
        self.violations: list[str] = []
        self.hosts = set[str]()
        page.on("console", lambda message: self._note_error(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.expose_function("violated", lambda directive: self.violations.append(directive))
        page.add_init_script(_OBSERVE)

    def _note_error(self, text: str) -> None:
        (self.failed if text.startswith("Failed to load resource") else self.errors).append(text)

    def open(self, fragment: str = "") -> None:
        self.page.goto(self.url + fragment)

    def wait_until_ready(self) -> None:
        """Wait until the models are known."""
        self.until(lambda: self.page.locator("#model option").count() > 0)

    def until(self, condition: Any, seconds: float = 30) -> None:
        """Wait until the condition holds, while the browser's events are handled."""

        def holds() -> object:
            self.page.wait_for_timeout(20)
            return condition()

        eventually(holds, seconds)

    def drop(self, song: Path) -> None:
        self.page.evaluate(_DROP, [song.name, base64.b64encode(song.read_bytes()).decode()])

    def choose(self, *songs: Path) -> None:
        self.page.set_input_files("#files", [str(song) for song in songs])

    def item(self, name: str) -> Locator:
        return self.page.locator(".song", has=self.page.locator("h3", has_text=name))

    def status(self, name: str) -> str:
        found = self.item(name).locator(".status")
        return found.inner_text() if found.count() else ""

    def press(self, name: str, within: Locator | None = None) -> None:
        (within or self.page).get_by_role("button", name=name, exact=True).click()

    def wait_until_done(self, name: str, seconds: float = 60) -> None:
        self.until(lambda: self.status(name).startswith("Done"), seconds)

    def statuses(self) -> list[str]:
        return cast(list[str], self.page.evaluate("statuses"))

    def songhash(self) -> str:
        """Return the stored hash of the topmost song; empty if it has none."""
        return cast(str, self.page.evaluate(_STORED)[0]["hash"] or "")

    def position(self) -> float:
        return cast(float, self.page.locator(".position").evaluate("each => each.valueAsNumber"))

    def levels(self) -> list[float]:
        """Return each track's present peak level, measured by an AnalyserNode."""
        return cast(list[float], self.page.evaluate(_LEVELS))

    def inked_rows(self, name: str) -> list[int]:
        """Return the number of painted pixels in each row of the track's waveform."""
        return cast(list[int], self.page.locator(f".{name} canvas").evaluate(_INKED_ROWS))

    def wait_for_waveform(self, name: str) -> None:
        """Wait until the track's waveform is painted, and neither blank nor a line of silence."""

        def has_waves() -> bool:
            rows = self.inked_rows(name)
            away = len(rows) // 20  # from the middle
            return sum(rows[: len(rows) // 2 - away]) > 30 and sum(rows[len(rows) // 2 + away + 1 :]) > 30

        self.until(has_waves)

    def calls(self, part: str) -> list[str]:
        """Return a list that grows with each later call whose URL contains `part`."""
        found: list[str] = []
        self.page.on("request", lambda request: found.append(request.url) if part in request.url else None)
        return found

    def focused(self) -> str:
        """Return the text of the element that has the focus."""
        return cast(str, self.page.evaluate("document.activeElement.textContent"))

    def axe_violations(self, *rules: str) -> list[str]:
        """Return the serious and critical violations that axe-core finds with these rules, or with all."""
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found: dict[str, Any] = Axe().run(self.page, options=options).response
        grave = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        return [f"{each['id']}: {node['html']}" for each in grave for node in each["nodes"]]

    def unmute_all(self) -> None:
        """Set every gain to 1, also those of muted tracks."""
        self.page.evaluate(_UNMUTE_ALL)

    def start_recording(self) -> None:
        self.page.evaluate(_START_RECORDING)

    def recording(self) -> Wave:
        """Return what was recorded of each track, shape (tracks, samples)."""
        found = cast(list[str], self.page.evaluate(_RECORDED))
        return np.stack([np.frombuffer(base64.b64decode(each), np.float32) for each in found])


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open the page in a new browser context; check at the end that it did nothing that it must not do."""
    with browser.new_context(**options) as context:
        visit = Visit(context.new_page(), url)
        yield visit
        assert visit.violations == []
        assert visit.hosts <= {urlsplit(url).netloc, ""}
        assert visit.errors == [], visit.errors
        assert visit.failed == [], visit.failed
