"""Hyperliquid as tables: perpetuals of all its dexes, spot. Prices and sizes are text, exact.

    {"channel":"trades","data":[{"coin":"BTC","side":"A","px":"84143.0","sz":"0.00036","time":1790232216193,...}]}

A message names its channel, its elements their coin; a request is about one coin of one channel and its answer repeats
it. One coin that the venue does not know ends the connection without a word, so do other letters (``btc``); which one
it was is looked for. Trades have no order but their time; the newest thirty are told again after each subscription.
Books come whole: 20 levels every 5 s or, ``fast``, 5 levels every 0.5 s; there are no changes of one. Candles never say
that they are closed; the next one does. What a coin's context says (mark, index, funding, open interest) has no time.

There are no liquidations but a user's own, and no last price, so no ticker. Funding is paid at every full hour; the
venue does not name the next one. ``k`` before a name (kPEPE) means 1000 units, of which quantities and prices are.

Not verified: whether a minute without trades has a candle (taken to have none), how many connections an address may
have (10, or 100), whether the two errors about its limits come in the order of the requests. Books slowed down
twice in 2026: how often they come is the venue's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    MarkPrice,
    OpenInterest,
    StreamType,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import (
    as_text,
    constant,
    decimal,
    decimal_or_none,
    emit,
    mapped,
    ms,
    number_inside,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import Id, Text, Time
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    FeedSettings,
    Heartbeat,
    Hosts,
    Limits,
    Repeats,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    code: code for code in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w", "1M")
}
FAST_LEVELS, LEVELS = 5, 20
CHANNELS_OF_DATA: Final = frozenset(("trades", "l2Book", "bbo", "candle", "activeAssetCtx"))


class Envelope(Struct, gc=False):
    channel: str = ""
    data: Raw = Raw()


class TradeWire(Struct, gc=False):
    """{"coin":"BTC","side":"A","px":"84143.0","sz":"0.00036","time":1790232216193,"hash":"0x7ab6...",
    "tid":1045359869404765,"users":["0x...","0x..."]}; ``side`` is the taker's, A sold."""

    coin: Text
    side: Text
    px: Text
    sz: Text
    time: Time
    tid: Id


class LevelWire(Struct, gc=False):
    """{"px":"84143.0","sz":"10.25923","n":36}, in any order."""

    px: Raw
    sz: Raw


class SidesWire(Struct, array_like=True, gc=False):
    bids: list[LevelWire]
    asks: list[LevelWire]


class BookWire(Struct, gc=False):
    """{"coin":"BTC","time":1785251521889,"levels":[[{...}],[{...}]],"fast":true}"""

    coin: Text
    time: Time
    levels: SidesWire
    fast: bool = False


class TouchWire(Struct, array_like=True, gc=False):
    """A side without offers is null, or not there."""

    bid: LevelWire | None = None
    ask: LevelWire | None = None


class QuoteWire(Struct, gc=False):
    """{"coin":"BTC","time":1790232237145,"bbo":[{"px":"84143.0","sz":"10.25923","n":36},{...}]}"""

    coin: Text
    time: Time
    bbo: TouchWire


class CandleWire(Struct, gc=False):
    """{"t":1790232180000,"T":1790232239999,"s":"BTC","i":"1m","o":"84143.0","c":"84143.0","h":"84144.0","l":"84143.0",
    "v":"14.27847","n":114}"""

    t: Time
    T: Time
    s: Text
    i: Text
    o: Text
    c: Text
    h: Text
    l: Text  # noqa: E741
    v: Text
    n: Id


class ContextWire(Struct, gc=False):
    """{"funding":"0.0000018952","openInterest":"36585.31848","prevDayPx":"86627.0","dayNtlVlm":"4161029539.69",
    "premium":"-0.0006413454","oraclePx":"84198.0","markPx":"84148.0","midPx":"84143.5","impactPxs":[...],
    "dayBaseVlm":"49116.08533"}; ``funding`` is of an hour, ``openInterest`` in the base."""

    markPx: Text
    oraclePx: Text | None = None
    funding: Text | None = None
    openInterest: Text | None = None


class CoinWire(Struct, gc=False):
    """{"coin":"BTC","ctx":{...}}"""

    coin: Text
    ctx: ContextWire


class SubscriptionWire(Struct, gc=False):
    """{"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":true}"""

    type: str = ""
    coin: str = ""
    interval: str = ""
    fast: bool | None = None


class RequestWire(Struct, gc=False):
    """{"method":"subscribe","subscription":{"type":"trades","coin":"BTC"}}, which answers repeat."""

    method: str = ""
    subscription: SubscriptionWire | None = None


