"""The caller's side of MSaaS.

>>> from msas_client import Client
>>> client = Client("localhost:5000")
>>> songhash = client.separate("song.mp3")
>>> client.wait(songhash)
>>> client.download(songhash, "out")
"""

from msas_client.client import Client, Status, Track
from msas_client.errors import Failed, MsasError, NotReachable, Refused

__all__ = ["Client", "Failed", "MsasError", "NotReachable", "Refused", "Status", "Track"]
