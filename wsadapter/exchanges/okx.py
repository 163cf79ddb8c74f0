"""OKX v5, swaps, futures and spot, as tables: what a symbol is, its text says (BTC-USDT-SWAP, BTC-USD-261225,
BTC-USDT). Numbers are text, but for the sequence numbers of books.

    {"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{...}]}

Books name their predecessor (``prevSeqId``): with another one a change is missing, and unsubscribing and subscribing
brings a snapshot; a number below its predecessor is a reset after maintenance and no gap, the same number twice a sign
of life every minute. ``checksum`` is always 0 and not read. A message of `trades` is one taker order at one price, with
the id of its last trade and their ``count``; quantities are contracts, of spot the base currency. A side is that of the
order, also of a liquidation; those come from one channel for the whole market, and the first message repeats old ones.
`fundingTime` is when the rate that is told is paid.

Changes whose snapshot does not come are no events, and never silently: each is a bad frame, and the stream does not
count as one that speaks. It is stale 10 s after the acknowledgement (150 s where this socket has brought a snapshot
before), is asked for anew, then on another socket, and is then an alarm.

Not verified: a real reset was in no recording; the notice 64008 on `/business`. The venue's change log of 2026-02-12
announces that `books` begin without a snapshot from early August 2026 on (one was still recorded on 2026-09-25), and
that a book over REST is joined instead: see `wsadapter.exchanges.okx_rest`. An index price has a channel of its own and
is no part of a mark price here.
"""

from collections.abc import Mapping
from functools import partial
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
    as_text,
    closes,
    constant,
    count,
    decimal,
    decimal_or_none,
    either,
    emit,
    first_of,
    mapped,
    ms,
    number_of,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels, top
from wsadapter.exchanges.values import MOST, Id, IdOrNone, Text, Time
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
    Within,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H", "6h": "6Hutc",
    "12h": "12Hutc", "1d": "1Dutc", "3d": "3Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
"""Without ``utc`` those from 6 hours on open by the time of Hong Kong."""
LEVELS: Final = 400
FEW_LEVELS: Final = 5
KINDS: Final = ("SWAP", "FUTURES", "MARGIN", "OPTION")
"""Of instruments, as the channel of liquidations calls them; what is spot elsewhere is margin there."""
LIQUIDATIONS: Final = "liquidation-orders"
CLOSES_SOON: Final = "64008"
AGAIN: Final = frozenset(("60014", "64007"))
"""Too many requests, an error of its own: nothing is said of the stream."""


class Argument(Struct, gc=False):
    channel: str = ""
    instId: str = ""
    instType: str = ""


class Envelope(Struct, gc=False):
    """A message without data is an answer."""

    arg: Argument | None = None
    data: Raw = Raw()
    action: str = ""


class TradeWire(Struct, gc=False):
    """`trades`, `trades-all`: {"instId":"SOL-USDT-SWAP","tradeId":"1632918528","px":"120.6","sz":"391.07",
    "side":"sell","ts":"1790394876983","count":"26","source":"0","seqId":92286018766}; one trade has no ``count``."""

    tradeId: Id
    px: Text
    sz: Text
    side: Text
    ts: Time
    count: Annotated[int, Meta(ge=1, le=MOST)] = 1


class BookWire(Struct, gc=False):
    """`books`, `books5`, `bbo-tbt`: {"asks":[["120.67","60.475897","0","5"]],"bids":[["120.66","0","0","0"]],
    "ts":"1790394877300","checksum":0,"seqId":32032594315,"prevSeqId":32032594283}; quantity "0" deletes a level.
    Before 2023 there were no numbers."""

    asks: list[list[Raw]]
    bids: list[list[Raw]]
    ts: Time
    seqId: Id | None = None
    prevSeqId: IdOrNone = -1


class KlineWire(Struct, array_like=True, gc=False):
    """`candle1m`: ["1786540440000","63913.0","63951.8","63913.0","63951.8","1803.61","18.0361","1153203.99426","0"];
    the last one is whether it is closed."""

    ts: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    base_volume: Text
    quote_volume: Text = ""
    confirm: bool = False


