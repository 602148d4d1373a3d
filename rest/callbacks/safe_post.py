"""POSTs to a URL that a caller gave, over a connection to an address that was checked (no SSRF).

The name is resolved once, every address that it has is checked, and the connection goes to one that was checked:
a name server that changes its answer changes nothing. No redirect is followed, and no proxy asked.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from rest.callbacks.address_policy import Address, AddressPolicy, Resolve, resolve, unmap_ipv4
from rest.callbacks.deadline import Deadline, ResponseTooLarge, TimedConnection

_MOST_ADDRESSES = 8
_MOST_BYTES = 64 * 1024
_FREE_PORTS = 1024  # from here on they belong to no protocol
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class Refused(Exception):
    """We do not send anything there, today or later; the text is a sentence that says why."""


class Failed(Exception):
    """It did not come off, but may another time; the text is a sentence that says why."""


@dataclass(frozen=True)
class Target:
    """What a URL means to us. `host` is in lower case, without the brackets and the last dot that it may have."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def from_url(cls, url: object) -> Target:
        """Read a URL. Raises Refused, with the reason, where it is none that we send anything to."""
        try:
            parts = urlsplit(url if isinstance(url, str) else "")
            name, port = parts.hostname or "", parts.port
            host = (name if ":" in name else name.encode("idna").decode()).rstrip(".").lower()
            path = quote((parts.path or "/") + ("?" + parts.query if parts.query else ""), safe="/?%:@!$&'()*+,;=-._~")
        except ValueError:
            raise Refused("The callback's URL can not be read; check its host, its port and its letters.") from None
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == 0:
            raise Refused("The callback's URL must be http:// or https:// with a good host and a port above 0.")
        if port is not None and port < _FREE_PORTS and port not in (80, 443):
            raise Refused("The callback's port must be 80, 443 or above 1023: the others belong to other protocols.")
        if parts.username is not None or parts.password is not None:
            raise Refused("The callback's URL must not hold a user or password; put a token into its path or query.")
        secure = parts.scheme == "https"
        return cls(secure, host, port or (443 if secure else 80), path)

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class CallbackHttp:
    """Sends POSTs, each of them in `seconds` at most, all told: names, connection, TLS, request and answer."""

    def __init__(
        self,
        policy: AddressPolicy,
        resolve: Resolve = resolve,
        seconds: float = 10.0,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._policy, self._resolve, self._seconds, self._trust = policy, resolve, seconds, trust

    def post(self, url: object, body: bytes, headers: Mapping[str, str]) -> int:
        """Send `body` and return the status of the answer, whatever it is. What else is in the answer is thrown away.

        Raises Refused where it must not be sent, Failed where it could not.
        """
        target, deadline = Target.from_url(url), Deadline(self._seconds)
        try:
            with self._connect(target, self._checked(target, deadline), deadline) as connected:
                return _exchange(target, TimedConnection(connected, deadline, _MOST_BYTES), body, headers)
        except TimeoutError:
            raise Failed(f"The receiver took longer than {self._seconds:g} s.") from None
        except ResponseTooLarge:
            raise Failed(f"The receiver's headers are larger than {_MOST_BYTES // 1024} kB.") from None
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"The receiver's certificate is not to be trusted: {error.verify_message}.") from None
        except ssl.SSLError as error:
            raise Failed(f"The receiver does not speak TLS as it should ({error.reason or 'it hung up'}).") from None
        except ConnectionRefusedError:
            raise Failed("The receiver refuses connections; is it running, and is the port right?") from None
        except HTTPException:
            raise Failed("The receiver gave no answer, or one that is not HTTP.") from None
        except OSError as error:
            raise Failed(f"The connection to the receiver failed ({error.strerror or 'it broke off'}).") from None

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._trust()  # reads all authorities of the system: once, and only where TLS is spoken

    def _checked(self, target: Target, deadline: Deadline) -> list[Address]:
        """Return the addresses of the host. Raises Refused where we may not reach one of them.

        No sentence names an address: callers are not to learn from us what names mean in our own network.
        """
        addresses = [unmap_ipv4(ip_address(text)) for text in self._addresses(target, deadline)]
        if not all(self._policy.allows(target.host, address) for address in addresses):
            raise Refused(
                "The callback's host is not on the public Internet; "
                "ask the operator to name it in CALLBACK_ALLOW_HOSTS, or give another."
            )
        return addresses[:_MOST_ADDRESSES]

    def _addresses(self, target: Target, deadline: Deadline) -> Sequence[str]:
        """Resolve the host in a thread of its own, for the system's resolver knows no deadline."""
        answers = queue.SimpleQueue[Sequence[str] | OSError]()

        def look() -> None:
            try:
                answers.put(self._resolve(target.host, target.port))
            except (OSError, ValueError) as error:  # ValueError: the name can not be encoded
                answers.put(OSError(str(error)))

        threading.Thread(target=look, daemon=True).start()
        try:
            found = answers.get(timeout=deadline.left())
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, OSError) or not found:
            raise Failed("The callback's host has no address; check its name.")
        return found

    def _connect(self, target: Target, addresses: Sequence[Address], deadline: Deadline) -> socket.socket:
        """Return a connection to the first address that takes one; with TLS, to who proves to be the host."""
        for number, address in enumerate(addresses, start=1):
            share = deadline.left() / (len(addresses) - number + 1)
            try:
                # An address in digits: nothing is resolved any more.
                connected = socket.create_connection((str(address), target.port), share)
                break
            except OSError:
                if number == len(addresses):
                    raise
        if not target.secure:
            return connected
        try:
            connected.settimeout(deadline.left())
            return self._context.wrap_socket(connected, server_hostname=target.host)
        except BaseException:
            connected.close()
            raise


class _Connected(HTTPConnection):
    """HTTP over a connection that is there already; it never makes one of its own."""

    def __init__(self, target: Target, connection: TimedConnection) -> None:
        super().__init__(target.host, target.port)
        self._connection: Any = connection

    def connect(self) -> None:
        self.sock = self._connection


def _exchange(target: Target, connection: TimedConnection, body: bytes, headers: Mapping[str, str]) -> int:
    http = _Connected(target, connection)
    http.request("POST", target.path, body, {"Host": target.authority, "Connection": "close", **headers})
    with http.getresponse() as answer:
        with suppress(OSError, HTTPException, ResponseTooLarge):
            answer.read()  # not for us: some servers take it ill when nobody reads them to the end
        return answer.status
