"""What was recorded, read back from ClickHouse: candles, trades, quotes and books, each with what is missing of it.

`Stored` asks; `Rows` are an answer, as Arrow, pandas or polars; `Span` is a time of which something is missing.
A row is there once, whatever the tables hold of it, and no answer is called complete that is not (see
docs/reading-clickhouse.md).
"""

from wsadapter.stored.book import Book, Level
from wsadapter.stored.holes import Completeness, Span
from wsadapter.stored.rows import Rows
from wsadapter.stored.stored import Stored

__all__ = ["Book", "Completeness", "Level", "Rows", "Span", "Stored"]
