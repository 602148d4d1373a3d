"""One song's way through the worker: fetch, decode, separate, encode, store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from msas.job import Job, Stage
from msas.problem import SongMissing
from msas.queue import Track
from msas.store import ObjectMissing, Store
from worker.decode import decode
from worker.encode import encode_mp3, mp3_rate, resample
from worker.engines import Engine

Report: TypeAlias = Callable[[Stage, float], None]

# Where in a job's progress, 0 to 1, each stage begins and ends.
_SPAN = {
    Stage.FETCHING: (0.0, 0.01),
    Stage.DECODING: (0.01, 0.03),
    Stage.SEPARATING: (0.03, 0.90),
    Stage.ENCODING: (0.90, 0.98),
    Stage.STORING: (0.98, 1.0),
}


def separate_song(job: Job, engine: Engine, store: Store, report: Report) -> list[Track]:
    """Separate the job's song and put all its stems into the store; return what lies there.

    Calls `report` with the stage and the job's progress, 0 to 1; what that raises ends the work.
    Raises a Problem. Leaves no file behind.
    """

    def reach(stage: Stage, share: float = 0.0) -> None:
        begin, end = _SPAN[stage]
        report(stage, begin + (end - begin) * share)

    with tempfile.TemporaryDirectory(prefix="msas-") as folder:
        scratch = Path(folder)
        reach(Stage.FETCHING)
        song = _fetch(job, store, scratch / "song")
        reach(Stage.DECODING)
        mixture = decode(song, engine.rate)
        reach(Stage.SEPARATING)
        sources = engine.separate(mixture.samples, lambda share: reach(Stage.SEPARATING, share))
        reach(Stage.ENCODING)
        rate = mp3_rate(mixture.rate)
        length = round(mixture.length * rate / mixture.rate)

        def encode(stem: str) -> Path:
            path = scratch / f"{stem}.mp3"
            encode_mp3(path, resample(sources.pop(stem), engine.rate, rate, length), rate)
            return path

        with ThreadPoolExecutor(2) as pool:
            stems = dict(zip(engine.stems, pool.map(encode, engine.stems), strict=True))
        for number, (stem, path) in enumerate(stems.items()):
            reach(Stage.STORING, number / len(stems))
            store.put_stem(job.songhash, stem, path)
        return [Track(stem, "mp3", path.stat().st_size, round(length / rate, 3)) for stem, path in stems.items()]


def _fetch(job: Job, store: Store, path: Path) -> Path:
    if job.song is not None:
        path.write_bytes(job.song)
        return path
    try:
        store.fetch_song(job.songhash, path)
    except ObjectMissing:
        raise SongMissing("The song is no longer in the store; send it again.") from None
    return path
