"""What the workers offer together, out of what each of them offers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any


def merge_offers(found: Sequence[Any]) -> dict[str, Any] | None:
    """Return the union of the offers in `found`, a script's answer: a count of workers, their offer, and so on.

    The default and the other facts are those of the most workers; of equal counts the first by name.
    """
    offers = [(count, json.loads(content)) for count, content in zip(found[::2], found[1::2], strict=True)]
    offers = [(count, offer) for count, offer in offers if offer is not None]
    if not offers:
        return None
    defaults = Counter[str]()
    for count, offer in offers:
        defaults[offer.get("default", "")] += count
    default = min(defaults, key=lambda name: (-defaults[name], name))
    offers.sort(key=lambda each: (each[1].get("default") != default, -each[0], json.dumps(each[1])))
    models = {model["name"]: model for _, offer in reversed(offers) for model in offer.get("models", ())}
    names = dict.fromkeys(model["name"] for _, offer in offers for model in offer.get("models", ()))
    merged = {key: value for key, value in offers[0][1].items() if key != "per_worker"}
    return merged | ({"models": [models[name] for name in names]} if "models" in merged else {})
