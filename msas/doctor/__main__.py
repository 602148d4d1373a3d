"""`python -m msas.doctor [--json]`: check Redis, the store, the workers, the clocks and the settings.

Exit status: 0 no error, 1 at least one error, 2 invalid settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from msas.doctor.check_access import check_settings
from msas.doctor.check_redis import check_redis
from msas.doctor.check_store import check_store
from msas.doctor.check_workers import check_workers
from msas.doctor.finding import Finding, Verdict
from msas.queue import Queue
from msas.settings import Settings
from msas.store import Store

_MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.ERROR: "✗"}


def run_checks(settings: Settings) -> Iterator[Finding]:
    """Run all checks; change nothing. Checks that need a server which does not answer are skipped."""
    queue = Queue.from_settings(settings)
    yield from check_redis(queue, settings)
    yield from check_store(Store.from_settings(settings, retries=0), settings)
    yield from check_workers(queue, settings)
    yield from check_settings(settings)


def main() -> int:
    """Print each finding; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m msas.doctor", description="Checks the service.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    settings = Settings.from_environment_or_exit()
    found = []
    for finding in run_checks(settings):
        found.append(finding)
        if not as_json:
            print(_MARKS[finding.verdict], finding.message, flush=True)
    failed = any(finding.verdict is Verdict.ERROR for finding in found)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in found]}, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
