"""What can go wrong for a caller."""

from __future__ import annotations


class MsasError(Exception):
    """
    MsasError
    ├── NotReachable   nobody answers at that address, or the connection broke
    ├── Refused        the service said no; `code` and `status` say why
    └── Failed         the song was taken, but could not be separated; `code` says why
    """


class NotReachable(MsasError):
    """Nobody answers at that address, or the connection broke."""


class Refused(MsasError):
    """The service answered with a problem: its stable `code`, the HTTP `status`, and a sentence."""

    def __init__(self, detail: str, code: str, status: int) -> None:
        super().__init__(detail)
        self.code, self.status = code, status


class Failed(MsasError):
    """The job ended without stems."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code
