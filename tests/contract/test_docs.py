"""The documents list what the code has: settings, metrics, packages and make targets."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from itertools import chain
from typing import Any
from unittest.mock import patch

import pytest

from msas.models import CATALOGUE, NONE_GRANTED
from msas.queue.stats import QueueCounts, QueueStats
from msas.settings import Settings
from rest.app import create_app
from rest.services import Services
from rest.uploads.store_space import StoreSpace
from tests.support.manifests import ROOT
from worker.metrics import WorkerMetrics

PROJECTS = ("pyproject.toml", "client/pyproject.toml")


def rows(page: str, columns: int) -> Iterator[list[str]]:
    """Yield the cells of each table row of docs/PAGE that has so many columns."""
    for line in (ROOT / "docs" / page).read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == columns:
            yield cells


def project(path: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / path).read_text())["project"]
    return found


def requirements(path: str) -> list[str]:
    """Return every package that the project asks for, with its pin."""
    found = project(path)
    return [*found["dependencies"], *chain.from_iterable(found["optional-dependencies"].values())]


def test_the_page_of_settings_lists_every_setting_with_its_default_and_no_other() -> None:
    listed = {name: default for name, default, _ in rows("settings.md", 3) if name.isupper()}

    defined = {
        field.name.upper(): ""
        if field.default is None
        else str(field.default).removesuffix(".0").replace("False", "false")
        for field in fields(Settings)
    }
    assert listed == defined


def test_the_page_of_operations_lists_every_metric_with_its_type_and_service_and_no_other() -> None:
    listed = {name: (kind, service) for name, kind, service, _ in rows("operations.md", 4) if name.startswith("msas_")}

    services: Services = create_app(Settings()).extensions["msas"]
    numbers = patch.object(QueueStats, "count_jobs", return_value=QueueCounts(0, 0, 0, 0, 0.0))
    with numbers, patch.object(StoreSpace, "stored_bytes", return_value=0):
        found = [("REST", metric) for metric in services.metrics.registry.collect()]
    found += [("worker", metric) for metric in WorkerMetrics().registry.collect()]
    names = {"counter": "{}_total"}
    defined = {names.get(metric.type, "{}").format(metric.name): (metric.type, service) for service, metric in found}
    assert listed == defined


@pytest.mark.parametrize("path", PROJECTS)
def test_the_page_of_dependencies_names_every_package_of_a_project(path: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()

    missing = [name for name in requirements(path) if f"`{re.split('[=>]=', name)[0].lower()}`" not in page]

    assert missing == []


def test_every_package_of_the_service_is_pinned_and_the_client_asks_for_ranges() -> None:
    assert [name for name in requirements("pyproject.toml") if "==" not in name] == []
    assert [name for name in requirements("client/pyproject.toml") if not re.fullmatch(r"[a-z]+>=[\d.]+", name)] == []


def test_the_page_of_models_lists_every_model_with_its_stems_size_and_licence_and_no_other() -> None:
    pages = {name: tuple(facts) for name, *facts, _ in rows("models.md", 5) if facts[0].startswith("vocals, ")}

    defined = {
        model.name: (
            ", ".join(model.stems),
            "" if model.size_mb is None else f"{model.size_mb:.0f}",
            model.licence if model.is_licensed else NONE_GRANTED,
        )
        for model in CATALOGUE.values()
    }
    listed = {name: (stems, size, licence.split(", and ")[0]) for name, (stems, size, licence) in pages.items()}
    assert listed == defined


def test_make_without_a_target_lists_the_targets() -> None:
    listed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)

    for target in (
        "help",
        "dev",
        "demo",
        "run",
        "logs",
        "doctor",
        "test",
        "test-long",
        "test-page",
        "lint",
        "bench",
        "soak",
    ):
        assert f"make {target} " in listed.stdout


def test_the_readme_has_at_most_150_lines_and_each_page_at_most_250() -> None:
    pages = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "docs").glob("*.md")}
    readme = len((ROOT / "README.md").read_text().splitlines())

    assert readme <= 150
    assert {name: lines for name, lines in pages.items() if lines > 250} == {}