class TickerWire(Struct, gc=False):
    """`tickers`: {"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"63921","lastSz":"0.4","askPx":"63921.1",
    "askSz":"1871.75","bidPx":"63921","bidSz":"779.3","open24h":"64297.6","high24h":"64466","low24h":"63162.7",
    "sodUtc0":"63566","sodUtc8":"63584.6","volCcy24h":"73998.8786","vol24h":"7399887.86","ts":"1786540471710"}"""

    instType: Text
    last: Text
    lastSz: Text
    open24h: Text
    high24h: Text
    low24h: Text
    vol24h: Text
    volCcy24h: Text
    ts: Time


class MarkPriceWire(Struct, gc=False):
    """`mark-price`: {"instId":"WNCG-USDT-SWAP","instType":"SWAP","markPx":"2.1729","ts":"1640131259180"}"""

    markPx: Text
    ts: Time


class FundingWire(Struct, gc=False):
    """`funding-rate`: {"fundingRate":"-0.0004270396398519","fundingTime":"1785888000000","nextFundingTime":
    "1785916800000","method":"current_period","settFundingRate":"-0.0001996513270201","settState":"settled",
    "instId":"BTC-USD_UM_XPERP-310404","instType":"FUTURES","ts":"1785870855692"}"""

    fundingTime: Time = 0
    fundingRate: Text = ""
    ts: Time | None = None


class InterestWire(Struct, gc=False):
    """`open-interest`: {"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2216113.01000000309",
    "oiCcy":"22161.1301000000309","oiUsd":"1939251795.54769270396321","ts":"1743041250440"}"""

    oi: Text
    ts: Time
    oiUsd: Text = ""


class LiquidationWire(Struct, gc=False):
    """{"bkLoss":"0","bkPx":"82655.7","ccy":"","posSide":"long","side":"sell","sz":"8.55","ts":"1791565600771"}:
    ``side`` is the order's, ``bkPx`` the bankruptcy price."""

    side: Text
    bkPx: Text
    sz: Text
    ts: Time


class LiquidationsWire(Struct, gc=False):
    """`liquidation-orders`: {"details":[{...}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP"}"""

    instId: Text
    details: list[LiquidationWire]


class ControlWire(Struct, gc=False):
    """{"id":"1512","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"accb8e21"}
    {"id":"1512","event":"error","code":"60012","msg":"Invalid request: ...","connId":"a4d3ae55"}"""

    event: str = ""
    arg: Argument | None = None
    id: str = ""
    code: str = ""
    msg: str = ""


_control: Final = Decoder(ControlWire).decode


def kind(symbol: str) -> str:
    """One of `KINDS`."""
    parts = symbol.split("-")
    if parts[-1] == "SWAP":
        return "SWAP"
    return {3: "FUTURES", 5: "OPTION"}.get(len(parts), "MARGIN")


def is_of_kind(wanted: str, symbol: str) -> bool:
    return kind(symbol) == wanted


def is_contract(symbol: str) -> bool:
    return kind(symbol) != "MARGIN"


def has_funding(symbol: str) -> bool:
    """Of futures only those that are perpetual in all but name."""
    return kind(symbol) == "SWAP" or "_XPERP-" in symbol


def wants_few_levels(feed: FeedSettings) -> bool:
    return 0 < feed.depth_levels <= FEW_LEVELS


