"""Kraken Futures, WebSocket v1, as tables: perpetuals and dated contracts, linear (PF_, FF_) and inverse (PI_, FI_).

    {"feed":"trade","product_id":"PF_XBTUSD","uid":"8a2be12f-...","side":"sell","type":"fill","seq":421135,
     "time":1790360004381,"qty":0.0002,"price":83994.0}

A message is one element, flat; its feed and product name the stream, and so do answers, which come one a product.
Most refusals name nothing: one request at a time. Prices and sizes are JSON numbers, the ticker's with exponents.
Books are whole at the beginning, then one level a message, numbered without holes; so are trades, the newest 100 of
which are told again after each subscription. The venue's counters begin anew with its engine. The ticker leaves out
what is zero of funding: absent is neither zero nor unchanged. The funding rate is the relative one: the other is an
amount of money for a contract. Quantities of inverse contracts are dollars.

Not verified: the feed of candles is not documented and was silent for others; that a text ``ping`` keeps a connection
alive (a WebSocket ping does); the answer to a stream that runs already; whether the demo venue is still there; whether
trades over REST have the ids of the stream.
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
    Offers,
    Step,
    Word,
    added,
    applied,
    closes,
    constant,
    decimal,
    either,
    emit,
    mapped,
    ms,
    number,
    number_or_none,
    offered,
    signed_number_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import level_or_levels
from wsadapter.exchanges.values import MS, Id, Text, Time, at_least_none
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    Follows,
    Heartbeat,
    Hosts,
    Limits,
    Requests,
    Venue,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    code: code for code in ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")
}  # fmt: skip
SIDES: Final[Mapping[str, bool]] = {"buy": False, "sell": True}
NOT_OURS: Final = frozenset(("heartbeat", "ticker_lite"))


class Envelope(Struct, gc=False):
    """A message with an event is an answer, though it has a feed as data have."""

    feed: str = ""
    product_id: str = ""
    event: str = ""
    trades: Raw = Raw()


class TradeWire(Struct, gc=False):
    """{"product_id":"PF_XBTUSD","uid":"896cb851-...","side":"sell","type":"fill","time":1786046342957,"qty":0.0046,
    "price":64401.0,"seq":45847}; ``side`` is the taker's, of type ``liquidation`` the forced order's."""

    seq: Id
    uid: Annotated[str, Meta(min_length=1, max_length=64)]
    side: Text
    type: Text
    time: Time
    qty: Raw
    price: Raw


class LevelWire(Struct, gc=False):
    price: Raw
    qty: Raw


class BookWire(Struct, gc=False):
    """{"seq":115335794,"timestamp":1790359964969,"bids":[{"price":83998.0,"qty":0.0371}],"asks":[...]}, then
    {"side":"sell","seq":16733631,"price":64416.0,"qty":0.0568,"timestamp":1786046338116}: a book of one level.
    Quantity 0.0 deletes it, and so does one below: it is what is left at a price, so nothing is. A book that is refused
    for it would be lost until the next snapshot, which may have such a level again."""

    seq: Id
    timestamp: Time
    bids: list[LevelWire] = []
    asks: list[LevelWire] = []
    side: Text = ""
    price: Raw = Raw()
    qty: Raw = Raw()


class TickerWire(Struct, gc=False):
    """{"time":1786046338005,"relative_funding_rate":2.747066666667e-6,"next_funding_rate_time":1786046400000,
    "bid":64401.0,"ask":64402.0,"bid_size":0.1239,"ask_size":0.1179,"volume":3669.9134,"index":64401.07,"last":64403.0,
    "change":-0.68,"openInterest":2157.6281,"markPrice":64399.68035588646,"volumeQuote":236982977.0066,"open":64843.0,
    "high":64976.0,"low":64104.0,...}; a price of 0.0 is none: nobody has traded, nobody offers."""

    time: Time
    bid: Raw = Raw()
    bid_size: Raw = Raw()
    ask: Raw = Raw()
    ask_size: Raw = Raw()
    last: Raw = Raw()
    open: Raw = Raw()
    high: Raw = Raw()
    low: Raw = Raw()
    change: Raw = Raw()
    volume: Raw = Raw()
    volumeQuote: Raw = Raw()
    index: Raw = Raw()
    markPrice: Raw = Raw()
    openInterest: Raw = Raw()
    relative_funding_rate: Raw = Raw()
    next_funding_rate_time: Time | None = None


class BarWire(Struct, gc=False):
    time: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text


class CandleWire(Struct, gc=False):
    """{"candle":{"time":1790359920000,"open":"83954","high":"84007","low":"83954","close":"83999",
    "volume":"0.97830000"}}"""

    candle: BarWire


class Control(Struct, gc=False):
    """{"event":"subscribed","feed":"ticker","product_ids":["PF_XBTUSD"]}; {"event":"info","version":1};
    {"event":"alert","message":"Couldn't subscribe to invalid feed"},
    {"event":"error","message":"Invalid product id"}; documented, too, {"event":"subscribed_failed","feed":"trade",
    "product_ids":["PF_XBTUSD"]}"""

    event: str = ""
    feed: str = ""
    product_ids: list[str] = []
    message: str = ""


_control: Final = Decoder(Control).decode


def key(e: Envelope) -> str:
    """What comes first after subscribing has a feed of its own."""
    feed = e.feed.removesuffix("_snapshot")
    is_data = not e.event and (feed in ("trade", "book", "ticker") or feed.startswith("candles_trade_"))
    return f"{feed}:{e.product_id}" if is_data else ""


def is_snapshot(e: Envelope) -> bool:
    return e.feed.endswith("_snapshot")


def of_snapshot(then: object, otherwise: object) -> Step:
    """Of the number before the venue says nothing, its rule does."""
    return either("@feed", "book_snapshot", then, otherwise)


def funding_time(time: int | None) -> int | None:
    return time * MS if time else None


TRADE: Final = emit(
    Trade, transaction_time_ns=ms("time"), trade_id="uid", trade_number="seq", price=number("price"),
    quantity=number("qty"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, transaction_time_ns=ms("time"), side=mapped("side", {"buy": Side.BUY, "sell": Side.SELL}),
    price=number("price"), quantity=number("qty"), ordinal=constant(0), when=Word("type", "liquidation"),
    absent=("event_time_ns", "order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, event_time_ns=ms("timestamp"), update_type=of_snapshot(UpdateType.SNAPSHOT, UpdateType.DELTA),
    level_limit=constant(0), first_update_id="seq", last_update_id="seq",
    previous_update_id=of_snapshot(None, added("seq", -1)),
    columns=level_or_levels("bids", "asks", "side", SIDES, "price", "qty", at_least_none),
    absent=("transaction_time_ns",),
)  # fmt: skip
# the change is a percentage
TICKER: Final = emit(
    Ticker, event_time_ns=ms("time"), price_change_percent=signed_number_or_none("change"), last_price=number("last"),
    open=offered("open", "open"), high=offered("high", "high"), low=offered("low", "low"),
    volume=number_or_none("volume"), quote_volume=number_or_none("volumeQuote"), when=Offers(("last",)),
    absent=("transaction_time_ns", "price_change", "weighted_average_price", "last_quantity", "open_time_ns",
            "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, event_time_ns=ms("time"), bid_price=offered("bid", "bid"), bid_quantity=offered("bid_size", "bid"),
    ask_price=offered("ask", "ask"), ask_quantity=offered("ask_size", "ask"),
    when=Offers(("bid", "ask")), absent=("transaction_time_ns", "update_id"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, event_time_ns=ms("time"), mark_price=number("markPrice"), index_price=offered("index", "index"),
    funding_rate=signed_number_or_none("relative_funding_rate"),
    next_funding_time_ns=applied(funding_time, "next_funding_rate_time"), when=Offers(("markPrice",)),
    absent=("transaction_time_ns", "estimated_settle_price"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, event_time_ns=ms("time"), funding_rate=signed_number_or_none("relative_funding_rate"),
    next_funding_time_ns=applied(funding_time, "next_funding_rate_time"), mark_price=offered("markPrice", "markPrice"),
    once=("relative_funding_rate", "next_funding_rate_time"), absent=("transaction_time_ns",),
)  # fmt: skip
OPEN_INTEREST: Final = emit(
    OpenInterest, event_time_ns=ms("time"), open_interest=number("openInterest"), needs=("openInterest",),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip
KLINE: Final = emit(
    Kline, interval=subscribed("interval"), open_time_ns=ms("candle.time"), close_time_ns=closes("candle.time"),
    open=decimal("candle.open"), high=decimal("candle.high"), low=decimal("candle.low"), close=decimal("candle.close"),
    volume=decimal("candle.volume"), closed=constant(False),
    absent=("event_time_ns", "transaction_time_ns", "quote_volume", "trade_count", "taker_buy_volume",
            "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
)  # fmt: skip

CHANNELS: Final = (
    Channel(("trade", "liquidation"), "trade:{symbol}", TradeWire, (TRADE, LIQUIDATION),
            Follows("seq", repeats=is_snapshot, identity="uid"), root="futures", many=True, newest_first=True),
    Channel(("depth",), "book:{symbol}", BookWire, (DEPTH,), Follows("seq", resubscribe=True), root="futures"),
    Channel(("ticker", "book_ticker", "mark_price", "funding_rate", "open_interest"), "ticker:{symbol}", TickerWire,
            (TICKER, BOOK_TICKER, MARK_PRICE, FUNDING_RATE, OPEN_INTEREST), root="futures"),
    Channel(("kline",), "candles_trade_{interval}:{symbol}", CandleWire, (KLINE,),
            Candles(by_successor=True, sparse=True), root="futures", intervals=CODES),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # once a second, whatever its market does
    **dict.fromkeys(
        (StreamType.TICKER, StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST,
         StreamType.BOOK_TICKER), Cadence(30.0, 60.0, 10.0, reply=10.0),
    ),
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0, reply=10.0),
    # begin with the newest ones, then as often as somebody trades
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0, reply=10.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0, reply=10.0),
}  # fmt: skip


def feed_of(name: str) -> str:
    return name.partition(":")[0]


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    products = [name.partition(":")[2] for name in wanted]
    return encode(
        {"event": "subscribe" if begin else "unsubscribe", "feed": feed_of(wanted[0]), "product_ids": products}
    )


def control(payload: bytes) -> list[Answer] | None:
    """A refusal that names nothing is the oldest request's."""
    document = _control(payload)
    if document.event in ("info", "pong") or (not document.event and document.feed in NOT_OURS):
        return []
    names = tuple(f"{document.feed}:{product}" for product in document.product_ids)
    if document.event in ("subscribed", "unsubscribed"):
        return [Answer(None, names=names, begin=document.event == "subscribed")] if names else []
    if document.event in ("subscribed_failed", "unsubscribed_failed"):
        error = "", printable(document.message or document.event)
        return [Answer(None, error, names, begin=document.event == "subscribed_failed")]
    if document.event not in ("alert", "error"):
        return None
    return [] if "lready subscribed" in document.message else [Answer(None, ("", printable(document.message)))]


