"""`python -m rest`: runs the REST service, after gevent has patched sockets, threads and locks."""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

from rest.server.run import main  # noqa: E402  # after the patch, since it imports socket, ssl and threading

if __name__ == "__main__":
    sys.exit(main())
