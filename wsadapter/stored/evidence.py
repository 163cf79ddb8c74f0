"""What tables ``coverage``, ``gap`` and ``rejected`` said of a series, to judge rows by that are read afterwards.

Rows are inserted before what says that they are there. Whoever reads in the other order, the rows and then this, may be
told that rows are complete of which some came in between.
"""

from collections.abc import Sequence
from typing import Self

from msgspec import Struct

from wsadapter.clickhouse.client import Ask, Parameters, decode_rows
from wsadapter.stored import queries
from wsadapter.stored.holes import Completeness, Covered, GapRow, RejectedRows, completeness


class Evidence(Struct, frozen=True):
    """As of ``at_ns``, of a range of time."""

    covered: Sequence[Covered]
    gaps: Sequence[GapRow]
    rejected: Sequence[RejectedRows]
    at_ns: int

    @classmethod
    def read(cls, ask: Ask, database: str, parameters: Parameters, at_ns: int) -> Self:
        """Coverage first: it is inserted behind the gaps."""
        covered = decode_rows(ask(queries.coverage(database, parameters)), Covered)
        gaps = decode_rows(ask(queries.gap_rows(database, parameters)), GapRow)
        rejected = decode_rows(ask(queries.rejected_rows(database, parameters)), RejectedRows)
        return cls(covered, gaps, rejected, at_ns)

    def completeness(self, begin_ns: int, end_ns: int, interval: str = "") -> Completeness:
        """Of the range or a part of it."""
        return completeness(self.covered, self.gaps, self.rejected, begin_ns, end_ns, self.at_ns, interval)
