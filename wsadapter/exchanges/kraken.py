"""Kraken spot, WebSocket v2, as tables. Prices and sizes are JSON numbers whose text is exact and padded.

    {"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,...}]}

A message names its channel, its elements their pair; answers come one a pair. Books have no number: a CRC-32 of their
ten best levels proves each change, and after a wrong one the pair is asked for anew. The venue never deletes a level
that drops out of the depth. Candles come with trades only and never say that they are closed: the next one does.
Trades are numbered without holes. The socket speaks once a second whatever the markets do.

A pair has one ticker, which comes with each trade or with each change of the touch: where best bid and ask are wanted
it is the latter, for both. There is no testnet.

Not verified: that an answer brings the request's id where that was given (documented), how a notice of maintenance
goes on after its announcement, the weeks' first day.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import BookTicker, Depth, Kline, StreamType, Ticker, Trade, UpdateType
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.checked_book import DigitsChecksum
from wsadapter.exchanges.mapping import (
    Offers,
    as_text,
    closes_iso,
    constant,
    either,
    emit,
    iso,
    mapped,
    number,
    number_or_none,
    offered,
    said,
    signed_number_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import Id, Text
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    Checked,
    ClosesSoon,
    FeedSettings,
    Follows,
    Heartbeat,
    Hosts,
    Limits,
    Requests,
    Venue,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    "1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "4h": "240", "1d": "1440", "1w": "10080",
}  # fmt: skip
BOOKS: Final = (10, 25, 100, 500, 1000)
"""Levels that a book can have."""
CHECKED_LEVELS: Final = 10
"""Of either side, whatever the depth."""
PARAMETERS: Final[Mapping[str, str]] = {"book": "depth", "ticker": "event_trigger", "ohlc": "interval"}
"""Channel -> what the third part of a stream's name is, beside channel and pair."""
CLOSING: Final = frozenset(("all", "spot_ws"))
"""Services whose maintenance ends the socket."""
SOON_SECONDS: Final = 600
"""Maintenance is announced days before; another socket helps when it is near."""


class Envelope(Struct, gc=False):
    """A message of another channel, or without one, is no data."""

    channel: str = ""
    type: str = ""
    data: Raw = Raw()
    timestamp: str | None = None


class TradeWire(Struct, gc=False):
    """{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,
    "timestamp":"2026-09-25T17:48:26.844359Z"}; ``side`` is the taker's."""

    symbol: Text
    side: Text
    price: Raw
    qty: Raw
    trade_id: Id
    timestamp: Text


class LevelWire(Struct, gc=False):
    price: Raw
    qty: Raw


class BookWire(Struct, gc=False):
    """{"symbol":"ETH/BTC","bids":[{"price":0.031347,"qty":0.00000000}],"asks":[],"checksum":2505869009,
    "timestamp":"2026-08-26T15:16:16.730423Z"}; quantity 0 deletes a level, the same price may come twice."""

    symbol: Text
    bids: list[LevelWire]
    asks: list[LevelWire]
    checksum: Id | None = None
    timestamp: Text | None = None


class TickerWire(Struct, gc=False):
    """{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,"ask":83744.3,"ask_qty":0.00044780,"last":83744.3,
    "volume":3156.84782110,"vwap":84174.6,"low":83163.6,"high":85247.4,"change":-429.3,"change_pct":-0.51,
    "trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}; a price of 0.0 is none: nobody has
    traded (in the last day), nobody offers."""

    symbol: Text
    bid: Raw = Raw()
    bid_qty: Raw = Raw()
    ask: Raw = Raw()
    ask_qty: Raw = Raw()
    last: Raw = Raw()
    volume: Raw = Raw()
    vwap: Raw = Raw()
    low: Raw = Raw()
    high: Raw = Raw()
    change: Raw = Raw()
    change_pct: Raw = Raw()
    trades: Id | None = None
    timestamp: Text | None = None


class CandleWire(Struct, gc=False):
    """{"symbol":"BTC/USD","open":83729.5,"high":83745.2,"low":83729.4,"close":83744.3,"trades":33,"volume":0.21155628,
    "vwap":83736.4,"interval_begin":"2026-09-25T17:48:00.000000000Z","interval":1,"timestamp":"2026-09-25T17:49:00Z"};
    ``timestamp`` is the end. When it was sent says the envelope."""

    symbol: Text
    interval: Id
    interval_begin: Text
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    trades: Id | None = None


