"""Bitget, USDT futures and spot, version 3 of its API ("UTA"), as tables. Prices, sizes, ids and times of rows are
text; numbers of books and times of messages are integers.

    {"action":"update","arg":{"instType":"usdt-futures","topic":"publicTrade","symbol":"BTCUSDT"},"data":[{...}],"ts":1789940564662}

A market is part of a symbol's identity: asked for in the wrong one it is acknowledged and stays silent. Books name
their predecessors (``pseq``; in a snapshot, and after a restart, 0) and begin with a snapshot. Trades begin with the
newest ones, and rows come newest first; their ids rise with holes. Of candles nothing says that they are closed: the
next one closes them. Candles of six hours and more open at midnight of UTC only under version 2 of the API, under names
of their own: those have a connection to it. The side of a liquidation is the position's.

Not verified: liquidations' side (one recorder says so), intervals of candles on version 3 other than days, when the
connection is cut (one page says after 24 hours), that the demo has version 3.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

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
    Emit,
    Id,
    Step,
    Text,
    Time,
    Word,
    added,
    book,
    closes,
    constant,
    decimal,
    decimal_or_none,
    either,
    emit,
    envelope_ms,
    mapped,
    ms,
    ms_text,
    number_of,
    subscribed,
    top,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.session import VenueSession
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
UTC_CODES: Final[Mapping[str, str]] = {
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "3d": "3Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
PATHS: Final[Mapping[str, str]] = {"public": "/v3/ws/public", "utc": "/v2/ws/public"}
MOST_LEVELS: Final = 1000
TOP_LEVELS: Final = 5


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


class TradeWire(Struct, gc=False):
    """publicTrade: {"i":"1485683898127761410","p":"80810.6","v":"0.0246","S":"sell","T":"1789940564662",
    "L":"1485683898127761411","isRPI":"no"}; ``S`` is the taker's side."""

    i: Annotated[str, Meta(min_length=1, max_length=64)]
    p: Text
    v: Text
    S: Text
    T: Time


class BookWire(Struct, gc=False):
    """books, books5: {"a":[["0.0104","0"]],"b":[],"seq":427583480559,"pseq":427583461144,"ts":"1789456512452",
    "maxdepth":"1000"}; quantity "0" deletes a level. A field ``checksum`` is gone since the spring of 2026."""

    a: Raw
    b: Raw
    seq: Id
    pseq: Id
    ts: Time


class TouchWire(Struct):
    """books1: the same of one level at most on either side."""

    a: list[list[Raw]]
    b: list[list[Raw]]
    seq: Id
    ts: Time


class TickerWire(Struct, gc=False):
    """ticker: {"lastPrice":"80810.6","highPrice24h":"81470","lowPrice24h":"80092.4","openPrice24h":"81003.7",
    "turnover24h":"1682569476.10781","volume24h":"20843.3982","price24hPcnt":"-0.00238",...}; the last is a ratio."""

    lastPrice: Text
    openPrice24h: Text = ""
    highPrice24h: Text = ""
    lowPrice24h: Text = ""
    volume24h: Text = ""
    turnover24h: Text = ""
    markPrice: Text = ""
    indexPrice: Text = ""
    fundingRate: Text = ""
    nextFundingTime: Text = ""
    openInterest: Text = ""


class CandleWire(Struct, gc=False):
    """kline: {"start":"1710518400000","open":"276670","high":"400005","low":"276670","close":"400005","volume":"0.423",
    "turnover":"148190.38375"}"""

    start: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


class CandleRow(Struct, array_like=True, gc=False):
    """candle1Dutc: ["1790358660000","83765.17","83765.17","83738.85","83738.85","0.701343","58742.42150798",
    "58742.42150798"]"""

    start: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


class LiquidationWire(Struct, gc=False):
    """liquidation, of the whole market: {"symbol":"APEUSDT","side":"buy","price":"0.1649","amount":"13.70319",
    "ts":"1777358886549"}; ``side`` is that of the position, buy is a long, which was closed by a sale."""

    symbol: Text
    side: Text
    price: Text
    amount: Text
    ts: Time


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


def of_snapshot(then: object, otherwise: object) -> Step:
    return either("@action", "snapshot", then, otherwise)


def of_funded(step: Step) -> Step:
    """Dated contracts say "0" of both."""
    of_rate = either("fundingRate", "", None, step)
    return either("nextFundingTime", "", None, either("nextFundingTime", "0", None, of_rate))


