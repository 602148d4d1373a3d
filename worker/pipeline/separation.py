"""Separates one song: fetches and decodes it, runs the engine, and encodes and stores each stem meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from functools import partial
from itertools import chain, starmap
from pathlib import Path
from typing import Protocol

import numpy as np

from msas.cost import SongLimits
from msas.errors import SongMissing
from msas.formats import open_encoder, pad_or_trim, resampled, stem_rate
from msas.job import Job, Stage
from msas.options import Options
from msas.report import MIXTURE, Report
from msas.store import Store
from msas.store.s3_errors import ObjectMissing
from msas.store.stems import Attempt
from worker.engines import Engine, NotFinite, Samples, SeparationParams
from worker.pipeline.bounded_queue import BoundedQueue, ReaderGone, prefetch
from worker.pipeline.build_report import Stopwatch, SumCheck, build_report
from worker.pipeline.decode import DecodableSong
from worker.pipeline.peaks import build_peaks
from worker.pipeline.publishing import attempt_at, publish
from worker.pipeline.stem import EncodedStem, align
from worker.pipeline.tempo_and_key import analysing
from worker.system import lower_thread_priority
from worker.watchdog import Watchdog

# Where in a job's progress, 0 to 1, each stage begins and ends. Stems are encoded and stored while the engine
# separates; ENCODING and STORING cover the work that remains after the engine has ended.
_SPAN = {
    Stage.FETCHING: (0.0, 0.01),
    Stage.DECODING: (0.01, 0.02),
    Stage.SEPARATING: (0.02, 0.98),
    Stage.ENCODING: (0.98, 0.99),
    Stage.STORING: (0.99, 1.0),
}
_BLOCKS_AHEAD = 4  # of a second each, that the decoder may be ahead of the engine
_STRETCHES_AHEAD = 2  # that the engine may be ahead of an encoder


class JobControl(Protocol):
    """Is told the job's progress, and raises where the work must stop. A worker's is its Heartbeat."""

    def note_progress(self, stage: Stage, progress: float) -> None:
        """Note the stage, and the job's progress, 0 to 1."""

    def confirm(self) -> None:
        """Check that this worker still holds the job."""

    def pause(self) -> None:
        """Wait a short time while the store is away."""


def separate_song(
    job: Job,
    options: Options,
    engine: Engine,
    store: Store,
    control: JobControl,
    watchdog: Watchdog,
    scratch: str,
    limits: SongLimits,
) -> Report:
    """Separate the job's song, within the `limits`; store its stems, then its report. Return the published report,
    which is another attempt's where that was faster.

    Where the store is away when the song is fetched, raises StoreUnavailable; where it is away later, waits for it.
    Raises a Problem, or what `control` raises. Leaves no file in the folder `scratch`. Memory does not depend on the
    song's length. The `watchdog` watches decoder, engine and encoders.
    """
    options = options.for_stems(engine.stems)
    stopwatch = Stopwatch()
    retrying = store.retrying(control.pause)

    def reach(stage: Stage, share: float = 0.0) -> None:
        begin, end = _SPAN[stage]
        stopwatch.enter(stage)
        control.note_progress(stage, begin + (end - begin) * share)
        watchdog.progress()

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        reach(Stage.FETCHING)
        song = _fetch(job, store, Path(folder) / "song")
        reach(Stage.DECODING)
        with watchdog.watching():
            mixture = DecodableSong.open(song)
            stats = mixture.survey(engine.rate, limits.minutes, partial(reach, Stage.DECODING))
        limits.check(options, len(engine.stems), stats.length / engine.rate, stem_rate(options, mixture.info.rate))
        reach(Stage.SEPARATING)
        params = SeparationParams(options.sources or engine.stems, options.overlap, options.shifts, job.songhash)
        check = SumCheck(all_stems=params.stems == engine.stems)
        with attempt_at(retrying, job.songhash) as attempt, analysing(params.stems, engine.rate) as analysis:
            with _stems(attempt, options, params.stems, mixture, engine.rate, retrying, watchdog) as stems:
                with prefetch(partial(mixture.blocks, engine.rate), _BLOCKS_AHEAD) as blocks:
                    separating = partial(reach, Stage.SEPARATING)
                    for stretch, sources in watchdog.each(engine.separate(blocks, stats, params, separating)):
                        if not np.isfinite(sources).all():
                            raise NotFinite(engine.name)
                        check.add(stretch, sources)
                        analysis.put(sources)
                        stems.put(stretch, sources)
                reach(Stage.ENCODING)
                files = stems.finish()
            reach(Stage.STORING)
            rate = stem_rate(options, mixture.info.rate)
            length = _length(mixture, rate)
            seconds, found = round(length / rate, 3), analysis.finish()
            report = build_report(job, options, engine, mixture, files, seconds, stopwatch, check, found)
            control.confirm()
            peaks = build_peaks(job.songhash, rate, length, stems.frame, files)
            return publish(store, retrying, attempt, report, peaks)


