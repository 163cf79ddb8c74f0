"""Binance spot: streams told by their names, times in microseconds, a notice before a server goes.

    {"stream":"bnbusdt@depth5@100ms","data":{"lastUpdateId":13919791373,"bids":[["656.72000000","29.05200000"],...

Top levels and best prices say neither their type nor their time, and top levels not even their symbol: the stream's
name does, so only the combined socket is used. Changes of books say their first and last number. Times are asked for in
microseconds; what came in milliseconds (old recordings) is told by its size. Names that nobody knows are accepted and
stay silent. There is no mark price, funding rate, open interest or liquidation.

Not verified: frames in microseconds and the notice were not seen in a recording, but are documented; how long after the
notice the socket lasts is nobody's promise. Block trades (``@blockTrade``) have ids of their own and are not taken.
"""

import re
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import BookTicker, Depth, UpdateType
from wsadapter.exchanges.binance import tables, wire
from wsadapter.exchanges.binance.tables import ATTEMPTS, CADENCES, CODES, DAY, REQUESTS, top_levels
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import Step, added, applied, constant, decimal, emit, ms_or_us, named, subscribed
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import book
from wsadapter.exchanges.values import MS, Id, IdOrNone, Text, TimeOrMicros, ns
from wsadapter.exchanges.venue import (
    Answer,
    Candles,
    Channel,
    ClosesSoon,
    FeedSettings,
    Follows,
    Hosts,
    Limits,
    Rises,
    Venue,
)

SPEEDS: Final = frozenset(("", "1000ms", "100ms"))
NOTICE: Final = "!serverShutdown"


class Envelope(Struct, gc=False):
    """A message without a stream is an answer, or the notice."""

    stream: str = ""
    data: Raw = Raw()


class NoticeWire(Struct):
    """{"e":"serverShutdown","E":1770123456789}, {"stream":"!serverShutdown","data":{...}}"""

    e: str = ""
    stream: str = ""


class BareInterval(Struct):
    """Of ``k``."""

    i: str = ""


class BareWire(Struct):
    """What tells the stream of a frame without an envelope."""

    e: str = ""
    s: str = ""
    u: int = 0
    k: BareInterval | None = None


BARE: Final = {
    "aggTrade": "aggTrade", "trade": "trade", "kline": "kline_", "24hrTicker": "ticker", "depthUpdate": "depth",
}  # fmt: skip
_changes: Final = re.compile(r".+@depth(?:@[0-9]{1,4}ms)?").fullmatch
_notice: Final = Decoder(NoticeWire).decode
_bare: Final = Decoder(BareWire).decode


class AggTrade(Struct, gc=False):
    """{"e":"aggTrade","E":1791142265500,"s":"PAXGUSDT","a":37416157,"p":"4146.00000000","q":"0.01890000","f":51562765,
    "l":51562765,"T":1791142265492,"m":false,"M":true}"""

    E: TimeOrMicros
    a: Id
    p: Text
    q: Text
    f: IdOrNone
    l: IdOrNone  # noqa: E741
    T: TimeOrMicros
    m: bool


class RawTrade(Struct, gc=False):
    """{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}"""

    E: TimeOrMicros
    t: Id
    p: Text
    q: Text
    T: TimeOrMicros
    m: bool


class Top(Struct, gc=False):
    """{"lastUpdateId":13919791373,"bids":[["656.72000000","29.05200000"]],"asks":[["656.73000000","21.01200000"]]}"""

    lastUpdateId: Id
    bids: Raw
    asks: Raw


class Change(Struct, gc=False):
    """{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,
    "b":[["0.35130000","6195.00000000"]],"a":[]}"""

    E: TimeOrMicros
    U: Id
    u: Id
    b: Raw
    a: Raw


class Best(Struct, gc=False):
    """{"u":499869768,"s":"NKNUSDT","b":"0.35210000","B":"672.00000000","a":"0.35260000","A":"3199.00000000"}"""

    u: Id
    b: Text
    B: Text
    a: Text
    A: Text


class Candle(Struct, gc=False):
    """The ``k`` of a kline frame; its interval is that of the stream."""

    t: TimeOrMicros
    T: TimeOrMicros
    f: IdOrNone
    L: IdOrNone
    o: Text
    c: Text
    h: Text
    l: Text  # noqa: E741
    v: Text
    n: Id
    x: bool
    q: Text
    V: Text
    Q: Text


class Kline(Struct, gc=False):
    """{"e":"kline","E":1790617150042,"s":"BTCUSDT","k":{"t":1790617140000,"T":1790617199999,"s":"BTCUSDT","i":"1m",
    "f":6719969009,"L":6719969026,"o":"83942.95000000","c":"83931.73000000","h":"83942.95000000","l":"83923.18000000",
    "v":"2.95700000","n":771,"x":false,"q":"248203.83491790","V":"0.71560000","Q":"60063.21030660","B":"0"}}"""

    E: TimeOrMicros
    k: Candle


