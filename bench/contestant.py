"""`python -m bench.contestant KIND MODEL`: one side of a comparison, in a process of its own.

The process loads its model, separates a short song to warm up, and writes a line. Then it reads songs from its standard
input, separates each, and answers with a line of JSON: the seconds from the file to four MP3s, and the process's peak
memory. Kinds: ours, ours-unencoded, separator (demucs.api.Separator with shifts=0), matmul (multiplies matrices).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import material, roofline
from msas.settings import Settings
from worker.system import peak_rss_mb, tune_malloc

Separate = Callable[[Path, Path], Any]


class Contestant:
    """Starts one side of a comparison in another process, with this environment. A context manager."""

    def __init__(self, kind: str, model: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.contestant", kind, model],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Contestant:
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def run(self, song: Path, out: Path) -> dict[str, float]:
        """Separate `song` into `out`; return `seconds` and `peak_rss_mb`."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([str(song), str(out)]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"A contestant ended with status {self._process.wait()}; its words are above.")
        answer: dict[str, float] = json.loads(line)
        return answer


def main(kind: str, model: str) -> None:
    """Answer until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not write between the answers
    settings = Settings.from_environment()
    separate = _separate(kind, model, settings)
    with tempfile.TemporaryDirectory(prefix="msas-bench-") as folder:
        separate(material.song(settings.cache_dir.expanduser(), material.WARM_UP_SECONDS), Path(folder))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        song, out = map(Path, json.loads(line))
        since = time.monotonic()
        separate(song, out)
        answer = {"seconds": time.monotonic() - since, "peak_rss_mb": peak_rss_mb()}
        print(json.dumps(answer), file=answers, flush=True)


def _separate(kind: str, model: str, settings: Settings) -> Separate:
    if kind == "matmul":
        multiply = roofline.matmul(settings)
        return lambda *_: multiply()
    return _separator(model, settings) if kind == "separator" else _ours(kind, model, settings)


def _ours(kind: str, model: str, settings: Settings) -> Separate:
    tune_malloc()
    from bench import pipeline

    if kind == "ours-unencoded":
        pipeline.leave_out_the_encoders()
    engine = pipeline.load(model, material.model_repo(settings.cache_dir.expanduser()), settings)
    return lambda song, out: pipeline.separate(engine, song, out)


def _separator(model: str, settings: Settings) -> Separate:
    from demucs.api import Separator
    from demucs.audio import save_audio

    device = "cuda" if settings.device == "cuda" else "cpu"
    repo = material.model_repo(settings.cache_dir.expanduser())
    separator = Separator(model, repo, device=device, shifts=0)

    def separate(song: Path, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        for stem, wave in separator.separate_audio_file(song)[1].items():
            save_audio(wave, str(out / f"{stem}.mp3"), samplerate=separator.samplerate, bitrate=320)

    return separate


if __name__ == "__main__":
    main(*sys.argv[1:3])
