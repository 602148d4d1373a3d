"""Mixes stems while they are read from the store, and encodes the mix while it is sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from msas.formats import Samples, open_encoder, pad_or_trim, resampled, stem_rate
from msas.store import Store
from rest.mix.decoders import decode_flac, decode_mp3, decode_wav
from rest.mix.plan import MixPlan, Source
from rest.mix.stretching import BlockReader, stretched

_BLOCK = 32_768  # samples that are mixed and encoded at once
_BLOCKS_AHEAD = 2
_UNPITCHED = ("drums",)  # stems that are not transposed


class StemReader(BlockReader):
    """Reads the samples of a stem in blocks of any size. Raises ObjectMissing where the store has no such stem."""

    def __init__(self, store: Store, plan: MixPlan, source: Source) -> None:
        super().__init__(_decode(store, plan, source), source.skip)
        self.name, self.gain = source.name, np.float32(source.gain)


def _decode(store: Store, plan: MixPlan, source: Source) -> Iterator[Samples]:
    key = (plan.songhash, source.name, plan.extension)
    # Opened here and not when the first sample is read, so that a missing stem is known before anything is sent.
    chunks = store.open_stem(*key, source.start, tag=plan.tag)
    if plan.extension == "wav":
        return decode_wav(chunks, plan.bits)
    if plan.extension == "flac":
        return decode_flac(b"".join(store.open_stem(*key, 0, source.header, tag=plan.tag)), chunks)
    return decode_mp3(chunks)


def encode_mix(store: Store, plan: MixPlan) -> Iterator[bytes]:
    """Yield the bytes of the mix's file. Raises ObjectMissing before the first of them where a stem is missing."""
    readers = [StemReader(store, plan, source) for source in plan.sources]
    rate = stem_rate(plan.options, plan.rate)
    length = -(-plan.stretched_samples * rate // plan.rate)
    with closing(open_encoder(plan.options, rate, length, {"title": plan.title})) as encoder:
        yield encoder.begin()
        for block in pad_or_trim(resampled(_decoded_ahead(_mix_as_planned(readers, plan)), plan.rate, rate), length):
            yield encoder.encode(block)
        yield encoder.end()


def _mix_as_planned(readers: list[StemReader], plan: MixPlan) -> Iterator[Samples]:
    """Yield the mix at its tempo and in its key. Stems that are transposed alike are mixed, then stretched."""
    if plan.tempo == 1 and plan.semitones == 0:
        yield from _mix(readers, plan.samples)
        return
    groups = [
        BlockReader(stretched(_mix(group, plan.samples), plan.rate, plan.tempo, semitones))
        for semitones in {0, plan.semitones}
        if (group := [each for each in readers if (0 if each.name in _UNPITCHED else plan.semitones) == semitones])
    ]
    for begin in range(0, plan.stretched_samples, _BLOCK):
        count = min(_BLOCK, plan.stretched_samples - begin)
        yield np.sum([np.zeros((2, count), np.float32), *(group.read(count) for group in groups)], axis=0)


def _mix(readers: list[StemReader], samples: int) -> Iterator[Samples]:
    for begin in range(0, samples, _BLOCK):
        count = min(_BLOCK, samples - begin)
        mix = np.zeros((2, count), np.float32)
        for reader in readers:
            mix += reader.gain * reader.read(count)
        yield mix


def _decoded_ahead(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Yield the same blocks; a thread makes the next ones meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, blocks, None) for _ in range(_BLOCKS_AHEAD))
        while (block := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, blocks, None))
            yield block
