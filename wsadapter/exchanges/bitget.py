"""Bitget, USDT futures and spot, version 3 of its API ("UTA"), as tables. Prices, sizes, ids and times of rows are
text; numbers of books and times of messages are integers.

    {"action":"update","arg":{"instType":"usdt-futures","topic":"publicTrade","symbol":"BTCUSDT"},"data":[{...}],"ts":1789940564662}

A market is part of a symbol's identity: asked for in the wrong one it is acknowledged and stays silent. Books name
their predecessors (``pseq``; in a snapshot, and after a restart, 0) and begin with a snapshot, which the first change
may begin before. Trades begin with the
newest ones, and rows come newest first; their ids rise with holes. Of candles nothing says that they are closed: the
next one closes them. Candles of six hours and more open at midnight of UTC only under version 2 of the API, under names
of their own: those have a connection to it (`wsadapter.exchanges.bitget_v2`). Of liquidations only the largest of each
symbol and side comes each second; the side is that of the position, the amount is in USDT.

Not verified: intervals of candles on version 3 other than days, when the connection is cut (one page says after 24
hours), that the demo has version 3.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import (
    StreamType,
)
from wsadapter.exchanges import bitget_v2 as version_2
from wsadapter.exchanges.bitget_wire import (
    BookWire,
    CandleWire,
    LiquidationWire,
    TickerWire,
    TouchWire,
    TradeWire,
    changes,
    kline,
    liquidation,
    states,
    ticker,
    touch,
    trade,
    whole,
)
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import added
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.values import Time
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
    Limits,
    Repeats,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

FUTURES: Final = "usdt-futures"
SPOT: Final = "spot"
CODES: Final[Mapping[str, str]] = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "4h": "4H",
}  # fmt: skip
"""No longer ones: their days begin at 16:00 UTC."""
PATHS: Final[Mapping[str, str]] = {"public": "/v3/ws/public", "utc": "/v2/ws/public"}
MOST_LEVELS: Final = 1000
TOP_LEVELS: Final = 5
TOO_MANY_REQUESTS: Final = "30006"


class Arg(Struct, frozen=True):
    """{"instType":"usdt-futures","topic":"kline","symbol":"BTCUSDT","interval":"1m"}; of version 2
    {"instType":"USDT-FUTURES","channel":"candle1Dutc","instId":"BTCUSDT"}"""

    instType: str = ""
    topic: str = ""
    symbol: str = ""
    interval: str = ""
    channel: str = ""
    instId: str = ""


class Envelope(Struct, gc=False):
    """A message without data is an answer. The first candles come without a time."""

    arg: Arg = Arg()
    action: str = ""
    data: Raw = Raw()
    ts: Time | None = None


class AnswerWire(Struct):
    """{"event":"subscribe","arg":{...},"connId":"..."}, {"event":"error","code":30001,"msg":"{\\"instType\\":...}
    doesn't exist","connId":"..."}: of version 2 with the ``arg`` beside it."""

    event: str = ""
    arg: Arg = Arg()
    code: int | str = ""
    msg: str = ""


_answer: Final = Decoder(AnswerWire).decode
_arg: Final = Decoder(Arg).decode


STREAM: Final = "{arg.instType}:{arg.topic}{arg.channel}:{arg.interval}:{arg.symbol}{arg.instId}"
"""A stream's name, as in the channels: ``usdt-futures:kline:1m:BTCUSDT``, ``USDT-FUTURES:candle1Dutc::BTCUSDT``."""
name_of: Final = Spelled(STREAM)


def arg_of(name: str) -> dict[str, str]:
    market, topic, interval, symbol = name.split(":")
    if market.isupper():
        return {"instType": market, "channel": topic, "instId": symbol}
    arg = {"instType": market, "topic": topic}
    return arg | ({"symbol": symbol} if symbol else {}) | ({"interval": interval} if interval else {})


def is_shallow(feed: FeedSettings) -> bool:
    return 0 < feed.depth_levels <= TOP_LEVELS


def common(market: str) -> tuple[Channel, ...]:
    """What both markets have. Whole books have the numbers of the changes, which go on beside them."""
    return (
        Channel(("trade",), f"{market}:publicTrade::{{symbol}}", TradeWire, (trade(),), Repeats("i"), "public",
                many=True, lax=True, newest_first=True),
        Channel(("depth",), f"{market}:books::{{symbol}}", BookWire, (changes(MOST_LEVELS, added("pseq", 0)),),
                Follows("seq", "pseq", resubscribe=True, unnamed=0, overlaps=True), "public", many=True, lax=True,
                wanted=lambda feed: not is_shallow(feed)),
        Channel(("depth",), f"{market}:books5::{{symbol}}", BookWire, (whole(TOP_LEVELS),), root="public",
                many=True, lax=True, wanted=is_shallow),
        Channel(("depth",), f"{market}:books50::{{symbol}}", BookWire, (whole(50),), root="public", many=True, lax=True,
                wanted=version_2.never),
        Channel(("book_ticker",), f"{market}:books1::{{symbol}}", TouchWire, (touch(),), Rises("seq"), "public",
                many=True, lax=True),
        Channel(("kline",), f"{market}:kline:{{interval}}:{{symbol}}", CandleWire, (kline(),),
                Candles(by_successor=True), "public", many=True, lax=True, intervals=CODES),
        *version_2.channels(market.upper(), CODES, market == SPOT),
    )  # fmt: skip


CONTRACTS: Final = (
    *common(FUTURES),
    Channel(("ticker", "mark_price", "funding_rate", "open_interest"), f"{FUTURES}:ticker::{{symbol}}", TickerWire,
            states(), root="public", many=True),
    Channel(("liquidation",), f"{FUTURES}:liquidation::", LiquidationWire, (liquidation(),), root="public", many=True,
            lax=True, symbol="symbol"),
)  # fmt: skip
PAIRS: Final = (
    *common(SPOT),
    Channel(("ticker",), f"{SPOT}:ticker::{{symbol}}", TickerWire, (ticker(),), root="public", many=True),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # sent several times a second whatever the market does
    **dict.fromkeys(
        (StreamType.TICKER, StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST),
        Cadence(30.0, 60.0, 10.0, reply=10.0),
    ),
    # begin with a snapshot; a book that nobody touches says nothing for minutes
    StreamType.DEPTH: Cadence(120.0, 300.0, 20.0, reply=10.0),
    StreamType.BOOK_TICKER: Cadence(120.0, 300.0, 20.0, reply=10.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0, reply=10.0),
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0, reply=10.0),
}  # fmt: skip


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    return [("depth_levels", f"must be {MOST_LEVELS} at most")] if feed.depth_levels > MOST_LEVELS else []


