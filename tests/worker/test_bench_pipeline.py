"""The benchmarks' pipeline, which has a folder in the store's place, still fits the worker's."""

from __future__ import annotations

from pathlib import Path

from bench import pipeline
from tests.support.audio import RATE, STEMS, true_waves, write
from tests.support.fake_engine import StandInEngine


def test_the_pipeline_of_the_benchmarks_makes_all_files_of_a_song(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", true_waves()["mixture"][:, :RATE])

    report = pipeline.separate(StandInEngine("quick", tmp_path), song, tmp_path / "out")

    assert report.song
    assert report.song.samples == RATE
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {*(f"{stem}.mp3" for stem in (*STEMS, "mixture")), "peaks.json", "report.json"}
