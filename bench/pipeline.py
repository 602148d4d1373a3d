"""Our pipeline from a file to files: all that a worker does to a song, with a folder in the store's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from msas.cost import SongLimits
from msas.job import Job
from msas.models import LITE
from msas.options import Options
from msas.report import Report
from msas.settings import Settings
from msas.store import Store
from msas.store.conditional import Readable
from msas.store.stems import Attempt
from worker.engines import Engine, Samples, demucs
from worker.engines.lite import LiteEngine
from worker.engines.runtime import Runtime
from worker.pipeline import separation
from worker.watchdog import Watchdog

_CHUNK = 1 << 20


class FolderStore:
    """Stands where the store does: stems become files, the song is the one given."""

    def __init__(self, song: Path, out: Path) -> None:
        self._song, self._out = song, out

    def retrying(self, _: object) -> FolderStore:
        return self

    def fetch_song(self, _: str, path: Path) -> None:
        path.symlink_to(self._song.absolute())

    def begin_attempt(self, songhash: str) -> Attempt:
        return Attempt(songhash, "", True, "")

    def put_stem(self, _: str, stem: str, extension: str, file: Readable, __: str) -> None:
        with (self._out / f"{stem}.{extension}").open("wb") as there:
            while chunk := file.read(_CHUNK):
                there.write(chunk)

    def put_peaks(self, peaks: dict[str, Any], _: str) -> None:
        (self._out / "peaks.json").write_text(json.dumps(peaks))

    def put_report(self, report: Report, _: str) -> bool:
        (self._out / "report.json").write_text(json.dumps(report.to_json(), indent=1))
        return True

    def end_attempt(self, _: Attempt) -> None:
        pass

    def remove_attempt(self, _: Attempt) -> None:
        pass


class NoControl:
    """Stands where the heartbeat does: nobody is told, nothing ends the work."""

    def note_progress(self, *_: object) -> None:
        pass

    def confirm(self) -> None:
        pass

    def pause(self) -> None:
        pass


class NoEncoder:
    """Stands where an encoder does, to measure what the encoders cost."""

    clipped, frame = 0, 1152

    def begin(self) -> bytes:
        return b""

    def encode(self, _: Samples) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def starts(self, _: int) -> list[int]:
        return []

    def close(self) -> None:
        pass


def load(model: str, repo: Path, settings: Settings) -> Engine:
    """Load an engine as a worker does."""
    runtime = Runtime(settings)
    if model == LITE.name:
        return LiteEngine(settings.cache_dir.expanduser(), runtime)
    return demucs.load(model, repo, runtime)


def separate(engine: Engine, song: Path, out: Path) -> Report:
    """Separate the file `song` into MP3s in the folder `out`; return the report."""
    out.mkdir(parents=True, exist_ok=True)
    job, store = Job("0" * 56), cast(Store, FolderStore(song, out))
    watches, limits = (NoControl(), Watchdog(3600)), SongLimits.from_settings(Settings())
    return separation.separate_song(job, Options(engine.name), engine, store, *watches, str(out), limits)


def leave_out_the_encoders() -> None:
    """Let `separate` do everything but encode, in this process."""
    separation.open_encoder = lambda *_: NoEncoder()  # type: ignore[attr-defined]