def check_futures(feed: FeedSettings) -> list[tuple[str, str]]:
    foreign = [symbol for symbol in feed.symbols if not symbol.upper().endswith("USDT")]
    return check(feed) + [("symbols", f"{printable(symbol)} is no contract in USDT") for symbol in foreign]


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    """Requests have no ids."""
    return encode({"op": "subscribe" if begin else "unsubscribe", "args": [arg_of(name) for name in wanted]})


def control(payload: bytes) -> list[Answer] | None:
    """One answer an argument. An error of version 3 has it in its text."""
    answer = _answer(payload)
    if answer.event in ("subscribe", "unsubscribe") and answer.arg.instType:
        return [Answer(None, names=(name_of(answer),), begin=answer.event == "subscribe")]
    if answer.event != "error":
        return None
    name, code = name_of(answer) or name_in(answer.msg), printable(str(answer.code))
    error = code, printable(answer.msg, 128)
    return [Answer(None, error, (name,) if name else (), again=code == TOO_MANY_REQUESTS)]


def name_in(message: str) -> str:
    try:
        return name_of(Envelope(_arg(message[: message.rindex("}") + 1])))
    except FAILURES:
        return ""


UNREAD: Final = (
    "L ask1Price ask1Size askPr askSz bid1Price bid1Size bidPr bidSz change24h changeUtc24h checksum "
    "deliveryPrice deliveryStartTime deliveryStatus deliveryTime isRPI maxdepth pseq openUtc price24hPcnt "
    "symbolType"
)


def market_of(word: str, market: str, channels: tuple[Channel, ...], checks: Callable[[Any], Any]) -> Venue:
    return Venue(
        word=word,
        hosts=Hosts("wss://ws.bitget.com", "wss://wspap.bitget.com", PATHS),
        # 240 requests an hour and connection, ten messages a second with the pings; 25 arguments close it
        limits=Limits(streams=100, message_interval=1.0, attempts=AttemptLimit(300, 300.0), max_life=86_400.0),
        requests=Requests(request, most=10, octets=2048, data_acks=True, on_socket=240),
        framing=ByKey(Envelope, Spelled(STREAM, (market, market.upper()), with_data=True)),
        channels=channels,
        control=control,
        cadences=CADENCES,
        check=checks,
        spell=str.upper,
        unread=UNREAD,
        heartbeat=Heartbeat(b"ping", every=20.0, pong=b"pong"),
    )


class Bitget(VenueSession):
    """Futures that are settled in USDT."""

    rest = "wsadapter.exchanges.bitget_rest:BitgetRest"
    venue = market_of("bitget", FUTURES, CONTRACTS, check_futures)


class BitgetSpot(VenueSession):
    """Spot, tokenised stocks among it."""

    rest = "wsadapter.exchanges.bitget_rest:BitgetSpotRest"
    venue = market_of("bitget_spot", SPOT, PAIRS, check)
