"""Songs as requests, API keys, and the shape of an error response."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import requests

from msas_client import Client
from rest.middleware.auth import key_digest
from tests.support.audio import RATE, true_waves, write


def problem(answer: requests.Response) -> tuple[int, str]:
    """Return the status and the code of an error response; fail unless it has the shape of an error."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    content = answer.json()
    assert content.keys() == {"title", "detail", "status", "code"}
    assert content["status"] == answer.status_code
    assert content["detail"].endswith(".")
    assert "Traceback" not in answer.text
    return answer.status_code, content["code"]


def as_json(song: bytes, **options: Any) -> dict[str, Any]:
    return {"mp3": base64.b64encode(song).decode(), **options}


def separate(client: Client, song: Path, **options: Any) -> str:
    """Separate a song; return its songhash once it has succeeded."""
    songhash = client.separate(song, **options).songhash
    client.wait(songhash, timeout=120)
    return songhash


def new_song(folder: Path, seconds: float, start: int = RATE) -> bytes:
    """Return a WAV of so many seconds of the real song, from sample `start`. Another length is another song."""
    wave = true_waves()["mixture"][:, start : start + int(seconds * RATE)]
    return write(folder / "new.wav", wave).read_bytes()


KEYS = {"alice": "alices-key", "bob": "bobs-key", "eve": "eves-key"}


API_KEYS = ",".join(f"{name}:{key_digest(key)}" for name, key in KEYS.items())


ALICE, BOB, EVE = ({"Authorization": f"Bearer {key}"} for key in KEYS.values())
