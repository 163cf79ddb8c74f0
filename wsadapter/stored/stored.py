"""Asks ClickHouse for what was recorded of one series in a range of time.

Guarantees: each row once; times are UTC, the range is ``start <= time < end``; what is missing is in the answer
(`Rows.gaps`, ``after_gap``, `Rows.complete`), never left for the caller to guess. One `Stored` is one connection's
worth of queries and may be used by several threads. Nothing is written.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from clickhouse_connect.driver.client import Client

from wsadapter.clickhouse.client import REQUEST_ERRORS, Ask, Parameters, Query, asker, connect, decode_rows, unavailable
from wsadapter.config.model import ClickHouseConfig
from wsadapter.config.types import Secret
from wsadapter.errors import WsadapterError
from wsadapter.events.streams import BY_STREAM, OURS, RAW_TRADE, StreamSpec, stream_of
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.rest_api import BookRule
from wsadapter.stored import queries
from wsadapter.stored.book import Book, Checkpoint
from wsadapter.stored.book_table import sampled, table
from wsadapter.stored.books import Books
from wsadapter.stored.evidence import Evidence
from wsadapter.stored.holes import Completeness, together
from wsadapter.stored.rows import ORDERED_BY, Rows, library
from wsadapter.times import duration, iso, moment

When = int | str | datetime
"""Nanoseconds since the epoch; a text as in `wsadapter.times.moment` (``2026-11-22T10:00:00Z``, ``2h`` ago); a time,
UTC where it has no zone."""
SECOND: Final = 10**9


class BadQuestion(WsadapterError, ValueError):
    """What is asked cannot be: an unknown stream or column, a range that ends before it begins."""


class Recorded(msgspec.Struct, frozen=True):
    """A series that was recorded, from its first to its last moment; what is missing between says `Stored.gaps`."""

    exchange: str
    symbol: str
    stream: str
    interval: str
    from_ns: int
    to_ns: int


class Stored:
    """``Stored("http://clickhouse:8123", user="reader", password="...")``, or `of` a recorder's configuration."""

    def __init__(
        self, url: str = "http://127.0.0.1:8123", *, database: str = "market", user: str = "default",
        password: str = "", ca: str = "", certificate: str = "", key: str = "",
    ) -> None:  # fmt: skip
        self._settings = ClickHouseConfig(
            url=url, database=database, user=user, password=Secret(password), ca=ca, certificate=certificate, key=key
        )

    @classmethod
    def of(cls, settings: ClickHouseConfig) -> Self:
        """As table ``[clickhouse]`` of a configuration says."""
        stored = cls()
        stored._settings = settings
        return stored

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def candles(
        self, exchange: str, symbol: str, start: When, end: When | None = None, *, interval: str = "1m", **options: Any
    ) -> Rows:
        """Candles that open in the range. Further options of all of these are those of `rows`."""
        return self.rows("kline", exchange, symbol, start, end, where={"interval": interval}, **options)

    def trades(
        self, exchange: str, symbol: str, start: When, end: When | None = None, *, raw: bool = False, **options: Any
    ) -> Rows:
        """As the venue's stream has them, aggregated where it is; ``raw``: each single one, of those that have both."""
        kind = False if raw else kind_of_trades(exchange)
        where = {} if kind is None else {"aggregated": kind}
        return self.rows("trade", exchange, symbol, start, end, where=where, **options)

    def quotes(self, exchange: str, symbol: str, start: When, end: When | None = None, **options: Any) -> Rows:
        """Best bid and ask, each time they changed."""
        return self.rows("book_ticker", exchange, symbol, start, end, **options)

    def tickers(self, exchange: str, symbol: str, start: When, end: When | None = None, **options: Any) -> Rows:
        return self.rows("ticker", exchange, symbol, start, end, **options)

    def mark_prices(self, exchange: str, symbol: str, start: When, end: When | None = None, **options: Any) -> Rows:
        return self.rows("mark_price", exchange, symbol, start, end, **options)

    def open_interest(self, exchange: str, symbol: str, start: When, end: When | None = None, **options: Any) -> Rows:
        return self.rows("open_interest", exchange, symbol, start, end, **options)

    def liquidations(self, exchange: str, symbol: str, start: When, end: When | None = None, **options: Any) -> Rows:
        return self.rows("liquidation", exchange, symbol, start, end, **options)

    def funding(
        self, exchange: str, symbol: str, start: When, end: When | None = None, *, settled: bool = True, **options: Any
    ) -> Rows:
        """Rates that were paid, at the time they were; ``settled`` False: what the venue expected, as it changed."""
        return self.rows("funding_rate", exchange, symbol, start, end, where={"settled": settled}, **options)

    def rows(
        self,
        stream: str,
        exchange: str,
        symbol: str,
        start: When,
        end: When | None = None,
        *,
        where: Mapping[str, str | bool] | None = None,
        columns: Sequence[str] | None = None,
        exact: bool = False,
        limit: int | None = None,
    ) -> Rows:
        """Any stream. ``exact``: decimals as the venue said them, instead of the nearest floats (pandas makes a Python
        object of each: 20 times slower). ``columns``: only these. ``limit``: the first rows, so many at most and
        never a part of those of one moment; `Rows.truncated` where there are more, from `Rows.end_ns` on. Candles are
        asked for with their interval (``where``)."""
        spec = _spec(stream)
        names, wanted = queries.column_names(spec), tuple(columns or queries.default_columns(spec))
        if unknown := [name for name in (*wanted, *(where or {})) if name not in names]:
            raise BadQuestion(f"table {stream} has no column {', '.join(unknown)}: {' '.join(sorted(names))}")
        if limit is not None and limit < 1:
            raise BadQuestion("limit: must be 1 or more")
        start_ns, end_ns = self._range(start, end)
        parameters = _parameters(exchange, symbol, stream, start_ns, end_ns)
        interval = _interval(stream, str((where or {}).get("interval", "")))
        more = None if limit is None else limit + 1
        query = queries.series_rows(
            spec, self._settings.database, wanted, where or {}, parameters, exact=exact, limit=more
        )
        words = covered_as(stream, exchange, where or {})
        evidence = [self._evidence({**parameters, "stream": word}) for word in words]
        table = self._arrow(query)
        truncated = limit is not None and table.num_rows > limit
        if limit is not None:
            if truncated:
                kept, end_ns = _page(table.column(ORDERED_BY), limit)
                table = table.slice(0, kept)
            table = table.drop_columns([ORDERED_BY])
        known = together([each.completeness(start_ns, end_ns, interval) for each in evidence])
        return Rows(table, start_ns, end_ns, known, truncated)

    def completeness(
        self, exchange: str, symbol: str, stream: str, start: When, end: When | None = None, *, interval: str = ""
    ) -> Completeness:
        """What is missing of a series in the range, or was until it was fetched again, and the verdict on it. For
        candles with their ``interval``. ``raw_trade``: single trades of a venue that has both kinds."""
        _spec(stream_of(stream))
        _interval(stream, interval)
        start_ns, end_ns = self._range(start, end)
        evidence = self._evidence(_parameters(exchange, symbol, stream, start_ns, end_ns))
        return evidence.completeness(start_ns, end_ns, interval)

    def _evidence(self, parameters: Parameters) -> Evidence:
        return Evidence.read(self._ask, self._settings.database, parameters, time.time_ns())

    def book_at(self, exchange: str, symbol: str, at: When, levels: int | None = None) -> Book:
        """The book after its last change that is not later; ``levels`` of each side, None: all that is known. Look at
        `Book.complete` before you use it."""
        return self._books(exchange, symbol, levels).at(nanoseconds(at, time.time_ns()))

    def book_checkpoint(self, exchange: str, symbol: str, until: When) -> Checkpoint | None:
        """What the recorder keeps so that later books need few changes: the book of a moment not later than ``until``,
        if it is proved and worth it."""
        return self._books(exchange, symbol, None).checkpoint(nanoseconds(until, time.time_ns()))

    def books(
        self, exchange: str, symbol: str, start: When, end: When | None = None, levels: int | None = 20
    ) -> Iterator[Book]:
        """The book at the start, then after each change up to the end. Read in parts as the iterator goes on."""
        return self._books(exchange, symbol, levels).between(*self._range(start, end))

    def book_table(
        self, exchange: str, symbol: str, start: When, end: When | None = None, *, levels: int = 20,
        every: float | str | None = None, exact: bool = False,
    ) -> Rows:  # fmt: skip
        """`books` as rows; ``every`` so many seconds (or ``"100ms"``) the book as it was then, else each change. Column
        ``complete`` says of each whether it is the venue's."""
        start_ns, end_ns = self._range(start, end)
        found = self._books(exchange, symbol, levels).between(start_ns, end_ns)
        if every is None:
            rows: Iterator[tuple[int, Book]] = ((book.time_ns, book) for book in found)
        else:
            try:
                every_ns = round(duration(every) * SECOND)
            except ValueError as error:
                raise BadQuestion(f"every: {error}") from None
            if every_ns < 1:
                raise BadQuestion("every: must be longer than nothing")
            rows = sampled(found, start_ns, end_ns, every_ns)
        # before the books are read, which happens one by one
        known = self.completeness(exchange, symbol, "depth", start_ns, end_ns)
        return Rows(table(rows, exact), start_ns, end_ns, known, truncated=False)

    def _books(self, exchange: str, symbol: str, levels: int | None) -> Books:
        if levels is not None and levels < 1:
            raise BadQuestion("levels: must be 1 or more")
        rest = load_rest(exchange)
        rule = BookRule() if rest is None else rest.book_rule
        known = partial(self.completeness, exchange, symbol, "depth")
        return Books(self._ask, self._settings.database, exchange, symbol, rule, known, levels)

    def recorded(self, exchange: str = "", symbol: str = "") -> list[Recorded]:
        """Which series there are; empty: of all venues, of all symbols."""
        parameters: Parameters = {"exchange": exchange, "symbol": symbol}
        return decode_rows(self._ask(queries.recorded(self._settings.database, parameters)), Recorded)

    @cached_property
    def _client(self) -> Client:
        return connect(self._settings, read_only=True)

    def _arrow(self, query: Query) -> Any:
        ipc = library("pyarrow.ipc")
        try:
            answer = self._client.raw_query(
                f"{query.sql} FORMAT ArrowStream", parameters=query.parameters, use_database=False
            )
        except REQUEST_ERRORS as error:
            raise unavailable(self._settings, error) from None
        return ipc.open_stream(BytesIO(bytes(answer))).read_all()

    @cached_property
    def _ask(self) -> Ask:
        return asker(self._settings, read_only=True)

    @staticmethod
    def _range(start: When, end: When | None) -> tuple[int, int]:
        now_ns = time.time_ns()
        start_ns, end_ns = nanoseconds(start, now_ns), now_ns if end is None else nanoseconds(end, now_ns)
        if start_ns >= end_ns:
            raise BadQuestion("the range ends before it begins")
        return start_ns, end_ns


