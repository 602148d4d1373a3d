"""Demucs models from a local repository: the stems are Demucs' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from demucs.api import Separator

from local import Service
from msas.errors import ModelUnavailable
from msas.formats.mp3 import Mp3Encoder
from msas_client import Client
from tests.support.audio import STEMS, decode, encoded, snr_db, true_waves, write
from tests.support.engine_runs import separated
from worker.engines import demucs, demucs_weights
from worker.engines.runtime import Runtime
from worker.pipeline.decode import DecodableSong


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("songs") / "song.wav", true_waves()["mixture"])


@pytest.mark.parametrize("model", ["small", "pair"])
def test_stems_equal_those_of_demucs_separator_before_encoding(
    model: str, model_repo: Path, wav: Path, runtime: Runtime
) -> None:
    _, theirs = Separator(model, model_repo, device="cpu", shifts=0).separate_audio_file(wav)
    [mixture] = [np.concatenate(list(DecodableSong.open(wav).blocks(44100)), axis=1)]
    ours = separated(demucs.load(model, model_repo, runtime), mixture)
    for stem in STEMS:
        assert snr_db(theirs[stem].numpy(), ours[stem]) > 100


def test_stems_through_http_equal_those_of_demucs_separator_up_to_the_mp3(
    model_repo: Path, wav: Path, client: Client, tmp_path: Path
) -> None:
    songhash = client.separate(wav, model="pair").songhash
    status = client.wait(songhash, timeout=120)
    assert status.model == "pair"
    _, theirs = Separator("pair", model_repo, device="cpu", shifts=0).separate_audio_file(wav)
    for path in client.download(songhash, tmp_path / "ours"):
        stem = path.stem
        wave = theirs[stem].numpy()
        encoded(Mp3Encoder(44100, wave.shape[1], 320, {}), wave, tmp_path / "theirs.mp3")
        assert decode(path).shape == wave.shape
        assert snr_db(decode(tmp_path / "theirs.mp3"), decode(path)) > 25  # of it the service's bfloat16 takes most


def test_progress_counts_every_segment_of_every_model_of_a_bag(model_repo: Path, runtime: Runtime) -> None:
    shares: list[float] = []
    mixture = np.random.default_rng(1).normal(size=(2, 101_000)).astype(np.float32)
    separated(demucs.load("pair", model_repo, runtime), mixture, progress=shares.append)
    assert len(shares) == 8  # four segments of 1 s, 0.75 s apart, for each of two models
    assert shares == pytest.approx([n / 8 for n in range(1, 9)])


def test_an_exception_from_progress_ends_the_separation_at_the_next_segment(model_repo: Path, runtime: Runtime) -> None:
    class Enough(Exception):
        pass

    def stop(_: float) -> None:
        raise Enough

    engine = demucs.load("small", model_repo, runtime)
    with pytest.raises(Enough):
        separated(engine, np.ones((2, 44100 * 2), np.float32), progress=stop)


def test_the_models_of_the_repository_are_on_offer_bags_first(client: Client) -> None:
    offered = client.models()
    assert [model.name for model in offered if model.default] == ["lite"]
    assert [model.name for model in offered] == ["lite", "pair", "small", "melband_roformer_kim"][: len(offered)]
    assert all(model.stems == tuple(STEMS) for model in offered[:3])


def test_weights_that_were_changed_are_refused(model_repo: Path, tmp_path: Path) -> None:
    [weights] = model_repo.glob("small-*.th")
    (tmp_path / weights.name).write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelUnavailable, match="checksum"):
        demucs_weights.read("small", tmp_path)


def test_an_unavailable_model_is_refused_with_the_available_ones(service: Service) -> None:
    with Client(service.address) as client, pytest.raises(Exception, match="choose one of: lite, pair, small"):
        client.separate(__file__, model="../../etc/passwd")
