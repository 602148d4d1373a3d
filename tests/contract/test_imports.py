"""Who imports what: layers run one way, tests import no tests, and nothing untrusted is unpickled."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.manifests import ROOT

SHARED = ("tests.support", "tests.queue.fixtures")  # the second is a pytest plugin of all folders
OURS = ("msas", "rest", "worker", "client", "local")
REDIS_USERS = ("msas/queue/", "msas/logs/log.py")
MINIO_USERS = ("msas/store/",)
# The client has settings of its own; the others hand an environment on to a process.
ENVIRONMENT_READERS = ("client/", "msas/settings.py", "local/service.py")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Return the names of all modules that the file imports, in any scope."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ("." * node.level) + (node.module or "")
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("msas", {"rest", "worker", "local", "msas_client", "torch", "demucs", "flask"}),
        ("rest", {"worker", "local", "msas_client", "torch", "demucs"}),
        ("worker", {"rest", "local", "msas_client", "flask"}),
        ("client", {"msas", "rest", "worker", "local", "torch", "flask"}),
        ("local", {"torch", "demucs", "flask"}),
    ],
)
def test_imports_run_one_way(folder: str, forbidden: set[str]) -> None:
    wrong = {relative(path): sorted(found) for path in sources(folder) if (found := packages(path) & forbidden)}

    assert wrong == {}


def test_in_rest_only_the_process_that_mixes_imports_numpy() -> None:
    command = "import sys, rest.app, rest.server; sys.exit('numpy' in sys.modules or 'lameenc' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, timeout=60).returncode == 0


def test_no_import_is_relative() -> None:
    wrong = [relative(path) for path in sources(*OURS) if any(name.startswith(".") for name in imports(path))]

    assert wrong == []


def test_only_the_engines_import_torch_demucs_or_openvino() -> None:
    folders = {path.parent.name for path in sources("worker") if packages(path) & {"torch", "demucs", "openvino"}}

    assert folders == {"engines"}


@pytest.mark.parametrize(("package", "users"), [("redis", REDIS_USERS), ("minio", MINIO_USERS)])
def test_only_the_queue_the_log_and_the_store_import_a_server_s_client(package: str, users: tuple[str, ...]) -> None:
    wrong = [
        name for path in sources(*OURS) if package in packages(path) and not (name := relative(path)).startswith(users)
    ]

    assert wrong == []


def test_only_settings_and_process_starters_read_the_environment() -> None:
    wrong = [
        name
        for path in sources(*OURS)
        if any(reader in path.read_text() for reader in ("os.environ", "getenv"))
        and not (name := relative(path)).startswith(ENVIRONMENT_READERS)
    ]

    assert wrong == []


def test_nothing_is_unpickled() -> None:
    for path in sources(*OURS):
        assert not packages(path) & {"pickle", "dill", "shelve", "marshal"}, relative(path)
        if "jsonpickle" in packages(path):
            assert path.parent == ROOT / "client", relative(path)
            assert "jsonpickle.decode" not in path.read_text(), relative(path)


def test_the_folders_redis_and_minio_hold_no_python() -> None:
    assert list(sources("redis", "minio")) == []


def test_no_file_imports_a_test_file() -> None:
    wrong = {
        relative(path): sorted(found)
        for path in sources("tests", "bench")
        if (found := {name for name in imports(path) if name.startswith("tests.") and ".test_" in name})
    }

    assert wrong == {}


@pytest.mark.parametrize("folder", ["bench", "tests/support"])
def test_the_bench_and_the_support_import_only_support(folder: str) -> None:
    wrong = {
        relative(path): sorted(found)
        for path in sources(folder)
        if (
            found := {
                name
                for name in imports(path)
                if name.startswith("tests") and name != "tests" and not name.startswith(SHARED)
            }
        )
    }

    assert wrong == {}
