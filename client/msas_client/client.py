"""The classes Client and Job: a method for each thing that a caller does with a song."""

from __future__ import annotations

import json
import mimetypes
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from msas_client._http import SENDING, Transport
from msas_client.downloads import place_for, save, stem_path
from msas_client.errors import Failed, NotFound, NotReady
from msas_client.mixes import mix_query, save_mix
from msas_client.types import Model, Status, Track

DEFAULT_ADDRESS = "localhost:5000"
MIX_FORMATS = (".mp3", ".flac", ".wav")
_POLL_SECONDS = 20  # at the service, which answers at once where there is news
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # ours, where it answers at once without any
_NOT_MODIFIED = 304


@dataclass(frozen=True)
class Job:
    """A song that was sent; what `Client.separate` returns. Its text is its songhash."""

    client: Client
    songhash: str

    def __str__(self) -> str:
        return self.songhash

    def status(self) -> Status:
        """Ask how the song is doing."""
        return self.client.status(self.songhash)

    def wait(self, timeout: float | None = None, on_progress: Callable[[Status], None] | None = None) -> Status:
        """Wait until the song is separated, as `Client.wait` does."""
        return self.client.wait(self.songhash, timeout, on_progress)

    def download(self, folder: str | Path, stem: str | None = None) -> list[Path]:
        """Save the stems, as `Client.download` does."""
        return self.client.download(self.songhash, folder, stem)

    def remove(self) -> None:
        """Remove the song and its stems from the service; where it waits or is in work, that ends."""
        self.client.remove(self.songhash)


