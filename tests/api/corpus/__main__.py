"""`python -m tests.api.corpus [FOLDER]`: print the table as a page, or write songs and requests into FOLDER."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.api.corpus import CASES, page


def main(arguments: list[str]) -> int:
    """Do so; return the exit status."""
    if not arguments:
        print(page(), end="")
        return 0
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(CASES, 1):
        name = f"{number:03} {re.sub(r'[^A-Za-z0-9]+', '-', case.name).strip('-')[:80]}"
        (folder / f"{name}.http").write_bytes(case.wire())
        if case.file:
            (folder / f"{name}.{case.suffix}").write_bytes(case.file())
    print(f"{len(CASES)} cases are in {folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