class Maintenance(Struct, gc=False):
    """{"affected_services":["spot_trading","spot_ws"],"expected_start_utc":"2026-10-05T09:00:00.000000Z",
    "phase":"announced","time_to_start_s":129689,"title":"Order Entry System Maintenance",...}"""

    affected_services: list[str] = []
    time_to_start_s: float | None = None
    title: str = ""


class Status(Struct, gc=False):
    """{"version":"2.0.10","system":"online","api_version":"v2","connection_id":12072546403441331453}"""

    upcoming_maintenance: list[Maintenance] = []


class Result(Struct, gc=False):
    """{"channel":"book","depth":10,"snapshot":true,"symbol":"ETH/BTC"}"""

    channel: str = ""
    symbol: str = ""
    depth: int | None = None
    event_trigger: str | None = None
    interval: int | None = None


class Control(Struct, gc=False):
    """{"method":"subscribe","result":{...},"success":true,"req_id":1,"time_in":"...","time_out":"..."}, a refusal
    {"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD",...}"""

    method: str = ""
    channel: str = ""
    success: bool | None = None
    error: str = ""
    symbol: str = ""
    req_id: int | None = None
    result: Result | None = None
    data: list[Status] = []


_control: Final = Decoder(Control).decode


def key(e: Envelope) -> str:
    return f"{e.channel}:" if e.channel in ("trade", "book", "ticker", "ohlc") else ""


def element_key(e: Envelope, d: Any) -> str:
    return f"{e.channel}:{d.symbol}:{d.interval}" if type(d) is CandleWire else f"{e.channel}:{d.symbol}"


def spoken(name: str) -> str:
    """Data say neither the depth of a book nor what makes a ticker come."""
    return name.rpartition(":")[0] if name.startswith(("book:", "ticker:")) else name


def depth(name: str) -> int:
    """Nobody asked for one without: then it is the venue's own choice."""
    _, _, *levels = name.split(":")
    return int(levels[0]) if levels else BOOKS[0]


