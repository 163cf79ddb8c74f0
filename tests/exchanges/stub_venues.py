"""Three venues that only tests know, spelled as others are: one that numbers nothing and speaks in JSON numbers, one
whose books name their predecessors, one that answers with lists.

`Plain`: a message names its channel, an element its symbol; acknowledgements come one by one, by channel and symbol;
books have a checksum, candles are closed by the next one. `Chained`: messages and acknowledgements bring the argument
that was asked for; numbers are text; a trade says how many it stands for. `Listed`: an answer lists what was taken,
under the venue's names; its connections are numbered, not its streams; for a name that it does not know at all it ends
the connection.
"""

import zlib
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import decode, encode

from wsadapter.events import Depth, Kline, StreamType, Trade, UpdateType
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.mapping import (
    as_text,
    computed,
    constant,
    emit,
    iso,
    mapped,
    ms,
    number,
    number_or_none,
    subscribed,
)
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import Id, IdOrNone, Time, iso_ns
from wsadapter.exchanges.venue import (
    Answer,
    AttemptLimit,
    Cadence,
    Candles,
    Channel,
    Checked,
    ConnectionPlan,
    Follows,
    Hosts,
    Limits,
    Requests,
    Subscription,
    Venue,
)

DEPTH_LEVELS = 10
SIDES = {"buy": False, "sell": True}
LIMITS = Limits(streams=100, message_interval=0.1, attempts=AttemptLimit(10, 10.0))


def plan(*subscriptions: tuple[str, StreamType, str, str]) -> ConnectionPlan:
    """(name, stream, symbol, interval) of each."""
    symbols = tuple(dict.fromkeys(symbol for _, _, symbol, _ in subscriptions))
    return ConnectionPlan("stub-0", "stub", "", tuple(Subscription(*each) for each in subscriptions), symbols)


class Envelope(Struct):
    channel: str = ""
    type: str = ""
    data: Raw = Raw()
    arg: dict[str, str] | None = None
    action: str = ""
    sequence_num: Id | None = None


class TradeWire(Struct):
    symbol: str
    side: str
    price: Raw
    qty: Raw
    trade_id: Id
    timestamp: str


class LevelWire(Struct):
    price: Raw
    qty: Raw


class BookWire(Struct):
    symbol: str
    bids: list[LevelWire]
    asks: list[LevelWire]
    timestamp: str
    checksum: int | None = None


class CandleWire(Struct):
    symbol: str
    interval: Id
    interval_begin: str
    timestamp: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    vwap: Raw = Raw()


def crc(book: CheckedBook) -> int:
    """Of the ten best of either side, digits alone."""
    texts = [text for level in (*book.asks.best(10), *book.bids.best(10)) for text in level]
    return zlib.crc32("".join(text.replace(".", "").lstrip("0") for text in texts).encode())


def kind(d: Any, e: Envelope) -> UpdateType:
    return UpdateType.SNAPSHOT if "snapshot" in (e.type, e.action) else UpdateType.DELTA


def limit(d: Any, e: Envelope) -> int:
    return DEPTH_LEVELS if kind(d, e) is UpdateType.SNAPSHOT else 0