_envelope: Final = Decoder(Envelope).decode
_request: Final = Decoder(RequestWire).decode
_subscription: Final = Decoder(SubscriptionWire).decode
_text: Final = Decoder(str).decode
_about: Final = re.compile(r"(Already subscribed|Already unsubscribed|.*?): (\{.*\})", re.DOTALL).fullmatch


def key(e: Envelope) -> str:
    return f"{e.channel}:" if e.channel in CHANNELS_OF_DATA else ""


def element_key(e: Envelope, d: Any) -> str:
    return f"candle:{d.i}:{d.s}" if type(d) is CandleWire else f"{e.channel}:{d.coin}"


def spoken(name: str) -> str:
    """Books of both speeds come on one channel."""
    return f"l2Book:{name[11:]}" if name.startswith("l2BookFast:") else name


def is_perpetual(symbol: str) -> bool:
    """Spot is called PURR/USDC or @107, an outcome #250."""
    return set("@/#").isdisjoint(symbol)


BUYER_IS_MAKER: Final[Mapping[str, bool]] = {"B": False, "A": True}
TRADE_FIELDS: Final[dict[str, Any]] = {
    "transaction_time_ns": ms("time"), "trade_id": as_text("tid"), "price": decimal("px"), "quantity": decimal("sz"),
    "buyer_is_maker": mapped("side", BUYER_IS_MAKER), "aggregated": constant(False),
    "absent": ("event_time_ns", "trade_number", "first_trade_id", "last_trade_id"),
}  # fmt: skip
BOOK_FIELDS: Final[dict[str, Any]] = {
    "transaction_time_ns": ms("time"), "update_type": constant(UpdateType.SNAPSHOT),
    "level_limit": mapped("fast", {True: FAST_LEVELS, False: LEVELS}),
    "columns": levels("levels.bids", "levels.asks", "px", "sz"),
    "absent": ("event_time_ns", "first_update_id", "last_update_id", "previous_update_id"),
}  # fmt: skip
CANDLE_FIELDS: Final[dict[str, Any]] = {
    "interval": subscribed("interval"), "open_time_ns": ms("t"), "close_time_ns": ms("T"), "open": decimal("o"),
    "high": decimal("h"), "low": decimal("l"), "close": decimal("c"), "volume": decimal("v"), "trade_count": "n",
    "absent": ("event_time_ns", "transaction_time_ns", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
               "first_trade_id", "last_trade_id"),
}  # fmt: skip
TRADE: Final = emit(Trade, **TRADE_FIELDS)
DEPTH: Final = emit(Depth, **BOOK_FIELDS)
KLINE: Final = emit(Kline, closed=constant(False), **CANDLE_FIELDS)
BOOK_TICKER: Final = emit(
    BookTicker, transaction_time_ns=ms("time"), bid_price=number_inside("bbo.bid", "px"),
    bid_quantity=number_inside("bbo.bid", "sz"), ask_price=number_inside("bbo.ask", "px"),
    ask_quantity=number_inside("bbo.ask", "sz"), absent=("event_time_ns", "update_id"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, mark_price=decimal("ctx.markPx"), index_price=decimal_or_none("ctx.oraclePx"),
    funding_rate=signed_or_none("ctx.funding"),
    absent=("event_time_ns", "transaction_time_ns", "estimated_settle_price", "next_funding_time_ns"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, funding_rate=signed_or_none("ctx.funding"), mark_price=decimal_or_none("ctx.markPx"),
    once=("ctx.funding",), absent=("event_time_ns", "transaction_time_ns", "next_funding_time_ns"),
)  # fmt: skip
OPEN_INTEREST: Final = emit(
    OpenInterest, open_interest=decimal("ctx.openInterest"), needs=("ctx.openInterest",),
    absent=("event_time_ns", "transaction_time_ns", "open_interest_value"),
)  # fmt: skip

CHANNELS: Final = (
    Channel(("trade",), "trades:{symbol}", TradeWire, (TRADE,), Repeats("tid"), root="info", many=True),
    Channel(("depth",), "l2Book:{symbol}", BookWire, (DEPTH,), Rises("time"), root="info",
            wanted=lambda feed: feed.depth_levels > FAST_LEVELS),
    Channel(("depth",), "l2BookFast:{symbol}", BookWire, (DEPTH,), Rises("time"), root="info",
            wanted=lambda feed: feed.depth_levels <= FAST_LEVELS),
    Channel(("kline",), "candle:{interval}:{symbol}", CandleWire, (KLINE,), Candles(by_successor=True, sparse=True),
            root="info", intervals=CODES),
    Channel(("mark_price", "funding_rate", "open_interest"), "activeAssetCtx:{symbol}", CoinWire,
            (MARK_PRICE, FUNDING_RATE, OPEN_INTEREST), root="info", offered=is_perpetual),
    Channel(("book_ticker",), "bbo:{symbol}", QuoteWire, (BOOK_TICKER,), root="info"),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # whatever the market does
    **dict.fromkeys(
        (StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST), Cadence(30.0, 30.0, reply=15.0)
    ),
    StreamType.DEPTH: Cadence(30.0, 30.0, reply=15.0),
    # as often as somebody trades, or quotes
    StreamType.BOOK_TICKER: Cadence(120.0, 600.0, 20.0),
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    if 0 < feed.depth_levels <= LEVELS or "depth" not in feed.streams:
        return []
    return [("depth_levels", f"must be 1 to {LEVELS}: there are no changes of books")]


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    """About one stream."""
    kind, _, coin = wanted[0].partition(":")
    subscription: dict[str, Any] = {"type": kind, "coin": coin}
    if kind == "l2BookFast":
        subscription |= {"type": "l2Book", "fast": True}
    elif kind == "candle":
        interval, _, coin = coin.partition(":")
        subscription |= {"interval": interval, "coin": coin}
    return encode({"method": "subscribe" if begin else "unsubscribe", "subscription": subscription})


def name_of(said: SubscriptionWire) -> str:
    """The stream that an answer is about; the venue fills in what was left out."""
    kind = "l2BookFast" if said.type == "l2Book" and said.fast else said.type
    return f"candle:{said.interval}:{said.coin}" if kind == "candle" else f"{kind}:{said.coin}"


def control(payload: bytes) -> Sequence[Answer] | None:
    """An error repeats the request, or the subscription, behind its text. Of those that do not, the two about the
    address's limits are about the oldest request, as it answers in order: too many messages are a matter of pace, too
    many subscriptions are final. Others are about none of ours."""
    envelope = _envelope(payload)
    if envelope.channel == "pong":
        return []
    if envelope.channel == "subscriptionResponse":
        said = _request(envelope.data)
        if said.subscription is None:
            return None
        return [Answer(None, names=(name_of(said.subscription),), begin=said.method == "subscribe")]
    if envelope.channel != "error":
        return None
    text = _text(envelope.data)
    if text.startswith("Cannot "):
        error, again = ("", printable(text)), "messages per minute" in text
        if again or "subscribe to more than" in text:
            return [Answer(None, error, again=again)]
    about = _about(text)
    unknown = Answer(None, ("", printable(text)), about=lambda name: False)
    if about is None:
        return [unknown]
    if about[1].startswith("Already"):
        return [Answer(None, names=(name_of(_subscription(about[2])),), begin=about[1].endswith(" subscribed"))]
    try:
        said = _request(about[2])
    except ValueError:
        return [unknown]
    if said.subscription is None:
        return [unknown]
    return [Answer(None, unknown.error, (name_of(said.subscription),), begin=said.method == "subscribe")]


class Hyperliquid(VenueSession):
    """Hyperliquid."""

    rest = "wsadapter.exchanges.hyperliquid_rest:HyperliquidRest"
    venue = Venue(
        word="hyperliquid",
        hosts=Hosts("wss://api.hyperliquid.xyz", "wss://api.hyperliquid-testnet.xyz", {"info": "/ws"}),
        # 2000 messages a minute of an address, 30 new connections, 1000 subscriptions over all of them
        limits=Limits(
            streams=1000,
            message_interval=0.05,
            attempts=AttemptLimit(30, 60.0),
            messages=AttemptLimit(2000, 60.0),
            on_address=1000,
        ),
        requests=Requests(request, most=1, octets=1024, in_flight=50, may_close=True),
        framing=ByKey(
            Envelope,
            key,
            element_key,
            spoken=spoken,
            spelled=Spelled("{channel}:"),
            inside={"symbol": ("coin", "s"), "interval": ("i",)},
        ),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        # a connection to which it has sent nothing for a minute is cut
        heartbeat=Heartbeat(b'{"method":"ping"}', every=30.0),
        texts=frozenset((b"Websocket connection established.",)),
        foreign=frozenset(),
        unread="dayBaseVlm dayNtlVlm hash impactPxs midPx n premium prevDayPx users",
        # a book each 5 s (since 2026-07-25)
        books_a_second=0.2,
    )
