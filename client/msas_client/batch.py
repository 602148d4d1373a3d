"""Separates many songs for the command: sends, waits and saves in parallel, and prints each result when it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock

from msas_client.client import Client, Job
from msas_client.errors import Busy, Failed, MsasError, NotFound, NotReachable, Refused
from msas_client.progress import ProgressBars, in_words
from msas_client.types import Status

DONE, FAILED, UNREACHABLE = 0, 1, 3
_SENDING, _WAITING = 4, 8  # songs at once


@dataclass(frozen=True, eq=False)
class BatchItem:
    """A song whose stems are wanted: what to call it, its file's name, where that is known, and how to get its job."""

    label: str
    name: str
    job: Callable[[], Job]


class Batch:
    """Brings the stems of `songs` below `out`. What goes wrong with one is said, and the others go on."""

    def __init__(self, client: Client, out: Path, songs: Sequence[BatchItem], *, as_json: bool = False) -> None:
        self._client, self._out, self._songs, self._as_json = client, out, songs, as_json
        self._bars = ProgressBars(len(songs), quiet=as_json)
        self._changed = Condition()
        self._sent: dict[BatchItem, Job] = {}
        self._over: set[BatchItem] = set()
        self._lost: set[BatchItem] = set()  # to us; the service has them
        self._folders: dict[Path, tuple[str, Lock]] = {}
        self._choosing = Lock()
        self._status = DONE

    def run(self) -> int:
        """Do it; return the exit status: 0 all done, 1 a song failed, 3 the service can not be reached."""
        with self._bars:
            sending, waiting = ThreadPoolExecutor(_SENDING), ThreadPoolExecutor(_WAITING)
            try:
                jobs = [sending.submit(self._begin, song) for song in self._songs]
                ends = [waiting.submit(self._finish, *each) for each in zip(self._songs, jobs, strict=True)]
                for end in ends:
                    end.result()
            finally:
                for pool in (sending, waiting):
                    pool.shutdown(wait=False, cancel_futures=True)
        return self._status

    def left_behind(self) -> list[tuple[str, str]]:
        """Return the labels and songhashes of those that the service has, and whose stems we have not."""
        with self._changed:
            return [(song.label, job.songhash) for song, job in self._sent.items() if song not in self._over]

    def unsent(self) -> list[str]:
        """Return the labels of those that were not sent."""
        with self._changed:
            return [song.label for song in self._songs if song not in self._sent and song not in self._over]

    def _begin(self, song: BatchItem) -> Job:
        """Get the song's job. Where the service has no room, wait for one of ours to end: it is we who fill it."""
        while True:
            over = len(self._over)
            self._bars.show(song, song.label, "sending")
            try:
                job = song.job()
                break
            except Busy:
                self._bars.show(song, song.label, "waiting until the service has room")
                if not self._wait_for_room(over):
                    raise
        with self._changed:
            self._sent[song] = job
        return job

    def _wait_for_room(self, over: int) -> bool:
        """Wait until more than `over` of ours have ended; return False where none of ours is on its way."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._over) > over or not self._on_their_way())
            return len(self._over) > over

    def _on_their_way(self) -> bool:
        return any(song not in self._over | self._lost for song in self._sent)

    def _finish(self, song: BatchItem, sent: Future[Job]) -> None:
        lost = False
        try:
            job = sent.result()
            status = job.wait(
                on_progress=lambda now: self._bars.show(song, song.label, in_words(now), now.progress),
            )
            self._bars.show(song, song.label, "saving", 1.0)
            files = self._save(song, status)
        except (MsasError, OSError) as error:
            lost = not isinstance(error, Failed | Refused) or isinstance(error, Busy)
            self._say_failed(song, error)
        else:
            self._say_saved(song, job, files)
        self._bars.end(song)
        with self._changed:
            (self._lost if lost and song in self._sent else self._over).add(song)
            self._changed.notify_all()

    def _save(self, song: BatchItem, status: Status) -> list[Path]:
        if not status.tracks:
            raise NotFound("The song's stems were removed; send it again.", "unknown_stem", 404)
        with self._choosing:
            taken = {folder for folder, (songhash, _) in self._folders.items() if songhash != status.songhash}
            folder = self._client.place_for(status, self._out, song.name, taken)
            _, alone = self._folders.setdefault(folder, (status.songhash, Lock()))
        with alone:  # one song may be among ours twice
            return self._client.save(status.tracks, folder)

    def _say_saved(self, song: BatchItem, job: Job, files: list[Path]) -> None:
        paths = [str(path) for path in files]
        self._bars.print(_object(song, job, files=paths) if self._as_json else "\n".join(paths))

    def _say_failed(self, song: BatchItem, error: MsasError | OSError) -> None:
        with self._changed:
            self._status = UNREACHABLE if isinstance(error, NotReachable) else max(self._status, FAILED)
            job = self._sent.get(song)
        if self._as_json:
            self._bars.print(_object(song, job, error=in_json(error)))
        else:
            self._bars.complain(f"{song.label}: {in_a_sentence(error, song.label)}")


def _object(song: BatchItem, job: Job | None, files: Sequence[str] = (), error: dict[str, str] | None = None) -> str:
    """Return the line of JSON for a song that is over."""
    what = {"song": song.label, "hash": job and job.songhash, "status": "failed" if error else "succeeded"}
    return json.dumps({**what, "files": list(files), "error": error})


def in_a_sentence(error: MsasError | OSError, about: str = "") -> str:
    """Return what went wrong, for people; they know already that it is `about` that file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if str(error.filename or about) != about else error.strerror
    return str(error)


def in_json(error: MsasError | OSError) -> dict[str, str]:
    """Return what went wrong, for programs."""
    return {"code": getattr(error, "code", "file_error"), "message": in_a_sentence(error)}