TRADE: Final = emit(
    Trade, transaction_time_ns=iso("timestamp"), trade_id=as_text("trade_id"), trade_number="trade_id",
    price=number("price"), quantity=number("qty"), buyer_is_maker=mapped("side", {"buy": False, "sell": True}),
    aggregated=constant(False), absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, event_time_ns=iso("timestamp"),
    update_type=either("@type", "snapshot", UpdateType.SNAPSHOT, UpdateType.DELTA),
    level_limit=either("@type", "snapshot", said(lambda sub: depth(sub.name)), 0),
    columns=levels("bids", "asks", "price", "qty"),
    absent=("transaction_time_ns", "first_update_id", "last_update_id", "previous_update_id"),
)  # fmt: skip
TICKER: Final = emit(
    Ticker, event_time_ns=iso("timestamp"), price_change=signed_number_or_none("change"),
    price_change_percent=signed_number_or_none("change_pct"), weighted_average_price=offered("vwap", "vwap"),
    last_price=number("last"), high=offered("high", "high"), low=offered("low", "low"), volume=number_or_none("volume"),
    trade_count="trades", when=Offers(("last",)),
    absent=("transaction_time_ns", "last_quantity", "open", "quote_volume", "open_time_ns", "close_time_ns",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, event_time_ns=iso("timestamp"), bid_price=offered("bid", "bid"), bid_quantity=offered("bid_qty", "bid"),
    ask_price=offered("ask", "ask"), ask_quantity=offered("ask_qty", "ask"),
    absent=("transaction_time_ns", "update_id"),
)  # fmt: skip
KLINE: Final = emit(
    Kline, event_time_ns=iso("@timestamp"), interval=subscribed("interval"), open_time_ns=iso("interval_begin"),
    close_time_ns=closes_iso("interval_begin"), open=number("open"), high=number("high"), low=number("low"),
    close=number("close"), volume=number("volume"), trade_count="trades", closed=constant(False),
    absent=("transaction_time_ns", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
            "last_trade_id"),
)  # fmt: skip

CHANNELS: Final = (
    Channel(("trade",), "trade:{symbol}", TradeWire, (TRADE,), Follows("trade_id"), root="spot", many=True),
    Channel(("depth",), "book:{symbol}:{levels}", BookWire, (DEPTH,),
            Checked(attrgetter("checksum"), DigitsChecksum(CHECKED_LEVELS), depth), root="spot", many=True),
    Channel(("ticker", "book_ticker"), "ticker:{symbol}:{trigger}", TickerWire, (TICKER, BOOK_TICKER), root="spot",
            many=True),
    Channel(("kline",), "ohlc:{symbol}:{interval}", CandleWire, (KLINE,), Candles(by_successor=True, sparse=True),
            root="spot", many=True, intervals=CODES),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # begin with a snapshot; an answer without one was seen
    StreamType.DEPTH: Cadence(30.0, 60.0, 20.0, reply=10.0),
    StreamType.BOOK_TICKER: Cadence(60.0, 60.0, 20.0, reply=10.0),
    # then as often as somebody trades
    StreamType.TICKER: Cadence(60.0, 600.0, 20.0, reply=10.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0, reply=10.0),
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
}


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    errors = [("testnet", "there is none")] if feed.testnet else []
    return errors + ([("depth_levels", f"must be {BOOKS[-1]} at most")] if feed.depth_levels > BOOKS[-1] else [])


def names(feed: FeedSettings) -> dict[str, str]:
    """The smallest book that has the wanted levels, 0: the deepest one."""
    wanted = feed.depth_levels or BOOKS[-1]
    return {
        "levels": str(min(levels for levels in BOOKS if levels >= wanted)),
        "trigger": "bbo" if "book_ticker" in feed.streams else "trades",
    }


def group(name: str) -> str:
    """A request is about one channel, asked for in one way."""
    channel, _, *parameter = name.split(":")
    return ":".join((channel, *parameter))


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    channel, _, value = group(wanted[0]).partition(":")
    params: dict[str, Any] = {"channel": channel, "symbol": [name.split(":")[1] for name in wanted]}
    if value:
        params[PARAMETERS[channel]] = int(value) if value.isdecimal() else value
    if begin:
        params["snapshot"] = channel != "trade"
    return encode({"method": "subscribe" if begin else "unsubscribe", "params": params, "req_id": identity})


def control(payload: bytes) -> Sequence[Answer | ClosesSoon] | None:
    """A refusal names the pair, and by its id the channel."""
    document = _control(payload)
    if document.channel in ("heartbeat", "status"):
        notices = [notice for status in document.data for notice in status.upcoming_maintenance]
        return [ClosesSoon(printable(notice.title)) for notice in notices if is_near(notice)][:1]
    if document.method == "pong":
        return []
    if document.method not in ("subscribe", "unsubscribe") or document.success is None:
        return None
    begin, error = document.method == "subscribe", None if document.success else ("", printable(document.error))
    if (result := document.result) is not None:
        value = {"book": result.depth, "ticker": result.event_trigger, "ohlc": result.interval}.get(result.channel)
        name = f"{result.channel}:{result.symbol}" + ("" if value is None else f":{value}")
        return [Answer(document.req_id, error, (name,), begin=begin)]
    about = (lambda name: name.split(":")[1] == document.symbol) if document.symbol else None
    return [Answer(document.req_id, error, begin=begin, about=about)]


def is_near(notice: Maintenance) -> bool:
    return not CLOSING.isdisjoint(notice.affected_services) and 0 <= (notice.time_to_start_s or 0) <= SOON_SECONDS


class Kraken(VenueSession):
    """Kraken spot."""

    rest = "wsadapter.exchanges.kraken_rest:KrakenRest"
    venue = Venue(
        word="kraken",
        hosts=Hosts("wss://ws.kraken.com", "wss://ws.kraken.com", {"spot": "/v2"}),
        # the gateway bans for ten minutes from about 150 attempts on; 188 books on one connection were seen to work
        limits=Limits(streams=200, message_interval=0.1, attempts=AttemptLimit(100, 600.0)),
        requests=Requests(request, most=50, octets=2048, group=group),
        framing=ByKey(
            Envelope,
            key,
            element_key,
            spoken,
            spelled=Spelled("{channel}:"),
            inside={"symbol": ("symbol",), "interval": ("interval",)},
        ),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        foreign=frozenset("*:"),
        unread="ord_type vwap",
        # 215 messages a second of three books (2026-09-08); the others are those of BTCUSDT at Binance
        busiest={"trade": 22.1, "book_ticker": 88.4, "depth": 96.0},
        books_a_second=1e9,
        heartbeat=Heartbeat(b'{"method":"ping"}'),
    )