def _page(times: Any, limit: int) -> tuple[int, int]:
    """(how many rows are of this page, the time at which the next one begins). ``times``: of more than ``limit`` rows.
    Those of one moment are not parted."""
    following = times[limit].as_py()
    kept = limit
    while kept and times[kept - 1].as_py() == following:
        kept -= 1
    if not kept:
        raise BadQuestion(f"more than {limit} rows are of one moment, {iso(following)}: ask with a higher limit")
    return kept, following


def nanoseconds(when: When, now_ns: int) -> int:
    """`BadQuestion` for a text that is no time."""
    if isinstance(when, int):
        return when
    if isinstance(when, str):
        try:
            return moment(when, now_ns)
        except ValueError as error:
            raise BadQuestion(str(error)) from None
    if (value := getattr(when, "value", None)) is not None:  # pandas has nanoseconds
        return int(value)
    at = when if when.tzinfo else when.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def _spec(stream: str) -> StreamSpec:
    if stream not in BY_STREAM or stream in OURS:
        raise BadQuestion(f"no stream {stream!a}: {' '.join(name for name in BY_STREAM if name not in OURS)}")
    return BY_STREAM[stream]


def _interval(stream: str, interval: str) -> str:
    """One interval that was recorded says nothing of the others."""
    if stream == "kline" and not interval:
        raise BadQuestion("interval: candles are asked about with theirs")
    return interval


def kind_of_trades(exchange: str) -> bool | None:
    """Whether the trades of a venue's stream are aggregated; None where we do not know the venue."""
    rest = load_rest(exchange)
    return None if rest is None else rest.variants.get("aggregated")


def covered_as(stream: str, exchange: str, where: Mapping[str, str | bool]) -> tuple[str, ...]:
    """How coverage calls the series that such rows are of: trades of both kinds are two."""
    if stream != "trade" or not kind_of_trades(exchange):
        return (stream,)
    kind = where.get("aggregated")
    return (stream, RAW_TRADE) if kind is None else (stream,) if kind else (RAW_TRADE,)


def _parameters(exchange: str, symbol: str, stream: str, start_ns: int, end_ns: int) -> Parameters:
    return {"exchange": exchange, "symbol": symbol, "stream": stream, "start": start_ns, "end": end_ns}
