"""`python -m rest.keys NAME...`: makes API keys for callers, and prints each with the value of API_KEYS."""

from __future__ import annotations

import secrets
import sys

from rest.middleware.auth import key_digest


def main(names: list[str]) -> int:
    """Print a new key for each name; return the exit status."""
    if not names:
        print("Say whose key: python -m rest.keys NAME...", file=sys.stderr)
        return 2
    entries = []
    for name in names:
        key = f"msas_{secrets.token_urlsafe(32)}"
        entries.append(f"{name}:{key_digest(key)}")
        print(f"{name}'s key, shown this once: {key}")
    print(f"API_KEYS={','.join(entries)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
