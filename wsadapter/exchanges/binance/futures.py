"""What Binance's two futures markets have in common: channels, the families of contracts, funding, forced orders.

Every element says its type (``e``) and, since 2026, its family (``st``): arrays of all markets hold both, and those of
the other one are dropped. Partial books and diffs differ by name only, their payloads are the same.
bench/bench_decode.py shows what a frame costs.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.events import BookTicker, Depth, FundingRate, Liquidation, MarkPrice, Side, StreamType, UpdateType
from wsadapter.exchanges.binance import wire
from wsadapter.exchanges.binance.tables import (
    ATTEMPTS,
    CADENCES,
    CODES,
    DAY,
    agg_trade,
    check_depth,
    depth_words,
    kline,
    raw_trade,
    ticker,
    top_levels,
)
from wsadapter.exchanges.by_tag import ByTag
from wsadapter.exchanges.mapping import (
    RefusedWord,
    Step,
    constant,
    count,
    decimal,
    decimal_or_none,
    either,
    emit,
    mapped,
    ms,
    named,
    or_none,
    signed_or_none,
)
from wsadapter.exchanges.sides import book
from wsadapter.exchanges.venue import Cadence, Candles, Channel, FeedSettings, Follows, Limits, Rises

SIDES: Final[Mapping[str, Side]] = {"BUY": Side.BUY, "SELL": Side.SELL}
# others are acknowledged and silent; "0ms" is passed as it is
SPEEDS: Final = frozenset(("", "0ms", "100ms", "250ms", "500ms"))


FILLER: Final = RefusedWord("X", "NA", "trade NA")
"""No trade: the venue fills holes in its ids with price and quantity "0", which must not become somebody's lowest
price. Nearly all are what self-trade prevention stopped (some 20,000 of a day of BTCUSDT), few come beside insurance
fund and ADL trades, which are trades. Its id is not missing."""


def if_funded(step: Step) -> Step:
    """Contracts without funding send ``T`` 0 or ``r`` ""."""
    return either("T", "0", None, either("r", "", None, either("r", None, None, step)))


def depth_kind(stream: str) -> tuple[UpdateType, int] | None:
    """Update type and level limit of a depth stream by its name; a bare frame has none and counts as a diff. None for a
    book that is not the one we publish (``@rpiDepth``)."""
    if "@rpiDepth" in stream:
        return None
    levels = top_levels(stream)
    return UpdateType.SNAPSHOT if levels else UpdateType.DELTA, levels


BOOK_TICKER: Final = emit(
    BookTicker, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), update_id="u",
    bid_price=decimal_or_none("b"), bid_quantity=decimal_or_none("B"), ask_price=decimal_or_none("a"),
    ask_quantity=decimal_or_none("A"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"), update_type=named(0), level_limit=named(1),
    first_update_id="U", last_update_id="u", previous_update_id=count("pu"), columns=book("b", "a"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, symbol="s", event_time_ns=ms("E"), mark_price=decimal("p"), index_price=decimal_or_none("i"),
    estimated_settle_price=decimal_or_none("P"), funding_rate=if_funded(signed_or_none("r")),
    next_funding_time_ns=if_funded(ms("T")), absent=("transaction_time_ns",),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, symbol="s", event_time_ns=ms("E"), funding_rate=signed_or_none("r"), next_funding_time_ns=ms("T"),
    mark_price=decimal_or_none("p"), absent=("transaction_time_ns",), once=("r", "T"),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, symbol="o.s", event_time_ns=ms("E"), transaction_time_ns=ms("o.T"),
    side=mapped("o.S", SIDES), order_type=or_none("o.o"), price=decimal("o.p"),
    average_price=decimal_or_none("o.ap"), quantity=decimal("o.q"), filled_quantity=decimal_or_none("o.z"),
    status=or_none("o.X"), ordinal=constant(0),
)  # fmt: skip


def channels(public: str, market: str, quoted: bool) -> tuple[Channel, ...]:
    """On the sockets of these two roots, which may be one. ``quoted``: turnovers are of the quote asset."""
    candle, day = kline(ms, ms("k.T"), quoted, symbol="s"), ticker(ms, quoted, symbol="s")
    raw = raw_trade(ms, symbol="s", refuse=FILLER)
    return (
        Channel(("depth",), "{lower}@depth{levels}{speed}", wire.DepthWire, (DEPTH,), Follows("u", "pu"), public,
                named=depth_kind),
        Channel(("book_ticker",), "{lower}@bookTicker", wire.BookTickerWire, (BOOK_TICKER,), Rises("u"), public),
        Channel(("raw_trade",), "{lower}@trade", wire.TradeWire, (raw,), Follows("t"), public),
        Channel(("kline",), "{lower}@kline_{interval}", wire.KlineWire, (candle,), Candles(), market, intervals=CODES),
        Channel(("ticker",), "{lower}@ticker", wire.TickerWire, (day,), root=market),
        Channel(("trade",), "{lower}@aggTrade", wire.AggTradeWire, (agg_trade(ms, symbol="s"),), Follows("a"), market),
        Channel(("mark_price", "funding_rate"), "{lower}@markPrice@1s", wire.MarkPriceWire, (MARK_PRICE, FUNDING_RATE),
                root=market),
        Channel(("liquidation",), "{lower}@forceOrder", wire.ForceOrderWire, (LIQUIDATION,), root=market),
    )  # fmt: skip


FUTURES_CADENCES: Final[Mapping[StreamType, Cadence]] = {
    **CADENCES,
    # once a second whatever the market does
    StreamType.MARK_PRICE: Cadence(10.0, 10.0),
    StreamType.FUNDING_RATE: Cadence(10.0, 10.0),
    # liquidations may be quiet for hours
}
LIMITS: Final = Limits(streams=1024, message_interval=0.2, attempts=ATTEMPTS, max_life=DAY)


def framing(other_family: int) -> ByTag:
    return ByTag(wire.Frame, wire.Wire, "e", "s", "o", "st", other_family, wire.UNWANTED, wire.SHUTDOWN)


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    return check_depth(feed, SPEEDS.__contains__, 'must be "100ms", "250ms" or "500ms", or empty')


def names(feed: FeedSettings) -> dict[str, str]:
    return depth_words(feed, "250ms")
