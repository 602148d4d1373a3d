"""`python -m tests.support.fake_rest`: REST with the faults of tests/support/process_faults.py."""

from __future__ import annotations

import sys

import rest.__main__  # first: it patches what the others import
import rest.server
from tests.support import process_faults

if __name__ == "__main__":
    process_faults.install()
    sys.exit(rest.server.main())
