"""`python -m tests.containers`: say whether these tests can be run here; the exit status is 0 where they can."""

from __future__ import annotations

import sys

from tests.containers.podman import missing

if why := missing():
    print(f"Containers can't be run here: {why}.")
sys.exit(bool(why))
