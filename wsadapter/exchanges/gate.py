"""Gate v4, perpetual futures settled in USDT, as tables. Prices are text, sizes are contracts.

    {"time":1786540580,"time_ms":1786540580715,"channel":"futures.trades","event":"update","result":[{...}]}

With `X-Gate-Size-Decimal: 1` in the handshake sizes are text. Without it they are cut to whole contracts, and a level
of 0.4 is one that goes: the header goes with each connection and each request over REST. The sign of a size is the side
of whoever took, and of a forced order. Books are those of `obu`: they begin with a snapshot and name the first and the
last of their numbers; one whose levels did not change has numbers all the same. Those of `order_book_update` are read
where a recording has them, and never asked for. Candles may not say that they are closed, so the next one says it, too.
An answer to a contract that does not exist is often success, and nothing follows.

Not verified: how long before its end a socket is told of it, and in which of two forms; that trade ids have no holes.
Weeks are those of the Unix epoch here, which begin on Thursday, and months
are 30 days: neither is offered.
"""

from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw, Struct
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
    applied,
    as_text,
    by_sign,
    closes,
    computed,
    constant,
    decimal,
    decimal_or_none,
    either,
    emit,
    envelope_ms,
    magnitude,
    ms,
    ms_if,
    number,
    number_if,
    number_or_none,
    seconds,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import MS, Id, Seconds, Text, Time
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    ClosesSoon,
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

