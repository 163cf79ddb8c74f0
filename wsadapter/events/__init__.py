"""The market events: what an exchange module yields, a ring carries and every later hop keeps.

Guarantees: prices, quantities and rates are the venue's own decimal text, never a float; times are integers,
nanoseconds since the epoch, UTC; ``None`` means that the venue did not say, never a made-up zero. The Structs are
array-like (field order is the wire order in the ring) and hold no cycles (``gc=False``).

Field names and their order are the contract of `proto/wsadapter/v1/market.proto` and of the ClickHouse columns; a
test fails when the three disagree. The annotations carry the ClickHouse type, see `wsadapter.events.streams`.
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct


class StreamType(StrEnum):
    """The stream words: config, topics, tables and metrics use the same."""

    KLINE = "kline"
    TICKER = "ticker"
    DEPTH = "depth"
    TRADE = "trade"
    FUNDING_RATE = "funding_rate"
    MARK_PRICE = "mark_price"
    LIQUIDATION = "liquidation"
    BOOK_TICKER = "book_ticker"
    OPEN_INTEREST = "open_interest"
    GAP = "gap"
    COVERAGE = "coverage"


class Source(IntEnum):
    """How an event reached us; values are those of the proto enum."""

    WEBSOCKET = 1
    REST = 2
    ARCHIVE = 3
    """A file that the venue publishes."""


class UpdateType(IntEnum):
    """SNAPSHOT replaces a book (or its top levels), DELTA changes the levels it names (quantity 0 removes one)."""

    SNAPSHOT = 1
    DELTA = 2


class Side(IntEnum):
    """Side of an order; of a liquidation: SELL = a long was closed."""

    BUY = 1
    SELL = 2


Name = Annotated[str, Meta(extra={"clickhouse": "LowCardinality(String)"})]
"""Text with few distinct values."""
Price = Annotated[str, Meta(extra={"clickhouse": "Decimal(38,12)"})]
"""A price or a quantity: the venue's decimal text, never negative."""
Change = Annotated[str, Meta(extra={"clickhouse": "Decimal(38,12)", "signed": True})]
"""What a price has changed by: the venue's decimal text, of either sign."""
Rate = Annotated[str, Meta(extra={"clickhouse": "Decimal(38,18)", "signed": True})]
"""A rate or a percentage: the venue's decimal text, of either sign."""
Interest = Annotated[str, Meta(extra={"clickhouse": "Decimal(38,18)"})]
"""An open interest: the venue's decimal text, never negative."""
Ordinal = Annotated[int, Meta(extra={"clickhouse": "Int32"})]
"""Index of an event among those of the same stream, symbol and time on its connection, where the venue gives no id. The
session counts it, a message leaves out 0."""


class Event(Struct, array_like=True, gc=False):
    """What all events have in common.

    ``receive_time_ns`` is taken once per socket read; ``last_gap_ns`` is the receive time of the last Gap of this
    stream and symbol on this connection (a change is the in-order gap marker).
    """

    stream_type: ClassVar[StreamType]

    exchange: Name
    symbol: Name
    event_time_ns: int | None
    transaction_time_ns: int | None
    receive_time_ns: int
    source: Source
    connection: Name
    last_gap_ns: int | None


class Kline(Event, array_like=True, gc=False):
    """A candle, open or closed; first/last trade id are absent in an interval without trades."""

    stream_type = StreamType.KLINE

    interval: Name
    open_time_ns: int
    close_time_ns: int
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Price
    quote_volume: Price | None
    trade_count: int | None
    taker_buy_volume: Price | None
    taker_buy_quote_volume: Price | None
    closed: bool
    first_trade_id: int | None
    last_trade_id: int | None


class Ticker(Event, array_like=True, gc=False):
    """Rolling 24 h statistics."""

    stream_type = StreamType.TICKER

    price_change: Change | None
    price_change_percent: Rate | None
    weighted_average_price: Price | None
    last_price: Price
    last_quantity: Price | None
    open: Price | None
    high: Price | None
    low: Price | None
    volume: Price | None
    quote_volume: Price | None
    open_time_ns: int | None
    close_time_ns: int | None
    first_trade_id: int | None
    last_trade_id: int | None
    trade_count: int | None
    ordinal: Ordinal = 0


