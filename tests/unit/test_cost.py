"""What a separation costs, and when it is refused for it."""

from __future__ import annotations

import pytest

from msas.cost import SongLimits, cost_minutes, output_mb
from msas.errors import TooCostly, TooLargeOutput
from msas.options import Options


@pytest.mark.parametrize(
    ("options", "seconds", "minutes"),
    [
        (Options("lite", overlap=0.0), 60.0, 1.0),
        (Options("lite"), 60.0, 1.333),
        (Options("htdemucs", shifts=10, overlap=0.9), 10_800.0, 18_000.0),
        (Options("htdemucs_ft"), 180.0, 16.0),
        (Options("htdemucs_ft", stems=("vocals",)), 180.0, 4.0),
        (Options("mdx_extra", stems=("vocals",)), 180.0, 16.0),
        (Options("lite", overlap=0.0), None, 4.0),
    ],
)
def test_the_cost_is_length_times_networks_times_shifts_over_what_does_not_overlap(
    options: Options, seconds: float | None, minutes: float
) -> None:
    assert cost_minutes(options, seconds) == minutes


@pytest.mark.parametrize(
    ("options", "megabytes"),
    [
        (Options("lite", format="wav", bit_depth=32), 19_051.2),
        (Options("lite", format="wav", bit_depth=32, residual=True), 22_861.44),
        (Options("lite"), 2_160.0),
        (Options("lite", stems=("vocals",)), 864.0),
    ],
)
def test_three_hours_take_so_many_megabytes_in_the_store(options: Options, megabytes: float) -> None:
    assert output_mb(options, 4, 10_800.0, 44_100) == pytest.approx(megabytes)


def test_a_song_beyond_a_limit_is_refused_with_the_numbers() -> None:
    limits = SongLimits(minutes=180, cost_minutes=1000, output_mb=10_000)

    limits.check(Options("htdemucs_ft"), 4, 10_800.0, 44_100)
    with pytest.raises(TooCostly, match=r"cost 18,000 minutes .* limit is 1,000"):
        limits.check(Options("htdemucs", shifts=10, overlap=0.9), 4, 10_800.0, 44_100)
    with pytest.raises(TooLargeOutput, match="19,051 MB; the limit is 10,000 MB"):
        limits.check(Options("lite", format="wav", bit_depth=32), 4, 10_800.0, 44_100)


def test_a_song_of_unknown_length_is_left_to_the_worker() -> None:
    SongLimits(180, 1000, 10_000).check(Options("lite", format="wav", bit_depth=32), 4, None, 192_000)
