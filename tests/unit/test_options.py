"""Separation options: what is understood, what is refused, and their canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from msas.errors import BadOption
from msas.job import BrokenMessage, Job
from msas.models import LITE, Model
from msas.options import Options
from tests.support.audio import STEMS

NESTED: list[Any] = []
for _ in range(2000):
    NESTED = [NESTED]


def parse(**given: Any) -> Options:
    return Options.from_fields(given, [LITE], "lite")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"stems": ["vocals", "piano"]}, "yields no stem 'piano'; choose one of: vocals, drums, bass, other"),
        ({"stems": "vocals,piano"}, "yields no stem 'piano'"),
        ({"stems": [7]}, "must be a list of stems"),
        ({"stems": {"vocals": 1}}, "must be a list of stems"),
        ({"two_stems": "piano"}, "yields no stem 'piano'"),
        ({"two_stems": ["vocals"]}, "'two_stems' must be a string"),
        ({"two_stems": "vocals", "stems": ["vocals"]}, "exclude each other"),
        ({"two_stems": "vocals", "residual": True}, "nothing is left for a residual"),
        ({"format": "ogg"}, "can not be 'ogg'; choose one of: mp3, wav, flac"),
        ({"format": "../mp3"}, "choose one of: mp3, wav, flac"),
        ({"mp3_bitrate": 321}, "can not be 321; choose one of: 64, 80, 96"),
        ({"mp3_bitrate": True}, "choose one of: 64, 80"),
        ({"format": "wav", "mp3_bitrate": 320}, "A wav has no 'mp3_bitrate'"),
        ({"bit_depth": 16}, "An mp3 has no 'bit_depth'"),
        ({"format": "wav", "bit_depth": 20}, "choose one of: 16, 24, 32"),
        ({"format": "flac", "bit_depth": 32}, "choose one of: 16, 24"),
        ({"overlap": 1}, "choose a number from 0 to 0.9"),
        ({"overlap": -0.1}, "choose a number from 0 to 0.9"),
        ({"overlap": float("nan")}, "choose a number from 0 to 0.9"),
        ({"overlap": "much"}, "choose a number from 0 to 0.9"),
        ({"overlap": 10**400}, "choose a number from 0 to 0.9"),
        ({"shifts": -1}, "choose one of: 0, 1, 2"),
        ({"shifts": 1.5}, "choose one of: 0, 1, 2"),
        ({"shifts": 11}, "choose one of: 0, 1, 2"),
        ({"residual": "maybe"}, "choose true or false"),
        ({"residual": {"a": 1}}, "can not be a dict; choose true or false"),
        ({"format": NESTED}, "can not be a list; choose one of: mp3, wav, flac"),
        ({"model": NESTED}, "The model a list is not offered here"),
        ({"two_stems": NESTED}, "must be a string, but is a list"),
        ({"stems": NESTED}, "must be a list of stems"),
        ({"overlap": NESTED}, "choose a number from 0 to 0.9"),
        ({"model": "nonesuch"}, "The model 'nonesuch' is not offered here; choose one of: lite"),
    ],
)
def test_an_unavailable_option_is_refused_with_the_available_values(given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadOption, match=r"^.{1,300}$") as refused:
        parse(**given)

    assert why in refused.value.detail


def test_default_options_given_explicitly_change_no_songhash() -> None:
    explicit = parse(
        model="lite", stems=list(reversed(STEMS)), two_stems=None, format="mp3", mp3_bitrate=320, bit_depth=None,
        overlap=0.25, shifts=0, residual=False,
    )  # fmt: skip

    assert explicit.canonical() == parse().canonical() == b'{"model":"lite"}'


def test_options_given_as_text_equal_those_given_as_json() -> None:
    as_text = parse(stems="drums, vocals", overlap="0.5", shifts="2", residual="true", mp3_bitrate="128")
    as_json = parse(stems=["vocals", "drums", "vocals"], overlap=0.5, shifts=2, residual=True, mp3_bitrate=128)

    assert as_text == as_json
    assert as_json.canonical() == (
        b'{"model":"lite","mp3_bitrate":128,"overlap":0.5,"residual":true,"shifts":2,"stems":["vocals","drums"]}'
    )


def test_options_travel_through_the_queue_unchanged() -> None:
    options = parse(format="flac", bit_depth=24, stems=["bass"], shifts=3, residual=True)

    assert Job.from_message(Job("0" * 56, options).message()).options == options


def test_a_message_with_an_unknown_option_value_is_broken() -> None:
    message = json.dumps({"hash": "0" * 56, "options": {"model": "lite", "format": "ogg"}})

    with pytest.raises(BrokenMessage, match="choose one of: mp3, wav, flac"):
        Job.from_message(message.encode())


@pytest.mark.parametrize(
    ("stems", "given", "advice"),
    [
        (("vocals", "no_vocals"), {"two_stems": "vocals"}, "ask for 'stems' vocals,no_vocals"),
        (("vocals", "residual"), {"residual": True}, "leave 'residual' out"),
    ],
)
def test_a_model_with_a_stem_of_the_rests_own_name_is_refused(
    stems: tuple[str, ...], given: dict[str, Any], advice: str
) -> None:
    with pytest.raises(BadOption, match=f"yields a stem .* of its own; {advice}"):
        Options.from_fields(given, [Model("clash", stems, "")], "clash")
