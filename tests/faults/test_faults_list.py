"""Compares FAULTS.md with the tests of this folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = (FOLDER / "FAULTS.md").read_text()


def names_of_tests() -> list[str]:
    """Return file::name of each fault test."""
    files = [path for path in sorted(FOLDER.glob("test_*.py")) if path != Path(__file__)]
    return [
        f"{path.name}::{node.name}"
        for path in files
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_faults_md_names_each_fault_test_once_and_no_other() -> None:
    named = re.findall(r"test_\w+\.py::\w+", TABLE)

    assert sorted(named) == sorted(names_of_tests())


def test_the_numbers_in_faults_md_stand_in_the_docstring_of_each_test() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|.* (test_\w+\.py)::(\w+) \|$", TABLE, re.MULTILINE)
    assert rows

    for numbers, file, name in rows:
        tests = {
            node.name: node for node in ast.parse((FOLDER / file).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        stated = re.match(r"Faults? ([\d, and]+)", ast.get_docstring(tests[name]) or "")
        assert stated, f"{name} states its fault"
        assert re.findall(r"\d+", stated[1]) == re.findall(r"\d+", numbers), name
