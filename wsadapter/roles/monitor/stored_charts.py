"""What the page of stored candles asks ClickHouse for: the series that there are, the candles of one with what is
missing between them, and the book at a moment.

The one place where the monitor reaches for another service, and only when a page asks: never for a probe, never by
itself. Bounded: `AT_ONCE` questions at a time, each of some seconds on the server and here, so many rows. A server that
is away costs the question an answer and nothing else. The driver is imported with the first question.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import WsadapterError
from wsadapter.executor import DaemonExecutor
from wsadapter.roles.monitor.http_server import Question, Response
from wsadapter.times import SECOND

if TYPE_CHECKING:
    from wsadapter.clickhouse.client import Query

AT_ONCE: Final = 2
SERVER_SECONDS: Final = 3
ANSWER_SECONDS: Final = 4.0
"""Then the page is told that it takes too long; the server's own HTTP answers are cut a second later."""
MOST_CANDLES: Final = 500
USUAL_CANDLES: Final = 120
MOST_SERIES: Final = 10_000
SERIES_SECONDS: Final = 60.0
"""So long the list of series is kept."""
BOOK_NS: Final = 3600 * SECOND
"""So far back a snapshot is looked for."""
MOST_CHANGES: Final = 5_000
LEVELS: Final = 20
INTERVALS: Final[Mapping[str, int]] = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "6h": 21_600,
    "8h": 28_800, "12h": 43_200, "1d": 86_400, "3d": 259_200, "1w": 604_800, "1M": 2_678_400,
}  # fmt: skip
"""Seconds of each; a month's most."""
SETTINGS: Final = f"max_execution_time = {SERVER_SECONDS}"
JSON: Final = "application/json"


class BadQuestion(WsadapterError):
    """What is asked cannot be."""


class BookRow(Struct, frozen=True):
    at_ns: int
    last_update_id: int | None
    source: str
    level_limit: int
    bid_price: list[str]
    bid_quantity: list[str]
    ask_price: list[str]
    ask_quantity: list[str]


