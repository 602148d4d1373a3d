"""Points the hub's client of this process to another hub and to an empty cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from worker.weights import hub


def use_hub(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client ask the hub at `url`, and keep its files in `cache`, until the test ends."""
    hub.hub_answers.cache_clear()
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
