"""GET /apiv1/mix/<songhash>.<mp3|flac|wav>: a mix of a song's stems, made while it is sent."""

from __future__ import annotations

import json
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field, WithJsonSchema

from msas.errors import NotFound, UnknownSong, UnknownStem
from msas.job import SONGHASH
from msas.options import FORMATS
from msas.queue import JobView
from msas.report import Report
from msas.store.stems import CONTENT_TYPES
from rest.api.openapi import NEEDS_KEY, binary_response, problem_responses
from rest.api.ranges import disposition
from rest.api.tracks import finished, song_title
from rest.mix.plan import MixPlan, Source
from rest.mix.query import parse_gains, parse_region, parse_semitones, parse_tempo
from rest.services import services

_MP3_DECODER_DELAY = 1105  # samples
_FLAC_HEADER_BYTES = 42
_BEST_MP3_BITRATE = 320

blueprint = APIBlueprint("mix", __name__, abp_security=NEEDS_KEY)


class MixPath(BaseModel):
    mix: Annotated[
        str,
        WithJsonSchema({"type": "string", "pattern": f"^{SONGHASH.pattern}\\.({'|'.join(FORMATS)})$"}),
        Field(description="the songhash, and .mp3, .flac or .wav"),
    ]


class MixQuery(BaseModel):
    """Texts, which rest/mix/query.py reads, so that its errors say what is allowed."""

    gains: str = Field("", description="factors, 0 to 15.85 (24 dB), of stems: vocals:0,drums:0.8; others have 1")
    start: str = Field("", description="seconds; the song's beginning if absent")
    end: str = Field("", description="seconds; the song's end if absent")
    tempo: str = Field("", description="0.5 to 1.5 times the song's tempo, without a change of pitch; 1 if absent")
    transpose: str = Field("", description="semitones, -6 to 6; drums keep their pitch; 0 if absent")


@blueprint.get(
    "/mix/<mix>", responses={200: binary_response(*CONTENT_TYPES.values()), **problem_responses(404, 409, 422)}
)
def mix(path: MixPath, query: MixQuery) -> Response:
    """Send a mix of the song's stems, or of a region of them, exact to the sample. HEAD sends its headers alone.

    Another tempo or key is made by FFmpeg's filters, within 0.1 s.

    A WAV or FLAC has the bit depth of the stems, 16 for MP3 stems. Integer samples beyond full scale are clipped.
    """
    songhash, _, extension = path.mix.partition(".")
    if extension not in FORMATS:
        raise UnknownSong(f"There is no such mix; ask for /apiv1/mix/<songhash>.mp3, or one of: {', '.join(FORMATS)}.")
    job = finished(services().job(songhash))
    if not (job.report and job.tracks):
        raise UnknownStem("All stems of this song were removed; send the song again.")
    plan = _plan(job, job.report, extension, query)
    response = Response(content_type=CONTENT_TYPES[extension])
    response.headers["Content-Disposition"] = disposition(f"{song_title(job)}-mix.{extension}")
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Accept-Ranges"] = "none"
    if request.method != "HEAD":
        opened = services().mixer.open(plan)
        response.response = opened
        response.call_on_close(opened.close)
    return response


def _plan(job: JobView, report: Report, extension: str, query: MixQuery) -> MixPlan:
    content = services().store.peaks(job.songhash, job.tag)
    if content is None:
        raise NotFound("This song can't be mixed: an earlier version separated it. Remove it, then send it again.")
    peaks = json.loads(content)
    gains = parse_gains(query.gains, [track.name for track in job.tracks])
    first, last = parse_region(query.start, query.end, peaks["samples"], peaks["rate"])
    options = report.options
    bits = options.bit_depth if options.format != "mp3" else 16
    heard = [name for name, gain in gains.items() if gain]
    return MixPlan(
        songhash=job.songhash,
        tag=job.tag,
        title=song_title(job),
        extension=options.format,
        bits=bits,
        rate=peaks["rate"],
        samples=last - first,
        sources=tuple(_source(name, gains[name], options.format, bits, first, peaks) for name in heard),
        format=extension,
        mp3_bitrate=options.mp3_bitrate if options.format == "mp3" else _BEST_MP3_BITRATE,
        bit_depth=min(bits, 24) if extension == "flac" else bits,
        settings=services().settings.to_environment(),
        tempo=parse_tempo(query.tempo),
        semitones=parse_semitones(query.transpose),
    )


def _source(name: str, gain: float, extension: str, bits: int, first: int, peaks: dict[str, Any]) -> Source:
    """Return where to begin to decode a stem so that sample `first` can be reached without its beginning."""
    starts, size = peaks["tracks"][name]["starts"], peaks["slice"]
    if extension == "wav":
        return Source(name, gain, starts[0] + first * 2 * bits // 8, 0)
    index = first // size
    if extension == "flac":
        return Source(name, gain, starts[index], first - index * size, _FLAC_HEADER_BYTES)
    index = max(0, index - 1)  # an MP3's frames need bits of frames before them
    return Source(name, gain, starts[index], first - index * size + _MP3_DECODER_DELAY)