UNREAD: Final = (
    "dtm funding_rate funding_rate_prediction leverage maturityTime pair post_only premium "
    "relative_funding_rate_prediction suspended tag tickSize"
)


class KrakenFutures(VenueSession):
    """Kraken Futures."""

    rest = "wsadapter.exchanges.kraken_futures_rest:KrakenFuturesRest"
    venue = Venue(
        word="kraken_futures",
        hosts=Hosts("wss://futures.kraken.com", "wss://demo-futures.kraken.com", {"futures": "/ws/v1"}),
        # 100 requests a second and 100 connections are allowed
        limits=Limits(streams=200, message_interval=0.05, attempts=AttemptLimit(100, 600.0)),
        requests=Requests(request, most=10, octets=1000, in_flight=1, group=feed_of),
        framing=ByKey(
            Envelope,
            key,
            elements=lambda e: e.trades if e.feed == "trade_snapshot" else None,
            spelled=Spelled("{feed}:{product_id}"),
            alone=True,
        ),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        unread=UNREAD,
        # PF_XBTUSD's book has 280 to 680 frames a second; the others are those of BTCUSDT at Binance
        busiest={"trade": 36.1, "book_ticker": 183.7, "depth": 480.0},
        books_a_second=1e9,
        heartbeat=Heartbeat(b'{"event":"ping"}', every=30.0),
    )
