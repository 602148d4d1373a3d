"""Reports as JSON: of this version, and of earlier ones, which have fewer fields."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from msas.options import Options
from msas.report import Report, SongFacts, Stem

VOCALS = Stem(
    name="vocals", extension="wav", bytes=10, sha256="ab", crc32="cd", seconds=1.5, peak=0.5, clipped_samples=0
)
REPORT = Report(
    songhash="a" * 56,
    name="song.mp3",
    options=Options("lite", stems=("vocals", "bass"), format="wav"),
    model="lite",
    weights="1",
    device="CPU",
    precision="float32",
    song=SongFacts(1.5, 66150, 44100),
    stage_seconds={"separating": 0.5},
    encoding_cpu_seconds=0.1,
    real_time_factor=3.0,
    peak_rss_mb=100.0,
    sum_db=None,
    tempo_bpm=120.0,
    tempo_confidence=0.8,
    key="F# minor",
    key_confidence=0.7,
    stems=(replace(VOCALS, name="bass"), VOCALS),
    mixture=replace(VOCALS, name="mixture"),
)


def test_a_report_is_read_as_it_was_written() -> None:
    removed = replace(REPORT, tag="0123456789abcdef", removed=("drums",))

    for report in (REPORT, removed):
        assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_json_of_a_report_has_no_fields_that_say_nothing() -> None:
    content = REPORT.to_json()

    assert (content["hash"], content["seconds"], content["sum_db"]) == ("a" * 56, {"separating": 0.5}, None)
    assert not content.keys() & {"songhash", "stage_seconds", "tag", "removed"}
    assert content["stems"]["vocals"].keys() == {"bytes", "sha256", "crc32", "seconds", "peak", "clipped_samples"}


def test_a_report_of_an_earlier_version_is_read_without_the_fields_that_it_lacks() -> None:
    stems = {"drums": {"bytes": 1, "seconds": 2.0, "sha256": "ab"}}
    content = {"hash": "a" * 56, "name": "", "model": "lite", "options": {"format": "mp3"}, "stems": stems}

    report = Report.from_json(content)

    assert report.options == Options("lite")
    assert (report.device, report.song, report.mixture, report.tag, report.removed) == (None, None, None, "", ())
    assert [(stem.file_name, stem.crc32) for stem in report.stems] == [("drums.mp3", None)]


@pytest.mark.parametrize("content", [{}, {"hash": "a" * 56, "name": "", "model": "lite", "options": {}}])
def test_content_that_is_no_report_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(LookupError):
        Report.from_json(content)


def test_tracks_have_the_order_of_the_api() -> None:
    assert [stem.name for stem in REPORT.tracks] == ["vocals", "bass"]


def test_a_report_without_a_stem_names_it_among_the_removed() -> None:
    without = REPORT.without("vocals").without("bass").without("bass")

    assert (without.stems, without.removed) == ((), ("bass", "vocals"))
    assert without.is_of_same_separation(REPORT)
    assert not without.is_of_same_separation(replace(REPORT, stage_seconds={"separating": 0.6}))
