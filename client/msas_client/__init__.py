"""Python client of MSaaS: what `import msas_client` offers.

>>> from msas_client import Client
>>> client = Client("localhost:5000")
>>> job = client.separate("song.mp3", stems=["vocals"], format="flac", wait=True)
>>> job.download("out")
"""

from msas_client.client import Client, Job
from msas_client.errors import (
    BadSong,
    Busy,
    Failed,
    MsasError,
    NotFound,
    NotReachable,
    NotReady,
    Refused,
    Unauthorized,
)
from msas_client.types import Model, Status, Track

__all__ = [
    "BadSong",
    "Busy",
    "Client",
    "Failed",
    "Job",
    "Model",
    "MsasError",
    "NotFound",
    "NotReachable",
    "NotReady",
    "Refused",
    "Status",
    "Track",
    "Unauthorized",
]
