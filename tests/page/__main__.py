"""`python -m tests.page`: have a Chromium, Debian's own; the exit status is 0 where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.page import CHROMIUM

if not shutil.which(CHROMIUM) and shutil.which("apt-get") and os.geteuid() == 0:
    print("Installing Debian's Chromium ...", flush=True)
    install = ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(command, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
if not shutil.which(CHROMIUM):
    sys.exit("There is no Chromium: install the package chromium, as root.")
