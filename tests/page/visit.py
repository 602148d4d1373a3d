"""A visit to the page: what a person sees, does and hears there, and what must never happen."""

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

# What each song's line said, in order; and the gain of each track, in the order that they are listed.
_WITNESS = """
window.said = [];
window.gains = [];
document.addEventListener("securitypolicyviolation", (event) => violated(event.violatedDirective));
new MutationObserver(() => {
  for (const { textContent } of document.querySelectorAll(".words")) said.push(textContent);
}).observe(document, { subtree: true, childList: true, characterData: true });
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (this instanceof GainNode && to instanceof GainNode) gains.push(this);
  return connect.call(this, to, ...rest);
};
"""
# Records the left channel of every track, from before the first sound on.
_TAPE = """async () => {
  const { context } = gains[0];
  const code = `registerProcessor("tape", class extends AudioWorkletProcessor {
    process(inputs) {
      this.port.postMessage(inputs.map((each) => each[0]?.slice() ?? new Float32Array(128)));
      return true;
    }
  });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "tape", { numberOfInputs: gains.length });
  window.tape = [];
  node.port.onmessage = ({ data }) => tape.push(data);
  gains.forEach((gain, i) => gain.connect(node, 0, i));
  node.connect(context.destination);
}"""
_REWIND = """() => gains.map((_, i) => {
  const bytes = new Uint8Array(new Float32Array(tape.flatMap((each) => [...each[i]])).buffer);
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

# What the browser keeps of the songs, the newest first.
_KEPT = """Object.entries(localStorage).filter(([name]) => name.startsWith("msas.song."))
  .map(([, kept]) => JSON.parse(kept)).sort((one, other) => other.since - one.since)"""
_OPEN = """() => gains.forEach(({ gain }) => {
  gain.linearRampToValueAtTime = () => {};
  gain.cancelScheduledValues(0);
  gain.value = 1;
})"""
# Where a waveform is drawn, row by row of its canvas: how many points of each are inked.
_INKED = """each => {
  const { data } = each.getContext("2d").getImageData(0, 0, each.width, each.height);
  return Array.from({ length: each.height }, (_, y) => {
    let inked = 0;
    for (let x = 0; x < each.width; x++) inked += data[4 * (y * each.width + x) + 3] > 0;
    return inked;
  });
}"""


class Visit:
    """One tab on the page; `hosts` are those that it asked for anything, `errors` what its console complained of, and
    `failed` the calls that the browser itself complained of there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.failed: list[str] = []
        self.violations: list[str] = []
        self.hosts = set[str]()
        page.on("console", lambda said: self._hear(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.expose_function("violated", lambda directive: self.violations.append(directive))
        page.add_init_script(_WITNESS)

    def _hear(self, text: str) -> None:
        (self.failed if text.startswith("Failed to load resource") else self.errors).append(text)

    def go(self, fragment: str = "") -> None:
        self.page.goto(self.url + fragment)

    def ready(self) -> None:
        """Wait until the models are known."""
        self.until(lambda: self.page.locator("#model option").count() > 0)

    def until(self, condition: Any, seconds: float = 30) -> None:
        """Wait, letting the browser's events come in."""

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

    def words(self, name: str) -> str:
        found = self.item(name).locator(".words")
        return found.inner_text() if found.count() else ""

    def press(self, name: str, within: Locator | None = None) -> None:
        (within or self.page).get_by_role("button", name=name, exact=True).click()

    def done(self, name: str, seconds: float = 60) -> None:
        self.until(lambda: self.words(name).startswith("Done"), seconds)

    def said(self) -> list[str]:
        return cast(list[str], self.page.evaluate("said"))

    def songhash(self) -> str:
        """Return the hash of the song on top, as this browser keeps it; empty where it has none."""
        return cast(str, self.page.evaluate(_KEPT)[0]["hash"] or "")

    def position(self) -> float:
        return cast(float, self.page.locator(".position").evaluate("each => each.valueAsNumber"))

    def levels(self) -> list[float]:
        """Return how loud each track is right now, as an AnalyserNode shows it."""
        return cast(list[float], self.page.evaluate(_LEVELS))

    def shape(self, name: str) -> list[int]:
        """Return how many points are inked in each row of the track's waveform."""
        return cast(list[int], self.page.locator(f".{name} canvas").evaluate(_INKED))

    def drawn(self, name: str) -> None:
        """Wait until the track's waveform is there, and neither blank nor the line that silence is."""

        def has_waves() -> bool:
            rows = self.shape(name)
            away = len(rows) // 20  # from the middle
            return sum(rows[: len(rows) // 2 - away]) > 30 and sum(rows[len(rows) // 2 + away + 1 :]) > 30

        self.until(has_waves)

    def calls(self, part: str) -> list[str]:
        """Return a list of the calls, from now on, whose URL holds `part`; it grows."""
        found: list[str] = []
        self.page.on("request", lambda request: found.append(request.url) if part in request.url else None)
        return found

    def focused(self) -> str:
        """Return the words on what has the keyboard's focus."""
        return cast(str, self.page.evaluate("document.activeElement.textContent"))

    def serious(self, *rules: str) -> list[str]:
        """Return what axe-core finds that keeps somebody out, by these of its rules, or by all."""
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found: dict[str, Any] = Axe().run(self.page, options=options).response
        grave = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        return [f"{each['id']}: {node['html']}" for each in grave for node in each["nodes"]]

    def open_all(self) -> None:
        """Let every track be heard at full volume, whatever is muted."""
        self.page.evaluate(_OPEN)

    def start_tape(self) -> None:
        self.page.evaluate(_TAPE)

    def tape(self) -> Wave:
        """Return what was heard of each track, shape (tracks, samples)."""
        found = cast(list[str], self.page.evaluate(_REWIND))
        return np.stack([np.frombuffer(base64.b64decode(each), np.float32) for each in found])


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open the page in a browser that never saw it; afterwards nothing was violated, and nobody else was asked."""
    with browser.new_context(**options) as context:
        visit = Visit(context.new_page(), url)
        yield visit
        assert visit.violations == []
        assert visit.hosts <= {urlsplit(url).netloc, ""}
        assert visit.errors == [], visit.errors
        assert visit.failed == [], visit.failed
