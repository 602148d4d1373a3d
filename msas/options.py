"""The options of a separation: parsing, checks, JSON schema, canonical form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from msas.errors import BadOption
from msas.models import Model

FORMATS = ("mp3", "wav", "flac")
# Below 64 kbit/s a frame has no room for the header with the MP3's exact length.
BITRATES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BIT_DEPTHS = {"wav": (16, 24, 32), "flac": (16, 24)}
MOST_OVERLAP, MOST_SHIFTS = 0.9, 10
RESIDUAL = "residual"


@dataclass(frozen=True)
class Options:
    """All options that change the result; their names and meanings are those of the `demucs` command.

    An empty `stems` means all. `two_stems` names a stem that is delivered with its complement. `mp3_bitrate` is in
    kbit/s; `bit_depth` of wav and flac in bits (32: floats).
    """

    model: str
    stems: tuple[str, ...] = ()
    two_stems: str = ""
    format: str = "mp3"
    mp3_bitrate: int = 320
    bit_depth: int = 16
    overlap: float = 0.25
    shifts: int = 0
    residual: bool = False

    @classmethod
    def from_fields(cls, given: Mapping[str, Any], offered: Iterable[Model], default_model: str) -> Options:
        """Read the options from a request's fields; absent and null ones take their default.

        Raises BadOption, with the allowed values, for options that this deployment does not support. Ignores other
        fields.
        """
        models = {model.name: model for model in offered}
        model = given.get("model") or default_model
        if not isinstance(model, str) or model not in models:
            raise _bad(f"The model {_shown(model)} is not offered here", models)
        return cls.parse({**given, "model": model}).for_stems(models[model].stems)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Read the options from `given`, which names a model, whose stems are not checked. Raises BadOption."""
        chosen = {
            name: choice.read(name, given[name])
            for name, choice in CHOICES.items()
            if given.get(name) not in (None, "", [])
        }
        options = cls(model=given["model"], **chosen)
        _check_contradictions(options, chosen)
        return options

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Options:
        """Read what `to_json` of this version or of another one returned; checks nothing."""
        known = {each.name: content[each.name] for each in fields(cls) if each.name in content}
        return cls(**{**known, "stems": tuple(content.get("stems", ()))})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "stems": list(self.stems)}

    def for_stems(self, stems: tuple[str, ...]) -> Options:
        """Return the options for a model with these `stems`. Raises BadOption where it lacks a wanted stem."""
        for name in (*self.stems, *([self.two_stems] if self.two_stems else [])):
            if name not in stems:
                raise _bad(f"The model {self.model!r} yields no stem {_shown(name)}", stems)
        name = self.remainder
        if name in stems:
            instead = f"ask for 'stems' {self.two_stems},{name}" if self.two_stems else "leave 'residual' out"
            raise BadOption(f"The model {self.model!r} yields a stem {name!r} of its own; {instead}.")
        wanted = tuple(stem for stem in stems if stem in self.stems)
        return Options(**{**asdict(self), "stems": () if wanted == stems else wanted})

    def canonical(self) -> bytes:
        """Return the options as canonical JSON: sorted, compact, ASCII.

        Options with their default are left out, so that an option of a later version does not change songhashes.
        """
        chosen = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}
        return json.dumps(chosen, sort_keys=True, separators=(",", ":")).encode()

    @property
    def sources(self) -> tuple[str, ...]:
        """The wanted stems of the model; empty: all."""
        return (self.two_stems,) if self.two_stems else self.stems

    @property
    def remainder(self) -> str:
        """The name of the stem that is the mixture less all other stems; empty where none is wanted."""
        return f"no_{self.two_stems}" if self.two_stems else RESIDUAL if self.residual else ""


def _check_contradictions(options: Options, chosen: Mapping[str, Any]) -> None:
    """Raise BadOption where options contradict each other."""
    if options.two_stems and options.stems:
        raise BadOption("The options 'stems' and 'two_stems' exclude each other; give one of them.")
    if options.two_stems and options.residual:
        raise BadOption("With 'two_stems' nothing is left for a residual; leave one of the two options out.")
    if options.format != "mp3" and "mp3_bitrate" in chosen:
        raise BadOption(f"A {options.format} has no 'mp3_bitrate'; leave it out, or choose the format mp3.")
    if options.format == "mp3" and "bit_depth" in chosen:
        raise BadOption("An mp3 has no 'bit_depth'; leave it out, or choose the format wav or flac.")
    if options.format != "mp3" and options.bit_depth not in BIT_DEPTHS[options.format]:
        allowed = BIT_DEPTHS[options.format]
        raise _bad(f"A {options.format} can not have a 'bit_depth' of {options.bit_depth}", allowed)


def _bad(what: str, allowed: Iterable[object]) -> BadOption:
    return BadOption(f"{what}; choose one of: {', '.join(map(str, allowed))}.")


def _shown(value: object) -> str:
    """Return `value` for an error message: at most 82 characters, and only the type of nested values."""
    return repr(value)[:82] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadOption(f"The option {name!r} must be a string, but is {_shown(value)}.")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise BadOption(f"The option {name!r} must be a list of stems, but is {_shown(value)}.")
    return tuple(part.strip() for part in parts)


def _one_of(allowed: Iterable[object]) -> Callable[[str, Any], Any]:
    """Return a parser of a value among `allowed`, which may also be given as text, as in forms."""
    by_text = {str(value): value for value in allowed}

    def read(name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or str(value) not in by_text:
            raise _bad(f"The option {name!r} can not be {_shown(value)}", by_text)
        return by_text[str(value)]

    return read


def _overlap(name: str, value: Any) -> float:
    try:
        overlap = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        overlap = -1.0
    if not 0 <= overlap <= MOST_OVERLAP:
        raise BadOption(f"The option {name!r} can not be {_shown(value)}; choose a number from 0 to {MOST_OVERLAP}.")
    return overlap


def _switch(name: str, value: Any) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    switch = words.get(str(value).lower()) if isinstance(value, str | int) else None
    if switch is None:
        raise BadOption(f"The option {name!r} can not be {_shown(value)}; choose true or false.")
    return switch


@dataclass(frozen=True)
class Choice:
    """An option: its parser, its JSON schema, and its description."""

    read: Callable[[str, Any], Any]
    schema: dict[str, Any]
    about: str


def _choice(allowed: Iterable[Any], about: str) -> Choice:
    values = list(allowed)
    return Choice(
        _one_of(values), {"enum": [None, *values, *(str(x) for x in values if not isinstance(x, str))]}, about
    )


_NAMES = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}, {"type": "null"}]}
CHOICES: dict[str, Choice] = {
    "stems": Choice(_texts, _NAMES, "which stems, as a list or with commas between; all where absent"),
    "two_stems": Choice(
        _text, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "one stem, delivered with its complement, no_<stem>"
    ),
    "format": _choice(FORMATS, "of the stems; mp3 where absent"),
    "mp3_bitrate": _choice(BITRATES, "kbit/s; 320 where absent"),
    "bit_depth": _choice((16, 24, 32), "of wav (32: floats) and flac (16, 24); 16 where absent"),
    "overlap": Choice(
        _overlap,
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": MOST_OVERLAP}, {"type": "string"}, {"type": "null"}]},
        "of neighbouring segments, as a share; 0.25 where absent",
    ),
    "shifts": _choice(range(MOST_SHIFTS + 1), "how many shifted passes are averaged: better, and as many times slower"),
    "residual": Choice(_switch, {"enum": [None, True, False, "true", "false", "1", "0"]}, "also what all stems leave"),
}
