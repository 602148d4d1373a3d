"""The client: one method for each thing a caller does with a song."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests

from msas_client.errors import Failed, MsasError, NotReachable, Refused

DEFAULT_ADDRESS = "localhost:5000"
_CONNECT_SECONDS, _READ_SECONDS = 5, 300
_CHUNK = 256 * 1024
_LONGEST_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Track:
    """A finished stem: its name, its path on the service, its size in bytes, its length in seconds."""

    name: str
    url: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Status:
    """How a song is doing. `state` is queued, running, succeeded, failed or cancelled; `progress` 0 to 1."""

    songhash: str
    state: str
    stage: str | None
    progress: float
    queue_position: int | None
    eta_seconds: float | None
    model: str | None
    tracks: tuple[Track, ...]
    error: dict[str, str] | None

    @property
    def over(self) -> bool:
        return self.state not in ("queued", "running")


class Client:
    """Talks to the service at `address`, host:port or a whole URL. Every method raises MsasError's kinds."""

    def __init__(self, address: str = DEFAULT_ADDRESS) -> None:
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._session = requests.Session()
        # A proxy for the outside, as the environment may name one, can not reach this machine's own services.
        self._session.trust_env = urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def separate(
        self, song: str | Path, model: str | None = None, callback: dict[str, Any] | None = None, **options: Any
    ) -> str:
        """Send the file `song` for separation; return its songhash at once.

        `options` are the service's: stems, two_stems, format, mp3_bitrate, bit_depth, overlap, shifts, residual.
        """
        path = Path(song)
        request: dict[str, Any] = {"mp3": base64.b64encode(path.read_bytes()).decode(), "name": path.name, **options}
        if model:
            request["model"] = model
        if callback:
            request["callback"] = callback
        songhash: str = self._call("POST", "/apiv1/separate", json=request).json()["hash"]
        return songhash

    def status(self, songhash: str) -> Status:
        """Ask how the song is doing."""
        found = self._call("GET", f"/apiv1/status/{songhash}").json()
        return Status(
            songhash=found["hash"],
            state=found["status"],
            stage=found["stage"],
            progress=found["progress"],
            queue_position=found["queue_position"],
            eta_seconds=found["eta_seconds"],
            model=found["model"],
            tracks=tuple(Track(t["name"], t["url"], t["bytes"], t["seconds"]) for t in found["tracks"]),
            error=found["error"],
        )

    def wait(
        self,
        songhash: str,
        timeout: float | None = None,
        on_progress: Callable[[Status], None] | None = None,
    ) -> Status:
        """Wait until the song is separated; calls `on_progress` with each status on the way.

        Raises Failed where it could not be separated, TimeoutError after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            status = self.status(songhash)
            if on_progress:
                on_progress(status)
            if status.over:
                break
            if until and time.monotonic() > until:
                raise TimeoutError(f"{songhash} is still {status.state} after {timeout:g} seconds.")
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_POLL_SECONDS)
        if status.state != "succeeded":
            error = status.error or {"code": status.state, "message": f"The song was {status.state}."}
            raise Failed(error["message"], error["code"])
        return status

    def download(self, songhash: str, folder: str | Path, stem: str | None = None) -> list[Path]:
        """Save the song's stems, or the one called `stem`, as FOLDER/<songhash>-<stem>.<format>; return the paths."""
        tracks = [track for track in self.status(songhash).tracks if stem in (None, track.name)]
        if not tracks:
            raise MsasError(f"{songhash} has no stem to download{f' called {stem}' if stem else ''}.")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [self._save(track, folder / f"{songhash}-{track.url.rpartition('/')[2]}") for track in tracks]

    def remove(self, songhash: str, stem: str | None = None) -> None:
        """Remove the song with all its stems from the service, or only the one called `stem`."""
        self._call("DELETE", f"/apiv1/remove/{songhash}" + (f"/{stem}" if stem else ""))

    def queue(self) -> list[str]:
        """Return the songhashes that wait, oldest first."""
        waiting: list[str] = self._call("GET", "/apiv1/queue").json()["queue"]
        return waiting

    def models(self) -> dict[str, Any]:
        """Return the models on offer (`models`: name, stems, about) and the `default` one's name."""
        offered: dict[str, Any] = self._call("GET", "/apiv1/models").json()
        return offered

    def _save(self, track: Track, path: Path) -> Path:
        """Download under another name first, so that a file that is there is whole."""
        unfinished = path.with_name(path.name + ".part")
        with self._call("GET", track.url, stream=True) as answer, unfinished.open("wb") as file:
            try:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
            except requests.RequestException as error:
                raise NotReachable(f"The download of {track.name} broke off; try again.") from error
        unfinished.replace(path)
        return path

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            answer = self._session.request(
                method, self.url + path, timeout=(_CONNECT_SECONDS, _READ_SECONDS), **arguments
            )
        except requests.RequestException as error:
            raise NotReachable(f"No answer from {self.url} ({type(error).__name__}); is the service up?") from error
        if answer.ok:
            return answer
        raise _refused(answer)


def _refused(answer: requests.Response) -> Refused:
    try:
        problem = answer.json()
        return Refused(problem["detail"], problem["code"], answer.status_code)
    except (ValueError, KeyError, TypeError):
        return Refused(f"The service answered {answer.status_code} {answer.reason}.", "unknown", answer.status_code)
