"""What an agent is told: rows of a series as JSON, bounded, with how to go on and what is missing of them.

Guarantees: every answer says of which time it is (``range``), whether that is complete, where it is not, and as of
when. Decimals are the venue's digits, as text, never a float; times are UTC with nanoseconds. An answer has no more
than `MOST_ROWS` rows and about `MOST_BYTES` bytes; where there is more, ``more`` has the time from which to ask again,
and asking so gives each row once. Rows of one moment are never parted: those that are more bytes are an answer of their
own.

Pure but for the `wsadapter.stored.Stored` that it is given; owns nothing.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from wsadapter.clickhouse.completeness import COMPLETE
from wsadapter.events.streams import BY_STREAM, stream_of
from wsadapter.stored.holes import SECOND, Completeness, Span
from wsadapter.stored.rows import Rows, library
from wsadapter.stored.stored import BadQuestion, Stored, When, kind_of_trades, nanoseconds

MOST_ROWS: Final = 2_000
MOST_BYTES: Final = 120_000
MOST_SPANS: Final = 50
"""Holes that an answer lists; of more it says how many and how long they are together."""
MOST_SERIES: Final = 500
MOST_LEVELS: Final = 1_000
"""Of each side of a book."""

Answer = dict[str, Any]


class Answers:
    def __init__(self, stored: Stored, database: str) -> None:
        self._stored, self._database = stored, database

    def rows(
        self, stream: str, exchange: str, symbol: str, start: When, end: When | None, columns: Sequence[str],
        limit: int, where: dict[str, str | bool],
    ) -> Answer:  # fmt: skip
        """Of any stream, in the order of their time."""
        if not 1 <= limit <= MOST_ROWS:
            raise BadQuestion(f"limit: must be 1 to {MOST_ROWS}")
        start_ns, end_ns = _range(start, end)
        at = "time" if stream not in BY_STREAM else BY_STREAM[stream].partition_time
        wanted = tuple(dict.fromkeys((at, *columns)))
        while True:
            found = self._stored.rows(
                stream, exchange, symbol, start_ns, end_ns, where=where, columns=wanted, exact=True, limit=limit
            )
            values = _values(found)
            size = len(json.dumps(values))
            if size <= MOST_BYTES or values[0][0] == values[-1][0]:
                break
            of_the_first = sum(row[0] == values[0][0] for row in values)
            limit = max(of_the_first, len(values) * MOST_BYTES // (size + size // 8))
        until_ns = found.end_ns
        answer = self._head(stream, exchange, symbol, start_ns, until_ns, found.completeness)
        answer["columns"] = found.arrow.column_names
        answer["rows"] = [[_text(row[0]), *row[1:]] for row in values]
        answer["more"] = None if until_ns == end_ns else {"start": _text(until_ns), "end": _text(end_ns)}
        return answer

    def kind_of_trades(self, exchange: str, raw: bool) -> dict[str, str | bool]:
        """Never both kinds: a sum would count twice."""
        kind = False if raw else kind_of_trades(exchange)
        return {} if kind is None else {"aggregated": kind}

    def completeness(
        self, stream: str, exchange: str, symbol: str, start: When, end: When | None, interval: str, repaired: bool,
        offset: int = 0,
    ) -> Answer:  # fmt: skip
        """Without rows; ``repaired``: with the gaps that were fetched again, from the ``offset``-th on."""
        start_ns, end_ns = _range(start, end)
        known = self._stored.completeness(exchange, symbol, stream, start_ns, end_ns, interval=interval)
        answer = self._head(stream, exchange, symbol, start_ns, end_ns, known)
        if repaired:
            after = offset + MOST_SPANS
            answer["gaps"] = [_span(span) for span in known.gaps[offset:after]]
            more = len(known.gaps) > after
            answer["more"] = {**answer["range"], "offset": after} if more else None
        return answer

    def book(self, exchange: str, symbol: str, at: When, levels: int) -> Answer:
        """After its last change that is not later, and whether it is the venue's."""
        if not 1 <= levels <= MOST_LEVELS:
            raise BadQuestion(f"levels: must be 1 to {MOST_LEVELS}")
        book = self._stored.book_at(exchange, symbol, at, levels)
        since = book.missing_since_ns
        return {
            "as_of": _text(time.time_ns()),
            "source": f"ClickHouse table {self._database}.depth",
            "exchange": exchange,
            "symbol": symbol,
            "time": _text(book.time_ns),
            "changed": None if book.changed_ns is None else _text(book.changed_ns),
            "snapshot": None if book.base_ns is None else _text(book.base_ns),
            "last_update_id": book.last_update_id,
            "completeness": {
                "verdict": COMPLETE if book.complete else "incomplete" if book.bids or book.asks else "missing",
                "complete": book.complete,
                "reason": book.reason,
                "missing_since": None if since is None else _text(since),
            },
            "columns": ["price", "quantity"],
            "bids": [[_plain(level.price), _plain(level.quantity)] for level in book.bids],
            "asks": [[_plain(level.price), _plain(level.quantity)] for level in book.asks],
        }

    def recorded(self, exchange: str, symbol: str, offset: int) -> Answer:
        """Which series there are; ``more``: the offset to go on from."""
        series = self._stored.recorded(exchange, symbol)
        found = series[offset : offset + MOST_SERIES]
        return {
            "as_of": _text(time.time_ns()),
            "source": f"ClickHouse database {self._database}",
            "columns": ["exchange", "symbol", "stream", "interval", "from", "to"],
            "rows": [
                [one.exchange, one.symbol, one.stream, one.interval, _text(one.from_ns), _text(one.to_ns)]
                for one in found
            ],
            "completeness": "from and to are the first and the last moment of each; ask completeness for what is "
            "missing between",
            "more": {"offset": offset + MOST_SERIES} if len(series) > offset + MOST_SERIES else None,
        }

    def _head(self, stream: str, exchange: str, symbol: str, start_ns: int, end_ns: int, known: Completeness) -> Answer:
        missing = known.missing
        inside = [(max(span.start_ns, start_ns), min(span.end_ns, end_ns)) for span in missing]
        return {
            "as_of": _text(time.time_ns()),
            "source": f"ClickHouse table {self._database}.{stream_of(stream)}",
            "exchange": exchange,
            "symbol": symbol,
            "range": {"start": _text(start_ns), "end": _text(end_ns)},
            "completeness": {
                "verdict": known.verdict,
                "complete": known.verdict == COMPLETE,
                "missing": [_span(span) for span in missing[:MOST_SPANS]],
                "missing_not_listed": max(0, len(missing) - MOST_SPANS),
                "missing_seconds": _covered(inside) / SECOND,
                "repaired": len(known.gaps) - len(missing),
            },
        }


def _range(start: When, end: When | None) -> tuple[int, int]:
    now_ns = time.time_ns()
    return nanoseconds(start, now_ns), now_ns if end is None else nanoseconds(end, now_ns)


def _values(rows: Rows) -> list[list[Any]]:
    """By row: the first column as nanoseconds, the others as JSON has them."""
    arrow = library("pyarrow")
    columns = []
    for place, column in enumerate(rows.arrow.columns):
        kind = column.type
        if arrow.types.is_timestamp(kind):
            moments = column.cast(arrow.int64()).to_pylist()
            columns.append(moments if place == 0 else [None if at is None else _text(at) for at in moments])
        else:
            columns.append([_plain(value) for value in column.to_pylist()])
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _span(span: Span) -> Answer:
    told: Answer = {
        "start": _text(span.start_ns), "end": _text(span.end_ns), "cause": span.cause, "state": span.state,
    }  # fmt: skip
    return {**told, "lasts": True} if span.lasts else told


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """Of overlapping ones each moment once."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _text(at_ns: int) -> str:
    """UTC, with as many decimals as there are."""
    seconds, rest = divmod(at_ns, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09}".rstrip("0").rstrip(".") + "Z"
