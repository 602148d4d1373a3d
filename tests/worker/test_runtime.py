"""Where networks run: DEVICE, PRECISION, the export into the cache, networks that can't be exported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from msas.settings import Settings, SettingsError
from tests.support.processes import environment_with
from worker import system
from worker.engines.runtime import Runtime, network_digest


class Doubling(nn.Module):
    """A network, as small as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Untraceable(nn.Module):
    """A network that no tracer can follow."""

    def forward(self, x: Tensor) -> Tensor:
        if torch._C._get_tracing_state():
            raise RuntimeError("this can not be exported")
        return x + 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the export of Doubling for three inputs, under the digest `one`."""
    folder = tmp_path_factory.mktemp("exported")
    Runtime(settings(folder, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "one")
    return folder


@pytest.fixture
def cache(exported: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(exported, tmp_path / "cache"))


def run(cache: Path, width: int = 3, digest: str = "one") -> list[float]:
    """Load Doubling, from the cache or as a new export, and return what it makes of ones."""
    network = Runtime(settings(cache, precision="float32")).load(Doubling(), [torch.zeros(1, width)], digest)
    found: list[float] = network(torch.ones(1, width))[0].tolist()[0]
    return found


def exports(cache: Path) -> dict[str, int]:
    """Return the exports in the cache, with the times of their files."""
    return {path.name: path.stat().st_mtime_ns for path in (cache / "openvino").glob("*.xml")}


def settings(tmp_path: Path, **chosen: str) -> Settings:
    return Settings(device="cpu", cache_dir=tmp_path, **chosen)  # type: ignore[arg-type]


def test_a_network_is_exported_once_and_then_comes_from_the_cache(cache: Path) -> None:
    before = exports(cache)
    assert len(before) == 1

    assert run(cache) == [2.0] * 3

    assert exports(cache) == before


@pytest.mark.parametrize(("digest", "width"), [("one", 4), ("other", 3)])
def test_another_shape_or_other_weights_make_another_export(cache: Path, digest: str, width: int) -> None:
    before = exports(cache)

    assert run(cache, width, digest) == [2.0] * width

    assert len(exports(cache)) == 2
    assert before.items() <= exports(cache).items()


@pytest.mark.parametrize("suffix", [pytest.param(".xml", marks=pytest.mark.long), ".bin"])
def test_a_damaged_export_is_made_again(cache: Path, suffix: str) -> None:
    [damaged] = (cache / "openvino").glob(f"*{suffix}")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])

    assert run(cache) == [2.0] * 3
    assert run(cache) == [2.0] * 3

    assert damaged.read_bytes() == whole


def test_a_network_is_exported_although_the_cache_can_not_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "openvino").write_text("no folder can be made here, not even by root")
    network = Runtime(settings(tmp_path, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "digest")
    assert network(torch.ones(1, 3))[0].tolist() == [[2.0] * 3]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["cache not writable"]


def test_workers_that_start_at_once_export_a_network_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: run(tmp_path), range(2)))

    assert found == [[2.0] * 3] * 2
    assert [record.message for record in caplog.records].count("exporting network") == 1


def test_inputs_of_another_shape_than_the_exported_one_run_in_torch(cache: Path) -> None:
    network = Runtime(settings(cache, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "one")

    assert network(torch.ones(2, 5))[0].tolist() == [[2.0] * 5] * 2


def test_a_network_that_can_not_be_exported_runs_in_torch(tmp_path: Path) -> None:
    network = Runtime(settings(tmp_path, precision="float32")).load(Untraceable(), [torch.zeros(1, 3)], "some-digest")
    assert network(torch.zeros(1, 3))[0].tolist() == [[1.0, 1.0, 1.0]]
    assert not list(tmp_path.rglob("*.xml"))


def test_the_digest_changes_with_the_weights() -> None:
    one, other = Doubling(), Doubling()
    assert network_digest(one) == network_digest(other)
    with torch.no_grad():
        other.factor.add_(1)
    assert network_digest(one) != network_digest(other)


def test_precision_auto_is_float32_or_what_the_hardware_has(tmp_path: Path) -> None:
    assert Runtime(settings(tmp_path)).precision in ("float32", "bfloat16")
    assert Runtime(settings(tmp_path, precision="float32")).precision == "float32"


def test_an_unsupported_precision_is_refused_with_the_supported_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PRECISION=float16 is not to be had on this CPU; choose one of: auto, fl"):
        Runtime(settings(tmp_path, precision="float16"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_device_cuda_without_a_gpu_ends_the_worker_with_one_sentence() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "worker"],
        env=environment_with(DEVICE="cuda"),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert worker.returncode == 2
    assert worker.stderr.startswith("DEVICE=cuda was asked for, but PyTorch finds no GPU here;")
    assert "Traceback" not in worker.stderr


def test_openvino_runs_without_its_telemetry() -> None:
    code = (
        "import worker.engines.runtime, sys; import openvino;"
        "from openvino.tools.ovc import telemetry;"
        "print(type(telemetry).__module__, sys.modules.get('openvino_telemetry'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]


def test_the_peak_memory_is_measured() -> None:
    peak = system.peak_rss_mb()
    assert peak
    assert 50 < peak < 50_000