class Client:
    """Talks to the service at `address`, host:port or a whole URL, with `key` where it wants one.

    Every method raises MsasError's kinds. One client may serve several threads.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, key: str | None = None) -> None:
        self._transport = Transport(address, key)
        self.url = self._transport.url

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.__exit__(kind, error, trace)

    def separate(
        self,
        song: str | Path,
        model: str | None = None,
        callback: dict[str, Any] | None = None,
        *,
        wait: bool = False,
        on_progress: Callable[[Status], None] | None = None,
        **options: Any,
    ) -> Job:
        """Send the file `song`, streamed, for separation; with `wait`, return once its stems are there.

        `options` are the service's: stems, two_stems, format, mp3_bitrate, bit_depth, overlap, shifts, residual.
        """
        path = Path(song)
        name = path.name.encode(errors="replace").decode()  # a file's name may be no Unicode
        given: dict[str, Any] = {"name": name, "model": model, **options}
        if callback:
            given["callback"] = json.dumps(callback)
        query = {name: _as_text(value) for name, value in given.items() if value is not None}
        kind = mimetypes.guess_type(path.name)[0] or ""
        headers = {"Content-Type": kind if kind.startswith(("audio/", "video/")) else "application/octet-stream"}
        with path.open("rb") as file:
            # requests sends an empty file in chunks, whose length nobody knows
            body: Any = file if path.stat().st_size else b""
            answer = self._transport.call(
                "POST", "/apiv1/separate", params=query, data=body, headers=headers, timeout=SENDING
            )
        job = Job(self, self._transport.read(lambda found: str(found["hash"]), answer))
        if wait:
            job.wait(on_progress=on_progress)
        return job

    def job(self, songhash: str) -> Job:
        """Return the job of a song that was sent before."""
        return Job(self, songhash)

    def status(self, song: str | Job) -> Status:
        """Ask how the song is doing."""
        return self._transport.read(Status.from_json, self._transport.call("GET", _path("status", song)))

    def wait(
        self, song: str | Job, timeout: float | None = None, on_progress: Callable[[Status], None] | None = None
    ) -> Status:
        """Wait until the song is separated; calls `on_progress` with each status on the way.

        Raises Failed where it could not be separated, TimeoutError after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        tag, status, pause = "", None, _SHORTEST_PAUSE
        while True:
            left = _POLL_SECONDS if until is None else max(0.0, min(_POLL_SECONDS, until - time.monotonic()))
            since: dict[str, Any] = {"params": {"wait": left}, "headers": {"If-None-Match": tag}} if tag else {}
            answer = self._transport.call("GET", _path("status", song), **since)
            if answer.status_code != _NOT_MODIFIED or status is None:
                status = self._transport.read(Status.from_json, answer)
                tag, pause = answer.headers.get("ETag", ""), _SHORTEST_PAUSE
                if on_progress:
                    on_progress(status)
                if status.over:
                    return _succeeded(status)
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"{song} is still {status.state} after {timeout:g} seconds.")
            time.sleep(pause if until is None else max(0.0, min(pause, until - time.monotonic())))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def download(self, song: str | Job, folder: str | Path, stem: str | None = None) -> list[Path]:
        """Save the song's stems, or the one called `stem`, as FOLDER/{model}/{song}/{stem}.{format}; return the paths.

        What is there already is not fetched again; a download that broke off goes on where it did; where another
        song's stems lie there, {song} gets the first digits of its hash behind it.
        Raises NotReady before the song is separated, Failed where it could not be, NotFound without such a stem.
        """
        status = self.status(song)
        if not status.over:
            raise NotReady(f"The song is {status.state}; wait until it is separated.", "not_ready", 409)
        found = _succeeded(status).tracks
        wanted = [track for track in found if stem in (None, track.name)]
        if not wanted:
            has = ", ".join(track.name for track in found) or "none"
            raise NotFound(f"The song has no such stem; it has: {has}.", "unknown_stem", 404)
        return self.save(wanted, self.place_for(replace(status, tracks=tuple(wanted)), Path(folder)))

    def place_for(self, status: Status, out: Path, name: str = "", taken: Container[Path] = ()) -> Path:
        """Return the folder in which `download` saves: OUT/{model}/{song}, unless it is taken by another song."""
        return place_for(self._transport, status, out, name, taken)

    def save(self, tracks: Iterable[Track], folder: Path) -> list[Path]:
        """Save these stems as FOLDER/{stem}.{format}; return the paths."""
        return [save(self._transport, track, stem_path(track, folder)) for track in tracks]

    def mix(
        self,
        song: str | Job,
        path: str | Path,
        gains: Mapping[str, float] | None = None,
        start: float | None = None,
        end: float | None = None,
        tempo: float = 1,
        transpose: int = 0,
    ) -> Path:
        """Save a mix of the song's stems as `path`, whose suffix is the format: .mp3, .flac or .wav.

        `gains` are factors, 0 to 15.85 (24 dB); stems without one have 1. `start` and `end` are in seconds.
        `tempo` is a factor, 0.5 to 1.5; `transpose` -6 to 6 semitones, which drums keep out of.
        Raises ValueError for another suffix, NotReady, NotFound, Refused.
        """
        target = Path(path)
        if target.suffix not in MIX_FORMATS:
            raise ValueError(f"A mix is one of {', '.join(MIX_FORMATS)}, not {target.suffix!r}.")
        query = mix_query(gains or {}, start, end, tempo, transpose)
        return save_mix(self._transport, _path("mix", f"{song}{target.suffix}"), query, target)

    def remove(self, song: str | Job, stem: str | None = None) -> None:
        """Remove the song with all its stems from the service, or only the one called `stem`."""
        self._transport.call("DELETE", _path("remove", song, *([stem] if stem else [])))

    def queue(self) -> list[str]:
        """Return the songhashes that wait, oldest first."""
        answer = self._transport.call("GET", "/apiv1/queue")
        return self._transport.read(lambda found: list(found["queue"]), answer)

    def models(self) -> list[Model]:
        """Return the models on offer, the default one first."""
        return self._transport.read(Model.all_from_json, self._transport.call("GET", "/apiv1/models"))


def _succeeded(status: Status) -> Status:
    if status.state != "succeeded":
        error = status.error or {"code": status.state, "message": f"The song was {status.state}."}
        raise Failed(error["message"], error["code"])
    return status


def _path(*parts: object) -> str:
    return "/".join(["/apiv1", *(quote(str(part), safe="") for part in parts)])


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