class _Stems:
    """The stems of a job and the mixture, each with a thread that encodes and uploads it.

    `frame` is how many samples their format encodes together.
    """

    def __init__(self, names: tuple[str, ...], remainder: str) -> None:
        self.remainder, self.frame = remainder, 1
        tracks = (*names, *([remainder] if remainder else []), MIXTURE)
        self.queues = {name: BoundedQueue[Samples](_STRETCHES_AHEAD) for name in tracks}
        self.files: dict[str, EncodedStem] = {}
        self.threads: dict[str, Future[None]] = {}

    def put(self, stretch: Samples, sources: Samples) -> None:
        """Pass on a stretch of the mixture, shape (2, n), and of all sources, shape (stems, 2, n)."""
        parts = chain(sources, [sources.sum(axis=0)] if self.remainder else [], [stretch])
        for (name, queue), part in zip(self.queues.items(), parts, strict=True):
            try:
                queue.put(part)
            except ReaderGone:
                self.threads[name].result()
                raise

    def finish(self) -> dict[str, EncodedStem]:
        """Wait until all stems are stored; return them. Raises what a thread raised."""
        for queue in self.queues.values():
            queue.end()
        for thread in self.threads.values():
            thread.result()
        return self.files


@contextmanager
def _stems(
    attempt: Attempt,
    options: Options,
    names: tuple[str, ...],
    mixture: DecodableSong,
    rate: int,
    store: Store,
    watchdog: Watchdog,
) -> Iterator[_Stems]:
    """Open all stems of the attempt; an error in the block ends their threads."""
    stems = _Stems(names, options.remainder)
    to_rate = stem_rate(options, mixture.info.rate)
    length = _length(mixture, to_rate)
    with ExitStack() as stack, ThreadPoolExecutor(len(stems.queues), initializer=lower_thread_priority) as pool:
        try:
            for name, queue in stems.queues.items():
                blocks = pad_or_trim(resampled(queue, rate, to_rate), length)
                if name in (stems.remainder, MIXTURE):
                    # From the song at its own rate: the engine's mixture may be resampled.
                    pairs = align(pad_or_trim(watchdog.each(mixture.blocks(to_rate)), length), blocks)
                    blocks = starmap(_first if name == MIXTURE else np.subtract, pairs)
                encoder = open_encoder(options, to_rate, length, _tags(mixture, name))
                stack.callback(encoder.close)
                stems.frame = encoder.frame
                stems.files[name] = EncodedStem(encoder, blocks, length, to_rate, watchdog)
                stems.threads[name] = pool.submit(
                    copy_context().run, _store, store, attempt, options, name, stems.files[name], queue
                )
            yield stems
        except BaseException as error:
            for queue in stems.queues.values():
                queue.end(error)
            raise


def _first(whole: Samples, _: Samples) -> Samples:
    return whole


def _store(
    store: Store, attempt: Attempt, options: Options, name: str, file: EncodedStem, queue: BoundedQueue[Samples]
) -> None:
    try:
        store.put_stem(attempt.songhash, name, options.format, file, attempt.tag)
    finally:
        queue.leave()


def _length(mixture: DecodableSong, rate: int) -> int:
    """Return the length in samples that the song has at `rate` Hz."""
    return round(mixture.length * rate / mixture.info.rate)


def _tags(mixture: DecodableSong, stem: str) -> dict[str, str]:
    title = mixture.info.tags.get("title")
    if stem == MIXTURE:
        return mixture.info.tags
    return {**mixture.info.tags, "title": f"{title} ({stem})" if title else stem}


def _fetch(job: Job, store: Store, path: Path) -> Path:
    if job.song is not None:
        path.write_bytes(job.song)
        return path
    try:
        store.fetch_song(job.songhash, path)
    except ObjectMissing:
        raise SongMissing("The song is no longer in the store; send it again.") from None
    return path
