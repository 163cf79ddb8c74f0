"""The order of the test files, and the table that it is made of."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from file_order import TABLE, FileTimes, longest_first, read, written


def test_a_new_file_runs_between_the_long_and_the_short() -> None:
    seconds = {"tests/test_long.py": 90.0, "tests/test_middle.py": 5.0, "tests/test_short.py": 0.1}
    files = ["tests/test_short.py", "tests/test_new.py", "tests/test_newer.py", "tests/test_long.py"]
    assert longest_first(files, seconds) == [
        "tests/test_long.py", "tests/test_new.py", "tests/test_newer.py", "tests/test_short.py",
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


def test_the_table_that_is_kept_can_be_read() -> None:
    assert all(seconds >= 0 for seconds in read(TABLE.read_text()).values())
