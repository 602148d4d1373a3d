"""Progress bars on the terminal: one for each song, and one for all songs."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from msas_client.types import Status

_STAGES = {
    "loading model": "loading the model",
    "fetching": "fetching the song",
    "decoding": "decoding",
    "separating": "separating",
    "encoding": "encoding stems",
    "storing": "storing stems",
}
_LONGEST_LABEL = 40


class ProgressBars:
    """Shown on stderr, and only where both it and stdout are terminals. Threads may share it."""

    def __init__(self, songs: int, *, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stdout.isatty() and sys.stderr.isatty()
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.fields[label]}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._shown,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._all = self._progress.add_task("", total=songs, label="all songs") if songs > 1 else None
        self._of: dict[Hashable, TaskID] = {}
        self._lock = Lock()

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, song: Hashable, label: str, what: str, share: float = 0.0) -> None:
        """Say what happens to `song`, of which `share`, 0 to 1, is done."""
        with self._lock:
            if song not in self._of:
                short = label if len(label) <= _LONGEST_LABEL else "…" + label[1 - _LONGEST_LABEL :]
                self._of[song] = self._progress.add_task(what, total=1.0, label=short)
        self._progress.update(self._of[song], completed=share, description=what)

    def end(self, song: Hashable) -> None:
        """The song is over: its bar goes, so that those of the others have room."""
        with self._lock:
            if (task := self._of.pop(song, None)) is not None:
                self._progress.remove_task(task)
        if self._all is not None:
            self._progress.advance(self._all)

    def print(self, text: str) -> None:
        """Print a result: on stdout, above the bars where there are any."""
        if self._shown:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            with self._lock:  # print writes the end of the line by itself
                print(text, flush=True)

    def complain(self, text: str) -> None:
        """Print on stderr what went wrong."""
        self._console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def in_words(status: Status) -> str:
    """Return what a song that is not over is doing."""
    if status.state == "queued":
        what = f"waiting, number {status.queue_position} in line" if status.queue_position else "waiting"
    else:
        what = _STAGES.get(status.stage or "", status.state)
    if status.eta_seconds is not None:
        what += f", about {status.eta_seconds:.0f} s left"
    return what
