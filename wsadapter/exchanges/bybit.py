"""Bybit v5, linear and inverse contracts and spot, as tables. Prices, sizes and rates are text; numbers of books and
times are integers.

    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1758841135824,"data":[{...}]}

Books number their changes without holes (``u``) and begin with a snapshot, which unsubscribing and subscribing brings
again. Tickers of contracts send all once, then what changed, without any number: a lost change is not seen before the
next snapshot; those of spot are whole, and have no quotes. Trades have an id and no number (those of spot rise, with
holes). Data may come before a request's answer, whose id may be empty. What inverse contracts count are US dollars.

Not verified: that weeks begin on Mondays; that ``u`` grows by one is observed, not documented.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    StreamType,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import (
    NONE,
    Emit,
    Step,
    added,
    applied,
    constant,
    decimal,
    decimal_or_none,
    either,
    emit,
    envelope_ms,
    mapped,
    ms,
    ms_text,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import book, top
from wsadapter.exchanges.values import Id, Text, Time
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    FeedSettings,
    Follows,
    Heartbeat,
    Hosts,
    Latest,
    Limits,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240", "6h": "360",
    "12h": "720", "1d": "D", "1w": "W", "1M": "M",
}  # fmt: skip
BOOKS: Final = (50, 200, 1000)
"""Levels of the books that come as changes."""


class Envelope(Struct, gc=False):
    """A message without a topic is an answer."""

    topic: str = ""
    data: Raw = Raw()
    type: str = ""
    ts: Time = 0
    cts: Time | None = None


class TradeWire(Struct, gc=False):
    """{"T":1758841135823,"s":"BTCUSDT","S":"Buy","v":"0.020","p":"109378.90","L":"ZeroPlusTick","i":"2a74ac78-691c-...",
    "BT":false,"RPI":false,"seq":457514743450}; ``S`` is the taker's side."""

    T: Time
    s: Text
    S: Text
    v: Text
    p: Text
    i: Annotated[str, Meta(min_length=1, max_length=64)]


class BookWire(Struct, gc=False):
    """{"s":"BTCUSDT","b":[["28552.00","0.012"]],"a":[],"u":7003306,"seq":50193543147}; quantity "0" deletes a level."""

    s: Text
    b: Raw
    a: Raw
    u: Id


class KlineWire(Struct, gc=False):
    """{"start":1790409720000,"end":1790409779999,"interval":"1","open":"84045","close":"84017.8","high":"84045",
    "low":"84017.8","volume":"7.316","turnover":"614833.7084","confirm":false,"timestamp":1790409768441}"""

    start: Time
    end: Time
    open: Text
    close: Text
    high: Text
    low: Text
    volume: Text
    turnover: Text
    confirm: bool


class TickerWire(Struct, kw_only=True):
    """{"symbol":"BTCUSDT","indexPrice":"63986.66"}: absent is unchanged, empty does not apply to this contract."""

    symbol: Text | None = None
    lastPrice: Text | None = None
    prevPrice24h: Text | None = None
    highPrice24h: Text | None = None
    lowPrice24h: Text | None = None
    volume24h: Text | None = None
    turnover24h: Text | None = None
    markPrice: Text | None = None
    indexPrice: Text | None = None
    fundingRate: Text | None = None
    nextFundingTime: Text | None = None
    openInterest: Text | None = None
    openInterestValue: Text | None = None
    bid1Price: Text | None = None
    bid1Size: Text | None = None
    ask1Price: Text | None = None
    ask1Size: Text | None = None


class SpotTickerWire(Struct, gc=False):
    """{"symbol":"BTCUSDT","lastPrice":"64057.7","highPrice24h":"64500","lowPrice24h":"63232.1",
    "prevPrice24h":"64326.9","volume24h":"7217.990977","turnover24h":"460629823.77866687","price24hPcnt":"-0.0042",
    "usdIndexPrice":"63989.741059"}; ``usdIndexPrice`` is not of this market."""

    lastPrice: Text
    prevPrice24h: Text = ""
    highPrice24h: Text = ""
    lowPrice24h: Text = ""
    volume24h: Text = ""
    turnover24h: Text = ""


class TouchWire(Struct):
    """``orderbook.1``: a `BookWire` of one level at most on either side."""

    b: list[list[Raw]]
    a: list[list[Raw]]
    u: Id


class LiquidationWire(Struct, gc=False):
    """{"T":1791565600992,"s":"BTCUSDT","S":"Buy","v":"0.006","p":"82396.90"}; ``S`` is the side of the position, Buy is
    a long, which was closed by a sale; ``p`` is the bankruptcy price."""

    T: Time
    s: Text
    S: Text
    v: Text
    p: Text


class AnswerWire(Struct):
    """{"success":true,"ret_msg":"","conn_id":"...","req_id":"1","op":"subscribe"}"""

    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""


_answer: Final = Decoder(AnswerWire).decode


