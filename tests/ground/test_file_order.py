"""The order of the test files, and the table that it is made of."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from file_order import LEAST_SECONDS, TABLE, FileTimes, longest_first, read, written


def test_the_longest_run_first_and_those_that_are_not_there_as_they_were() -> None:
    seconds = {"tests/test_long.py": 90.0, "tests/test_middle.py": 5.0}
    files = ["tests/test_short.py", "tests/test_new.py", "tests/test_middle.py", "tests/test_long.py"]
    assert longest_first(files, seconds) == [
        "tests/test_long.py", "tests/test_middle.py", "tests/test_short.py", "tests/test_new.py",
    ]  # fmt: skip


def test_without_a_table_they_stay_as_they_are() -> None:
    assert longest_first(["b", "c", "a"], {}) == ["b", "c", "a"]


def test_a_run_says_what_its_files_took_and_leaves_the_others(tmp_path: Path) -> None:
    own, other = "tests/ground/test_file_order.py", "tests/ground/test_text.py"
    table = tmp_path / "table"
    table.write_text(written({other: 3.0, own: 2.0, "tests/test_that_is_gone.py": 9.0}))
    times = FileTimes(table)
    for seconds in (1.5, 2.5):
        report = SimpleNamespace(nodeid=f"{own}::test_one", duration=seconds)
        times.pytest_runtest_logreport(cast(pytest.TestReport, report))
    times.pytest_sessionfinish()
    assert table.read_text() == f"{own} 4.0\n{other} 3.0\n"


def test_what_takes_no_second_is_not_kept() -> None:
    assert (
        written({"tests/test_a.py": LEAST_SECONDS, "tests/test_b.py": LEAST_SECONDS - 0.1}) == "tests/test_a.py 1.0\n"
    )


def test_files_that_took_longer_can_be_left_out(tmp_path: Path) -> None:
    """As ``make test-fast`` does: they are not even read."""
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("conftest.py", "file_order.py"):
        (tests / name).write_text((TABLE.parent / name).read_text())
    (tests / TABLE.name).write_text("tests/test_long.py 9.0\ntests/test_short.py 2.0\n")
    for name in ("long", "short", "new"):
        (tests / f"test_{name}.py").write_text(f"def test_{name}():\n    pass\n")
    asked = [sys.executable, "-m", "pytest", "--most-seconds", "2", "--collect-only", "-q", "-p", "no:cacheprovider"]
    told = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert {line.partition("::")[2] for line in told.splitlines() if "::" in line} == {"test_short", "test_new"}


def test_the_table_that_is_kept_can_be_read() -> None:
    assert all(seconds >= 0 for seconds in read(TABLE.read_text()).values())
