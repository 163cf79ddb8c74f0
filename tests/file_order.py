"""In which order test files run: the longest first, so that no worker ends alone with a long one; and which of them
``make test-fast`` leaves out.

`file_seconds.txt` has what each file took, longest first, of a second or more; ``make test TIMES=1`` writes what ran
into it. A file that it does not have is a short one, or new.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

TABLE: Final = Path(__file__).with_name("file_seconds.txt")
ROOT: Final = TABLE.parents[1]
LEAST_SECONDS: Final = 1.0


def read(text: str) -> dict[str, float]:
    """File, as in a test's id -> seconds."""
    return {path: float(seconds) for path, seconds in (line.split() for line in text.splitlines())}


def written(seconds: Mapping[str, float]) -> str:
    longest = sorted(seconds.items(), key=lambda one: (-one[1], one[0]))
    return "".join(f"{path} {took:.1f}\n" for path, took in longest if took >= LEAST_SECONDS)


def longest_first(files: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Those of equal length stay as they were."""
    return sorted(files, key=lambda path: -seconds.get(path, 0.0))


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
