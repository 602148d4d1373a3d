"""The command's flags for the options of a separation, named as the `demucs` command names them."""

from __future__ import annotations

import argparse
from typing import Any

# The service alone knows what it allows: what is given here goes there as it is.
_VALUES: dict[str, tuple[str, type, str, str]] = {
    "stems": ("--stems", str, "NAME,...", "only these stems; default: all of the model's"),
    "two_stems": ("--two-stems", str, "NAME", "this stem, and what is left of the song without it"),
    "format": ("--format", str, "FORMAT", "mp3 (the default), wav or flac"),
    "mp3_bitrate": ("--mp3-bitrate", int, "KBITS", "default: 320"),
    "bit_depth": ("--bit-depth", int, "BITS", "of wav and flac: 16 (the default) or 24; of wav also 32, as floats"),
    "overlap": ("--overlap", float, "SHARE", "of a segment, by which it overlaps the next; default: 0.25"),
    "shifts": ("--shifts", int, "N", "average N shifted separations: better, N times slower; default: 0"),
}
_SHORT = {
    "--mp3": ({"format": "mp3"}, "the same as --format mp3"),
    "--flac": ({"format": "flac"}, "the same as --format flac"),
    "--int24": ({"format": "wav", "bit_depth": 24}, "wav, 24 bits"),
    "--float32": ({"format": "wav", "bit_depth": 32}, "wav, floats of 32 bits"),
    "--residual": ({"residual": True}, "also what all stems together leave of the song"),
}


class _Choose(argparse.Action):
    """A flag that stands for options and their values."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        chosen: argparse.Namespace,
        values: Any,
        flag: str | None = None,  # noqa: ARG002
    ) -> None:
        for name, value in (self.const or {self.dest: values}).items():
            chosen.options[name] = value


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each option of a separation; those that are given are collected in `options`."""
    parser.set_defaults(options={})
    about = "most are the demucs command's own; what the service can not honour, it refuses with a reason"
    group = parser.add_argument_group("what comes out", about)
    model = "default: the service's own; `msas models` lists all"
    group.add_argument("-n", "--name", "--model", dest="model", metavar="MODEL", action=_Choose, help=model)
    for name, (flag, kind, metavar, what) in _VALUES.items():
        group.add_argument(flag, dest=name, type=kind, metavar=metavar, action=_Choose, help=what)
    for flag, (const, what) in _SHORT.items():
        group.add_argument(flag, dest="options", nargs=0, const=const, action=_Choose, help=what)
