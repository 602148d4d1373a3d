"""A song in base64 inside JSON is read as it comes, wherever the pieces are cut."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msas.errors import BadBase64, NotJson, Problem, TooLarge
from rest.uploads.json_upload import JSON_ROOM, read_json

ESCAPED: dict[str, Callable[[str], str]] = {
    "plain": json.dumps,
    "with / as PHP writes it": lambda text: json.dumps(text).replace("/", "\\/"),
    "with + as .NET writes it": lambda text: json.dumps(text).replace("+", "\\u002B"),
    "in lines as mail has it": lambda text: json.dumps("\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))),
}
MISLEADING = {
    "name": 'a\\"b,"mp3": "x',
    "callback": {"url": "http://x", "data": {"mp3": "mine", "odd": [1, '"mp3":"', "]{", "\\"]}},
}


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted(cut % (len(body) + 1) for cut in cuts)
    return [body[i:j] for i, j in zip([0, *at], [*at, len(body)], strict=True)]


def read(body: bytes, size: int = 7) -> tuple[dict[str, Any], bytes]:
    song = io.BytesIO()
    return read_json([body[i : i + size] for i in range(0, len(body), size)], song), song.getvalue()


@given(
    song=st.binary(max_size=300),
    written=st.sampled_from(sorted(ESCAPED)),
    first=st.booleans(),
    cuts=st.lists(st.integers(0, 10_000), max_size=40),
)
def test_the_decoded_song_does_not_depend_on_json_style_or_chunks(
    song: bytes, written: str, first: bool, cuts: list[int]
) -> None:
    text = ESCAPED[written](base64.b64encode(song).decode())
    rest = json.dumps(MISLEADING)
    body = f'{{"mp3" : {text}, {rest[1:]}' if first else f'{rest[:-1]},\n "mp3":{text}}}'
    into = io.BytesIO()
    assert read_json(pieces(body.encode(), cuts), into) == {**MISLEADING, "mp3": len(song)}
    assert into.getvalue() == song


@given(body=st.binary(max_size=200) | st.text(alphabet='{}[]",:\\mp3 QUFB=u00', max_size=60).map(str.encode))
def test_any_body_is_read_or_refused_with_a_sentence(body: bytes) -> None:
    try:
        fields, song = read(body)
    except Problem as problem:
        assert_sentence(problem.detail)
    else:
        assert fields == {**json.loads(body), "mp3": fields["mp3"]}
        assert (fields["mp3"] or 0) == len(song)


def assert_sentence(detail: str) -> None:
    assert detail.endswith(".")


def test_a_json_key_with_escapes_is_recognised() -> None:
    assert read(b'{"\\u006dp3": "QUFB"}') == ({"mp3": 3}, b"AAA")


@pytest.mark.parametrize("text", ["QQ==QQ==", "QQ=", "Q-_B", "Q", "\\u00", "\\u00e4bcd", "QUFB\\n=", "Q\\"])
def test_invalid_base64_is_refused(text: str) -> None:
    with pytest.raises((BadBase64, NotJson)):
        read(f'{{"mp3": "{text}"}}'.encode())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"mp3": "QUFB', b'{"mp3": "QUFB", "mp3": "QUFB"}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        read(body, 10_000)


@pytest.mark.parametrize("filler", [b" ", b'"a",', b"[1]", b"\\"])
def test_fields_beside_the_song_are_limited_in_size(filler: bytes) -> None:
    with pytest.raises(TooLarge):
        read(b'{"mp3": "QUFB", "x": "' + filler * JSON_ROOM, 65_536)
