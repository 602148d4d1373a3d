"""The streaming pipeline equals `demucs.apply.apply_model` for every kind of model and option."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

from tests.support.audio import STEMS, Wave, true_waves
from tests.support.engine_runs import in_blocks, separated, survey
from worker.engines.demucs import DemucsEngine
from worker.engines.overlap_add import SegmentPlan, overlap_add, starts, triangle
from worker.engines.runtime import Runtime
from worker.engines.types import SeparationParams

RATE = 44100
SOURCES = ["drums", "bass", "other", "vocals"]


def small_htdemucs(seed: int) -> Any:
    torch.manual_seed(seed)
    kwargs: dict[str, Any] = {"channels": 8, "segment": 1, "bottom_channels": 32, "dconv_mode": 3}
    return HTDemucs(SOURCES, **kwargs, t_layers=1, t_heads=2, depth=4).eval()


def small_hdemucs() -> Any:
    torch.manual_seed(3)
    return HDemucs(SOURCES, channels=4, segment=1).eval()


@cache
def model(kind: str) -> Any:
    """A small model of each kind, with random weights; the bag as in the service's repository."""
    if kind == "hdemucs":
        return small_hdemucs()
    if kind == "bag":
        return BagOfModels([small_htdemucs(1), small_htdemucs(2)], [[1, 0, 1, 1], [0, 1, 1, 2]])
    if kind == "specialists":
        return BagOfModels([small_htdemucs(1), small_htdemucs(2)], [[1, 0, 1, 0], [0, 1, 0, 1]])
    return small_htdemucs(0)


@pytest.fixture
def engine(request: pytest.FixtureRequest, runtime: Runtime) -> DemucsEngine:
    return _engine(request.param, runtime)


@cache
def _engine(kind: str, runtime: Runtime) -> DemucsEngine:
    return DemucsEngine(kind, model(kind), runtime)


def music(seconds: float) -> Wave:
    return np.tile(true_waves()["mixture"], (1, 16))[:, RATE : RATE + round(seconds * RATE)]


def by_apply_model(kind: str, mixture: Wave, **options: Any) -> dict[str, Wave]:
    """Separate as `demucs.api.Separator` does: normalised, the whole song at once."""
    found = survey(mixture)
    deviation = found.deviation + 1e-8
    normal = (torch.from_numpy(mixture) - found.mean) / deviation
    with torch.no_grad():
        sources = apply_model(model(kind), normal[None], split=True, **options)[0] * deviation + found.mean
    return dict(zip(SOURCES, sources.numpy(), strict=True))


def worst_difference_db(theirs: dict[str, Wave], ours: dict[str, Wave]) -> float:
    def db(stem: str) -> float:
        difference = float(np.sum((theirs[stem].astype(np.float64) - ours[stem]) ** 2))
        return float(10 * np.log10(max(difference, 1e-30) / np.sum(theirs[stem].astype(np.float64) ** 2)))

    return max(db(stem) for stem in ours)


@pytest.mark.parametrize("engine", ["htdemucs", "hdemucs", "bag"], indirect=True)
@pytest.mark.parametrize("seconds", [0.001, 1, 3.3, pytest.param(60, marks=pytest.mark.long)])
def test_stems_differ_from_those_of_apply_model_by_less_than_minus_100_db(engine: DemucsEngine, seconds: float) -> None:
    mixture = music(seconds)
    theirs = by_apply_model(engine.name, mixture, shifts=0, overlap=0.25)
    assert worst_difference_db(theirs, separated(engine, mixture)) < -100


@pytest.mark.parametrize("engine", ["htdemucs", "hdemucs"], indirect=True)
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.75])
def test_every_overlap_equals_apply_model(engine: DemucsEngine, overlap: float) -> None:
    mixture = music(2.4)
    theirs = by_apply_model(engine.name, mixture, shifts=0, overlap=overlap)
    assert worst_difference_db(theirs, separated(engine, mixture, overlap=overlap)) < -100


