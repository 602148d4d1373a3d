"""Signs and checks links to stems, ZIPs and mixes: such a link is a call of its owner that needs no key in a header."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping

from msas.job import SONGHASH

# A download begins seconds after its link is made. The rest is for downloads that the browser resumes, and for clocks
# of pods that differ. Proxies may log a link: it is of no use soon after.
LINK_SECONDS = 600
_METHODS = ("GET", "HEAD")
_PATH = re.compile(
    rf"/apiv1/(track/{SONGHASH.pattern}/[A-Za-z0-9_.-]+|archive/{SONGHASH.pattern}\.zip|mix/{SONGHASH.pattern}\.(mp3|flac|wav))"
)


def is_linkable(path: str) -> bool:
    """Say whether links to `path` can be signed: it is the path of a stem, of the mixture, of a ZIP, or of a mix."""
    return bool(_PATH.fullmatch(path))


def sign(keys: Mapping[str, str], name: str, path: str, expires: int) -> str:
    """Return the link to `path` that counts as a call of `name` until `expires`, in Unix seconds.

    `keys` holds the SHA-256 of each key by name, as Settings.keys() returns them.
    """
    return f"{path}?key={name}&expires={expires}&signature={_signature(keys[name], name, path, str(expires))}"


def find_signer(keys: Mapping[str, str], method: str, path: str, query: Mapping[str, str]) -> str | None:
    """Return whose link was called; None unless its signature is good, it has not expired, and it may be signed."""
    name, expires, given = (query.get(each, "") for each in ("key", "expires", "signature"))
    if method not in _METHODS or not is_linkable(path) or name not in keys:
        return None
    expected = _signature(keys[name], name, path, expires)
    # Only a number that we wrote has a good signature, so that it is read after the check.
    is_good = hmac.compare_digest(expected.encode(), given.encode(errors="replace")) and time.time() < int(expires)
    return name if is_good else None


def _signature(digest: str, name: str, path: str, expires: str) -> str:
    """Return the signature in hex. Its key is the digest of the owner's key: it is void once that key is removed."""
    signed = "\n".join((path, name, expires)).encode(errors="replace")
    return hmac.new(digest.encode(), signed, hashlib.sha256).hexdigest()
