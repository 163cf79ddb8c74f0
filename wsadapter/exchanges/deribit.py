"""Deribit, JSON-RPC 2.0 over WebSocket, as tables: futures, perpetuals, options and spot. All numbers are JSON numbers,
exponents are usual: ``1.423e-4`` in rates, ``2.2e3`` in amounts.

    {"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{...}]}}

An answer lists the channels that the venue took; what it does not know is left out without an error. Books begin with a
snapshot, and each change names the one before it; a broken one is unsubscribed and subscribed. Trades are numbered
without holes. Candles never say that they are closed, and a minute without trades has one of the price before it. The
venue is asked for heartbeats, and then asks us: what it asks has to be answered.

Amounts are the venue's: US dollars for inverse perpetuals and futures, the base coin for all else; so is the open
interest. Funding goes on all the time: its rate is that of the moment and has no next time. A liquidation is a trade
that says so; where both sides were liquidated there are two. Trades of a combo are told on the combo's channel and on
each leg's. Block trades are told as all others, and make the same events: their prices may never have been on the
book. Channels ``raw`` want a login, which this has not; messages of theirs, in recordings, are read all the same.
The platform's state is asked for on every socket: when its maintenance begins, another connection is made.

Not verified: that unsubscribing and subscribing brings a snapshot (documented), that a candle of a day opens at 00:00
UTC, what ``MT`` of a liquidation means beyond its documentation, how long the list of a request may be, how long before
the end of a connection the venue tells of maintenance. A combo's price may be negative, which no price of ours is: such
an event is lost, and counted.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
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
    Step,
    Word,
    added,
    closes,
    constant,
    either,
    emit,
    mapped,
    ms,
    named,
    number,
    number_or_none,
    offered,
    signed_number_or_none,
    subscribed,
)
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.second_look import number as integer
from wsadapter.exchanges.second_look import text
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import Id, Text, Time
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
    Reply,
    Requests,
    Rises,
    Venue,
)
from wsadapter.text import printable

CODES: Final[Mapping[str, str]] = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "6h": "360", "12h": "720",
    "1d": "1D",
}  # fmt: skip
TOPS: Final = (1, 10, 20)
"""Levels of the books that come whole each time."""
SPEEDS: Final = ("100ms", "agg2")
EVERY_SPEED: Final = frozenset((*SPEEDS, "raw", "{speed}"))
"""As a name ends, or a channel's in the table."""


class Params(Struct, frozen=True, gc=False):
    channel: str = ""
    data: Raw = Raw()
    type: str = ""


class Envelope(Struct, gc=False):
    """A message without a channel is an answer or a heartbeat."""

    params: Params = Params()


class TradeWire(Struct, gc=False):
    """{"timestamp":1765531356452,"price":92288.5,"amount":750.0,"direction":"sell","index_price":92276.75,
    "instrument_name":"BTC-PERPETUAL","trade_seq":271252855,"mark_price":92287.11,"tick_direction":2,"contracts":75.0,
    "trade_id":"403691825"}; ``direction`` is the taker's, ``liquidation`` T, M or MT says whose position was closed."""

    timestamp: Time
    price: Raw
    amount: Raw
    direction: Text
    instrument_name: Text
    trade_seq: Id
    trade_id: Annotated[str, Meta(min_length=1, max_length=64)]
    liquidation: Text = ""


class BookWire(Struct, gc=False):
    """{"timestamp":1790133842703,"type":"change","change_id":193809634213,"instrument_name":"ALGO_USDC-PERPETUAL",
    "bids":[["new",0.11374,1054.0],["delete",0.11344,0.0]],"asks":[],"prev_change_id":193809631160}; what is deleted has
    amount 0. A snapshot names none before it; until 2019 there was no ``type``."""

    timestamp: Time
    change_id: Id
    bids: list[tuple[Raw, Raw, Raw]]
    asks: list[tuple[Raw, Raw, Raw]]
    type: Text = ""
    prev_change_id: Id | None = None


class TopWire(Struct, gc=False):
    """{"timestamp":1790133841369,"change_id":193809623552,"instrument_name":"BTC_USDC-PERPETUAL",
    "bids":[[86775.8,0.216]],"asks":[[86776.0,0.0009]]}"""

    timestamp: Time
    change_id: Id
    bids: list[tuple[Raw, Raw]]
    asks: list[tuple[Raw, Raw]]


class CandleWire(Struct, gc=False):
    """{"tick":1767200040000,"open":87490.0,"high":87500.0,"low":87465.0,"close":87474.0,"volume":0.95978896,
    "cost":83970.0}"""

    tick: Time
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    cost: Raw = Raw()


