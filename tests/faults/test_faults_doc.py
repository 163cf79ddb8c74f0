"""docs/faults.md is true as far as a program can tell: every test that it names exists, and no fault is left out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"
FAULTS = ROOT.parent / "shared" / "FAULTS.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
HEADS = {"Fault", "Item"}


def rows(path: Path) -> list[list[str]]:
    """The cells of each line of each table, without heads and rules."""
    lines = [line.strip("|").split("|") for line in path.read_text().splitlines() if line.startswith("|")]
    cells = [[re.sub(r"[`*]", "", cell).strip() for cell in line] for line in lines]
    return [row for row in cells if row[0] not in HEADS and not re.fullmatch(r"-+", row[0])]


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(DOCUMENT.read_text())
    missing = [
        f"{file}::{function}"
        for file, function in named
        if not (path := ROOT / "tests" / file).is_file() or function not in functions(path)
    ]

    assert not missing
    assert len(named) > 100


def test_every_row_has_a_proof_or_a_reason() -> None:
    without = [
        name for name, proof, _ in rows(DOCUMENT) if not proof.startswith("not tested: ") and ".py::" not in proof
    ]

    assert not without


def test_every_fault_is_there_in_its_order() -> None:
    if not FAULTS.is_file():
        pytest.skip(f"{FAULTS} is not here")
    wanted, found = [row[0] for row in rows(FAULTS)], [row[0] for row in rows(DOCUMENT)]

    assert found[: len(wanted)] == wanted, "what a review found stands behind them"
