"""`python -m tests.containers`: build our images before the tests; exit with 3 where no container can be run."""

from __future__ import annotations

import sys

from tests.containers.podman import Podman, missing

if why := missing():
    print(f"Containers can't be run here: {why}.")
    sys.exit(3)
Podman().build_ours()
