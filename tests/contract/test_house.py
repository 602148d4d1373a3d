"""The house rules: who may import whom, who may name what, and that the README says what is."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import pytest

from msas.queue.outlook import Numbers, Outlook
from msas.settings import Settings
from rest import create_app
from rest.services import Services
from worker.counts import Counts as WorkerCounts

ROOT = Path(__file__).parents[2]
OURS = ("msas", "rest", "worker", "client", "local")


def sources(folder: str) -> Iterator[Path]:
    return (ROOT / folder).rglob("*.py")


def imports(path: Path) -> set[str]:
    """Return the names of all modules that the file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(("." * node.level) + (node.module or ""))
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("msas", {"rest", "worker", "local", "msas_client", "torch", "demucs", "flask"}),
        ("rest", {"worker", "local", "msas_client", "torch", "demucs", "numpy"}),
        ("worker", {"rest", "local", "msas_client", "flask"}),
        ("client", {"msas", "rest", "worker", "local", "torch", "flask"}),
        ("local", {"torch", "demucs", "flask"}),
    ],
)
def test_imports_run_one_way(folder: str, forbidden: set[str]) -> None:
    for path in sources(folder):
        assert not packages(path) & forbidden, path


def test_relative_imports_are_not_used() -> None:
    for folder in OURS:
        for path in sources(folder):
            assert not [name for name in imports(path) if name.startswith(".")], path


def test_only_the_engines_import_torch_demucs_or_openvino() -> None:
    knowing = {path.parent.name for path in sources("worker") if packages(path) & {"torch", "demucs", "openvino"}}
    assert knowing == {"engines"}


def test_only_the_queue_and_the_log_know_redis_and_only_the_store_knows_minio() -> None:
    for folder in OURS:
        for path in sources(folder):
            relative = path.relative_to(ROOT).as_posix()
            if "redis" in packages(path):
                assert relative.startswith("msas/queue/") or relative == "msas/log.py"
            if "minio" in packages(path):
                assert relative in ("msas/store.py", "msas/buckets.py")


def test_only_settings_and_who_starts_processes_read_the_environment() -> None:
    for folder in OURS:
        for path in sources(folder):
            relative = path.relative_to(ROOT).as_posix()
            if folder == "client" or relative in ("msas/settings.py", "local/service.py", "rest/processes.py"):
                continue  # the client has settings of its own; the others hand an environment on
            text = path.read_text()
            assert "os.environ" not in text, path
            assert "getenv" not in text, path


def test_nothing_is_unpickled_but_weights_of_the_operators_own() -> None:
    for folder in OURS:
        for path in sources(folder):
            assert not packages(path) & {"pickle", "dill", "shelve", "marshal"}, path
            if "jsonpickle" in packages(path):
                assert path.parent == ROOT / "client"
                assert "jsonpickle.decode" not in path.read_text()


def test_the_folders_redis_and_minio_hold_no_python() -> None:
    assert not [*sources("redis"), *sources("minio")]


def test_the_readme_lists_every_setting_with_its_default_and_no_other() -> None:
    rows = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].isupper():
            rows[cells[0]] = cells[1]
    told = {
        field.name.upper(): ""
        if field.default is None
        else str(field.default).removesuffix(".0").replace("False", "false")
        for field in fields(Settings)
    }
    assert rows == told


def test_the_readme_describes_every_metric_by_its_kind_and_no_other() -> None:
    rows = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0].startswith("msas_"):
            rows[cells[0]] = (cells[1], cells[2])
    app = create_app(Settings())
    found: Services = app.extensions["msas"]
    with patch.object(Outlook, "numbers", return_value=Numbers(0, 0, 0, 0, 0.0)):
        told = [("REST", metric) for metric in found.counts.registry.collect()]
    told += [("worker", metric) for metric in WorkerCounts().registry.collect()]
    names = {"counter": "{}_total"}
    assert rows == {
        names.get(metric.type, "{}").format(metric.name): (metric.type, service) for service, metric in told
    }


def test_the_readme_gives_a_reason_for_every_package_we_ask_for() -> None:
    readme = (ROOT / "README.md").read_text().lower()
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    theirs = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
    wanted = [*ours["dependencies"], *theirs["dependencies"]]
    for project in (ours, theirs):
        for extra in project["optional-dependencies"].values():
            wanted += extra
    for requirement in wanted:
        assert f"`{requirement.partition('==')[0].lower()}`" in readme, requirement


def test_every_package_we_ask_for_is_pinned() -> None:
    for place in ("pyproject.toml", "client/pyproject.toml"):
        project = tomllib.loads((ROOT / place).read_text())["project"]
        for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
            assert "==" in requirement


def test_make_alone_lists_the_targets() -> None:
    listed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("help", "demo", "run", "logs", "doctor", "test", "test-page", "lint", "bench", "soak", "clean"):
        assert f"make {target} " in listed.stdout