def of_snapshot(then: object, otherwise: object) -> Step:
    """``u`` 1: the venue began anew."""
    return either("@type", "snapshot", then, either("u", "1", then, otherwise))


def levels(topic: str) -> int:
    """``orderbook.50.BTCUSDT``"""
    return int(topic.split(".")[1])


SIDES: Final[Mapping[str, bool]] = {"Buy": False, "Sell": True}
TRADE: Final = emit(
    Trade, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("T"), trade_id="i", price=decimal("p"),
    quantity=decimal("v"), buyer_is_maker=mapped("S", SIDES), aggregated=constant(False),
    absent=("trade_number", "first_trade_id", "last_trade_id"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, event_time_ns=envelope_ms("ts"), transaction_time_ns=envelope_ms("cts"),
    update_type=of_snapshot(UpdateType.SNAPSHOT, UpdateType.DELTA),
    level_limit=of_snapshot(applied(levels, "@topic"), 0), first_update_id="u", last_update_id="u",
    previous_update_id=of_snapshot(None, added("u", -1)), columns=book("b", "a"),
)  # fmt: skip


def kline(quote_volume: Step) -> Emit:
    return emit(
        Kline, event_time_ns=envelope_ms("ts"), interval=subscribed("interval"), open_time_ns=ms("start"),
        close_time_ns=ms("end"), open=decimal("open"), high=decimal("high"), low=decimal("low"),
        close=decimal("close"), volume=decimal("volume"), quote_volume=quote_volume, closed="confirm",
        absent=("transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
                "last_trade_id"),
    )  # fmt: skip


def ticker(quote_volume: Step) -> Emit:
    """``price24hPcnt`` is a ratio, not a percentage."""
    return emit(
        Ticker, event_time_ns=envelope_ms("ts"), last_price=decimal("lastPrice"),
        open=decimal_or_none("prevPrice24h"), high=decimal_or_none("highPrice24h"), low=decimal_or_none("lowPrice24h"),
        volume=decimal_or_none("volume24h"), quote_volume=quote_volume, needs=("lastPrice",),
        on_change=("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h"),
        absent=("transaction_time_ns", "price_change", "price_change_percent", "weighted_average_price",
                "last_quantity", "open_time_ns", "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
    )  # fmt: skip


def open_interest(value: Step) -> Emit:
    """Both sides counted, as the venue does."""
    return emit(
        OpenInterest, event_time_ns=envelope_ms("ts"), open_interest=decimal("openInterest"),
        open_interest_value=value, needs=("openInterest",), on_change=("openInterest",),
        absent=("transaction_time_ns",),
    )  # fmt: skip


MARK_PRICE: Final = emit(
    MarkPrice, event_time_ns=envelope_ms("ts"), mark_price=decimal("markPrice"),
    index_price=decimal_or_none("indexPrice"), funding_rate=signed_or_none("fundingRate"),
    next_funding_time_ns=ms_text("nextFundingTime"), needs=("markPrice",), on_change=("markPrice", "indexPrice"),
    absent=("transaction_time_ns", "estimated_settle_price"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, event_time_ns=envelope_ms("ts"), funding_rate=signed_or_none("fundingRate"),
    next_funding_time_ns=ms_text("nextFundingTime"), mark_price=decimal_or_none("markPrice"), needs=("fundingRate",),
    on_change=("fundingRate", "nextFundingTime"), absent=("transaction_time_ns",),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, event_time_ns=envelope_ms("ts"), bid_price=decimal_or_none("bid1Price"),
    bid_quantity=decimal_or_none("bid1Size"), ask_price=decimal_or_none("ask1Price"),
    ask_quantity=decimal_or_none("ask1Size"), on_change=("bid1Price", "bid1Size", "ask1Price", "ask1Size"),
    absent=("transaction_time_ns", "update_id"),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("T"),
    side=mapped("S", {"Buy": Side.SELL, "Sell": Side.BUY}), price=decimal("p"), quantity=decimal("v"),
    ordinal=constant(0), absent=("order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip

TOUCH: Final = emit(
    BookTicker, event_time_ns=envelope_ms("ts"), transaction_time_ns=envelope_ms("cts"), update_id="u",
    columns=top("b", "a", 0, 1),
)  # fmt: skip


def never(feed: FeedSettings) -> bool:
    return False


def common(root: str, candle: Emit, others: tuple[int, ...] = BOOKS) -> tuple[Channel, ...]:
    """What all three markets have. Books of ``others`` levels are not asked for beside the one that is: where a
    recording has them they are read, each for itself."""
    return (
        Channel(("trade",), "publicTrade.{symbol}", TradeWire, (TRADE,), root=root, many=True),
        Channel(("depth",), "orderbook.{levels}.{symbol}", BookWire, (DEPTH,), Follows("u", resubscribe=True), root),
        *(Channel(("depth",), f"orderbook.{levels}.{{symbol}}", BookWire, (DEPTH,), root=root, wanted=never)
          for levels in others),
        Channel(("kline",), "kline.{interval}.{symbol}", KlineWire, (candle,), Candles(), root, many=True,
                intervals=CODES),
    )  # fmt: skip


def contracts(root: str, turnover: str) -> tuple[Channel, ...]:
    """``turnover`` and the value of open interest are in the quote asset; empty: they are not, and left out."""
    of_day, of_candle, value = (
        decimal_or_none(field) if turnover else NONE for field in ("turnover24h", turnover, "openInterestValue")
    )
    return (
        *common(root, kline(of_candle), (1, *BOOKS)),
        Channel(("ticker", "mark_price", "funding_rate", "open_interest", "book_ticker"), "tickers.{symbol}",
                TickerWire, (ticker(of_day), MARK_PRICE, FUNDING_RATE, open_interest(value), BOOK_TICKER), root=root,
                latest=Latest("type")),
        Channel(("liquidation",), "allLiquidation.{symbol}", LiquidationWire, (LIQUIDATION,), root=root, many=True),
    )  # fmt: skip


SPOT: Final = (
    Channel(("book_ticker",), "orderbook.1.{symbol}", TouchWire, (TOUCH,), Rises("u"), "spot"),
    Channel(("ticker",), "tickers.{symbol}", SpotTickerWire, (ticker(decimal_or_none("turnover24h")),), root="spot"),
    *common("spot", kline(decimal_or_none("turnover"))),
)

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # begin with a snapshot; marks change several times a second, whatever else the ticker is asked for
    **dict.fromkeys(
        (StreamType.TICKER, StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST,
         StreamType.BOOK_TICKER), Cadence(30.0, 60.0, 10.0, reply=10.0),
    ),
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0, reply=10.0),
    # as often as somebody trades
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}  # fmt: skip


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    if feed.depth_levels > BOOKS[-1]:
        return [("depth_levels", f"must be {BOOKS[-1]} at most")]
    return []


def names(feed: FeedSettings) -> dict[str, str]:
    """The smallest book that has the wanted levels, 0: the deepest one. Its speed follows from its levels."""
    wanted = feed.depth_levels or BOOKS[-1]
    return {"levels": str(min(levels for levels in BOOKS if levels >= wanted))}


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    return encode({"req_id": str(identity), "op": "subscribe" if begin else "unsubscribe", "args": wanted})


def control(payload: bytes) -> list[Answer] | None:
    """The answer to a ping says nothing of a request; an empty id is the oldest request's."""
    answer = _answer(payload)
    if answer.op in ("ping", "pong"):
        return []
    if answer.op not in ("subscribe", "unsubscribe") or answer.success is None:
        return None
    identity = int(answer.req_id) if answer.req_id.isdecimal() and len(answer.req_id) < 19 else None
    return [Answer(identity, None if answer.success else ("", printable(answer.ret_msg)))]


UNREAD: Final = (
    "BT L RPI basis basisRate basisRateYear cs curPreListingPhase deliveryFeeRate deliveryTime fundingCap "
    "fundingIntervalHour interval preOpenPrice preQty predictedDeliveryPrice prevPrice1h price24hPcnt s seq "
    "singleOpenInterest singleOpenInterestValue symbol tickDirection timestamp usdIndexPrice"
)


def market(word: str, root: str, channels: tuple[Channel, ...]) -> Venue:
    return Venue(
        word=word,
        hosts=Hosts("wss://stream.bybit.com", "wss://stream-testnet.bybit.com", {root: f"/v5/public/{root}"}),
        limits=Limits(streams=500, message_interval=0.05, attempts=AttemptLimit(500, 300.0), octets=21_000),
        # spot takes no more than ten a request; elsewhere it bounds what one bad topic voids
        requests=Requests(request, most=10, octets=2048, in_flight=1, data_acks=True),
        framing=ByKey(Envelope, Spelled("{topic}")),
        channels=channels,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        spell=str.upper,
        unread=UNREAD,
        heartbeat=Heartbeat(b'{"op":"ping"}', every=20.0),
    )


class BybitLinear(VenueSession):
    archives = "wsadapter.exchanges.bybit_archives:DERIVATIVES"
    """Perpetuals and futures that are settled in USDT or USDC."""

    rest = "wsadapter.exchanges.bybit_rest:BybitLinearRest"
    venue = market("bybit", "linear", contracts("linear", "turnover"))


class BybitInverse(VenueSession):
    archives = "wsadapter.exchanges.bybit_archives:DERIVATIVES"
    """Perpetuals and futures that are settled in their base coin, of one dollar each."""

    rest = "wsadapter.exchanges.bybit_rest:BybitInverseRest"
    venue = market("bybit_inverse", "inverse", contracts("inverse", ""))


class BybitSpot(VenueSession):
    """Spot."""

    rest = "wsadapter.exchanges.bybit_rest:BybitSpotRest"
    venue = market("bybit_spot", "spot", SPOT)
