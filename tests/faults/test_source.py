"""What no line of the product may do, and what its pins must have: read from the source itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "wsadapter").rglob("*.py"))
CODE_IN_DISGUISE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "multiprocessing"}
"""Modules that would let one process run what another one sends."""
UNVERIFIED = re.compile(
    r"CERT_NONE|_create_unverified_context|verify\s*=\s*False|check_hostname\s*=\s*False|CERT_OPTIONAL"
)
SHELL = re.compile(r"\b(shell\s*=\s*True|os\.system|os\.popen)\b")


def imported(path: Path) -> set[str]:
    """The top level names of all that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_processes_never_send_each_other_pickles() -> None:
    assert {path.name: bad for path in SOURCES if (bad := imported(path) & CODE_IN_DISGUISE)} == {}


@pytest.mark.parametrize("forbidden", [UNVERIFIED, SHELL], ids=["unverified TLS", "a shell"])
def test_it_never_says(forbidden: re.Pattern[str]) -> None:
    assert [path.name for path in SOURCES if forbidden.search(path.read_text())] == []


def test_every_pin_has_its_hashes() -> None:
    lines = (ROOT / "constraints.txt").read_text().replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]

    assert len(pins) > 20
    assert [
        pin[:40] for pin in pins if not re.match(r"[\w.-]+(\[[\w,]+\])?==\S+( *;[^-]*)? +--hash=sha256:", pin)
    ] == []
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
