"""Mixes of a song's stems, which the service makes while they are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from msas_client._http import Transport
from msas_client.errors import NotReachable

_CHUNK = 256 * 1024
_TRIES = 4


def mix_query(
    gains: Mapping[str, float], start: float | None, end: float | None, tempo: float = 1, transpose: int = 0
) -> dict[str, str]:
    """Return the query of a mix: `gains` are factors by stem, `start` and `end` seconds, `transpose` semitones."""
    given: dict[str, Any] = {"start": start, "end": end, "tempo": None if tempo == 1 else tempo}
    query = {name: f"{value:.9f}" for name, value in given.items() if value is not None}
    query |= {"transpose": str(transpose)} if transpose else {}
    return {**query, **({"gains": ",".join(f"{stem}:{gain:.9f}" for stem, gain in gains.items())} if gains else {})}


def save_mix(transport: Transport, url: str, query: Mapping[str, str], path: Path) -> Path:
    """Download a mix as `path`, replacing what is there; the file is there only once it is complete.

    A download that breaks off begins again. Raises NotReachable where it breaks off again and again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    for number in range(_TRIES):
        try:
            with transport.call("GET", url, params=query, stream=True) as answer, unfinished.open("wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
            break
        except requests.RequestException as error:
            unfinished.unlink(missing_ok=True)
            if number == _TRIES - 1:
                raise NotReachable("The download of the mix broke off again and again; try later.") from error
    return unfinished.replace(path)
