"""Compares this machine's clock with a server's."""

from __future__ import annotations

from msas.doctor.finding import Finding, error, ok, warning

_WARNING_SECONDS = 5.0
_ERROR_SECONDS = 300.0  # Standard Webhooks refuses callbacks that are older; stores refuse requests from 900 s on


def check_clock(server: str, ahead_seconds: float) -> Finding:
    """Judge the clock of `server`, which is `ahead_seconds` ahead of this machine's."""
    check, difference = f"clock of {server.lower()}", abs(ahead_seconds)
    if difference <= _WARNING_SECONDS:
        return ok(check, f"The clocks of {server} and of this machine differ by at most {_WARNING_SECONDS:.0f} s.")
    message = (
        f"The clock of {server} is {difference:.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine's: "
        "synchronise both with a time server (NTP); otherwise callbacks and signed requests are refused."
    )
    return error(check, message) if difference > _ERROR_SECONDS else warning(check, message)