class StoredCharts:
    """``clock_ns``: the wall clock."""

    def __init__(self, settings: ClickHouseConfig, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._settings, self._clock_ns = settings, clock_ns
        self._threads: DaemonExecutor | None = None
        self._asking = 0
        self._client: Any = None
        self._series: tuple[float, dict[str, Any]] | None = None

    def questions(self) -> dict[str, Question]:
        """By path."""
        return {
            "/stored/series": self._answering(self._listed),
            "/candles": self._answering(self._candles),
            "/book": self._answering(self._book),
        }

    def _answering(self, work: Callable[[Mapping[str, str]], Any]) -> Question:
        def answer(asked: Mapping[str, str]) -> Awaitable[Response]:
            return self._answer(lambda: work(asked))

        return answer

    async def _answer(self, work: Callable[[], Any]) -> Response:
        if self._asking >= AT_ONCE:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "other questions to ClickHouse are under way")
        if self._threads is None:
            self._threads = DaemonExecutor(AT_ONCE, "stored")
        self._asking += 1
        asked = asyncio.wrap_future(self._threads.call(work))
        asked.add_done_callback(self._over)
        try:
            # it goes on in its thread, and counts there until the server or the driver gives up
            found = await asyncio.wait_for(asyncio.shield(asked), ANSWER_SECONDS)
        except TimeoutError:
            return _refused(HTTPStatus.GATEWAY_TIMEOUT, f"ClickHouse has not answered within {ANSWER_SECONDS:.0f} s")
        except BadQuestion as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        except WsadapterError as error:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Response(HTTPStatus.OK, JSON, msgspec.json.encode(found))

    def _over(self, asked: "asyncio.Future[Any]") -> None:
        self._asking -= 1
        if not asked.cancelled():
            asked.exception()  # seen, though nobody may wait for it any more

    # In a thread, from here on.

    def _listed(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Series of candles, as table ``coverage`` has them, and the books."""
        now = time.monotonic()
        if self._series is None or now - self._series[0] > SERIES_SECONDS:
            from wsadapter.stored.queries import recorded

            query = recorded(self._settings.database, {"exchange": "", "symbol": ""})
            rows = self._rows(query.sql + f" LIMIT {MOST_SERIES} SETTINGS {SETTINGS}", query.parameters, dict[str, Any])
            series: dict[tuple[str, str], dict[str, Any]] = {}
            for row in rows:
                key = row["exchange"], row["symbol"]
                one = series.setdefault(key, {"exchange": key[0], "symbol": key[1], "intervals": [], "book": False})
                if row["stream"] == "kline":
                    one["intervals"].append(row["interval"])
                one["book"] |= row["stream"] == "depth"
            found = [one | {"intervals": sorted(one["intervals"], key=_seconds)} for one in series.values()]
            self._series = now, {"series": [one for one in found if one["intervals"] or one["book"]]}
        return self._series[1]

    def _candles(self, asked: Mapping[str, str]) -> dict[str, Any]:
        from wsadapter.events.streams import BY_STREAM
        from wsadapter.stored import queries

        exchange, symbol, interval = _word(asked, "exchange"), _word(asked, "symbol"), asked.get("interval", "1m")
        if interval not in INTERVALS:
            raise BadQuestion(f"interval: one of {' '.join(INTERVALS)}")
        step_ns = INTERVALS[interval] * SECOND
        end_ns = _moment(asked, "to", self._clock_ns())
        begin_ns = _moment(asked, "from", end_ns - USUAL_CANDLES * step_ns)
        if not 0 < end_ns - begin_ns <= MOST_CANDLES * step_ns:
            raise BadQuestion(f"from must lie before to, by {MOST_CANDLES} intervals at most")
        known = self._completeness("kline", exchange, symbol, begin_ns, end_ns, interval)
        query = queries.series_rows(
            BY_STREAM["kline"], self._settings.database, ("open_time", "open", "high", "low", "close", "volume"),
            {"interval": interval},
            {"exchange": exchange, "symbol": symbol, "stream": "kline", "start": begin_ns, "end": end_ns},
            exact=False, limit=MOST_CANDLES,
        )  # fmt: skip
        sql = query.sql.replace("t.`open_time` AS", "toUnixTimestamp64Milli(t.`open_time`) AS", 1)
        rows = self._rows(f"{sql}, {SETTINGS}", query.parameters, dict[str, Any])
        names = ("open_time", "open", "high", "low", "close", "volume")
        return {
            "exchange": exchange, "symbol": symbol, "interval": interval, "seconds": INTERVALS[interval],
            "from": begin_ns / SECOND, "to": end_ns / SECOND,
            "candles": [[int(row[names[0]]) / 1000, *(row[name] for name in names[1:])] for row in rows],
            **known,
        }  # fmt: skip

    def _book(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Of a series that has changes they are taken, see `wsadapter.stored.books`; else the newest whole book."""
        from wsadapter.exchanges import load_rest
        from wsadapter.exchanges.rest_api import BookRule
        from wsadapter.stored.books import SLACK, is_whole, may_begin

        exchange, symbol = _word(asked, "exchange"), _word(asked, "symbol")
        at_ns = _moment(asked, "at", self._clock_ns())
        given: dict[str, int | str] = {"exchange": exchange, "symbol": symbol, "at": at_ns, "since": at_ns - BOOK_NS}
        rest = load_rest(exchange)
        rule = BookRule() if rest is None else rest.book_rule
        base, whole = (
            next(iter(self._rows(self._books(f"'SNAPSHOT' AND {kind}", "time DESC", 1), given, BookRow)), None)
            for kind in (may_begin(rule), is_whole(rule))
        )
        if base is None and whole is None:
            raise BadQuestion(f"no whole book of {exchange} {symbol} within {BOOK_NS // SECOND // 60} min before that")
        known: dict[str, Any] = {}
        rows: list[BookRow] = []
        if base is not None:
            known = self._completeness("depth", exchange, symbol, base.at_ns, max(at_ns, base.at_ns + 1))
            rows = self._changed(base, given)
        if whole is not None and (not rows or rows[-1].at_ns < whole.at_ns - SLACK):
            known = self._completeness("depth", exchange, symbol, whole.at_ns, max(at_ns, whole.at_ns + 1))
            rows = [whole]
        if not rows:
            raise BadQuestion(
                f"more than {MOST_CHANGES} changes since the last whole book: ask for a moment closer to it"
            )
        bids, asks = applied(rows)
        return {
            "at": at_ns / SECOND, "snapshot": rows[0].at_ns / SECOND, "changes": len(rows) - 1,
            "last": rows[-1].at_ns / SECOND, "bids": bids[:LEVELS], "asks": asks[:LEVELS],
            "levels": [len(bids), len(asks)], **known,
        }  # fmt: skip

    def _changed(self, base: BookRow, given: Mapping[str, int | str]) -> list[BookRow]:
        """A snapshot and the changes that go on from it; nothing where they are too many."""
        from wsadapter.stored.book import REST
        from wsadapter.stored.books import SLACK

        # one that was asked for has, without a time of the venue, that of its receipt
        since = base.at_ns - (SLACK if base.source == REST else 0)
        order = "time, ordinal, ifNull(last_update_id, 0)"
        changes = self._rows(self._books("'DELTA'", order, MOST_CHANGES + 1), {**given, "since": since}, BookRow)
        return [] if len(changes) > MOST_CHANGES else [base, *(each for each in changes if _follows(each, base))]

    def _books(self, kind: str, order: str, limit: int) -> str:
        """Books of a kind up to a moment."""
        from wsadapter.clickhouse.conversion import quoted

        sides = ", ".join(
            f"arrayMap(x -> toString(x), {name}) AS {name}"
            for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
        )
        since = "fromUnixTimestamp64Nano({since:Int64}, 'UTC')"
        return (
            "SELECT toUnixTimestamp64Nano(d.time) AS at_ns, d.last_update_id AS last_update_id, "
            f"toString(d.source) AS source, d.level_limit AS level_limit, {sides} "
            f"FROM {quoted(self._settings.database)}.depth AS d FINAL WHERE d.exchange = {{exchange:String}} "
            f"AND d.symbol = {{symbol:String}} AND d.time >= {since} "
            "AND d.time <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') "
            f"AND d.update_type = {kind} ORDER BY {order} LIMIT {limit} SETTINGS {SETTINGS}"
        )

    def _completeness(
        self, stream: str, exchange: str, symbol: str, begin_ns: int, end_ns: int, interval: str = ""
    ) -> dict[str, Any]:
        """To be asked before the rows, see `wsadapter.stored.evidence`."""
        from wsadapter.stored.evidence import Evidence

        given: dict[str, int | str] = {
            "exchange": exchange, "symbol": symbol, "stream": stream, "start": begin_ns, "end": end_ns,
        }  # fmt: skip
        evidence = Evidence.read(self._ask_bounded, self._settings.database, given, self._clock_ns())
        known = evidence.completeness(begin_ns, end_ns, interval)
        spans = [
            {"from": span.start_ns / SECOND, "to": span.end_ns / SECOND, "cause": span.cause, "state": span.state}
            for span in known.gaps
        ]
        return {"verdict": known.verdict, "gaps": spans}

    def _rows(self, sql: str, parameters: Mapping[str, int | str], kind: type[Any]) -> list[Any]:
        from wsadapter.clickhouse.client import Query, decode_rows

        return decode_rows(self._ask(Query(sql, dict(parameters))), kind)

    def _ask_bounded(self, query: "Query") -> bytes:
        from wsadapter.clickhouse.client import Query

        return self._ask(Query(f"{query.sql} SETTINGS {SETTINGS}", query.parameters))

    def _ask(self, query: "Query") -> bytes:
        from wsadapter.clickhouse.client import asker

        if self._client is None:
            self._client = asker(self._settings, ANSWER_SECONDS, read_only=True)
        return bytes(self._client(query))


def _follows(change: BookRow, snapshot: BookRow) -> bool:
    """Whether a change is behind the snapshot, by number or else by time; over whichever connection: of redundant ones
    each change is stored once."""
    known = change.last_update_id is not None and snapshot.last_update_id is not None
    if not known:
        return change.at_ns >= snapshot.at_ns
    return (change.last_update_id or 0) > (snapshot.last_update_id or 0)


Levels = list[list[str]]


def applied(rows: list[BookRow]) -> tuple[Levels, Levels]:
    """Bids and asks, the best first, behind all of these. Of a stream that sends so many best levels those are kept, as
    in `wsadapter.stored.book`."""
    from wsadapter.exchanges.checked_book import CheckedBook
    from wsadapter.stored.book import ALL, REST

    is_window = rows[0].source != REST and rows[0].level_limit > 0
    book = CheckedBook(rows[0].level_limit if is_window else ALL)
    for row in rows:
        book.change(
            zip(row.bid_price, row.bid_quantity, strict=True), zip(row.ask_price, row.ask_quantity, strict=True)
        )
    return [list(level) for level in book.bids.best(ALL)], [list(level) for level in book.asks.best(ALL)]


def _seconds(interval: str) -> int:
    return INTERVALS.get(interval, 0)


def _word(asked: Mapping[str, str], name: str) -> str:
    if not (value := asked.get(name, "")):
        raise BadQuestion(f"{name}: is missing")
    return value


def _moment(asked: Mapping[str, str], name: str, default_ns: int) -> int:
    """Seconds since the epoch, as ns."""
    if not (text := asked.get(name, "")):
        return default_ns
    try:
        at_ns = int(float(text) * SECOND)
    except (ValueError, OverflowError):
        raise BadQuestion(f"{name}: seconds since the epoch") from None
    if not 0 < at_ns < 1 << 62:
        raise BadQuestion(f"{name}: out of range")
    return at_ns


def _refused(status: HTTPStatus, reason: str) -> Response:
    return Response(status, JSON, msgspec.json.encode({"error": reason}))