class StatsWire(Struct, frozen=True, gc=False):
    """{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":11897.27640428,"volume_usd":1092371540.0,
    "volume_notional":1092371540.0}; ``price_change`` is in percent, all may be null."""

    high: Raw = Raw()
    low: Raw = Raw()
    price_change: Raw = Raw()
    volume: Raw = Raw()
    volume_notional: Raw = Raw()


class TickerWire(Struct, gc=False):
    """{"timestamp":1790133840887,"state":"open","stats":{...},"index_price":86744.11,"last_price":86773.6,
    "instrument_name":"BTC_USDC-PERPETUAL","open_interest":459.3409,"mark_price":86778.14,"current_funding":1.423e-4,
    "estimated_delivery_price":86744.11,"funding_8h":5.149e-5,"best_ask_price":86778.0,...}; all of it each time."""

    timestamp: Time
    stats: StatsWire = StatsWire()
    last_price: Raw = Raw()
    mark_price: Raw = Raw()
    index_price: Raw = Raw()
    estimated_delivery_price: Raw = Raw()
    current_funding: Raw = Raw()
    open_interest: Raw = Raw()


class QuoteWire(Struct, gc=False):
    """{"timestamp":1765541767174,"instrument_name":"BTC-PERPETUAL","best_ask_price":92288.5,"best_bid_price":92288.0,
    "best_ask_amount":99470.0,"best_bid_amount":133440.0}"""

    timestamp: Time
    best_bid_price: Raw = Raw()
    best_bid_amount: Raw = Raw()
    best_ask_price: Raw = Raw()
    best_ask_amount: Raw = Raw()


class ErrorWire(Struct, gc=False):
    """{"message":"Invalid params","data":{"reason":"value must be a list","param":"channels"},"code":-32602}"""

    code: int
    message: str = ""
    data: Raw = Raw()


class StateWire(Struct, gc=False):
    """{"locked":false,"price_index":"alt_usdc","reasons":[]}, or {"maintenance":true} when that begins."""

    maintenance: bool = False


class AnswerWire(Struct, gc=False):
    """{"jsonrpc":"2.0","id":1,"result":["trades.BTC-PERPETUAL.100ms"],"usIn":...,"usOut":...,"testnet":false}, or a
    heartbeat {"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}; an error may be without an id."""

    id: Raw = Raw()
    method: str = ""
    result: Raw = Raw()
    error: ErrorWire | None = None
    params: Params = Params()


_answer: Final = Decoder(AnswerWire).decode
_state: Final = Decoder(StateWire).decode
_names: Final = Decoder(tuple[str, ...]).decode


def spoken(name: str) -> str:
    """A channel without its speed: those of another one say the same."""
    channel, _, speed = name.rpartition(".")
    return channel if speed in EVERY_SPEED else name


def key(e: Envelope) -> str:
    return spoken(e.params.channel)


def top_levels(name: str) -> tuple[int] | None:
    """``book.BTC-PERPETUAL.none.20.100ms``"""
    parts = name.split(".")
    return (int(parts[3]),) if len(parts) > 3 and parts[0] == "book" and parts[3].isdecimal() else None


def of_snapshot(then: object, otherwise: object) -> Step:
    """Until 2019 there was no ``type``."""
    named_none = either("prev_change_id", None, then, otherwise)
    return either("type", "snapshot", then, either("type", "", named_none, otherwise))


