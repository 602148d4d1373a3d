"""`python -m tests.support.fake_rest`: REST with the faults of tests/support/process_faults.py."""

from __future__ import annotations

import sys

import rest.__main__  # noqa: F401  # first: it patches what the others import
from rest.server.run import main
from tests.support import process_faults

if __name__ == "__main__":
    process_faults.install()
    sys.exit(main())