TRADE = emit(
    Trade, event_time_ns=iso("timestamp"), trade_id=as_text("trade_id"), trade_number="trade_id",
    price=number("price"), quantity=number("qty"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("transaction_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
BOOK = emit(
    Depth, event_time_ns=iso("timestamp"), update_type=computed(kind), level_limit=computed(limit),
    columns=levels("bids", "asks", "price", "qty"),
    absent=("transaction_time_ns", "first_update_id", "last_update_id", "previous_update_id"),
)  # fmt: skip


def close_time(d: CandleWire, e: Envelope) -> int:
    return iso_ns(d.interval_begin) + d.interval * 60 * 10**9 - 10**6


def channel_key(e: Envelope) -> str:
    return f"{e.channel}:" if bytes(e.data) and e.channel != "status" else ""


CANDLE = emit(
    Kline, event_time_ns=iso("timestamp"), interval=subscribed("interval"), open_time_ns=iso("interval_begin"),
    close_time_ns=computed(close_time), open=number("open"), high=number("high"), low=number("low"),
    close=number("close"), volume=number("volume"), quote_volume=number_or_none("vwap"), closed=constant(False),
    absent=("transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
            "last_trade_id"),
)  # fmt: skip
CODES = {"1m": "1", "5m": "5"}


def plain_control(payload: bytes) -> list[Answer] | None:
    document = decode(payload)
    if document.get("channel") in ("heartbeat", "status"):
        return []
    if "method" not in document:
        return None
    about = document.get("result") or document
    if "symbol" not in about:
        return [Answer(None, ("", str(document.get("error"))))]
    interval = f":{about['interval']}" if "interval" in about else ""
    error = None if document["success"] else ("", str(document["error"]))
    begin = document["method"] == "subscribe"
    return [Answer(None, error, (f"{about.get('channel', 'trade')}:{about['symbol']}{interval}",), begin=begin)]


def plain_request(begin: bool, names: tuple[str, ...], identity: int) -> bytes:
    return encode({"method": "subscribe" if begin else "unsubscribe", "names": names})


def element_key(e: Envelope, d: Any) -> str:
    return f"{e.channel}:{d.symbol}" + (f":{d.interval}" if isinstance(d, CandleWire) else "")


class Plain(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(plain_request, most=10, octets=1000),
        framing=ByKey(Envelope, channel_key, element_key),
        channels=(
            Channel(("trade",), "trade:{symbol}", TradeWire, (TRADE,), Follows("trade_id"), many=True),
            Channel(("depth",), "book:{symbol}", BookWire, (BOOK,),
                    Checked(lambda d: d.checksum, crc, lambda stream: DEPTH_LEVELS), many=True),
            Channel(("kline",), "ohlc:{symbol}:{interval}", CandleWire, (CANDLE,), Candles(by_successor=True),
                    many=True, intervals=CODES),
        ),
        control=plain_control,
        cadences={StreamType.DEPTH: Cadence(reply=10.0)},
    )  # fmt: skip


class ManyWire(Struct):
    tradeId: Id
    count: Id
    px: Raw
    sz: Raw
    side: str
    ts: Time


class SequenceWire(Struct):
    bids: list[list[Raw]]
    asks: list[list[Raw]]
    ts: Time
    seqId: Id
    prevSeqId: IdOrNone


MANY = emit(
    Trade, event_time_ns=ms("ts"), trade_id=as_text("tradeId"), price=number("px"), quantity=number("sz"),
    buyer_is_maker=mapped("side", SIDES), aggregated=constant(True), last_trade_id="tradeId",
    absent=("transaction_time_ns", "trade_number", "first_trade_id"),
)  # fmt: skip
SEQUENCE = emit(
    Depth, event_time_ns=ms("ts"), update_type=computed(kind), level_limit=computed(limit), last_update_id="seqId",
    previous_update_id="prevSeqId", columns=levels("bids", "asks", 0, 1),
    absent=("transaction_time_ns", "first_update_id"),
)  # fmt: skip


def argument(e: Envelope) -> str:
    return f"{e.arg['channel']}:{e.arg['instId']}" if e.arg and bytes(e.data) else ""


def chained_control(payload: bytes) -> list[Answer] | None:
    document = decode(payload)
    event = document.get("event")
    if event == "error":
        return [Answer(None, ("60018", str(document["msg"])))]
    if event not in ("subscribe", "unsubscribe"):
        return None
    arg = document["arg"]
    return [Answer(None, names=(f"{arg['channel']}:{arg.get('instId', '')}",), begin=event == "subscribe")]


def chained_request(begin: bool, names: tuple[str, ...], identity: int) -> bytes:
    args = [dict(zip(("channel", "instId"), name.split(":"), strict=True)) for name in names]
    return encode({"op": "subscribe" if begin else "unsubscribe", "args": args})


class Chained(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(chained_request, most=10, octets=1000, data_acks=True),
        framing=ByKey(Envelope, argument),
        channels=(
            Channel(("trade",), "trades:{symbol}", ManyWire, (MANY,), Follows("tradeId", count="count"), many=True,
                    lax=True),
            Channel(("depth",), "books:{symbol}", SequenceWire, (SEQUENCE,),
                    Follows("seqId", "prevSeqId", resubscribe=True), many=True, lax=True),
        ),
        control=chained_control,
        cadences={},
    )  # fmt: skip


def listed_request(begin: bool, names: tuple[str, ...], identity: int) -> bytes:
    return encode({"id": identity, "method": "subscribe" if begin else "unsubscribe", "channels": names})


def listed_control(payload: bytes) -> list[Answer] | None:
    document = decode(payload)
    if not isinstance(document.get("id"), int):
        return None
    return [Answer(document["id"], names=tuple(document["result"]), everything=True)]


class Listed(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(listed_request, most=10, octets=1000, may_close=True),
        framing=ByKey(Envelope, lambda e: e.channel, sequence=lambda e: e.sequence_num),
        channels=(
            Channel(("trade",), "trades.{symbol}", TradeWire, (TRADE,), Follows("trade_id"), many=True),
            Channel(
                ("depth",),
                "level2.{symbol}",
                BookWire,
                (BOOK,),
                Checked(lambda d: None, lambda kept: 0, lambda stream: DEPTH_LEVELS),
                many=True,
            ),
            Channel(("kline",), "candles.{symbol}", CandleWire, (CANDLE,), Candles(sparse=True), many=True),
        ),
        control=listed_control,
        cadences={},
    )
