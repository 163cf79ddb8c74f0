"""Coinbase, as tables: the Exchange feed for trades and tickers, the Advanced Trade feed for books and candles.

    {"type":"match","trade_id":1081862675,"side":"sell","size":"0.00000001","price":"80691.53","product_id":"BTC-USD",...}
    {"channel":"l2_data","timestamp":"2026-09-26T04:15:38.40993531Z","sequence_num":1,"events":[{"type":"update",...}]}

Both need no key, have the same products, and answer a request with all that the connection has by then. Of Exchange a
message is one element, and a product that it does not know voids its request; trades are numbered without holes, and
the last one is told again after subscribing; a ticker comes with each trade. The side of a trade is the maker's. Its
books without a key have no number at all, so they are taken where there are no others only (the sandbox), and nothing
proves them.

Advanced numbers every message of a connection, answers and heartbeats too. A missing one makes all its books doubtful:
each is asked for anew. A product that it does not know is left out of the answer. Books are whole; 30 a connection.
Its candles are of five minutes and no others, none for a time without trades, and nothing says that one is closed.
What is asked for in USDC comes as the product in USD that shares its book (documented), so none is asked for so.

Not verified: whether Advanced answers to the end of a stream; that its trade ids are those of Exchange; in which order
the first candles come, and that a product without trades sends none (no frame of them was recorded: they are as its
documentation has them).
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final, Literal

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import BookTicker, Depth, Kline, StreamType, Ticker, Trade, UpdateType
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import (
    as_text,
    closes,
    computed,
    constant,
    decimal,
    decimal_or_none,
    emit,
    iso,
    mapped,
    seconds,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import mixed_levels, text_levels
from wsadapter.exchanges.values import Id, Text, iso_ns
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    Checked,
    FeedSettings,
    Follows,
    Heartbeat,
    Hosts,
    Limits,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

SIDES: Final[Mapping[str, bool]] = {"buy": True, "sell": False}
"""The maker's."""
RENAMED: Final[Mapping[str, str]] = {"level2_50": "level2_batch", "level2": "level2_batch"}
"""What answers call the channels: ours."""
INTERVALS: Final[Mapping[str, str]] = {"5m": "300"}
"""Of Advanced, by their seconds."""
NO_TIME: Final = "0001-01-01T"
"""With as many zeros as there may be."""
OWN_BOOKS_IN_USDC: Final = frozenset(("USDT-USDC", "EURC-USDC"))
"""Of Advanced: any other product in USDC has that in USD in its place."""


class Message(Struct, gc=False):
    """Of Exchange."""

    type: str = ""
    product_id: str = ""


class MatchWire(Struct, gc=False):
    """{"type":"match","trade_id":1081862675,"maker_order_id":"f07e510f-...","taker_order_id":"e6f50944-...","side":"sell",
    "size":"0.00000001","price":"80691.53","product_id":"BTC-USD","sequence":134905860111,
    "time":"2026-08-25T03:35:57.198335Z"}"""

    trade_id: Id
    side: Text
    size: Text
    price: Text
    time: Text


class TickerWire(Struct, gc=False):
    """{"type":"ticker","sequence":137212619516,"product_id":"BTC-USD","price":"84737.58","open_24h":"84430.55",
    "volume_24h":"1836.96781750","low_24h":"84400","high_24h":"85021.57","volume_30d":"175984.53012145",
    "best_bid":"84737.58","best_bid_size":"0.19921154","best_ask":"84737.59","best_ask_size":"0.05223077","side":"sell",
    "time":"2026-10-03T20:58:31.127510Z","trade_id":1102042811,"last_size":"0.00000025"}"""

    sequence: Id
    price: Text
    open_24h: Text = ""
    high_24h: Text = ""
    low_24h: Text = ""
    volume_24h: Text = ""
    best_bid: Text = ""
    best_bid_size: Text = ""
    best_ask: Text = ""
    best_ask_size: Text = ""
    last_size: Text = ""
    time: Text | None = None
    trade_id: Id | None = None


