"""`msas separate`: many songs at once, sent, waited for and saved, with a bar for each."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from msas_client.answers import Status
from msas_client.client import Client, Job
from msas_client.errors import MsasError, NotReachable
from msas_client.saving import folder_for

DONE, FAILED, UNREACHABLE = 0, 1, 3
_SENDING, _WAITING = 4, 8  # songs at once
_STAGES = {
    "fetching": "fetching the song",
    "decoding": "decoding",
    "separating": "separating",
    "encoding": "encoding stems",
    "storing": "storing stems",
}


class Separating:
    """Sends `songs`, waits for each, saves its stems below `out`. A song that fails is said, and the others go on."""

    def __init__(self, client: Client, out: Path, options: Mapping[str, Any], *, as_json: bool = False) -> None:
        self._client, self._out, self._options, self._as_json = client, out, options, as_json
        self._sent: dict[Path, Job] = {}
        self._over: set[Path] = set()
        self._folders: dict[Path, str] = {}
        self._lock = threading.Lock()
        self._status = DONE
        self._errors = Console(stderr=True)
        columns = (
            TextColumn("{task.fields[song]}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
        )
        self._progress = Progress(
            *columns,
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._errors,
            disable=as_json or not sys.stderr.isatty(),
        )

    def run(self, songs: Sequence[Path]) -> int:
        """Do it; return the exit status: 0 all done, 1 a song failed, 3 the service can not be reached."""
        with self._progress:
            tasks = {song: self._progress.add_task("waiting", total=1.0, song=song.name) for song in songs}
            sending, waiting = ThreadPoolExecutor(_SENDING), ThreadPoolExecutor(_WAITING)
            try:
                sent = [sending.submit(self._send, song, tasks[song]) for song in songs]
                fetched = [
                    waiting.submit(self._fetch, song, tasks[song], job) for song, job in zip(songs, sent, strict=True)
                ]
                for each in fetched:
                    each.result()
            finally:
                for pool in (sending, waiting):
                    pool.shutdown(wait=False, cancel_futures=True)
        return self._status

    def unfinished(self) -> list[tuple[Path, str]]:
        """Return the songs that were sent and are not saved yet, with their hashes."""
        with self._lock:
            return [(song, job.songhash) for song, job in self._sent.items() if song not in self._over]

    def _send(self, song: Path, task: TaskID) -> Job:
        self._progress.update(task, description="sending")
        job = self._client.separate(song, **self._options)
        with self._lock:
            self._sent[song] = job
        return job

    def _fetch(self, song: Path, task: TaskID, sent: Future[Job]) -> None:
        try:
            job = sent.result()
            status = job.wait(on_progress=partial(self._show, task))
            self._progress.update(task, description="saving")
            saved = self._client.save(list(status.tracks), self._folder(status, song.name))
        except (MsasError, OSError) as error:
            self._progress.update(task, description="failed")
            self._say_failed(song, error)
        else:
            self._progress.update(task, completed=1.0, description="done")
            self._say_saved(song, job, saved)
        with self._lock:
            self._over.add(song)

    def _folder(self, status: Status, name: str) -> Path:
        """Return the song's folder; two songs of one name, of this run, do not share one."""
        folder = folder_for(status, self._out, name)
        with self._lock:
            if self._folders.setdefault(folder, status.songhash) != status.songhash:
                folder = folder.with_name(f"{folder.name} {status.songhash[:8]}")
                self._folders[folder] = status.songhash
        return folder

    def _show(self, task: TaskID, status: Status) -> None:
        if status.state == "queued":
            what = f"waiting, number {status.queue_position} in line" if status.queue_position else "waiting"
            if status.eta_seconds is not None:
                what += f", about {status.eta_seconds:.0f} s"
        else:
            what = _STAGES.get(status.stage or "", status.state)
        self._progress.update(task, completed=status.progress, description=what)

    def _say_saved(self, song: Path, job: Job, saved: list[Path]) -> None:
        files = [str(path) for path in saved]
        with self._lock:
            if self._as_json:
                said = {"song": str(song), "hash": job.songhash, "status": "succeeded", "files": files, "error": None}
                print(json.dumps(said), flush=True)
            else:
                print("\n".join(files), flush=True)

    def _say_failed(self, song: Path, error: Exception) -> None:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        with self._lock:
            self._status = UNREACHABLE if isinstance(error, NotReachable) else max(self._status, FAILED)
            if self._as_json:
                job, code = self._sent.get(song), getattr(error, "code", type(error).__name__)
                found: dict[str, Any] = {
                    "song": str(song),
                    "hash": job and job.songhash,
                    "status": "failed",
                    "files": [],
                }
                print(json.dumps({**found, "error": {"code": code, "message": why}}), flush=True)
            else:
                self._errors.print(f"{song}: {why}", style="red", markup=False, highlight=False, soft_wrap=True)
