"""An answer: the rows as Arrow, pandas or polars, and what is missing between them.

Guarantees: `Rows.complete` is True only where the recorder says that it was there all the time and that nothing is
missing; column ``after_gap`` is True in each row before which something is. pyarrow, pandas and polars are imported
when they are needed and not before (extra ``reader``); without them `ReaderExtraMissing` says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from wsadapter.clickhouse.completeness import COMPLETE
from wsadapter.errors import WsadapterError
from wsadapter.stored.holes import Completeness, Span, marked

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

AFTER_GAP: Final = "after_gap"
ORDERED_BY: Final = "_at"
"""Column of what rows are in the order of, of a query with a limit."""
MOMENT: Final = "_moment"
"""When a row came: what `Span`s are compared with. Not in the answer."""
NANOSECOND: Final = "ns"


class ReaderExtraMissing(WsadapterError, ImportError):
    """A library of the extra ``reader`` is not installed."""


def library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ReaderExtraMissing(
            f"{name} is not installed: pip install 'wsadapter[reader]' (or {name} alone)"
        ) from None


class Rows:
    """Of one series from ``start_ns`` to ``end_ns`` (which is not in it). ``truncated``: there are more rows than were
    asked for, and ``end_ns`` is where these end."""

    def __init__(
        self, arrow: "pyarrow.Table", start_ns: int, end_ns: int, completeness: Completeness, truncated: bool
    ) -> None:
        self.start_ns, self.end_ns, self.truncated = start_ns, end_ns, truncated
        self.completeness = completeness
        self.arrow = _with_marks(arrow, completeness.missing, start_ns)

    @property
    def complete(self) -> bool:
        return self.verdict == COMPLETE

    @property
    def verdict(self) -> str:
        """``complete``, ``incomplete``, or ``missing``: nothing of it was recorded."""
        return self.completeness.verdict

    @property
    def gaps(self) -> tuple[Span, ...]:
        """All that are known in the range, repaired ones too."""
        return self.completeness.gaps

    @property
    def missing(self) -> tuple[Span, ...]:
        """The gaps that are not repaired."""
        return self.completeness.missing

    def pandas(self) -> "pandas.DataFrame":
        """Texts and times as Arrow has them: nothing is copied that need not be."""
        library("pandas")
        frame: pandas.DataFrame = self.arrow.to_pandas()
        return frame

    def polars(self) -> "polars.DataFrame":
        frame: polars.DataFrame = library("polars").from_arrow(self.arrow)
        return frame

    @property
    def gap_table(self) -> "pyarrow.Table":
        """`gaps` as a table: start, end (UTC), cause, state, gap_id, lasts."""
        arrow = library("pyarrow")
        when = arrow.timestamp(NANOSECOND, tz="UTC")
        columns = {
            "start": arrow.array([span.start_ns for span in self.gaps], when),
            "end": arrow.array([span.end_ns for span in self.gaps], when),
            "cause": arrow.array([span.cause for span in self.gaps], arrow.string()),
            "state": arrow.array([span.state for span in self.gaps], arrow.string()),
            "gap_id": arrow.array([span.gap_id for span in self.gaps], arrow.string()),
            "lasts": arrow.array([span.lasts for span in self.gaps], arrow.bool_()),
        }
        return arrow.table(columns)

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __repr__(self) -> str:
        return f"<Rows {len(self)} {self.verdict} gaps={len(self.missing)}>"


def _with_marks(table: "pyarrow.Table", missing: tuple[Span, ...], start_ns: int) -> "pyarrow.Table":
    """Column `AFTER_GAP` in the place of `MOMENT`."""
    arrow = library("pyarrow")
    moments, table = table.column(MOMENT), table.drop_columns([MOMENT])
    if missing:
        flags = arrow.array(marked(_numbers(moments), missing, start_ns), arrow.bool_())
    else:
        flags = arrow.repeat(False, table.num_rows)
    return table.append_column(AFTER_GAP, flags)


def _numbers(column: Any) -> list[int]:
    """Of a column of 64-bit numbers without nulls, out of Arrow's own memory: by way of scalars it takes ten times as
    long."""
    found: list[int] = []
    for chunk in column.chunks:
        numbers = memoryview(chunk.buffers()[1]).cast("q")
        found.extend(numbers[chunk.offset : chunk.offset + len(chunk)])
    return found