class BatchWire(Struct, gc=False):
    """{"type":"snapshot","product_id":"BTC-USD","asks":[["80691.53","0.20084671"]],"bids":[["80688.08","0.59153273"]]},
    {"type":"l2update","product_id":"BTC-USD","changes":[["buy","80688.08","0.59153273"]],"time":"..."}; size 0 deletes
    a level, however many zeros it has."""

    bids: list[tuple[Text, Text]] = []
    asks: list[tuple[Text, Text]] = []
    changes: list[tuple[str, Text, Text]] = []
    time: Text | None = None

    def __post_init__(self) -> None:
        for side, price, size in self.changes:
            (self.bids if SIDES[side] else self.asks).append((price, size))


class Envelope(Struct, gc=False):
    """Of Advanced; an error has neither channel nor number."""

    channel: str = ""
    timestamp: str = ""
    sequence_num: Id | None = None
    events: Raw = Raw()


class LevelWire(Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str


class BookWire(Struct, gc=False):
    """{"type":"update","product_id":"SOL-USD","updates":[{"side":"bid","event_time":"2026-09-26T04:15:38.391474Z",
    "price_level":"120.73","new_quantity":"42.55393162"}]}; side ``offer`` is the asks'. Times of levels are not in
    order: the message's is taken."""

    type: Text
    product_id: Text
    updates: list[LevelWire]


class CandleWire(Struct, gc=False):
    """{"start":"1688998200","high":"1867.72","low":"1865.63","open":"1867.38","close":"1866.81","volume":"0.20269406",
    "product_id":"ETH-USD"}"""

    start: Id
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    product_id: Text


class CandlesWire(Struct, gc=False):
    """{"type":"snapshot","candles":[...]}, of any products."""

    candles: list[Raw]


class Start(Struct, gc=False):
    start: int = 0


class Listed(Struct, gc=False):
    name: str
    product_ids: list[str] = []


class Control(Struct, gc=False):
    """{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["BTC-USD"],"account_ids":null},...]},
    {"type":"error","message":"Failed to subscribe","reason":"..."}; of Advanced {"channel":"subscriptions",...}"""

    type: str = ""
    message: str = ""
    reason: str = ""
    channels: list[Listed] = []
    channel: str = ""
    events: list["Standing"] = []


class Products(Struct, frozen=True):
    """By channel."""

    level2: list[str] = []
    candles: list[str] = []


class Standing(Struct, gc=False):
    """{"subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-USD"],"candles":["BTC-USD"]}}"""

    subscriptions: Products = Products()


_control: Final = Decoder(Control).decode
_candles: Final = Decoder(list[CandlesWire]).decode
_start: Final = Decoder(Start, strict=False).decode


def message_key(e: Message) -> str:
    channel = {"match": "matches", "last_match": "matches", "ticker": "ticker", "snapshot": "level2_batch",
               "l2update": "level2_batch"}.get(e.type)  # fmt: skip
    return f"{channel}:{e.product_id}" if channel else ""


def kind(d: Any, e: Message) -> UpdateType:
    return UpdateType.SNAPSHOT if e.type == "snapshot" else UpdateType.DELTA


def batch_time(d: BatchWire, e: Message) -> int | None:
    return None if d.time is None or d.time.startswith(NO_TIME) else iso_ns(d.time)


def elements(e: Envelope) -> Raw:
    """Books are the events themselves; candles are inside of them, and what comes first says the oldest."""
    if e.channel != "candles":
        return e.events
    try:
        return Raw(encode(sorted((each for event in _candles(e.events) for each in event.candles), key=begin_of)))
    except FAILURES:
        return e.events


def begin_of(candle: Raw) -> int:
    try:
        return _start(candle).start
    except FAILURES:
        return 0


TRADE: Final = emit(
    Trade, transaction_time_ns=iso("time"), trade_id=as_text("trade_id"), trade_number="trade_id",
    price=decimal("price"), quantity=decimal("size"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, event_time_ns=iso("time"), update_id="sequence", bid_price=decimal_or_none("best_bid"),
    bid_quantity=decimal_or_none("best_bid_size"), ask_price=decimal_or_none("best_ask"),
    ask_quantity=decimal_or_none("best_ask_size"), absent=("transaction_time_ns",),
)  # fmt: skip
TICKER: Final = emit(
    Ticker, event_time_ns=iso("time"), last_price=decimal("price"), last_quantity=decimal_or_none("last_size"),
    open=decimal_or_none("open_24h"), high=decimal_or_none("high_24h"), low=decimal_or_none("low_24h"),
    volume=decimal_or_none("volume_24h"), last_trade_id="trade_id",
    absent=("transaction_time_ns", "price_change", "price_change_percent", "weighted_average_price", "quote_volume",
            "open_time_ns", "close_time_ns", "first_trade_id", "trade_count"),
)  # fmt: skip
NO_IDS: Final = ("transaction_time_ns", "first_update_id", "last_update_id", "previous_update_id")
BATCH: Final = emit(
    Depth, event_time_ns=computed(batch_time), update_type=computed(kind), level_limit=constant(0),
    columns=text_levels("bids", "asks", 0, 1), absent=NO_IDS,
)  # fmt: skip
BOOK: Final = emit(
    Depth, event_time_ns=iso("@timestamp"),
    update_type=mapped("type", {"snapshot": UpdateType.SNAPSHOT, "update": UpdateType.DELTA}), level_limit=constant(0),
    columns=mixed_levels("updates", "side", ("bid", "offer"), "price_level", "new_quantity"), absent=NO_IDS,
)  # fmt: skip
KLINE: Final = emit(
    Kline, event_time_ns=iso("@timestamp"), interval=subscribed("interval"),
    open_time_ns=seconds("start"), close_time_ns=closes("start", 1000), open=decimal("open"), high=decimal("high"),
    low=decimal("low"), close=decimal("close"), volume=decimal("volume"), closed=constant(False),
    absent=("transaction_time_ns", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0, reply=10.0),
    # begin with the last one, then as often as somebody trades
    **dict.fromkeys(
        (StreamType.TRADE, StreamType.TICKER, StreamType.BOOK_TICKER, StreamType.KLINE),
        Cadence(60.0, 600.0, 20.0, reply=10.0),
    ),
}


def channel_of(name: str) -> str:
    return name.partition(":")[0]


def products(names: tuple[str, ...]) -> list[str]:
    return [name.partition(":")[2] for name in names]


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    channels = [channel_of(wanted[0])]
    return encode(
        {"type": "subscribe" if begin else "unsubscribe", "product_ids": products(wanted), "channels": channels}
    )


def control(payload: bytes) -> list[Answer] | None:
    """A refusal is the oldest request's."""
    document = _control(payload)
    match document.type:
        case "subscriptions":
            names = tuple(f"{RENAMED.get(each.name, each.name)}:{product}"
                          for each in document.channels for product in each.product_ids)  # fmt: skip
            return [Answer(None, names=names)] if names else []
        case "error":
            return [Answer(None, ("", printable(f"{document.message} {document.reason}".strip())))]
        case "heartbeat":
            return []
    return None


def check_advanced(feed: FeedSettings) -> list[tuple[str, str]]:
    """Trades and tickers, and all of the sandbox, come over Exchange."""
    if feed.testnet or {"depth", "kline"}.isdisjoint(feed.streams):
        return []
    return [
        ("symbols", f"no depth or kline of {symbol}: the venue sends those of {symbol.removesuffix('C')} in its place")
        for symbol in feed.symbols
        if symbol.endswith("-USDC") and symbol not in OWN_BOOKS_IN_USDC
    ]


def advanced_request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    verb = "subscribe" if begin else "unsubscribe"
    return encode({"type": verb, "product_ids": products(wanted), "channel": channel_of(wanted[0])})


def advanced_control(payload: bytes) -> list[Answer] | None:
    document = _control(payload)
    if document.type == "error":
        return [Answer(None, ("", printable(document.message)))]
    if document.channel == "heartbeats":
        return []
    if document.channel != "subscriptions":
        return None
    standing = [each.subscriptions for each in document.events]
    names = tuple(
        f"{channel}:{product}"
        for channel in ("level2", "candles")
        for each in standing
        for product in getattr(each, channel)
    )
    return [Answer(None, names=names, everything=True, standing=True)]


UNREAD: Final = "candles type event_time maker_order_id sequence side taker_order_id volume_30d"


class Coinbase(VenueSession):
    """The Exchange feed."""

    rest = "wsadapter.exchanges.coinbase_rest:CoinbaseRest"
    venue = Venue(
        word="coinbase",
        hosts=Hosts(
            "wss://ws-feed.exchange.coinbase.com",
            "wss://ws-feed-public.sandbox.exchange.coinbase.com",
            {"exchange": "/"},
        ),
        limits=Limits(streams=200, message_interval=0.05, attempts=AttemptLimit(20, 10.0),
                      messages=AttemptLimit(100, 1.0)),
        requests=Requests(request, most=50, octets=2000, data_acks=True, group=channel_of, ends=False),
        framing=ByKey(Message, message_key, elements=lambda e: None, spelled=Spelled("{type}:{product_id}"),
                      usually=lambda name: name.replace("matches:", "match:"), alone=True),
        channels=(
            Channel(("trade",), "matches:{symbol}", MatchWire, (TRADE,),
                    Follows("trade_id", repeats=lambda e: e.type == "last_match"), root="exchange"),
            Channel(("book_ticker", "ticker"), "ticker:{symbol}", TickerWire, (BOOK_TICKER, TICKER), Rises("sequence"),
                    root="exchange"),
            Channel(("depth",), "level2_batch:{symbol}", BatchWire, (BATCH,), Checked(), root="exchange",
                    wanted=lambda feed: feed.testnet),
        ),
        control=control,
        cadences=CADENCES,
        foreign=frozenset("*:/"),
        unread=UNREAD,
        books_a_second=1e9,
    )  # fmt: skip


class CoinbaseAdvanced(Coinbase, beside=True):
    """The Advanced Trade feed."""

    venue = Venue(
        word="coinbase",
        hosts=Hosts("wss://advanced-trade-ws.coinbase.com", "", {"advanced": "/"}, shared={"advanced": "/advanced"}),
        # thirty books on a connection were taken, a 31st refused
        limits=Limits(streams=30, message_interval=0.15, attempts=AttemptLimit(20, 10.0),
                      messages=AttemptLimit(8, 1.0)),
        requests=Requests(advanced_request, most=30, octets=2000, data_acks=True, group=channel_of, ends=False),
        framing=ByKey(
            Envelope,
            lambda e: f"{e.channel}:" if e.channel in ("l2_data", "candles") else "",
            lambda e, d: f"{e.channel}:{d.product_id}",
            lambda name: name.replace("level2:", "l2_data:"),
            sequence=attrgetter("sequence_num"),
            elements=elements,
            spelled=Spelled("{channel}:"),
            inside={"symbol": ("product_id",)},
            usual_elements="events",
        ),
        channels=(
            Channel(("depth",), "level2:{symbol}", BookWire, (BOOK,), Checked(), root="advanced", many=True,
                    wanted=lambda feed: not feed.testnet),
            Channel(("kline",), "candles:{symbol}", CandleWire, (KLINE,), Candles(by_successor=True, sparse=True),
                    root="advanced", many=True, lax=True, intervals=INTERVALS, wanted=lambda feed: not feed.testnet),
        ),
        control=advanced_control,
        cadences=CADENCES,
        check=check_advanced,
        foreign=frozenset("*:/"),
        unread=UNREAD,
        books_a_second=1e9,
        # without them a connection of quiet books is closed
        heartbeat=Heartbeat(b"", begin=encode({"type": "subscribe", "channel": "heartbeats"}), last=True),
    )  # fmt: skip
