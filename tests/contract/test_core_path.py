"""The core path, as docs/architecture.md lists it: its files exist, and it stays short enough to be read."""

from __future__ import annotations

import ast
import re

from tests.support.manifests import ROOT

MOST_LINES = 2000
TOLERANCE = 15  # lines by which a file may differ from what the page says


def listed_files() -> dict[str, int]:
    """Return the files of the core path and the lines of code that the page says they have."""
    page = (ROOT / "docs/architecture.md").read_text()
    section = page[page.index("## The core path") : page.index("## A job's life")]
    return {path: int(lines) for path, lines in re.findall(r"^\| `(\S+)` \| (\d+) \|", section, re.MULTILINE)}


def count_code(name: str) -> int:
    """Return the number of lines of code in a file, without blank lines, comments and docstrings."""
    text = (ROOT / name).read_text()
    comment, documented = ("--", set[int]()) if name.endswith(".lua") else ("#", docstring_lines(text))
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return sum(bool(line) and not line.startswith(comment) and number not in documented for number, line in lines)


def docstring_lines(text: str) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            found |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return found


def test_the_core_path_has_less_than_2000_lines_of_code() -> None:
    assert sum(count_code(name) for name in listed_files()) < MOST_LINES


def test_the_page_of_the_architecture_has_the_lines_of_each_file_of_the_core_path() -> None:
    listed = listed_files()

    differing = {name: count_code(name) for name, lines in listed.items() if abs(count_code(name) - lines) > TOLERANCE}

    assert len(listed) > 15
    assert differing == {}
