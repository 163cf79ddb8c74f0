"""What the markets of Binance have in common on a socket: what their frames become, requests and answers, rhythms.

Names of streams are lower case. Texts and numbers are the venue's own; milliseconds (or microseconds, where a market
gives those) become nanoseconds; what the venue leaves out or empty is None. ``time`` is how a market reads a time.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from msgspec.json import Decoder, encode

from wsadapter.events import Kline, StreamType, Ticker, Trade
from wsadapter.exchanges.binance import wire
from wsadapter.exchanges.mapping import (
    Emit,
    Step,
    as_text,
    constant,
    count,
    decimal,
    decimal_or_none,
    emit,
    signed_or_none,
)
from wsadapter.exchanges.second_look import FAILURES, number, present, text
from wsadapter.exchanges.venue import Answer, AttemptLimit, Cadence, FeedSettings, Requests
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {code: code for code in get_args(wire.Code)}
LEVELS: Final = frozenset({0, 5, 10, 20})
ATTEMPTS: Final = AttemptLimit(300, 300.0)
DAY: Final = 86_400.0
_answer: Final = Decoder(wire.AnswerWire).decode
_depth_name: Final = re.compile(r"@depth([0-9]{1,4})?(?:@|$)").search

Time = Callable[[str], Step]


def agg_trade(time: Time, **symbol: Any) -> Emit:
    return emit(
        Trade, event_time_ns=time("E"), transaction_time_ns=time("T"), trade_id=as_text("a"), trade_number="a",
        price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m", first_trade_id=count("f"),
        last_trade_id=count("l"), aggregated=constant(True), **symbol,
    )  # fmt: skip


def raw_trade(time: Time, **others: Any) -> Emit:
    return emit(
        Trade, event_time_ns=time("E"), transaction_time_ns=time("T"), trade_id=as_text("t"), trade_number="t",
        price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m", aggregated=constant(False),
        absent=("first_trade_id", "last_trade_id"), **others,
    )  # fmt: skip


def kline(time: Time, closes: Step, quoted: bool = True, interval: str | Step = "k.i", **symbol: Any) -> Emit:
    """``quoted``: ``q`` and ``Q`` are amounts of the quote asset."""
    quote: dict[str, Any] = {"quote_volume": decimal_or_none("k.q"), "taker_buy_quote_volume": decimal_or_none("k.Q")}
    return emit(
        Kline, event_time_ns=time("E"), interval=interval, open_time_ns=time("k.t"), close_time_ns=closes,
        open=decimal("k.o"), high=decimal("k.h"), low=decimal("k.l"), close=decimal("k.c"), volume=decimal("k.v"),
        trade_count="k.n", taker_buy_volume=decimal_or_none("k.V"), closed="k.x", first_trade_id=count("k.f"),
        last_trade_id=count("k.L"), absent=("transaction_time_ns", *(() if quoted else quote)),
        **(quote if quoted else {}), **symbol,
    )  # fmt: skip


def ticker(time: Time, quoted: bool = True, **symbol: Any) -> Emit:
    """``C`` is where the 24 hours end, not when the engine did something: there is no transaction time."""
    quote: dict[str, Any] = {"quote_volume": decimal_or_none("q")}
    return emit(
        Ticker, event_time_ns=time("E"), price_change=signed_or_none("p"), price_change_percent=signed_or_none("P"),
        weighted_average_price=decimal_or_none("w"), last_price=decimal("c"), last_quantity=decimal_or_none("Q"),
        open=decimal_or_none("o"), high=decimal_or_none("h"), low=decimal_or_none("l"), volume=decimal_or_none("v"),
        open_time_ns=time("O"), close_time_ns=time("C"), first_trade_id=count("F"), last_trade_id=count("L"),
        trade_count="n", absent=("transaction_time_ns", *(() if quoted else quote)), **(quote if quoted else {}),
        **symbol,
    )  # fmt: skip


def top_levels(stream: str) -> int:
    """How many levels the books of a stream have, by its name; 0: it is one of diffs, or none of books."""
    match = _depth_name(stream)
    return int(match[1]) if match and match[1] else 0


CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # only when something changed
    StreamType.TICKER: Cadence(30.0, 60.0, 10.0),
    # a book changes all the time, that of a symbol nobody trades less often
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0),
    StreamType.BOOK_TICKER: Cadence(30.0, 60.0, 20.0),
    # as often as somebody trades: its own rhythm tells
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}


def check_depth(feed: FeedSettings, speeds: Callable[[str], object], such: str) -> list[tuple[str, str]]:
    """``speeds``: whether it is one; ``such``: how one looks."""
    errors = []
    if feed.depth_levels not in LEVELS:
        errors.append(("depth_levels", "must be 5, 10 or 20 (snapshots of the top levels) or 0 (diffs)"))
    if not speeds(feed.depth_speed):
        errors.append(("depth_speed", such))
    return errors


def depth_words(feed: FeedSettings, default: str) -> dict[str, str]:
    """The venue's ``default`` speed has no suffix."""
    speed = "" if feed.depth_speed in ("", default) else f"@{feed.depth_speed}"
    return {"levels": str(feed.depth_levels or ""), "speed": speed}


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    return encode({"method": "SUBSCRIBE" if begin else "UNSUBSCRIBE", "params": wanted, "id": identity})


# longer requests than 4096 bytes are never answered
REQUESTS: Final = Requests(request, most=200, octets=4096 - 128)


def control(payload: bytes) -> list[Answer] | None:
    """An error without an id belongs to the oldest request; a result without one to none."""
    answer = _answer(payload)
    if not (bytes(answer.result) or bytes(answer.error) or bytes(answer.code)):
        return None
    identity = number(answer.id)
    if not (present(answer.error) or present(answer.code)):
        return [] if identity is None else [Answer(identity)]
    try:
        error = _answer(bytes(answer.error)) if present(answer.error) else answer
    except FAILURES:
        error = answer
    return [Answer(identity, (printable(str(number(error.code)), 16), printable(text(error.msg))))]
