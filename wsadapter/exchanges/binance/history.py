"""Binance USD-M futures, what was: requests with their weights, answers to events. Sans-I/O.

Weights, limits and codes are those of the documentation (July 2026). Each parser checks what its WebSocket twin checks,
and that rows are of the symbol asked for and in order, so that whoever pages by them comes to an end. The last row of
klines may be the open candle: it is never published as closed.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from msgspec import Meta
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, Source, Trade, UpdateType
from wsadapter.events.decimals import NotPlain, are_plain, split_book
from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.mapping import MS
from wsadapter.exchanges.rest_api import CONNECTION, BadAnswer, Request
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.venue import printable

EXCHANGE: Final = "binance"
REST: Final = Source.REST
FUNDING_POOL: Final = "funding"
SURELY_CLOSED_NS: Final = 2_000_000_000
"""So long after its end by our clock, which may be ahead, a candle that no other follows counts as closed."""
MOST_TRADES: int = wire.MOST_TRADES
MOST_FUNDINGS: int = wire.MOST_FUNDINGS
FUNDING_WINDOW_MS: int = 1 << 62
"""Pages are bounded by their length: the oldest come first."""
CANDLES_PAGE: Final = 499
"""Most rows for their weight."""
BOOK_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)

T = TypeVar("T")

_candles: Final = Decoder(Annotated[list[wire.CandleRow], Meta(max_length=wire.MOST_CANDLES)]).decode
_trades: Final = Decoder(Annotated[list[wire.TradeRow], Meta(max_length=wire.MOST_TRADES)]).decode
_fundings: Final = Decoder(Annotated[list[wire.FundingRow], Meta(max_length=wire.MOST_FUNDINGS)]).decode
_book: Final = Decoder(wire.BookAnswer).decode


def candles(symbol: str, interval: str, first_ns: int, last_ns: int, count: int) -> Request:
    """Candles by open time, both ends included, oldest first."""
    limit = min(max(count, 1), CANDLES_PAGE)
    weight = 1 if limit < 100 else 2
    return _request(
        "klines", weight, symbol=symbol, interval=interval, startTime=first_ns // MS, endTime=last_ns // MS, limit=limit
    )


def parse_candles(symbol: str, interval: str, body: bytes, received_ns: int) -> tuple[list[Kline], int | None]:
    """The closed candles, and the open time (ns) of the one that is still open, if it is in the answer."""
    rows = decoded(_candles, body)
    found: list[Kline] = []
    for index, row in enumerate(rows):
        if row.closes < row.opened or (index and row.opened <= rows[index - 1].closes):
            raise BadAnswer("klines: not in order")
        prices = row.open, row.high, row.low, row.close, row.volume
        if not are_plain(*prices, row.quote_volume, row.taker_volume, row.taker_quote_volume):
            raise BadAnswer("klines: decimal")
        if index == len(rows) - 1 and (row.closes + 1) * MS + SURELY_CLOSED_NS > received_ns:
            return found, row.opened * MS
        found.append(
            Kline(
                EXCHANGE, symbol, None, None, received_ns, REST, CONNECTION, None,
                interval, row.opened * MS, row.closes * MS, *prices, row.quote_volume, row.trades,
                row.taker_volume, row.taker_quote_volume, True, None, None,
            )
        )  # fmt: skip
    return found, None


def trades_from(symbol: str, first: int, count: int) -> Request:
    """Aggregate trades by id."""
    limit = min(max(count, 1), wire.MOST_TRADES)
    return _request("aggTrades", 20, symbol=symbol, fromId=first, limit=limit)


def trades_between(symbol: str, first_ms: int, last_ms: int) -> Request:
    """Aggregate trades by time, both ends included and less than an hour apart, oldest first."""
    return _request("aggTrades", 20, symbol=symbol, startTime=first_ms, endTime=last_ms, limit=wire.MOST_TRADES)


def parse_trades(symbol: str, body: bytes, received_ns: int) -> list[Trade]:
    """In the order of their ids; holes between them are left to the caller to see."""
    found: list[Trade] = []
    last = -1
    for row in decoded(_trades, body):
        if row.a <= last:
            raise BadAnswer("aggTrades: not in order")
        if not are_plain(row.p, row.q):
            raise BadAnswer("aggTrades: decimal")
        last = row.a
        found.append(
            Trade(
                EXCHANGE, symbol, None, row.T * MS, received_ns, REST, CONNECTION, None,
                str(row.a), row.a, row.p, row.q, row.m,
                row.f if row.f >= 0 else None, row.l if row.l >= 0 else None, True,
            )
        )  # fmt: skip
    return found


def fundings(symbol: str, first_ms: int, last_ms: int) -> Request:
    """Rates that were settled, oldest first."""
    return _request(
        "fundingRate", 0, FUNDING_POOL, symbol=symbol, startTime=first_ms, endTime=last_ms, limit=wire.MOST_FUNDINGS
    )


def parse_fundings(symbol: str, body: bytes, received_ns: int) -> list[FundingRate]:
    """``transaction_time`` is when the rate was settled; what the next one is nobody says here."""
    found: list[FundingRate] = []
    last = -1
    for row in decoded(_fundings, body):
        if row.symbol != symbol or row.fundingTime <= last:
            raise BadAnswer("fundingRate: not in order, or of another symbol")
        if not are_plain(row.fundingRate.removeprefix("-"), row.markPrice or "0"):
            raise BadAnswer("fundingRate: decimal")
        last = row.fundingTime
        found.append(
            FundingRate(
                EXCHANGE, symbol, None, last * MS, received_ns, REST, CONNECTION, None,
                row.fundingRate, None, row.markPrice or None,
            )
        )  # fmt: skip
    return found


def book(symbol: str, levels: int) -> Request:
    """The book as it is now; 0 = as deep as it goes."""
    limit = next((each for each in BOOK_LIMITS if each >= (levels or BOOK_LIMITS[-1])), BOOK_LIMITS[-1])
    weight = 2 if limit <= 50 else 5 if limit == 100 else 10 if limit == 500 else 20
    return _request("depth", weight, symbol=symbol, limit=limit)


def parse_book(symbol: str, levels: int, body: bytes, received_ns: int) -> Depth:
    answer = decoded(_book, body)
    sides = _checked(lambda: split_book(answer.bids, answer.asks))
    if max(len(sides[0]), len(sides[2])) > BOOK_LIMITS[-1]:
        raise BadAnswer("depth: more levels than were asked for")
    return Depth(
        EXCHANGE, symbol, answer.E * MS, answer.T * MS, received_ns, REST, CONNECTION, None,
        UpdateType.SNAPSHOT, levels or BOOK_LIMITS[-1], None, answer.lastUpdateId, None, *sides,
    )  # fmt: skip


def _request(name: str, weight: int, pool: str = "", **query: object) -> Request:
    return Request(f"/fapi/v1/{name}", tuple((key, str(value)) for key, value in query.items()), weight, pool)


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """What a decoder makes of an answer; raises `BadAnswer` and nothing else."""
    return _checked(lambda: decode(body))


def _checked(work: Callable[[], T]) -> T:
    try:
        return work()
    except NotPlain as error:
        raise BadAnswer(f"decimal: {printable(str(error))}") from None
    except FAILURES as error:
        raise BadAnswer(f"{type(error).__name__}: {printable(str(error))}") from None
