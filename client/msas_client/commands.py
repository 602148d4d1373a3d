"""The subcommands of `msas` (separate, get, mix, status, queue, rm, models): each prints, returns the exit status."""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from msas_client.batch import DONE, FAILED, Batch, BatchItem, in_a_sentence, in_json
from msas_client.client import DEFAULT_ADDRESS, Client
from msas_client.errors import Refused
from msas_client.inputs import expand_inputs
from msas_client.progress import in_words
from msas_client.types import Model, Status

INTERRUPTED = 130
Command = Callable[[Client, Namespace], int]


def separate(client: Client, chosen: Namespace) -> int:
    songs = expand_inputs(chosen.songs, leave_out=chosen.out)
    wanted = [BatchItem(str(song), song.name, partial(client.separate, song, **chosen.options)) for song in songs]
    return _fetch(Batch(client, chosen.out, wanted, as_json=chosen.json), chosen)


def get(client: Client, chosen: Namespace) -> int:
    wanted = [BatchItem(each, "", partial(client.job, each)) for each in dict.fromkeys(chosen.hashes)]
    return _fetch(Batch(client, chosen.out, wanted, as_json=chosen.json), chosen)


def _fetch(work: Batch, chosen: Namespace) -> int:
    try:
        result = work.run()
    except KeyboardInterrupt:
        _say_how_to_get(work, chosen, "Interrupted. The service goes on with what it has; fetch it later with")
        _leave(INTERRUPTED)
    _say_how_to_get(work, chosen, "The service still has what follows; fetch it later with")
    return result


def _say_how_to_get(work: Batch, chosen: Namespace, why: str) -> None:
    """Print, for each song that the service has and we have not, the line that brings its stems."""
    where = f" --rest {shlex.quote(chosen.rest)}" if chosen.rest != (os.environ.get("REST") or DEFAULT_ADDRESS) else ""
    if left := work.left_behind():
        print(f"\n{why}", file=sys.stderr)
        for label, songhash in left:
            comment = f"    # {label}" if label != songhash else ""
            print(f"  msas get {songhash} -o {shlex.quote(str(chosen.out))}{where}{comment}", file=sys.stderr)
    if unsent := work.unsent():
        print(f"\nNot sent: {', '.join(unsent)}", file=sys.stderr)


def _leave(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads that wait for the service would keep us here


def status(client: Client, chosen: Namespace) -> int:
    result = DONE
    for songhash in chosen.hashes:
        try:
            found = client.status(songhash)
        except Refused as error:
            result = FAILED
            if chosen.json:
                print(json.dumps({"hash": songhash, "error": in_json(error)}))
            else:
                print(f"{songhash}: {in_a_sentence(error)}", file=sys.stderr)
        else:
            print(json.dumps(found.as_json()) if chosen.json else _line(found))
    return result


def _line(found: Status) -> str:
    line = f"{found.songhash}  {found.state}"
    if not found.over:
        line += f": {in_words(found)}, {100 * found.progress:.0f} %"
    why = f": {found.error['message']}" if found.error else ""
    return f"{line}{why}  {found.name}".rstrip()


def queue(client: Client, chosen: Namespace) -> int:
    waiting = client.queue()
    print(json.dumps({"queue": waiting}) if chosen.json else "\n".join(waiting) or "Nothing waits.")
    return DONE


def mix(client: Client, chosen: Namespace) -> int:
    out = chosen.out or Path(f"{chosen.hash[:8]}-mix.mp3")
    path = client.mix(chosen.hash, out, dict(chosen.gain), chosen.start, chosen.end, chosen.tempo, chosen.transpose)
    print(json.dumps({"hash": chosen.hash, "file": str(path)}) if chosen.json else path)
    return DONE


def remove(client: Client, chosen: Namespace) -> int:
    client.remove(chosen.hash, chosen.stem)
    what = f"the stem {chosen.stem} of {chosen.hash}" if chosen.stem else chosen.hash
    found: dict[str, Any] = {"hash": chosen.hash, "stem": chosen.stem, "removed": True}
    print(json.dumps(found) if chosen.json else f"Removed {what}.")
    return DONE


def _facts(model: Model) -> dict[str, str]:
    size = f"{model.size_mb:.0f} MB, " if model.size_mb else ""
    seconds = model.seconds_per_minute
    return {
        "licence of the weights": model.licence,
        "weights": f"{size}{'in the cache' if model.cached else 'downloaded at first use'}",
        "origin": model.origin,
        "quality": model.quality,
        "speed": f"{seconds:.1f} s of computing for a minute of song" if seconds else "",
    }


def models(client: Client, chosen: Namespace) -> int:
    for model in client.models():
        if chosen.json:
            print(json.dumps(asdict(model)))
        else:
            print(f"{model.name}{' (default)' if model.default else ''}: {', '.join(model.stems)}\n  {model.about}")
            print("".join(f"  {name}: {fact}\n" for name, fact in _facts(model).items() if fact), end="")
    return DONE