class Depth(Event, array_like=True, gc=False):
    """A book, or a change of one. ``level_limit`` is the snapshot's depth, 0 for a diff. The four lists are parallel
    per side, best price first as the venue sends them; they are sequences that equal a list, and may make their texts
    only when looked at."""

    stream_type = StreamType.DEPTH

    update_type: UpdateType
    level_limit: int
    first_update_id: int | None
    last_update_id: int | None
    previous_update_id: int | None
    bid_price: Sequence[Price]
    bid_quantity: Sequence[Price]
    ask_price: Sequence[Price]
    ask_quantity: Sequence[Price]
    ordinal: Ordinal = 0


class Trade(Event, array_like=True, gc=False):
    """A trade, or (``aggregated``) the trades of one taker order at one price."""

    stream_type = StreamType.TRADE

    trade_id: str
    trade_number: int | None
    price: Price
    quantity: Price
    buyer_is_maker: bool
    first_trade_id: int | None
    last_trade_id: int | None
    aggregated: bool


class FundingRate(Event, array_like=True, gc=False):
    """Emitted when rate or next funding time changes for the symbol, and once after each connect. ``settled``: it was
    paid at its time; else it is what the venue expects for the next one."""

    stream_type = StreamType.FUNDING_RATE

    funding_rate: Rate
    next_funding_time_ns: int | None
    mark_price: Price | None
    settled: bool = False
    ordinal: Ordinal = 0


class MarkPrice(Event, array_like=True, gc=False):
    """Mark price and what comes with it."""

    stream_type = StreamType.MARK_PRICE

    mark_price: Price
    index_price: Price | None
    estimated_settle_price: Price | None
    funding_rate: Rate | None
    next_funding_time_ns: int | None
    ordinal: Ordinal = 0


class Liquidation(Event, array_like=True, gc=False):
    """A liquidation order; ``ordinal`` is its index among equal events of one frame."""

    stream_type = StreamType.LIQUIDATION

    side: Side
    order_type: str | None
    price: Price
    average_price: Price | None
    quantity: Price
    filled_quantity: Price | None
    status: str | None
    ordinal: int


class BookTicker(Event, array_like=True, gc=False):
    """Best bid and ask; an empty side is absent."""

    stream_type = StreamType.BOOK_TICKER

    update_id: int | None
    bid_price: Price | None
    bid_quantity: Price | None
    ask_price: Price | None
    ask_quantity: Price | None
    ordinal: Ordinal = 0


class OpenInterest(Event, array_like=True, gc=False):
    """Open contracts of a symbol."""

    stream_type = StreamType.OPEN_INTEREST

    open_interest: Interest
    open_interest_value: Interest | None
    ordinal: Ordinal = 0


class Gap(Event, array_like=True, gc=False):
    """A hole that we know of. Symbol empty = every symbol of the connection; stream empty = all streams.

    ``gap_id`` is ``epoch:position`` of its first ring record; it is empty in that first record, whose identity gives
    it. ``ended_ns`` is absent while the gap lasts. The same gap_id is published again, with the next ``version``, when
    its state changes; once one of all streams is worked off, rows of single streams with its gap_id say how they are.
    Causes: connect disconnect sequence ring_full decode stale restart kafka_retention filler checksum notice reload.
    ``repair_state``: open repaired partial unrepairable.
    """

    stream_type = StreamType.GAP

    gap_id: str
    version: int
    stream: Name
    interval: Name
    cause: Name
    started_ns: int
    ended_ns: int | None
    first_missing: int | None
    last_missing: int | None
    missing_count: int | None
    repair_state: Name


class Coverage(Event, array_like=True, gc=False):
    """A series was recorded on this connection from ``from_ns`` to ``to_ns``: subscribed, acknowledged and not stale.

    Said again and again while it lives, each time with a later ``to_ns``, behind the events that it is about; what is
    killed has said no more than it delivered. Ends where a gap of its connection or stream begins; a new UTC day begins
    a new one. Gaps in it are gaps (`Gap`): what is covered and in no gap is all that the venue sent.
    """

    stream_type = StreamType.COVERAGE

    stream: Name
    interval: Name
    from_ns: int
    to_ns: int


MarketEvent = Kline | Ticker | Depth | Trade | FundingRate | MarkPrice | Liquidation | BookTicker | OpenInterest | Gap
