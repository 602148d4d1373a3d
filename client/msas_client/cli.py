"""The command `msas`: its arguments, help, and exit statuses."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from msas_client import commands
from msas_client.batch import FAILED, UNREACHABLE, in_a_sentence, in_json
from msas_client.client import DEFAULT_ADDRESS, MIX_FORMATS, Client
from msas_client.commands import INTERRUPTED, Command
from msas_client.errors import MsasError, NotReachable
from msas_client.flags import add_options

_EXAMPLES = """\
examples:
  msas separate song.mp3                                  its stems become out/{model}/{song}/{stem}.mp3
  msas separate album/ 'live/*.flac' --flac -o stems      folders and patterns, many songs at once
  msas separate song.mp3 -n htdemucs --two-stems vocals   as with the demucs command
  msas separate song.mp3 --json | jq -r '.files[]'        for programs
"""
_EXIT = """\
exit status:
  0    all done
  1    a song failed, or the service refused something; the others are done
  2    wrong usage
  3    the service can't be reached
  130  interrupted; what was sent goes on at the service, and `msas get HASH` fetches it later
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know all of a song's letters
    chosen = _parser().parse_args(arguments)
    try:
        with Client(chosen.rest, chosen.key) as client:
            status: int = chosen.run(client, chosen)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # whoever read it has enough; Python must not find that out again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (MsasError, OSError) as error:
        if chosen.json:
            print(json.dumps({"error": in_json(error)}))
        print(in_a_sentence(error), file=sys.stderr)
        return UNREACHABLE if isinstance(error, NotReachable) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    about = "Separate songs into their stems with an MSaaS service."
    parser = argparse.ArgumentParser(
        prog="msas",
        description=about,
        epilog=f"{_EXAMPLES}\n{_EXIT}\n`msas COMMAND --help` says more.",
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"msas {version('msas-client')}")
    found = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def command(name: str, run: Command, about: str, epilog: str = _EXIT) -> argparse.ArgumentParser:
        made = found.add_parser(
            name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=epilog, formatter_class=raw
        )
        made.set_defaults(run=run)
        where = made.add_argument_group("the service")
        rest = f"default: the variable REST, else {DEFAULT_ADDRESS}"
        where.add_argument("--rest", metavar="HOST:PORT", default=os.environ.get("REST") or DEFAULT_ADDRESS, help=rest)
        key = "where the service wants one; default: the variable MSAS_API_KEY"
        where.add_argument("--key", default=os.environ.get("MSAS_API_KEY"), help=key)
        made.add_argument("--json", action="store_true", help="print JSON, an object a line, and no bars")
        return made

    separate = command("separate", commands.separate, "send songs, wait, and save their stems", f"{_EXAMPLES}\n{_EXIT}")
    separate.add_argument("songs", nargs="+", metavar="SONG", help="files, patterns, folders; any common format")
    _add_out(separate)
    add_options(separate)
    status = command("status", commands.status, "say how songs are doing")
    status.add_argument("hashes", nargs="+", metavar="HASH")
    command("queue", commands.queue, "list the songs that wait, oldest first")
    get = command("get", commands.get, "wait for songs that were sent before, and save their stems")
    get.add_argument("hashes", nargs="+", metavar="HASH", help="what `msas separate` said when it was interrupted")
    _add_out(get)
    mix = command("mix", commands.mix, "save a mix of a song's stems, or of a region of them")
    mix.add_argument("hash", metavar="HASH")
    about = "factor of one stem, 0 to 15.85; 0 mutes it; may be given for several"
    mix.add_argument("--gain", action="append", type=_gain, default=[], metavar="STEM=FACTOR", help=about)
    mix.add_argument("--start", type=_seconds, metavar="SECONDS", help="default: the song's beginning")
    mix.add_argument("--end", type=_seconds, metavar="SECONDS", help="default: the song's end")
    about = "0.5 to 1.5 times the song's tempo, without a change of pitch"
    mix.add_argument("--tempo", type=_factor, default=1.0, metavar="FACTOR", help=about)
    about = "semitones, -6 to 6; drums keep their pitch"
    mix.add_argument("--transpose", type=int, default=0, metavar="SEMITONES", help=about)
    about = "its suffix, .mp3, .flac or .wav, is the format; default: the hash's first digits and -mix.mp3"
    mix.add_argument("-o", "--out", type=_mix_file, metavar="FILE", help=about)
    remove = command("rm", commands.remove, "remove a song with its stems, or one stem, from the service")
    remove.add_argument("hash", metavar="HASH")
    remove.add_argument("stem", nargs="?", metavar="STEM")
    command("models", commands.models, "list the models on offer")
    return parser


def _gain(text: str) -> tuple[str, float]:
    stem, _, factor = text.partition("=")
    if not stem:
        raise argparse.ArgumentTypeError(f"{text!r} is not like vocals=0.5")
    try:
        return stem, _number(factor)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like vocals=0.5") from None


def _seconds(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None


def _factor(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _number(text: str) -> float:
    """Return a number that is finite and not negative. Raises ValueError."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number


def _mix_file(text: str) -> Path:
    path = Path(text)
    if path.suffix not in MIX_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of: {', '.join(MIX_FORMATS)}")
    return path


def _add_out(parser: argparse.ArgumentParser) -> None:
    about = "stems become DIR/{model}/{song}/{stem}.{format}; default: out"
    parser.add_argument("-o", "--out", type=Path, default=Path("out"), metavar="DIR", help=about)


if __name__ == "__main__":
    sys.exit(main())
