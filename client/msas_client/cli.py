"""The command `msas`: a thin skin over the client."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from msas_client.client import DEFAULT_ADDRESS, Client, Status
from msas_client.errors import MsasError

_STAGES = {
    "fetching": "fetching the song",
    "decoding": "decoding",
    "separating": "separating",
    "encoding": "encoding stems",
    "storing": "storing stems",
}

OPTIONS = {
    "stems": ("NAME,...", "only these stems; default: all of the model's"),
    "two_stems": ("NAME", "this stem and what is left of the song without it"),
    "format": ("FORMAT", "mp3 (the default), wav or flac"),
    "mp3_bitrate": ("KBITS", "default: 320"),
    "bit_depth": ("BITS", "of wav and flac: 16 (the default), 24; wav also 32, which are floats"),
    "overlap": ("SHARE", "by which segments overlap; default: 0.25"),
    "shifts": ("N", "average N shifted separations: better and N times slower; default: 0"),
    "residual": (None, "also what all stems together leave of the song"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0 done, 1 a song failed, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="msas", description="Separate songs into stems with an MSaaS service.")
    commands = parser.add_subparsers(dest="command", required=True)
    separate = commands.add_parser("separate", help="send songs, wait, and save their stems")
    separate.add_argument("songs", nargs="+", type=Path, metavar="SONG", help="any common audio format")
    separate.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="stems become DIR/<songhash>-<stem>.<format>; default: out",
    )
    separate.add_argument("-n", "--name", "--model", dest="model", metavar="MODEL", help="default: the service's own")
    separate.add_argument(
        "--rest",
        default=os.environ.get("REST", DEFAULT_ADDRESS),
        metavar="HOST:PORT",
        help=f"where the service is; default: the variable REST, else {DEFAULT_ADDRESS}",
    )
    add_options(separate)
    chosen = parser.parse_args(arguments)
    options = {name: value for name in OPTIONS if (value := getattr(chosen, name)) is not None}
    try:
        with Client(chosen.rest) as client:
            return separate_songs(client, chosen.songs, chosen.out, chosen.model, options)
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What was sent goes on at the service: the same command fetches it later.", file=sys.stderr
        )
        return 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each of the service's options, which alone knows what it allows."""
    for name, (metavar, about) in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        if metavar:
            parser.add_argument(flag, metavar=metavar, help=about)
        else:
            parser.add_argument(flag, action="store_true", default=None, help=about)


def separate_songs(
    client: Client,
    songs: Sequence[Path],
    out: Path,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Send all `songs`, then wait for each and save its stems in `out`; return the exit status.

    A song that fails is said, and the others go on.
    """
    console, errors = Console(), Console(stderr=True)
    sent: dict[Path, str] = {}
    saved: list[Path] = []
    columns = (TextColumn("{task.fields[song]}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        tasks = {song: progress.add_task("sending", total=1.0, song=song.name) for song in songs}
        failed: set[Path] = set()

        def say(song: Path, error: Exception) -> None:
            failed.add(song)
            progress.update(tasks[song], description="[red]failed")
            why = error.strerror if isinstance(error, OSError) else error
            errors.print(f"{song}: {why}", style="red", markup=False, highlight=False, soft_wrap=True)

        for song in songs:
            try:
                out.mkdir(parents=True, exist_ok=True)
                sent[song] = client.separate(song, model, **(options or {}))
            except (MsasError, OSError) as error:
                say(song, error)
        for song, songhash in sent.items():
            try:
                client.wait(songhash, on_progress=partial(_show, progress, tasks[song]))
                saved += client.download(songhash, out)
            except (MsasError, OSError) as error:
                say(song, error)
    for path in saved:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _show(progress: Progress, task: TaskID, status: Status) -> None:
    if status.state == "queued":
        what = f"waiting, number {status.queue_position} in line" if status.queue_position else "waiting"
    else:
        what = _STAGES.get(status.stage or "", status.state)
    progress.update(task, completed=status.progress, description=what)


if __name__ == "__main__":
    sys.exit(main())
