"""Findings of clocks: ours against another's."""

from __future__ import annotations

from msas.doctor.finding import Finding, look, well, wrong

_LOOK_SECONDS = 5.0
_WRONG_SECONDS = 300.0  # as old as a callback may be by Standard Webhooks; stores refuse requests from 900 on


def clock_finding(whose: str, ahead_seconds: float) -> Finding:
    """Judge the clock of `whose`, which is so far ahead of ours."""
    what, off = f"clock of {whose.lower()}", abs(ahead_seconds)
    if off <= _LOOK_SECONDS:
        return well(what, f"{whose} and this machine agree on the time to {_LOOK_SECONDS:.0f} s.")
    sentence = (
        f"{whose}'s clock is {off:.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine's: "
        "let both follow a time server (NTP), or callbacks and signed requests will be refused."
    )
    return wrong(what, sentence) if off > _WRONG_SECONDS else look(what, sentence)