TRADE: Final = emit(
    Trade, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("T"), trade_id="i", price=decimal("p"),
    quantity=decimal("v"), buyer_is_maker=mapped("S", {"buy": False, "sell": True}), aggregated=constant(False),
    absent=("trade_number", "first_trade_id", "last_trade_id"),
)  # fmt: skip
DEPTH: Final = emit(
    Depth, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"),
    update_type=of_snapshot(UpdateType.SNAPSHOT, UpdateType.DELTA), level_limit=of_snapshot(MOST_LEVELS, 0),
    last_update_id="seq", previous_update_id=of_snapshot(None, added("pseq", 0)), columns=book("b", "a"),
    absent=("first_update_id",),
)  # fmt: skip
TOP: Final = emit(
    Depth, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"), update_type=constant(UpdateType.SNAPSHOT),
    level_limit=constant(TOP_LEVELS), last_update_id="seq", columns=book("b", "a"),
    absent=("first_update_id", "previous_update_id"),
)  # fmt: skip
TOUCH: Final = emit(
    BookTicker, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"), update_id="seq",
    columns=top("b", "a", 0, 1),
)  # fmt: skip
TICKER: Final = emit(
    Ticker, event_time_ns=envelope_ms("ts"), last_price=decimal("lastPrice"), open=decimal_or_none("openPrice24h"),
    high=decimal_or_none("highPrice24h"), low=decimal_or_none("lowPrice24h"), volume=decimal_or_none("volume24h"),
    quote_volume=decimal_or_none("turnover24h"),
    absent=("transaction_time_ns", "price_change", "price_change_percent", "weighted_average_price", "last_quantity",
            "open_time_ns", "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, event_time_ns=envelope_ms("ts"), mark_price=decimal("markPrice"),
    index_price=decimal_or_none("indexPrice"), funding_rate=of_funded(number_of("fundingRate", signed=True)),
    next_funding_time_ns=ms_text("nextFundingTime"), needs=("markPrice",),
    absent=("transaction_time_ns", "estimated_settle_price"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, event_time_ns=envelope_ms("ts"), funding_rate=of_funded(number_of("fundingRate", signed=True)),
    next_funding_time_ns=ms_text("nextFundingTime"), mark_price=decimal_or_none("markPrice"),
    when=Word("nextFundingTime", "0", unless=True),
    once=("fundingRate", "nextFundingTime"), absent=("transaction_time_ns",),
)  # fmt: skip
OPEN_INTEREST: Final = emit(
    OpenInterest, event_time_ns=envelope_ms("ts"), open_interest=decimal("openInterest"), needs=("openInterest",),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip
LIQUIDATION: Final = emit(
    Liquidation, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"),
    side=mapped("side", {"buy": Side.SELL, "sell": Side.BUY}), price=decimal("price"), quantity=decimal("amount"),
    ordinal=constant(0), absent=("order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip


def kline() -> Emit:
    return emit(
        Kline, event_time_ns=envelope_ms("ts"), interval=subscribed("interval"), open_time_ns=ms("start"),
        close_time_ns=closes("start"), open=decimal("open"), high=decimal("high"), low=decimal("low"),
        close=decimal("close"), volume=decimal("volume"), quote_volume=decimal("turnover"), closed=constant(False),
        absent=("transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
                "last_trade_id"),
    )  # fmt: skip


KLINE, UTC_KLINE = kline(), kline()
"""Of one wire Struct each."""


def is_shallow(feed: FeedSettings) -> bool:
    return 0 < feed.depth_levels <= TOP_LEVELS


def common(market: str) -> tuple[Channel, ...]:
    """What both markets have."""
    utc = market.upper()
    return (
        Channel(("trade",), f"{market}:publicTrade::{{symbol}}", TradeWire, (TRADE,), Repeats("i"), "public", many=True,
                lax=True, newest_first=True),
        Channel(("depth",), f"{market}:books::{{symbol}}", BookWire, (DEPTH,),
                Follows("seq", "pseq", resubscribe=True), "public", many=True, lax=True,
                wanted=lambda feed: not is_shallow(feed)),
        Channel(("depth",), f"{market}:books5::{{symbol}}", BookWire, (TOP,), Rises("seq"), "public", many=True,
                lax=True, wanted=is_shallow),
        Channel(("book_ticker",), f"{market}:books1::{{symbol}}", TouchWire, (TOUCH,), Rises("seq"), "public",
                many=True, lax=True),
        Channel(("kline",), f"{market}:kline:{{interval}}:{{symbol}}", CandleWire, (KLINE,),
                Candles(by_successor=True), "public", many=True, lax=True, intervals=CODES),
        Channel(("kline",), f"{utc}:candle{{interval}}::{{symbol}}", CandleRow, (UTC_KLINE,),
                Candles(by_successor=True), "utc", many=True, lax=True, intervals=UTC_CODES),
    )  # fmt: skip


CONTRACTS: Final = (
    *common(FUTURES),
    Channel(("ticker", "mark_price", "funding_rate", "open_interest"), f"{FUTURES}:ticker::{{symbol}}", TickerWire,
            (TICKER, MARK_PRICE, FUNDING_RATE, OPEN_INTEREST), root="public", many=True),
    Channel(("liquidation",), f"{FUTURES}:liquidation::", LiquidationWire, (LIQUIDATION,), root="public", many=True,
            lax=True, symbol="symbol"),
)  # fmt: skip
PAIRS: Final = (
    *common(SPOT), Channel(("ticker",), f"{SPOT}:ticker::{{symbol}}", TickerWire, (TICKER,), root="public", many=True),
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
    name = name_of(answer) or name_in(answer.msg)
    return [Answer(None, (printable(str(answer.code)), printable(answer.msg, 128)), (name,) if name else ())]


def name_in(message: str) -> str:
    try:
        return name_of(Envelope(_arg(message[: message.rindex("}") + 1])))
    except FAILURES:
        return ""


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
        names=lambda feed: {},
        spell=str.upper,
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
