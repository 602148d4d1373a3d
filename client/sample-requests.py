"""Send every song of a folder, then ask for the queue and for each song's status.

python sample-requests.py [FOLDER]      REST=host:port says where the service is; FOLDER is `data` by default
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import jsonpickle
import requests

REST = os.environ.get("REST", "localhost:5000")
SUFFIXES = {".mp3", ".wav", ".flac", ".m4a", ".ogg", ".mp4"}


def call(method: str, route: str, content: Any = None) -> dict[str, Any]:
    """Call `route` with `content` as JSON; print the answer and return it. Ends the script where it is an error."""
    try:
        answer = requests.request(
            method,
            f"http://{REST}/{route}",
            data=jsonpickle.encode(content, keys=True),
            headers={"Content-type": "application/json"},
            timeout=300,
        )
    except requests.ConnectionError:
        sys.exit(f"Nobody answers at {REST}; is the service up, and REST=host:port right?")
    print(f"{method} /{route} answered {answer.status_code}")
    print(json.dumps(answer.json(), indent=4, sort_keys=True))
    if not answer.ok:
        sys.exit(1)
    found: dict[str, Any] = answer.json()
    return found


def main(folder: Path) -> None:
    songs = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not songs:
        sys.exit(f"There are no songs in {folder}; give a folder: python sample-requests.py FOLDER")
    hashes = []
    for song in songs:
        request = {
            "mp3": base64.b64encode(song.read_bytes()).decode(),
            "name": song.name,
            "callback": {"url": "http://localhost:5000", "data": {"song": song.name, "note": "to be returned"}},
        }
        hashes.append(call("POST", "apiv1/separate", request)["hash"])
    call("GET", "apiv1/queue")
    for songhash in hashes:
        call("GET", f"apiv1/status/{songhash}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
