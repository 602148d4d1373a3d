"""Every file that a document, a comment or a make target names is in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.manifests import ROOT

# A path that begins with one of our folders and ends in a file's suffix; `*` and `<...>` make it a pattern.
_PATH = re.compile(
    r"(?<![\w/.-])((?:msas|rest|worker|client|local|tests|bench|k8s|redis|minio|docs|\.ci)/[\w./*-]*"
    r"\.(?:py|md|lua|yaml|json|js|css|html|pem|png|toml))\b"
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_paths_in_texts_and_code_are_in_the_repository() -> None:
    missing = {
        (name, path)
        for name in tracked("*.md", "*.py", "*.yaml", "Makefile", ".ci/run")
        for path in _PATH.findall((ROOT / name).read_text())
        if not list(ROOT.glob(path))
    }

    assert missing == set()


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_anchors_in_documents_lead_to_headings() -> None:
    missing = {
        (name, f"{file}#{anchor}")
        for name in tracked("*.md")
        for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", (ROOT / name).read_text())
        if anchor not in anchors((ROOT / name).parent / file if file else ROOT / name)
    }

    assert missing == set()


def test_links_in_documents_lead_to_files_in_the_repository() -> None:
    missing = {
        (name, link)
        for name in tracked("*.md")
        for link in _LINK.findall((ROOT / name).read_text())
        if not ((ROOT / name).parent / link).exists()
    }

    assert missing == set()
