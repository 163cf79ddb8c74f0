"""Books as a table: one row a book, four lists of prices and quantities, and whether it is the venue's."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wsadapter.stored.book import Book
from wsadapter.stored.rows import MOMENT, NANOSECOND, library

if TYPE_CHECKING:
    import pyarrow

DIGITS, DECIMALS = 38, 12
"""Of the tables' prices."""


def sampled(books: Iterable[Book], start_ns: int, end_ns: int, every_ns: int) -> Iterator[tuple[int, Book]]:
    """The book as it was at the start and after each step; nothing is told of a step that is not in the range."""
    at_ns, last = start_ns, None
    for book in books:
        while last is not None and book.time_ns > at_ns:
            yield at_ns, last
            at_ns += every_ns
        last = book
    while last is not None and at_ns < end_ns:
        yield at_ns, last
        at_ns += every_ns


def table(books: Iterable[tuple[int, Book]], exact: bool) -> "pyarrow.Table":
    arrow = library("pyarrow")
    kept = [*books]
    when = arrow.timestamp(NANOSECOND, tz="UTC")
    number = arrow.decimal128(DIGITS, DECIMALS) if exact else arrow.float64()
    value: Any = Decimal if exact else float
    columns: dict[str, Any] = {
        "time": arrow.array([at_ns for at_ns, _ in kept], when),
        "changed": arrow.array([book.changed_ns for _, book in kept], when),
        "last_update_id": arrow.array([book.last_update_id for _, book in kept], arrow.int64()),
    }
    for side in ("bid", "ask"):
        for place, name in enumerate(("price", "quantity")):
            lists = [[value(level[place]) for level in getattr(book, f"{side}s")] for _, book in kept]
            columns[f"{side}_{name}"] = arrow.array(lists, arrow.list_(number))
    columns["complete"] = arrow.array([book.complete for _, book in kept], arrow.bool_())
    columns[MOMENT] = arrow.array([at_ns for at_ns, _ in kept], arrow.int64())
    return arrow.table(columns)
