"""Where networks run: DEVICE, PRECISION, the export into the cache, and what can not be exported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from msas.settings import Settings, SettingsError
from tests.support.processes import environment_with
from worker import machine
from worker.engines.runtime import Runtime, digest_of


class Doubling(nn.Module):
    """A network, as small as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Untraceable(nn.Module):
    """What no tracer can follow."""

    def forward(self, x: Tensor) -> Tensor:
        if torch._C._get_tracing_state():
            raise RuntimeError("this can not be exported")
        return x + 1


def settings(tmp_path: Path, **chosen: str) -> Settings:
    return Settings(device="cpu", cache_dir=tmp_path, **chosen)  # type: ignore[arg-type]


def test_a_network_is_exported_once_and_then_comes_from_the_cache(tmp_path: Path) -> None:
    runtime = Runtime(settings(tmp_path, precision="float32"))
    for _ in range(2):
        network = runtime.load(Doubling(), [torch.zeros(1, 3)], "some-digest")
        assert network(torch.ones(1, 3))[0].tolist() == [[2.0, 2.0, 2.0]]
    [exported] = (tmp_path / "openvino").glob("*.xml")
    before = exported.stat().st_mtime_ns
    Runtime(settings(tmp_path, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "some-digest")
    assert exported.stat().st_mtime_ns == before


def test_an_export_for_another_shape_or_other_weights_is_another(tmp_path: Path) -> None:
    runtime = Runtime(settings(tmp_path, precision="float32"))
    for digest, width in (("one", 3), ("one", 4), ("other", 3)):
        network = runtime.load(Doubling(), [torch.zeros(1, width)], digest)
        assert network(torch.ones(1, width))[0].tolist() == [[2.0] * width]
    assert len(list((tmp_path / "openvino").glob("*.xml"))) == 3


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_damaged_export_is_made_anew_and_stops_nobody(tmp_path: Path, suffix: str) -> None:
    def result() -> list[float]:
        network = Runtime(settings(tmp_path, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "digest")
        found: list[float] = network(torch.ones(1, 3))[0].tolist()[0]
        return found

    assert result() == [2.0] * 3
    [damaged] = (tmp_path / "openvino").glob(f"*{suffix}")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    assert result() == [2.0] * 3
    assert result() == [2.0] * 3
    assert damaged.read_bytes() == whole


def test_where_the_cache_can_not_be_written_networks_are_exported_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "openvino").write_text("no folder can be made here, not even by root")
    network = Runtime(settings(tmp_path, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "digest")
    assert network(torch.ones(1, 3))[0].tolist() == [[2.0] * 3]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["cache not writable"]


def test_inputs_of_another_shape_than_the_exported_one_run_in_torch(tmp_path: Path) -> None:
    network = Runtime(settings(tmp_path, precision="float32")).load(Doubling(), [torch.zeros(1, 3)], "some-digest")
    assert network(torch.ones(2, 5))[0].tolist() == [[2.0] * 5] * 2


def test_a_network_that_can_not_be_exported_runs_in_torch(tmp_path: Path) -> None:
    network = Runtime(settings(tmp_path, precision="float32")).load(Untraceable(), [torch.zeros(1, 3)], "some-digest")
    assert network(torch.zeros(1, 3))[0].tolist() == [[1.0, 1.0, 1.0]]
    assert not list(tmp_path.rglob("*.xml"))


def test_the_digest_follows_the_weights() -> None:
    one, other = Doubling(), Doubling()
    assert digest_of(one) == digest_of(other)
    with torch.no_grad():
        other.factor.add_(1)
    assert digest_of(one) != digest_of(other)


def test_precision_auto_is_float32_or_what_the_hardware_has(tmp_path: Path) -> None:
    assert Runtime(settings(tmp_path)).precision in ("float32", "bfloat16")
    assert Runtime(settings(tmp_path, precision="float32")).precision == "float32"


def test_a_precision_that_the_hardware_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PRECISION=float16 is not to be had on this CPU; choose one of: auto, fl"):
        Runtime(settings(tmp_path, precision="float16"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_gpu_that_was_asked_for_and_is_missing_stops_the_worker_with_a_clear_message() -> None:
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


def test_openvino_never_calls_home() -> None:
    code = (
        "import worker.engines.runtime, sys; import openvino;"
        "from openvino.tools.ovc import telemetry;"
        "print(type(telemetry).__module__, sys.modules.get('openvino_telemetry'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]


def test_a_containers_quota_bounds_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    bound = len(os.sched_getaffinity(0))
    assert machine.cores() == bound, "no quota file"
    for text, expected in (("max 100000", bound), ("100000 100000", 1), ("50000 100000", 1), ("9900000 100000", bound)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine.cores() == expected


def test_the_peak_of_memory_is_known() -> None:
    peak = machine.peak_rss_mb()
    assert peak
    assert 50 < peak < 50_000
