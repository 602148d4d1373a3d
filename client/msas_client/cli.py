"""The command `msas`: a thin skin over the client."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msas_client.client import DEFAULT_ADDRESS, Client
from msas_client.errors import MsasError, NotReachable
from msas_client.options import add_options
from msas_client.separating import DONE, FAILED, UNREACHABLE, Separating
from msas_client.songs import songs_of

_INTERRUPTED = 130
_EXIT = "exit status: 0 done, 1 a song failed, 2 wrong usage, 3 the service can not be reached, 130 interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        with Client(chosen.rest, chosen.key) as client:
            status: int = chosen.run(client, chosen)
            return status
    except (MsasError, OSError) as error:
        print(error, file=sys.stderr)
        return UNREACHABLE if isinstance(error, NotReachable) else FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="msas", description="Separate songs into stems with an MSaaS service.", epilog=_EXIT
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, epilog=_EXIT)
        made.set_defaults(run=run)
        where = made.add_argument_group("the service")
        rest, key = os.environ.get("REST", DEFAULT_ADDRESS), os.environ.get("MSAS_API_KEY")
        where.add_argument(
            "--rest", metavar="HOST:PORT", default=rest, help=f"default: the variable REST, else {DEFAULT_ADDRESS}"
        )
        where.add_argument("--key", default=key, help="where it wants one; default: the variable MSAS_API_KEY")
        made.add_argument("--json", action="store_true", help="print JSON, one object a line, and no progress")
        return made

    separate = command("separate", _separate, "send songs, wait, and save their stems")
    separate.add_argument("songs", nargs="+", metavar="SONG", help="files, patterns, folders; any common format")
    _add_out(separate)
    add_options(separate)
    status = command("status", _status, "say how songs are doing")
    status.add_argument("hashes", nargs="+", metavar="HASH")
    command("queue", _queue, "list the songs that wait, oldest first")
    get = command("get", _get, "wait for songs that were sent before, and save their stems")
    get.add_argument("hashes", nargs="+", metavar="HASH")
    _add_out(get)
    remove = command("rm", _remove, "remove a song with its stems, or one stem, from the service")
    remove.add_argument("hash", metavar="HASH")
    remove.add_argument("stem", nargs="?", metavar="STEM")
    command("models", _models, "list the models on offer")
    return parser


def _add_out(parser: argparse.ArgumentParser) -> None:
    about = "stems become DIR/{model}/{song}/{stem}.{format}; default: out"
    parser.add_argument("-o", "--out", type=Path, default=Path("out"), metavar="DIR", help=about)


def _separate(client: Client, chosen: argparse.Namespace) -> int:
    work = Separating(client, chosen.out, chosen.options, as_json=chosen.json)
    try:
        return work.run(songs_of(chosen.songs))
    except KeyboardInterrupt:
        print("\nInterrupted. What was sent goes on at the service; fetch it later with", file=sys.stderr)
        for song, songhash in work.unfinished():
            print(f"  msas get {songhash} -o {chosen.out}    # {song.name}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(_INTERRUPTED)  # threads that wait for the service would keep us here


def _get(client: Client, chosen: argparse.Namespace) -> int:
    for songhash in chosen.hashes:
        client.wait(songhash)
        files = [str(path) for path in client.download(songhash, chosen.out)]
        print(json.dumps({"hash": songhash, "files": files}) if chosen.json else "\n".join(files))
    return DONE


def _status(client: Client, chosen: argparse.Namespace) -> int:
    for songhash in chosen.hashes:
        found = client.status(songhash)
        if chosen.json:
            print(json.dumps(asdict(found)))
            continue
        line = f"{found.songhash}  {found.state}"
        if found.state == "queued" and found.queue_position:
            line += f", number {found.queue_position} in line"
        elif found.state == "running":
            line += f", {found.stage}, {100 * found.progress:.0f} %"
        eta = "" if found.eta_seconds is None else f", about {found.eta_seconds:.0f} s left"
        why = f": {found.error['message']}" if found.error else ""
        print(f"{line}{eta}{why}  {found.name}".rstrip())
    return DONE


def _queue(client: Client, chosen: argparse.Namespace) -> int:
    waiting = client.queue()
    print(json.dumps({"queue": waiting}) if chosen.json else "\n".join(waiting) or "Nothing waits.")
    return DONE


def _remove(client: Client, chosen: argparse.Namespace) -> int:
    client.remove(chosen.hash, chosen.stem)
    what = f"the stem {chosen.stem} of {chosen.hash}" if chosen.stem else chosen.hash
    print(json.dumps({"hash": chosen.hash, "removed": chosen.stem or "song"}) if chosen.json else f"Removed {what}.")
    return DONE


def _models(client: Client, chosen: argparse.Namespace) -> int:
    for model in client.models():
        if chosen.json:
            print(json.dumps(asdict(model)))
        else:
            print(f"{model.name}{' (default)' if model.default else ''}: {', '.join(model.stems)}\n  {model.about}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
