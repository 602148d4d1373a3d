"""Merges the models that each worker offers into one offer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any


def merge_offers(found: Sequence[Any]) -> dict[str, Any] | None:
    """Return the union of the offers in `found`, which alternates a number of workers and their offer.

    The default model and the other facts are those of most workers; the first by name where numbers are equal.
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
