"""What docs/threat-model.md says that tests show, tests show."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", TEXT)))


def names_in(file: Path) -> set[str]:
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}::{one.name}" for one in inner}
    return found


@pytest.mark.parametrize("name", NAMED)
def test_each_named_test_exists(name: str) -> None:
    file, _, test = name.partition("::")
    assert test in names_in(ROOT / file)
    assert test.rpartition("::")[2].startswith("test_")


def test_every_line_about_an_attack_names_a_test() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("| ") and line.count("|") == 4]
    rows = [line for line in lines if not line.startswith(("| attack |", "|---"))]
    assert len(rows) > 30
    assert [line for line in rows if "::test_" not in line] == []
