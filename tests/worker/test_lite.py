"""The lite model on a real song, end to end through HTTP: what its users can count on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from local import Service
from msas.settings import Settings
from msas_client import Client
from tests.support.audio import RATE, STEMS, Wave, decode, lag, snr_db, true_waves
from tests.support.engine_runs import separated
from worker.engines.lite import SEGMENT, LiteEngine
from worker.engines.runtime import Runtime


@pytest.fixture(scope="module")
def stems(client: Client, song: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wave]:
    """The decoded MP3 stems of the stempeg song."""
    songhash = client.separate(song, model="lite").songhash
    client.wait(songhash, timeout=60)
    paths = client.download(songhash, tmp_path_factory.mktemp("stems"))
    return {path.stem: decode(path) for path in paths}


def test_a_song_yields_the_four_stems(stems: dict[str, Wave]) -> None:
    assert set(stems) == set(STEMS)


def test_the_vocals_reach_4_db_sdr(stems: dict[str, Wave]) -> None:
    assert snr_db(true_waves()["vocals"], stems["vocals"]) >= 4.0


@pytest.mark.parametrize("stem", ["drums", "bass", "other"])
def test_each_other_stem_is_at_least_4_db_better_than_the_mixture(stems: dict[str, Wave], stem: str) -> None:
    truth = true_waves()[stem]
    assert snr_db(truth, stems[stem]) >= snr_db(truth, true_waves()["mixture"]) + 4.0


def test_the_stems_sum_to_the_mixture_within_30_db_after_mp3(stems: dict[str, Wave]) -> None:
    total = np.sum([stems[stem] for stem in STEMS], axis=0)
    assert snr_db(true_waves()["mixture"], total) >= 30.0


def test_every_stem_has_exactly_the_songs_length_and_no_lag(stems: dict[str, Wave]) -> None:
    mixture = true_waves()["mixture"]
    for wave in stems.values():
        assert wave.shape == mixture.shape
    assert lag(mixture, np.sum([stems[stem] for stem in STEMS], axis=0)) == 0


@pytest.fixture(scope="module")
def engine(service: Service, runtime: Runtime) -> LiteEngine:
    return LiteEngine(service.settings.cache_dir.expanduser(), runtime)


@pytest.fixture(scope="module")
def exact(engine: LiteEngine) -> dict[str, Wave]:
    """The stems of the stempeg song before they are encoded."""
    return separated(engine, true_waves()["mixture"])


LONG_FORMS = [pytest.param(samples, marks=pytest.mark.long) for samples in (1000, SEGMENT, 2 * SEGMENT + 1)]


@pytest.mark.parametrize("samples", [1, SEGMENT + 1, *LONG_FORMS])
def test_stems_sum_to_the_mixture_to_float_precision_at_any_length(engine: LiteEngine, samples: int) -> None:
    mixture = np.tile(true_waves()["mixture"], 6)[:, RATE : RATE + samples]
    shares: list[float] = []
    stems = separated(engine, mixture, progress=shares.append)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    assert snr_db(mixture, np.sum(list(stems.values()), axis=0)) > 100
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_progress_comes_with_each_segment(engine: LiteEngine) -> None:
    shares: list[float] = []
    separated(engine, np.zeros((2, 3 * SEGMENT // 2), np.float32), progress=shares.append)
    assert shares == [0.5, 1.0]


def test_the_same_song_gives_the_same_samples(engine: LiteEngine, exact: dict[str, Wave]) -> None:
    again = separated(engine, true_waves()["mixture"])
    assert all(np.array_equal(exact[stem], again[stem]) for stem in STEMS)


@pytest.mark.parametrize("stem", STEMS)
def test_one_stem_alone_is_the_same_as_among_all(engine: LiteEngine, exact: dict[str, Wave], stem: str) -> None:
    assert np.array_equal(separated(engine, true_waves()["mixture"], (stem,))[stem], exact[stem])


def test_shifts_change_the_result_and_keep_its_quality(engine: LiteEngine, exact: dict[str, Wave]) -> None:
    mixture = true_waves()["mixture"]
    shifted = separated(engine, mixture, shifts=2)
    assert snr_db(mixture, np.sum(list(shifted.values()), axis=0)) > 100
    assert snr_db(exact["vocals"], shifted["vocals"]) < 60
    assert snr_db(true_waves()["vocals"], shifted["vocals"]) > 4


def test_reduced_precision_where_the_hardware_has_it_stays_35_db_above_its_error(
    exact: dict[str, Wave], service: Service
) -> None:
    reduced = LiteEngine(service.settings.cache_dir.expanduser(), Runtime(Settings(device="cpu")))
    if reduced.precision == "float32":
        pytest.skip("this CPU has no reduced precision")
    rough = separated(reduced, true_waves()["mixture"])
    assert min(snr_db(exact[stem], rough[stem]) for stem in STEMS) > 35
