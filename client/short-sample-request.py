"""The shortest way in: send one song, say whom to tell, and ask what is in the queue.

python short-sample-request.py [SONG]      REST=host:port says where the service is
"""

import base64
import json
import os
import sys
from pathlib import Path

import jsonpickle
import requests

REST = os.environ.get("REST", "localhost:5000")
song = Path(sys.argv[1] if len(sys.argv) > 1 else "song.mp3")
if not song.is_file():
    sys.exit(f"There is no file {song}; give one: python short-sample-request.py SONG")

request = {
    "mp3": base64.b64encode(song.read_bytes()).decode(),
    "name": song.name,
    "callback": {"url": "http://localhost:5000", "data": {"song": song.name}},
}
try:
    answer = requests.post(
        f"http://{REST}/apiv1/separate",
        data=jsonpickle.encode(request, keys=True),
        headers={"Content-type": "application/json"},
        timeout=300,
    )
except requests.ConnectionError:
    sys.exit(f"Nobody answers at {REST}; is the service up, and REST=host:port right?")
print(f"POST /apiv1/separate answered {answer.status_code}")
print(json.dumps(answer.json(), indent=4, sort_keys=True))

queue = requests.get(f"http://{REST}/apiv1/queue/", timeout=30)
print(f"GET /apiv1/queue/ answered {queue.status_code}")
print(json.dumps(queue.json(), indent=4, sort_keys=True))
sys.exit(0 if answer.ok and queue.ok else 1)