BUYER_IS_MAKER: Final[Mapping[str, bool]] = {"buy": False, "sell": True}
TRADE_FIELDS: Final[dict[str, Any]] = {
    "transaction_time_ns": ms("timestamp"), "trade_id": "trade_id", "trade_number": "trade_seq",
    "price": number("price"), "quantity": number("amount"), "buyer_is_maker": mapped("direction", BUYER_IS_MAKER),
    "aggregated": constant(False), "absent": ("event_time_ns", "first_trade_id", "last_trade_id"),
}  # fmt: skip
FORCED_FIELDS: Final[dict[str, Any]] = {
    "transaction_time_ns": ms("timestamp"), "price": number("price"), "quantity": number("amount"),
    "ordinal": constant(0), "absent": ("event_time_ns", "order_type", "average_price", "filled_quantity", "status"),
}  # fmt: skip
CANDLE_FIELDS: Final[dict[str, Any]] = {
    "interval": subscribed("interval"), "open_time_ns": ms("tick"), "close_time_ns": closes("tick"),
    "open": number("open"), "high": number("high"), "low": number("low"), "close": number("close"),
    "volume": number("volume"), "quote_volume": number_or_none("cost"),
    "absent": ("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
               "first_trade_id", "last_trade_id"),
}  # fmt: skip
TRADE: Final = emit(Trade, **TRADE_FIELDS)
FORCED_TAKER: Final = emit(
    Liquidation, side=mapped("direction", {"buy": Side.BUY, "sell": Side.SELL}),
    when=Word("liquidation", "T", within=True), **FORCED_FIELDS,
)  # fmt: skip
FORCED_MAKER: Final = emit(
    Liquidation, side=mapped("direction", {"buy": Side.SELL, "sell": Side.BUY}),
    when=Word("liquidation", "M", within=True), **FORCED_FIELDS,
)  # fmt: skip
DEPTH: Final = emit(
    Depth, transaction_time_ns=ms("timestamp"),
    update_type=of_snapshot(UpdateType.SNAPSHOT, UpdateType.DELTA), level_limit=constant(0), last_update_id="change_id",
    previous_update_id=of_snapshot(None, added("prev_change_id", 0)), columns=levels("bids", "asks", 1, 2),
    absent=("event_time_ns", "first_update_id"),
)  # fmt: skip
TOP: Final = emit(
    Depth, transaction_time_ns=ms("timestamp"), update_type=constant(UpdateType.SNAPSHOT), level_limit=named(0),
    last_update_id="change_id", columns=levels("bids", "asks", 0, 1),
    absent=("event_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip
KLINE: Final = emit(Kline, closed=constant(False), **CANDLE_FIELDS)
TICKER: Final = emit(
    Ticker, event_time_ns=ms("timestamp"), last_price=number("last_price"), high=number_or_none("stats.high"),
    low=number_or_none("stats.low"), price_change_percent=signed_number_or_none("stats.price_change"),
    volume=number_or_none("stats.volume"), quote_volume=number_or_none("stats.volume_notional"), needs=("last_price",),
    absent=("transaction_time_ns", "price_change", "weighted_average_price", "last_quantity", "open", "open_time_ns",
            "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
)  # fmt: skip
MARK_PRICE: Final = emit(
    MarkPrice, event_time_ns=ms("timestamp"), mark_price=number("mark_price"),
    index_price=number_or_none("index_price"), estimated_settle_price=number_or_none("estimated_delivery_price"),
    funding_rate=signed_number_or_none("current_funding"), needs=("mark_price",),
    absent=("transaction_time_ns", "next_funding_time_ns"),
)  # fmt: skip
FUNDING_RATE: Final = emit(
    FundingRate, event_time_ns=ms("timestamp"), funding_rate=signed_number_or_none("current_funding"),
    mark_price=number_or_none("mark_price"), once=("current_funding",),
    absent=("transaction_time_ns", "next_funding_time_ns"),
)  # fmt: skip
OPEN_INTEREST: Final = emit(
    OpenInterest, event_time_ns=ms("timestamp"), open_interest=number("open_interest"), needs=("open_interest",),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip
BOOK_TICKER: Final = emit(
    BookTicker, event_time_ns=ms("timestamp"), bid_price=offered("best_bid_price", "best_bid_amount"),
    bid_quantity=offered("best_bid_amount", "best_bid_amount"),
    ask_price=offered("best_ask_price", "best_ask_amount"),
    ask_quantity=offered("best_ask_amount", "best_ask_amount"), absent=("transaction_time_ns", "update_id"),
)  # fmt: skip

CHANNELS: Final = (
    Channel(("trade", "liquidation"), "trades.{symbol}.100ms", TradeWire, (TRADE, FORCED_TAKER, FORCED_MAKER),
            Follows("trade_seq"), root="public", many=True),
    Channel(("depth",), "book.{symbol}.none.{levels}.{speed}", TopWire, (TOP,), Rises("change_id"), root="public",
            named=top_levels, wanted=lambda feed: feed.depth_levels > 0),
    Channel(("depth",), "book.{symbol}.{speed}", BookWire, (DEPTH,),
            Follows("change_id", "prev_change_id", resubscribe=True), root="public",
            wanted=lambda feed: feed.depth_levels == 0),
    Channel(("kline",), "chart.trades.{symbol}.{interval}", CandleWire, (KLINE,), Candles(by_successor=True),
            root="public", intervals=CODES),
    Channel(("ticker", "mark_price", "funding_rate", "open_interest"), "ticker.{symbol}.100ms", TickerWire,
            (TICKER, MARK_PRICE, FUNDING_RATE, OPEN_INTEREST), root="public"),
    Channel(("book_ticker",), "quote.{symbol}", QuoteWire, (BOOK_TICKER,), root="public"),
)  # fmt: skip

CADENCES: Final[Mapping[StreamType, Cadence]] = {
    # begin with all that there is, whatever the market does; a book that stands still is silent
    **dict.fromkeys(
        (StreamType.TICKER, StreamType.MARK_PRICE, StreamType.FUNDING_RATE, StreamType.OPEN_INTEREST, StreamType.DEPTH),
        Cadence(60.0, 60.0, 20.0, reply=10.0),
    ),
    StreamType.BOOK_TICKER: Cadence(60.0, 600.0, 20.0),
    StreamType.KLINE: Cadence(60.0, 600.0, 20.0),
    # as often as somebody trades
    StreamType.TRADE: Cadence(60.0, 600.0, 20.0),
}


def check(feed: FeedSettings) -> list[tuple[str, str]]:
    errors = []
    if feed.depth_levels > TOPS[-1]:
        errors.append(("depth_levels", f"must be {TOPS[-1]} at most, or 0 (all levels, as changes)"))
    if feed.depth_speed not in ("", *SPEEDS):
        errors.append(("depth_speed", f"must be one of: {' '.join(SPEEDS)} (raw wants a login)"))
    return errors


def names(feed: FeedSettings) -> dict[str, str]:
    """The smallest book that has the wanted levels."""
    wanted = min((top for top in TOPS if top >= feed.depth_levels), default=TOPS[-1])
    return {"levels": str(wanted), "speed": feed.depth_speed or SPEEDS[0]}


def rpc(identity: int | str, method: str, **params: object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": identity, "method": f"public/{method}", "params": params})


TOO_MANY: Final = frozenset((10028, 10066))
"""Requests."""
PASSING: Final = frozenset((10040, 10041, 10047, 11051, 11094, 13028, 13888))
"""Retry, settlement, queue is full, maintenance, internal error, unavailable, timed out."""
PLATFORM: Final = "platform_state"
HEARTBEAT, TEST = "heartbeat", "test"
"""What our requests that ask for no stream are called."""


def request(begin: bool, wanted: tuple[str, ...], identity: int) -> bytes:
    return rpc(identity, "subscribe" if begin else "unsubscribe", channels=wanted)


def control(payload: bytes) -> Sequence[Answer | ClosesSoon | Reply] | None:
    """An error without an id of ours is the oldest request's."""
    answer = _answer(payload)
    if answer.method == "heartbeat":
        return [Reply(rpc(TEST, "test"), is_request=False)] if answer.params.type == "test_request" else []
    if answer.params.channel == PLATFORM:
        return [ClosesSoon("maintenance")] if _state(answer.params.data).maintenance else []
    if text(answer.id) in (HEARTBEAT, TEST, PLATFORM):
        return None if answer.error else []
    identity, error = integer(answer.id), answer.error
    if error is not None:
        again = error.code in TOO_MANY or error.code in PASSING
        return [Answer(identity, (str(error.code), printable(error.message)), again=again)]
    return None if identity is None else [Answer(identity, names=_names(answer.result), everything=True)]


UNREAD: Final = (
    "ask_iv best_ask_amount best_ask_price best_bid_amount best_bid_price bid_iv block_rfq_id block_trade_id "
    "block_trade_leg_count combo_id combo_trade_id contracts delta funding_8h gamma greeks index_price "
    "instrument_name interest_rate interest_value iv jsonrpc legs mark_iv mark_price max_price method "
    "min_price rho settlement_price starbase_match_id starbase_timestamp state theta tick_direction "
    "underlying_index underlying_price vega volume_usd"
)


class Deribit(VenueSession):
    """Deribit."""

    rest = "wsadapter.exchanges.deribit_rest:DeribitRest"
    venue = Venue(
        word="deribit",
        hosts=Hosts("wss://www.deribit.com", "wss://test.deribit.com", {"public": "/ws/api/v2"}),
        # 32 connections of an address, HTTP included; a subscription costs 3,000 of 30,000 credits that refill at
        # 10,000 a second
        limits=Limits(
            streams=500, message_interval=0.35, attempts=AttemptLimit(16, 60.0), messages=AttemptLimit(10, 3.0)
        ),
        requests=Requests(request, most=200, octets=16_384),
        framing=ByKey(
            Envelope,
            key,
            spoken=spoken,
            elements=attrgetter("params.data"),
            spelled=Spelled("{params.channel}"),
            notices=frozenset((PLATFORM,)),
        ),
        channels=CHANNELS,
        control=control,
        cadences=CADENCES,
        check=check,
        names=names,
        unread=UNREAD,
        heartbeat=Heartbeat(rpc(TEST, "test"), begin=rpc(HEARTBEAT, "set_heartbeat", interval=30)),
        notices=rpc(PLATFORM, "subscribe", channels=[PLATFORM]),
    )
