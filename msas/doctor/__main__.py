"""`python -m msas.doctor [--json]`: look at Redis, the store, the workers, the clocks and the settings.

Exit status: 0 nothing is wrong, 1 something is, 2 the settings can not be understood.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from msas.doctor.check_redis import redis_findings
from msas.doctor.check_settings import setting_findings
from msas.doctor.check_store import store_findings
from msas.doctor.check_workers import worker_findings
from msas.doctor.finding import Finding, Verdict
from msas.queue import Queue
from msas.settings import Settings, SettingsError
from msas.store import Store

_MARKS = {Verdict.WELL: "✓", Verdict.LOOK: "!", Verdict.WRONG: "✗"}


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at everything, and change nothing; what follows from a server that does not answer is left out."""
    queue = Queue.from_settings(settings)
    yield from redis_findings(queue, settings)
    yield from store_findings(Store.from_settings(settings, retries=0), settings)
    yield from worker_findings(queue, settings)
    yield from setting_findings(settings)


def main() -> int:
    """Print each finding as it is made; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m msas.doctor", description="Says whether all is well.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    found = []
    for finding in findings(settings):
        found.append(finding)
        if not as_json:
            print(_MARKS[finding.verdict], finding.sentence, flush=True)
    sick = any(finding.verdict is Verdict.WRONG for finding in found)
    if as_json:
        print(json.dumps({"well": not sick, "findings": [asdict(finding) for finding in found]}, indent=1))
    return int(sick)


if __name__ == "__main__":
    sys.exit(main())
