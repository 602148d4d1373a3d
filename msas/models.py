"""The catalogue of models: names, stems, descriptions, numbers of networks."""

from __future__ import annotations

from dataclasses import dataclass

FOUR_STEMS = ("vocals", "drums", "bass", "other")
SIX_STEMS = (*FOUR_STEMS, "guitar", "piano")


@dataclass(frozen=True)
class Model:
    """A model: its name, its stems in the order of the API, and a sentence about it."""

    name: str
    stems: tuple[str, ...]
    about: str


LITE = Model(
    "lite",
    FOUR_STEMS,
    "A fast preview model, not Demucs: Spleeter's two stems, then drums, bass and other by signal processing.",
)
DEMUCS = (
    Model("htdemucs", FOUR_STEMS, "Hybrid Transformer Demucs: the best balance of quality and speed."),
    Model("htdemucs_ft", FOUR_STEMS, "htdemucs fine-tuned for each stem: a little better, four times slower."),
    Model("htdemucs_6s", SIX_STEMS, "htdemucs with guitar and piano as well; the piano is experimental."),
    Model("hdemucs_mmi", FOUR_STEMS, "Hybrid Demucs version 3, trained on MusDB and 800 more songs."),
    Model("mdx_extra", FOUR_STEMS, "A bag of four models from the MDX challenge, trained with extra songs."),
    Model("mdx_extra_q", FOUR_STEMS, "mdx_extra with quantised weights: a smaller download, slightly worse."),
)


# The number of networks that process a song, where it is not one; htdemucs_ft has one for each stem.
NETWORKS = {"htdemucs_ft": 4, "mdx_extra": 4, "mdx_extra_q": 4}


def stem_order(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Sort `sources` in the order of the API: the four common stems, then the others."""
    return tuple(sorted(sources, key=lambda name: (SIX_STEMS.index(name) if name in SIX_STEMS else 99, name)))
