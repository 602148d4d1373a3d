"""`python -m rest.mix`: the process that makes one mix.

Standard input is a socket: a line with a MixPlan comes in; a line of JSON goes out, `{}` or a problem's `code` and
`detail`, and then the bytes of the mix. The exit status is 0 where all of them were sent. The other side closing the
socket ends the process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from itertools import chain

from msas.errors import Problem, UnknownStem
from msas.settings import Settings
from msas.store import Store
from msas.store.s3_errors import ObjectMissing
from rest.mix.mixing import encode_mix
from rest.mix.plan import MixPlan

_NICENESS = 5  # requests come first


def main() -> int:
    """Make the mix that the other side of the socket asks for; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the parent process, whose end is ours
    os.nice(_NICENESS)
    with socket.socket(fileno=sys.stdin.fileno()) as parent:
        plan = MixPlan.from_json(parent.makefile("rb").readline())
        try:
            _send(parent, plan)
        except ConnectionError:
            return 1  # the parent does not want the rest
    return 0


def _send(parent: socket.socket, plan: MixPlan) -> None:
    chunks = encode_mix(Store.from_settings(Settings.from_environment(plan.settings)), plan)
    try:
        first = next(chunks)
    except ObjectMissing:
        problem: Problem = UnknownStem("The store has lost a stem of this mix; ask for the song's status.")
        parent.sendall(_line({"code": problem.code, "detail": problem.detail}))
    except Problem as error:
        parent.sendall(_line({"code": error.code, "detail": error.detail}))
    else:
        parent.sendall(_line({}))
        for chunk in chain([first], chunks):
            parent.sendall(chunk)


def _line(content: dict[str, str]) -> bytes:
    return json.dumps(content).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