CODES: Final[Mapping[str, str]] = {code: code for code in ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")}
BOOKS: Final = (50, 400)
"""Levels: every 20 ms, every 100 ms."""
HEADERS: Final = {"X-Gate-Size-Decimal": "1"}
CANDLES: Final = "futures.candlesticks"
SERVICE_ERROR: Final = 3
"""Of the venue's own: nothing is said of the stream."""


class Envelope(Struct, gc=False):
    channel: str = ""
    event: str = ""
    result: Raw = Raw()
    time_ms: Time | None = None


class TradeWire(Struct, gc=False):
    """`futures.trades`: {"size":"-0.25","id":807645690,"create_time":1774443183,"create_time_ms":1774443183399,
    "price":"2171.44","contract":"ETH_USDT"}"""

    id: Id
    size: Raw
    price: Text
    contract: Text
    create_time_ms: Time | None = None


class BookWire(Struct, gc=False):
    """`futures.obu`: {"t":1789455580280,"s":"ob.BTC_USDT.50","U":125033675975,"u":125033676003,"b":[["77222.9","648"]],
    "a":[["77235","50"]]}, the first one {"t":1789456334981,"full":true,"s":"ob.ETH_USDT.50","u":108552472643,...}; a
    side that is left out has not changed, size "0" deletes a level."""

    t: Time
    s: Text
    u: Id
    U: Id = 0
    full: bool = False
    b: list[list[Raw]] = []
    a: list[list[Raw]] = []


class Level(Struct, gc=False):
    p: Raw
    s: Raw


class UpdateWire(Struct, gc=False):
    """`futures.order_book_update`: {"t":1789455569062,"U":125033668137,"u":125033668232,"s":"BTC_USDT",
    "a":[{"p":"77232.2","s":2100}],"b":[{"p":"77230","s":11364}],"l":"20"}"""

    t: Time
    s: Text
    U: Id
    u: Id
    b: list[Level] = []
    a: list[Level] = []


class KlineWire(Struct, gc=False):
    """`futures.candlesticks`: {"t":1786540560,"c":"63968.3","h":"64015.8","l":"63968.2","o":"64007.3",
    "a":"682624.39971","n":"1m_BTC_USDT","w":false,"v":106665}; ``t`` in seconds, ``w`` may be missing."""

    t: Seconds
    o: Text
    h: Text
    l: Text  # noqa: E741
    c: Text
    n: Text
    v: Raw
    a: Text = ""
    w: bool = False


class TickerWire(Struct, gc=False):
    """`futures.tickers`: {"contract":"BTC_USDT","last":"63964.7","change_percentage":"-0.5151","total_size":"65821",
    "volume_24h":"393690687","volume_24h_base":"39369.0687","volume_24h_quote":"2518230674","mark_price":"63964.8",
    "funding_rate":"0.000052","funding_interval":28800,"funding_next_apply":1786550400,"index_price":"63989.2",
    "low_24h":"63209.0","high_24h":"64443.9","change_price":"-331.2","t":1786540617093}; for a minute after a rate was
    settled it stands beside the time of the next one."""

    contract: Text
    last: Text = ""
    change_percentage: Text = ""
    change_price: Text = ""
    high_24h: Text = ""
    low_24h: Text = ""
    volume_24h: Raw = Raw()
    volume_24h_quote: Raw = Raw()
    mark_price: Text = ""
    index_price: Text = ""
    funding_rate: Text = ""
    funding_next_apply: Seconds = 0
    total_size: Raw = Raw()
    t: Time | None = None


class QuoteWire(Struct, gc=False):
    """`futures.book_ticker`: {"t":1774443214909,"u":92738902534,"s":"ETH_USDT","b":"2172.82","B":"0.25","a":"2172.85",
    "A":"1053.5"}; a side without orders is "" and 0."""

    t: Time
    u: Id
    s: Text
    b: Text
    B: Raw
    a: Text
    A: Raw


class LiquidationWire(Struct, gc=False):
    """`futures.public_liquidates`: {"contract":"HEI_USDT","price":"0.13827","time":1786327033531,"size":-23}, alone;
    the documentation has a list, ``time_ms`` and a number for a price. Since 2026-08-20 all of a contract within a
    second come in one list, sooner when 20 have gathered; before, one a second at most, a sample. The price is that of
    the order."""

    contract: Text
    price: Raw
    size: Raw
    time: Time | None = None
    time_ms: Time | None = None


class Failure(Struct, gc=False):
    code: int = 0
    message: str = ""


class ControlWire(Struct, gc=False):
    """{"time":1747391482,"id":1,"channel":"futures.obu","event":"subscribe","payload":["ob.BTC_USDT.400"],
    "error":{"code":2,"message":"Alert sub ob.BTC_USDT.400"},"result":{"status":"fail"}}
    {"channel":"futures.system","event":"update","result":{"type":"upgrade","msg":"..."}}, or what is in it alone"""

    channel: str = ""
    event: str = ""
    id: int | None = None
    error: Failure | None = None
    result: Any = None
    type: str = ""
    msg: str = ""


_control: Final = Decoder(ControlWire).decode


def update_type(full: bool) -> UpdateType:
    return UpdateType.SNAPSHOT if full else UpdateType.DELTA


def levels_of(stream: str) -> int:
    """``ob.BTC_USDT.400``"""
    return int(stream.rpartition(".")[2])


def number_or_nothing(said: int) -> int | None:
    """0 is none."""
    return said or None


def liquidated(d: LiquidationWire, e: Envelope) -> int:
    time_ms = d.time_ms if d.time is None else d.time
    if time_ms is None:
        raise ValueError("no time")
    return time_ms * MS


NEXT: Final = either("funding_next_apply", "0", None, seconds("funding_next_apply"))
_emit: Final = partial(emit, event_time_ns=envelope_ms("time_ms"))
_told: Final = partial(_emit, transaction_time_ns=ms("t"))
TRADE: Final = _emit(
    Trade, transaction_time_ns=ms("create_time_ms"), trade_id=as_text("id"), trade_number="id", price=decimal("price"),
    quantity=magnitude("size"), buyer_is_maker=by_sign("size", False, True), aggregated=constant(False),
    absent=("first_trade_id", "last_trade_id"),
)  # fmt: skip
BOOK: Final = _told(
    Depth, update_type=applied(update_type, "full"), level_limit=either("U", "0", applied(levels_of, "s"), 0),
    first_update_id=applied(number_or_nothing, "U"), last_update_id="u", columns=levels("b", "a", 0, 1),
    absent=("previous_update_id",),
)  # fmt: skip
UPDATE: Final = _told(
    Depth, update_type=constant(UpdateType.DELTA), level_limit=constant(0), first_update_id="U",
    last_update_id="u", columns=levels("b", "a", "p", "s"), absent=("previous_update_id",),
)  # fmt: skip
KLINE: Final = _emit(
    Kline, interval=subscribed("interval"), open_time_ns=seconds("t"),
    close_time_ns=closes("t", unit_ms=1000), open=decimal("o"), high=decimal("h"), low=decimal("l"),
    close=decimal("c"), volume=number("v"), quote_volume=decimal_or_none("a"), closed="w",
    absent=("transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
            "last_trade_id"),
)  # fmt: skip
TICKER: Final = _told(
    Ticker, last_price=decimal("last"), price_change=signed_or_none("change_price"),
    price_change_percent=signed_or_none("change_percentage"), high=decimal_or_none("high_24h"),
    low=decimal_or_none("low_24h"), volume=number_or_none("volume_24h"),
    quote_volume=number_or_none("volume_24h_quote"), needs=("last",),
    absent=("weighted_average_price", "last_quantity", "open", "open_time_ns", "close_time_ns", "first_trade_id",
            "last_trade_id", "trade_count"),
)  # fmt: skip
MARK_PRICE: Final = _told(
    MarkPrice, mark_price=decimal("mark_price"), index_price=decimal_or_none("index_price"),
    funding_rate=signed_or_none("funding_rate"), next_funding_time_ns=NEXT,
    needs=("mark_price",), absent=("estimated_settle_price",),
)  # fmt: skip
FUNDING_RATE: Final = _told(
    FundingRate, funding_rate=signed_or_none("funding_rate"), mark_price=decimal_or_none("mark_price"),
    next_funding_time_ns=NEXT, once=("funding_rate", "funding_next_apply"),
)  # fmt: skip
OPEN_INTEREST: Final = _told(
    OpenInterest, open_interest=number("total_size"), needs=("total_size",),
    absent=("open_interest_value",),
)  # fmt: skip
BOOK_TICKER: Final = _emit(
    BookTicker, transaction_time_ns=ms_if("t"),
    update_id="u", bid_price=decimal_or_none("b"), bid_quantity=number_if("b", "B"), ask_price=decimal_or_none("a"),
    ask_quantity=number_if("a", "A"),
)  # fmt: skip
LIQUIDATION: Final = _emit(
    Liquidation, transaction_time_ns=computed(liquidated), side=by_sign("size", Side.BUY, Side.SELL),
    price=number("price"), quantity=magnitude("size"), ordinal=constant(0),
    absent=("order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip

CHANNELS: Final = (
    Channel(("trade",), "futures.trades:{symbol}", TradeWire, (TRADE,), Follows("id"), "usdt", many=True),
    Channel(("depth",), "futures.obu:ob.{symbol}.{levels}", BookWire, (BOOK,),
            Follows("u", first="U", resubscribe=True), "usdt"),
    Channel(("depth",), "futures.order_book_update:{symbol}", UpdateWire, (UPDATE,), Follows("u", first="U"), "usdt",
            wanted=lambda feed: False),
    Channel(("kline",), CANDLES + ":{interval}:{symbol}", KlineWire, (KLINE,), Candles(by_successor=True), "usdt",
            many=True, intervals=CODES),
    Channel(("ticker", "mark_price", "funding_rate", "open_interest"), "futures.tickers:{symbol}", TickerWire,
            (TICKER, MARK_PRICE, FUNDING_RATE, OPEN_INTEREST), root="usdt", many=True),
    Channel(("book_ticker",), "futures.book_ticker:{symbol}", QuoteWire, (BOOK_TICKER,), Rises("u"), "usdt"),
    Channel(("liquidation",), "futures.public_liquidates:{symbol}", LiquidationWire, (LIQUIDATION,), root="usdt",
            many=True),
)  # fmt: skip
NAMES: Final = frozenset(each.name.partition(":")[0] for each in CHANNELS)

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    StreamType.DEPTH: Cadence(60.0, 120.0, 20.0, reply=10.0),
    # once a second, whatever its market does
    **dict.fromkeys(
        (StreamType.TICKER, StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST),
        Cadence(60.0, 120.0, 20.0, reply=30.0),
    ),
    # as often as somebody trades
    StreamType.BOOK_TICKER: Cadence(60.0, 600.0, 20.0),
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}


def spoken(name: str) -> str:
    """Data have contract, levels and interval in one: ``ob.BTC_USDT.50``, ``1m_BTC_USDT``."""
    channel, _, about = name.partition(":")
    if "{" in about:
        return channel + ":{symbol}"
    return f"{channel}:{about.replace(':', '_', 1)}" if channel == CANDLES else name


def beginning(e: Envelope) -> str:
    is_data = e.channel in NAMES and e.event not in ("subscribe", "unsubscribe") and bytes(e.result)
    return f"{e.channel}:" if is_data else ""


def stream_name(e: Envelope, d: Any) -> str:
    """Of an element, which names its contract as its channel does."""
    match d:
        case KlineWire():
            return f"{e.channel}:{d.n}"
        case BookWire() | UpdateWire() | QuoteWire():
            return f"{e.channel}:{d.s}"
    return f"{e.channel}:{d.contract}"


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    return [("depth_levels", f"must be {BOOKS[-1]} at most")] if feed.depth_levels > BOOKS[-1] else []


def names(feed: FeedSettings) -> dict[str, str]:
    wanted = feed.depth_levels or BOOKS[-1]
    return {"levels": str(min(each for each in BOOKS if each >= wanted))}


def group(name: str) -> str:
    """Candles are asked for one by one."""
    channel = name.partition(":")[0]
    return name if channel == CANDLES else channel


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    channel, _, first = wanted[0].partition(":")
    payload = first.split(":") if channel == CANDLES else [name.partition(":")[2] for name in wanted]
    event = "subscribe" if begin else "unsubscribe"
    return encode({"time": 0, "id": identity, "channel": channel, "event": event, "payload": payload})


def control(payload: bytes) -> list[Answer | ClosesSoon] | None:
    """Errors are told by ``error``, which may be null, and by a status; answers of earlier years have no id."""
    message = _control(payload)
    result = message.result if isinstance(message.result, dict) else {}
    if message.event in ("subscribe", "unsubscribe"):
        error = message.error or (Failure() if result.get("status") == "fail" else None)
        code = None if error is None else (str(error.code), printable(error.message))
        again = error is not None and error.code == SERVICE_ERROR
        return [Answer(message.id, code, begin=message.event == "subscribe", again=again)]
    if message.channel == "futures.pong":
        return []
    if message.channel == "futures.system" or (not message.channel and message.type):
        kind, text = result.get("type", message.type), result.get("msg", message.msg)
        return [ClosesSoon(printable(str(text)))] if kind == "upgrade" else []
    return None


UNREAD: Final = (
    "change_from create_time error funding_interval funding_offset funding_rate_indicative id is_internal l "
    "price_type quanto_base_rate time volume_24h_base volume_24h_btc volume_24h_settle volume_24h_usd"
)


class Gate(VenueSession):
    """Gate perpetual futures, settled in USDT."""

    rest = "wsadapter.exchanges.gate_rest:GateRest"
    venue = Venue(
        word="gate",
        hosts=Hosts("wss://fx-ws.gateio.ws/v4/ws", "wss://ws-testnet.gate.com/v4/ws/futures", {"usdt": "/usdt"},
                    {"usdt": "/v4/ws/usdt"}, tuple(HEADERS.items())),
        # 300 connections of one address is all that is documented
        limits=Limits(streams=200, message_interval=0.05, attempts=AttemptLimit(60, 60.0)),
        requests=Requests(request, most=20, octets=4096, in_flight=1, data_acks=True, group=group,
                          dated=b'"time":0'),
        framing=ByKey(Envelope, beginning, stream_name, spoken, elements=attrgetter("result"),
                      spelled=Spelled("{channel}:"), inside={"*": ("n", "s", "contract")}),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        foreign=frozenset("*@/:"),
        unread=UNREAD,
        heartbeat=Heartbeat(b'{"time":0,"channel":"futures.ping"}', every=15.0),
    )  # fmt: skip
