"""Binance USD-M futures as tables: what to subscribe to and where, what its frames become.

One connection carries one class: a subscription on the wrong root is acknowledged and then stays silent. Names are
lower case; partial books and diffs differ by name only, their payloads are the same. COIN-M contracts (``st`` 2) come
along in arrays of all markets and are dropped. Texts and numbers are the venue's own; milliseconds become nanoseconds;
what the venue leaves out or empty is None. bench/bench_decode.py shows what a frame costs.
"""

import re
from collections.abc import Mapping
from typing import Final, get_args

from msgspec.json import Decoder, encode

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    Side,
    StreamType,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.binance import wire
from wsadapter.exchanges.by_tag import ByTag
from wsadapter.exchanges.mapping import (
    as_text,
    book,
    constant,
    count,
    decimal,
    decimal_or_none,
    emit,
    ms,
    named,
    or_none,
    signed_or_none,
)
from wsadapter.exchanges.second_look import FAILURES, number, present, text
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    FeedSettings,
    Follows,
    Hosts,
    Limits,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

INTERVALS: Final[Mapping[str, str]] = {code: code for code in get_args(wire.Code)}
SIDES: Final[Mapping[str, Side]] = {"BUY": Side.BUY, "SELL": Side.SELL}
LEVELS: Final = frozenset({0, 5, 10, 20})
_SPEED: Final = re.compile(r"(?:[0-9]{1,4}ms)?").fullmatch
_DEPTH_NAME: Final = re.compile(r"@depth([0-9]{1,4})?(?:@|$)").search
_answer: Final = Decoder(wire.AnswerWire).decode


def refuse_filler(d: wire.TradeWire) -> str:
    """Insurance fund and ADL trades are trades. ``X`` "NA" is none: the venue fills holes in its ids with price and
    quantity "0", which must not become somebody's lowest price. Its id is not missing."""
    return "trade NA" if d.X == "NA" else ""


def without_half_funding(price: MarkPrice) -> None:
    """Contracts without funding send ``T`` 0 or ``r`` ""."""
    if price.funding_rate is None or not price.next_funding_time_ns:
        price.funding_rate = price.next_funding_time_ns = None


def with_our_side(order: Liquidation) -> None:
    order.side = SIDES[order.side]  # type: ignore[index]  # still the venue's word


def depth_kind(stream: str) -> tuple[UpdateType, int] | None:
    """Update type and level limit of a depth stream by its name; a bare frame has none and counts as a diff. None for a
    book that is not the one we publish (``@rpiDepth``)."""
    if "@rpiDepth" in stream:
        return None
    match = _DEPTH_NAME(stream)
    if match and match[1]:
        return UpdateType.SNAPSHOT, int(match[1])
    return UpdateType.DELTA, 0


AGG_TRADE: Final = emit(
    Trade, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), trade_id=as_text("a"), trade_number="a",
    price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m", first_trade_id=count("f"), last_trade_id=count("l"),
    aggregated=constant(True),
)  # fmt: skip
RAW_TRADE: Final = emit(
    Trade, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), trade_id=as_text("t"), trade_number="t",
    price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m", aggregated=constant(False),
    absent=("first_trade_id", "last_trade_id"), refuse=refuse_filler,
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), update_id="u",
    bid_price=decimal_or_none("b"), bid_quantity=decimal_or_none("B"), ask_price=decimal_or_none("a"),
    ask_quantity=decimal_or_none("A"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), update_type=named(0), level_limit=named(1),
    first_update_id="U", last_update_id="u", previous_update_id=count("pu"), columns=book("b", "a"),
)  # fmt: skip
KLINE: Final = emit(
    Kline, symbol="s", event_time_ns=ms("E"), interval="k.i", open_time_ns=ms("k.t"), close_time_ns=ms("k.T"),
    open=decimal("k.o"), high=decimal("k.h"), low=decimal("k.l"), close=decimal("k.c"), volume=decimal("k.v"),
    quote_volume=decimal_or_none("k.q"), trade_count="k.n", taker_buy_volume=decimal_or_none("k.V"),
    taker_buy_quote_volume=decimal_or_none("k.Q"), closed="k.x", first_trade_id=count("k.f"),
    last_trade_id=count("k.L"), absent=("transaction_time_ns",),
)  # fmt: skip
# ``C`` is where the 24 hours end, not when the engine did something: there is no transaction time
TICKER: Final = emit(
    Ticker, symbol="s", event_time_ns=ms("E"), price_change=signed_or_none("p"),
    price_change_percent=signed_or_none("P"), weighted_average_price=decimal_or_none("w"), last_price=decimal("c"),
    last_quantity=decimal_or_none("Q"), open=decimal_or_none("o"), high=decimal_or_none("h"), low=decimal_or_none("l"),
    volume=decimal_or_none("v"), quote_volume=decimal_or_none("q"), open_time_ns=ms("O"), close_time_ns=ms("C"),
    first_trade_id=count("F"), last_trade_id=count("L"), trade_count="n", absent=("transaction_time_ns",),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, symbol="s", event_time_ns=ms("E"), mark_price=decimal("p"), index_price=decimal_or_none("i"),
    estimated_settle_price=decimal_or_none("P"), funding_rate=signed_or_none("r"), next_funding_time_ns=ms("T"),
    absent=("transaction_time_ns",), amend=without_half_funding,
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, symbol="s", event_time_ns=ms("E"), funding_rate=signed_or_none("r"), next_funding_time_ns=ms("T"),
    mark_price=decimal_or_none("p"), absent=("transaction_time_ns",), once=("r", "T"),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, symbol="o.s", event_time_ns=ms("E"), transaction_time_ns=ms("o.T"),
    side="o.S", order_type=or_none("o.o"), price=decimal("o.p"),
    average_price=decimal_or_none("o.ap"), quantity=decimal("o.q"), filled_quantity=decimal_or_none("o.z"),
    status=or_none("o.X"), ordinal=constant(0), amend=with_our_side,
)  # fmt: skip

