"""The folder of a worker for songs in work."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.system import scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_missing_file_in_the_block_is_the_error_that_the_caller_sees(temporary: Path) -> None:
    with pytest.raises(FileNotFoundError, match="of the block"), scratch_folder():
        raise FileNotFoundError("of the block")

    assert list(temporary.iterdir()) == []


def test_a_folder_of_a_dead_worker_is_removed_and_that_of_a_living_one_is_kept(temporary: Path) -> None:
    dead = temporary / "msas-worker-dead"
    dead.mkdir()
    (dead / "lock").touch()

    with scratch_folder() as first, scratch_folder() as second:
        assert sorted(temporary.iterdir()) == sorted([Path(first), Path(second)])