@pytest.mark.parametrize(("engine", "shifts"), [("htdemucs", 3), ("hdemucs", 1), ("bag", 1)], indirect=["engine"])
def test_shifts_equal_apply_model_at_offsets_derived_from_the_songhash(
    engine: DemucsEngine, shifts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = music(2.4)
    order = SeparationParams(engine.stems, shifts=shifts, seed="a songhash")
    numbers = range(2 if engine.name == "bag" else 1)
    grids = [grid for number in numbers for grid in starts(mixture.shape[1], RATE, order, RATE, number)]
    offsets = iter([grid.start + RATE // 2 for grid in grids])
    monkeypatch.setattr(random, "randint", lambda *_: next(offsets))
    theirs = by_apply_model(engine.name, mixture, shifts=shifts, overlap=0.25)
    assert worst_difference_db(theirs, separated(engine, mixture, shifts=shifts)) < -100


def test_offsets_differ_between_songs_and_models_of_a_bag_but_not_between_runs() -> None:
    def offsets(seed: str, number: int) -> list[int]:
        return [grid.start for grid in starts(RATE, RATE, SeparationParams((), shifts=4, seed=seed), RATE, number)]

    assert offsets("a", 0) == offsets("a", 0)
    assert len({*offsets("a", 0), *offsets("a", 1), *offsets("b", 0)}) == 12
    assert all(-RATE // 2 <= start <= 0 for start in offsets("a", 0))


@pytest.mark.parametrize("engine", ["specialists"], indirect=True)
def test_only_the_models_of_a_bag_that_the_stems_need_are_run(
    engine: DemucsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture, runs = music(1.7), 0
    everything = separated(engine, mixture)

    def count(_: float) -> None:
        nonlocal runs
        runs += 1

    monkeypatch.setattr(engine._submodels[0], "separate", None)  # it would fail if it were called
    vocals = separated(engine, mixture, ("vocals",), progress=count)
    assert runs == 3  # segments of one model
    assert np.abs(vocals["vocals"] - everything["vocals"]).max() < 1e-6


@pytest.mark.parametrize("engine", ["htdemucs"], indirect=True)
def test_finished_samples_are_given_out_while_the_song_is_still_read(engine: DemucsEngine) -> None:
    mixture, read = music(7), 0

    def blocks() -> Any:
        nonlocal read
        for block in in_blocks(mixture):
            read += block.shape[1]
            yield block

    order = SeparationParams(STEMS)
    given = 0
    for heard, sources in engine.separate(blocks(), survey(mixture), order, lambda _: None):
        assert heard.shape[1] == sources.shape[2]
        given += heard.shape[1]
        assert read - given < 2.4 * RATE, "what is held is a few segments, never the song"
    assert given == mixture.shape[1]


def test_batches_equal_single_windows() -> None:
    mixture, length, segment = music(9.1), round(9.1 * RATE), 2 * RATE
    sizes: list[int] = []

    def run(windows: Wave) -> Wave:
        sizes.append(len(windows))
        return np.stack([windows, windows[:, ::-1] * 0.5], axis=1)

    def all_of(batch: int) -> Wave:
        # Two grids, one of whose last windows are shorter than the others.
        grids = [
            SegmentPlan(
                range(0, length, segment // 2),
                triangle(segment),
                np.array([1, 0.25], np.float32),
                lambda n: n,
                run,
                batch,
            ),
            SegmentPlan(
                range(0, length, segment),
                triangle(segment),
                np.array([0, 0.75], np.float32),
                lambda _: segment,
                run,
                batch,
            ),
        ]
        parts = overlap_add(in_blocks(mixture), length, grids, lambda _: None)
        return np.concatenate([sources for _, sources in parts], axis=2)

    single = all_of(1)
    assert np.abs(single[0] - mixture).max() < 1e-6
    assert np.abs(single[1] - mixture[::-1] * 0.5).max() < 1e-6
    for batch in (2, 3, 100):
        sizes.clear()
        assert np.abs(all_of(batch) - single).max() < 1e-6
        assert max(sizes) > 1