class Day(Struct, gc=False):
    """{"e":"24hrTicker","E":1772574569035,"s":"BTCUSDT","p":"-1437.89000000","P":"-2.071","w":"67834.63514256",
    "x":"69442.02000000","c":"68004.12000000","Q":"0.00250000","b":"68004.11000000","B":"0.25511000",
    "a":"68004.12000000","A":"1.46494000","o":"69442.01000000","h":"69506.94000000","l":"66158.00000000",
    "v":"25691.57255000","q":"1742778450.16795780","O":1772488169013,"C":1772574569013,"F":6046790866,"L":6054521811,
    "n":7730946}"""

    E: TimeOrMicros
    c: Text
    p: wire.Optional = None
    P: wire.Optional = None
    w: wire.Optional = None
    Q: wire.Optional = None
    o: wire.Optional = None
    h: wire.Optional = None
    l: wire.Optional = None  # noqa: E741
    v: wire.Optional = None
    q: wire.Optional = None
    O: TimeOrMicros | None = None  # noqa: E741
    C: TimeOrMicros | None = None
    F: IdOrNone = -1
    L: IdOrNone = -1
    n: Id | None = None


def whole_ms(time: int) -> int:
    """Nanoseconds of its millisecond: so candles are known to close everywhere."""
    return ns(time) // MS * MS


def closes(path: str) -> Step:
    return applied(whole_ms, path)


def levels_of(stream: str) -> tuple[int] | None:
    """Of a stream of top levels."""
    levels = top_levels(stream)
    return (levels,) if levels else None


def no_levels(stream: str) -> tuple[int] | None:
    """Of a stream of changes."""
    return (0,) if _changes(stream) else None


TOP: Final = emit(
    Depth, update_type=constant(UpdateType.SNAPSHOT), level_limit=named(0), last_update_id="lastUpdateId",
    columns=book("bids", "asks"),
    absent=("event_time_ns", "transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip
# the venue does not name the number before, its rule does
CHANGE: Final = emit(
    Depth, event_time_ns=ms_or_us("E"), update_type=constant(UpdateType.DELTA), level_limit=named(0),
    first_update_id="U", last_update_id="u", previous_update_id=added("U", -1), columns=book("b", "a"),
    absent=("transaction_time_ns",),
)  # fmt: skip
BEST: Final = emit(
    BookTicker, update_id="u", bid_price=decimal("b"), bid_quantity=decimal("B"), ask_price=decimal("a"),
    ask_quantity=decimal("A"), absent=("event_time_ns", "transaction_time_ns"),
)  # fmt: skip
KLINE: Final = tables.kline(ms_or_us, closes("k.T"), interval=subscribed("interval"))

CHANNELS: Final = (
    # top levels only: nothing follows anything, the number says which state of the book it is
    Channel(("depth",), "{lower}@depth{levels}{speed}", Top, (TOP,), Follows("lastUpdateId", "lastUpdateId"), "all",
            named=levels_of, wanted=lambda feed: feed.depth_levels > 0),
    Channel(("depth",), "{lower}@depth{speed}", Change, (CHANGE,), Follows("u", first="U"), "all", named=no_levels,
            wanted=lambda feed: feed.depth_levels == 0),
    Channel(("book_ticker",), "{lower}@bookTicker", Best, (BEST,), Rises("u"), "all"),
    Channel(("raw_trade",), "{lower}@trade", RawTrade, (tables.raw_trade(ms_or_us),), Follows("t"), "all"),
    Channel(("trade",), "{lower}@aggTrade", AggTrade, (tables.agg_trade(ms_or_us),), Follows("a"), "all"),
    Channel(("kline",), "{lower}@kline_{interval}", Kline, (KLINE,), Candles(), "all", intervals={"1s": "1s", **CODES}),
    Channel(("ticker",), "{lower}@ticker", Day, (tables.ticker(ms_or_us),), root="all"),
)  # fmt: skip


def bare(payload: bytes) -> str:
    """Of a recording of a socket without envelopes."""
    d = _bare(payload)
    if not d.s:
        return ""
    channel = BARE.get(d.e, "") if d.e else "bookTicker" if d.u else ""
    return f"{d.s.lower()}@{channel}{d.k.i if d.k else ''}" if channel else ""


def control(payload: bytes) -> list[Answer | ClosesSoon] | None:
    answers = tables.control(payload)
    if answers is not None:
        return [*answers]
    notice = _notice(payload)
    return [ClosesSoon(wire.SHUTDOWN)] if notice.e == wire.SHUTDOWN or notice.stream == NOTICE else None


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    return tables.check_depth(feed, SPEEDS.__contains__, 'must be "100ms" or "1000ms", or empty')


def names(feed: FeedSettings) -> dict[str, str]:
    return tables.depth_words(feed, "1000ms")


class BinanceSpot(VenueSession):
    """Binance spot."""

    rest = "wsadapter.exchanges.binance.spot_rest:BinanceSpotRest"
    archives = "wsadapter.exchanges.binance.archives:SPOT"
    venue = Venue(
        word="binance_spot",
        hosts=Hosts(
            "wss://stream.binance.com:9443",
            "wss://stream.testnet.binance.vision",
            {"all": "/stream?timeUnit=MICROSECOND"},
        ),
        # five messages a second, pongs among them
        limits=Limits(streams=1024, message_interval=0.25, attempts=ATTEMPTS, max_life=DAY),
        requests=REQUESTS,
        framing=ByKey(Envelope, Spelled("{stream}"), notices=frozenset((NOTICE,)), bare=bare),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        spell=str.upper,
        unread="A B M a b e i s x",
        # 8,000 recorded frames of BTCUSDT in 66.4 s, 2024-08-08
        busiest={"trade": 22.1, "book_ticker": 88.4, "depth": 10.0},
    )
