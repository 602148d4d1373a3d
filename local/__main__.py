"""`python -m local run` keeps the service up; `python -m local demo` separates one song and ends."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from local.demo import demo
from local.service import Service, ServiceError
from msas.settings import Settings, SettingsError

_WATCH_SECONDS = 0.5


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--data", type=Path, default=Path("var"))
    runs.add_argument("--port")
    demos = commands.add_parser("demo")
    demos.add_argument("--song", type=Path)
    demos.add_argument("--out", type=Path, default=Path("out"))
    demos.add_argument("--model")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        if chosen.command == "demo":
            return demo(chosen.song, chosen.out, chosen.model)
        return run(chosen.data, _port(chosen.port))
    except (ServiceError, SettingsError, OSError) as error:
        print(f"\nMSaaS stopped: {error}", file=sys.stderr)
        if chosen.command == "run" and (chosen.data / "log").is_dir():
            print(f"The logs are in {chosen.data / 'log'}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def run(data: Path, port: int | None) -> int:
    """Keep the service up until Ctrl-C or SIGTERM."""
    print("Starting Redis, the store, a worker and REST ...", flush=True)
    with Service(data, port) as service:
        model = service.model()
        print(
            f"\nMSaaS is up at {service.url}\n"
            f"  model   {model['name']}: {model['about']}\n{service.why_lite()}"
            f"  data    {data} (kept across restarts; logs in {data / 'log'})\n"
            f"  try     REST={service.address} .venv/bin/msas separate SONG -o out\n"
            "Ctrl-C stops it.",
            flush=True,
        )
        if service.settings.rest_port != (port or Settings.rest_port):
            print(
                f"(Port {Settings.rest_port} is taken: where the documents say {Settings.rest_port}, use this one.)",
                flush=True,
            )
        try:
            while True:
                service.keep_up()
                time.sleep(_WATCH_SECONDS)
        except KeyboardInterrupt:
            print("\nStopping; a song in work is handed back and separated at the next start ...", flush=True)
    print("Stopped.")
    return 0


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ServiceError(f"PORT must be a number from 1 to 65535, but is {text!r}.")
    return int(text)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
