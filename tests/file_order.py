"""In which order test files run: the longest first, so that no worker ends alone with a long one.

`file_seconds.txt` has what each file took, longest first; ``make test TIMES=1`` writes what ran into it. A file that it
does not have, a new one, counts as one of middle length.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

TABLE: Final = Path(__file__).with_name("file_seconds.txt")
ROOT: Final = TABLE.parents[1]


def read(text: str) -> dict[str, float]:
    """File, as in a test's id -> seconds."""
    return {path: float(seconds) for path, seconds in (line.split() for line in text.splitlines())}


def written(seconds: Mapping[str, float]) -> str:
    return "".join(f"{path} {took:.1f}\n" for path, took in sorted(seconds.items(), key=lambda one: (-one[1], one[0])))


def longest_first(files: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Those of equal length stay as they were."""
    middle = statistics.median(seconds.values()) if seconds else 0.0
    return sorted(files, key=lambda path: -seconds.get(path, middle))


class FileTimes:
    """A plugin of the process that the workers report to."""

    def __init__(self, table: Path = TABLE) -> None:
        self._table = table
        self._took: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._took[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        known = read(self._table.read_text()) | self._took
        self._table.write_text(written({path: took for path, took in known.items() if (ROOT / path).exists()}))