SIDES: Final[Mapping[str, bool]] = {"buy": False, "sell": True}
TRADE: Final = emit(
    Trade, transaction_time_ns=ms("ts"), trade_id=as_text("tradeId"), price=decimal("px"), quantity=decimal("sz"),
    buyer_is_maker=mapped("side", SIDES), first_trade_id=first_of("tradeId", "count"), last_trade_id="tradeId",
    aggregated=constant(True), absent=("event_time_ns", "trade_number"),
)  # fmt: skip
RAW_TRADE: Final = emit(
    Trade, transaction_time_ns=ms("ts"), trade_id=as_text("tradeId"), trade_number="tradeId", price=decimal("px"),
    quantity=decimal("sz"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
BOOK: Final = emit(
    Depth, event_time_ns=ms("ts"), update_type=either("@action", "snapshot", UpdateType.SNAPSHOT, UpdateType.DELTA),
    level_limit=either("@action", "snapshot", LEVELS, 0),
    last_update_id="seqId", previous_update_id=count("prevSeqId"), columns=levels("bids", "asks", 0, 1),
    absent=("transaction_time_ns", "first_update_id"),
)  # fmt: skip
BOOK5: Final = emit(
    Depth, event_time_ns=ms("ts"), update_type=constant(UpdateType.SNAPSHOT), level_limit=constant(FEW_LEVELS),
    last_update_id="seqId", columns=levels("bids", "asks", 0, 1),
    absent=("transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, transaction_time_ns=ms("ts"), update_id="seqId", columns=top("bids", "asks", 0, 1),
    absent=("event_time_ns",),
)  # fmt: skip
KLINE: Final = emit(
    Kline, interval=subscribed("interval"), open_time_ns=ms("ts"), close_time_ns=closes("ts"), open=decimal("open"),
    high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=decimal("volume"),
    quote_volume=decimal_or_none("quote_volume"), closed="confirm",
    absent=("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
# of contracts ``volCcy24h`` counts the base currency
TICKER: Final = emit(
    Ticker, event_time_ns=ms("ts"), last_price=decimal("last"), last_quantity=decimal_or_none("lastSz"),
    open=decimal_or_none("open24h"), high=decimal_or_none("high24h"), low=decimal_or_none("low24h"),
    volume=decimal_or_none("vol24h"), needs=("last",),
    quote_volume=either("instType", "SPOT", either("volCcy24h", "", None, number_of("volCcy24h")), None),
    absent=("transaction_time_ns", "price_change", "price_change_percent", "weighted_average_price", "open_time_ns",
            "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, event_time_ns=ms("ts"), mark_price=decimal("markPx"),
    absent=("transaction_time_ns", "index_price", "estimated_settle_price", "funding_rate", "next_funding_time_ns"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, event_time_ns=ms("ts"), funding_rate=signed_or_none("fundingRate"),
    next_funding_time_ns=ms("fundingTime"), once=("fundingRate", "fundingTime"),
    absent=("transaction_time_ns", "mark_price"),
)  # fmt: skip
OPEN_INTEREST: Final = emit(
    OpenInterest, event_time_ns=ms("ts"), open_interest=decimal("oi"), open_interest_value=decimal_or_none("oiUsd"),
    absent=("transaction_time_ns",),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, transaction_time_ns=ms("ts"), side=mapped("side", {"buy": Side.BUY, "sell": Side.SELL}),
    price=decimal("bkPx"), quantity=decimal("sz"), ordinal=constant(0),
    absent=("event_time_ns", "order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip

_channel: Final = partial(Channel, many=True, lax=True)
CHANNELS: Final = (
    _channel(("trade",), "trades:{symbol}", TradeWire, (TRADE,), Follows("tradeId", count="count"), "public"),
    _channel(("raw_trade",), "trades-all:{symbol}", TradeWire, (RAW_TRADE,), Follows("tradeId"), "business"),
    _channel(("depth",), "books5:{symbol}", BookWire, (BOOK5,), Rises("seqId"), "public", wanted=wants_few_levels),
    _channel(("depth",), "books:{symbol}", BookWire, (BOOK,), Follows("seqId", "prevSeqId", resubscribe=True),
             "public", wanted=lambda feed: not wants_few_levels(feed)),
    _channel(("kline",), "candle{interval}:{symbol}", KlineWire, (KLINE,), Candles(), "business", intervals=CODES),
    _channel(("ticker",), "tickers:{symbol}", TickerWire, (TICKER,), root="public"),
    _channel(("book_ticker",), "bbo-tbt:{symbol}", BookWire, (BOOK_TICKER,), Rises("seqId"), "public"),
    _channel(("mark_price",), "mark-price:{symbol}", MarkPriceWire, (MARK_PRICE,), root="public", offered=is_contract),
    _channel(("funding_rate",), "funding-rate:{symbol}", FundingWire, (FUNDING_RATE,), root="public",
             offered=has_funding),
    _channel(("open_interest",), "open-interest:{symbol}", InterestWire, (OPEN_INTEREST,), root="public",
             offered=is_contract),
    *(_channel(("liquidation",), f"{LIQUIDATIONS}:{each}", LiquidationWire, (LIQUIDATION,), root="public",
               offered=partial(is_of_kind, each), symbol="instId", within=Within(LiquidationsWire, "details"))
      for each in KINDS),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # begin with their present state; a book that does not change says so once a minute
    StreamType.DEPTH: Cadence(150.0, 150.0, reply=10.0),
    StreamType.TICKER: Cadence(60.0, 600.0, 20.0, reply=30.0),
    StreamType.BOOK_TICKER: Cadence(60.0, 600.0, 20.0, reply=30.0),
    StreamType.MARK_PRICE: Cadence(45.0, 60.0),
    StreamType.FUNDING_RATE: Cadence(300.0, 300.0),
    StreamType.OPEN_INTEREST: Cadence(120.0, 600.0, 20.0),
    # as often as somebody trades
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
}


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    return [("depth_levels", f"must be {LEVELS} at most")] if feed.depth_levels > LEVELS else []


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    arguments = []
    for name in wanted:
        channel, _, about = name.partition(":")
        arguments.append({"channel": channel, "instType" if channel == LIQUIDATIONS else "instId": about})
    return encode({"id": str(identity), "op": "subscribe" if begin else "unsubscribe", "args": arguments})


def stream_name(argument: Argument) -> str:
    return f"{argument.channel}:{argument.instId or argument.instType}"


def control(payload: bytes) -> list[Answer | ClosesSoon] | None:
    """Each argument is answered by itself; an error names the request, if anything."""
    message = _control(payload)
    match message.event:
        case "subscribe" | "unsubscribe" if message.arg is not None:
            return [Answer(None, names=(stream_name(message.arg),), begin=message.event == "subscribe")]
        case "error":
            identity = int(message.id) if message.id.isdecimal() and len(message.id) < 19 else None
            return [Answer(identity, (message.code, printable(message.msg)), again=message.code in AGAIN)]
        case "notice":
            return [ClosesSoon(printable(message.msg))] if message.code == CLOSES_SOON else []
        case "channel-conn-count" | "channel-conn-count-error" | "login":
            return []  # of private channels
    return None


UNREAD: Final = (
    "askPx askSz bidPx bidSz bkLoss ccy checksum formulaType id impactValue instFamily interestRate "
    "maxFundingRate method minFundingRate nextFundingRate nextFundingTime oiCcy posSide premium prevFundingTime "
    "seqId settFundingRate settState sodUtc0 sodUtc8 source uly"
)


class Okx(VenueSession):
    """OKX swaps, futures and spot."""

    rest = "wsadapter.exchanges.okx_rest:OkxRest"
    venue = Venue(
        word="okx",
        hosts=Hosts("wss://ws.okx.com:8443", "wss://wspap.okx.com:8443",
                    {"public": "/ws/v5/public", "business": "/ws/v5/business"}),
        # 480 requests an hour and connection; the venue advises against more than 30 books on one
        limits=Limits(streams=150, message_interval=0.1, attempts=AttemptLimit(3, 1.0)),
        # an error says only which request: the fewer arguments, the sooner the bad one is found
        requests=Requests(request, most=20, octets=32_768, in_flight=1, data_acks=True, on_socket=480),
        framing=ByKey(Envelope, lambda e: stream_name(e.arg) if e.arg is not None and bytes(e.data) else "",
                      spelled=Spelled("{arg.channel}:{arg.instId}")),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        foreign=frozenset("*@/:"),
        unread=UNREAD,
        # a socket without a message for 30 seconds is closed, WebSocket pings do not count
        heartbeat=Heartbeat(b"ping", every=20.0, pong=b"pong"),
    )  # fmt: skip