CHANNELS: Final = (
    Channel(("depth",), "{lower}@depth{levels}{speed}", wire.DepthWire, (DEPTH,), Follows("u", "pu"), "public",
            named=depth_kind),
    Channel(("book_ticker",), "{lower}@bookTicker", wire.BookTickerWire, (BOOK_TICKER,), Rises("u"), "public"),
    Channel(("raw_trade",), "{lower}@trade", wire.TradeWire, (RAW_TRADE,), Follows("t"), "public"),
    Channel(("kline",), "{lower}@kline_{interval}", wire.KlineWire, (KLINE,), Candles(), "market", intervals=INTERVALS),
    Channel(("ticker",), "{lower}@ticker", wire.TickerWire, (TICKER,), root="market"),
    Channel(("trade",), "{lower}@aggTrade", wire.AggTradeWire, (AGG_TRADE,), Follows("a"), "market"),
    Channel(("mark_price", "funding_rate"), "{lower}@markPrice@1s", wire.MarkPriceWire, (MARK_PRICE, FUNDING_RATE),
            root="market"),
    Channel(("liquidation",), "{lower}@forceOrder", wire.ForceOrderWire, (LIQUIDATION,), root="market"),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # once a second whatever the market does
    StreamType.MARK_PRICE: Cadence(10.0, 10.0),
    StreamType.FUNDING_RATE: Cadence(10.0, 10.0),
    # every 2 s, but only when something changed
    StreamType.TICKER: Cadence(30.0, 60.0, 10.0),
    # a book changes all the time, that of a symbol nobody trades less often
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0),
    StreamType.BOOK_TICKER: Cadence(30.0, 60.0, 20.0),
    # as often as somebody trades: its own rhythm tells
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
    # liquidations may be quiet for hours
}


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    errors = []
    if feed.depth_levels not in LEVELS:
        errors.append(("depth_levels", "must be 5, 10 or 20 (snapshots of the top levels) or 0 (diffs)"))
    if not _SPEED(feed.depth_speed):
        errors.append(("depth_speed", 'must be text like "100ms", or empty'))
    return errors


def names(feed: FeedSettings) -> dict[str, str]:
    """250 ms is the venue's default and has no suffix."""
    speed = "" if feed.depth_speed in ("", "250ms") else f"@{feed.depth_speed}"
    return {"levels": str(feed.depth_levels or ""), "speed": speed}


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    return encode({"method": "SUBSCRIBE" if begin else "UNSUBSCRIBE", "params": wanted, "id": identity})


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


class BinanceFutures(VenueSession):
    """Binance USD-M futures."""

    rest = "wsadapter.exchanges.binance.rest:BinanceFuturesRest"
    venue = Venue(
        word="binance",
        hosts=Hosts(
            "wss://fstream.binance.com",
            "wss://demo-fstream.binance.com",
            {"public": "/public/stream", "market": "/market/stream"},
        ),
        limits=Limits(streams=1024, message_interval=0.2, attempts=AttemptLimit(300, 300.0), max_life=86_400.0),
        requests=Requests(request, most=200, octets=4096 - 128),
        framing=ByTag(wire.Frame, wire.Wire, "e", "s", "o", "st", wire.COIN_M, wire.UNWANTED, wire.SHUTDOWN),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        spell=str.upper,
        polled=frozenset({"open_interest"}),
    )
