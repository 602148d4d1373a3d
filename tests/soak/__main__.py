"""`python -m tests.soak [--minutes 20] [--seed 1]`: the whole service under random faults.

Clients post songs over HTTP without a pause and delete some. Every few seconds a fault meets a worker, Redis, REST or
the store: it is killed, paused, told to stop, cut off, silenced, slowed down or emptied. Then the faults end, and each
accepted job is checked. The last line counts:

    jobs    accepted and not deleted           lost   of these, unknown or failed, unless by six lost workers
    half    published without all its stems, served with other bytes than its report names, or deleted in part
    stuck   not ended a minute after the last fault
    twice   separations beyond the first of each job (work done again, never published twice)
    recover seconds from the SIGKILL of a worker until its job ran again or had ended
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msas.settings import Settings
from tests.soak.clients import Clients
from tests.soak.faults import FAULTS, STALL
from tests.soak.fleet import Fleet
from tests.soak.verdict import judge
from tests.support.faultproxy import FaultProxy
from tests.support.own_store import OwnStore
from tests.support.refusing_store import RefusingStore
from tests.support.rig import Rig

PAUSE = (0.5, 3.0)  # seconds from one fault to the next


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    print(f"soak: {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="msas-soak-"))
    with OwnStore(folder / "store") as store:
        status = run(folder, store, chosen.minutes * 60, chosen.seed)
    if status == 0:
        shutil.rmtree(folder)
    else:
        print(f"The logs of every process, and faults.log, are in {folder}", file=sys.stderr)
    return status


def run(folder: Path, store: OwnStore, seconds: float, seed: int) -> int:
    """Inject faults for `seconds`; print the counts; return the exit status."""
    with RefusingStore(store.settings.minio_host, lambda *_: None) as refusing, ExitStack() as stack:
        host, port = refusing.address.split(":")
        store_proxy, redis_proxy = FaultProxy((host, int(port))), FaultProxy(("127.0.0.1", 0))
        spoiled: Settings = replace(store.settings, minio_host=f"127.0.0.1:{store_proxy.port}")
        times: dict[str, Any] = {"reconcile_seconds": 1.0, "stall_seconds": STALL}
        rig = stack.enter_context(Rig(folder / "rig", spoiled, redis_port=redis_proxy.port, **times))
        redis_proxy.target = ("127.0.0.1", rig.own_redis_port)
        fleet = Fleet(rig, store, refusing, redis_proxy, store_proxy, seed)
        clients = Clients(rig, seed)
        with clients.posting():
            _inject(fleet, clients, seconds)
        fleet.calm()
        return judge(fleet, clients)


def _inject(fleet: Fleet, clients: Clients, seconds: float) -> None:
    until, told = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < until:
        time.sleep(fleet.dice.uniform(*PAUSE))
        _inject_one(fleet)
        fleet.keep_up()
        if time.monotonic() - told > 30:
            told = time.monotonic()
            left = (until - told) / 60
            print(f"  {left:4.1f} min left, {len(clients.accepted)} jobs, {fleet.counts.total()} faults", flush=True)


def _inject_one(fleet: Fleet) -> None:
    name = fleet.dice.choice(sorted(FAULTS))
    fleet.counts[name] += 1
    with (fleet.rig.folder / "faults.log").open("a") as log:
        log.write(f"{datetime.now(UTC).isoformat()} {name}\n")
    FAULTS[name](fleet)


if __name__ == "__main__":
    sys.exit(main())
