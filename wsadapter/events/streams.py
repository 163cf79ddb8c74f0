"""The registry: one `StreamSpec` row per stream type.

From a row follow the ring record kind, the topic, the protobuf message, the table with its views, the builder, the
insert, and what is known of its order: copies, gaps, repair and audit. A new stream type is one Struct in `events`, one
message in the proto file and one row here (+ a decoder in each exchange that offers it). Owns nothing at run time;
imports no role and no protobuf.
"""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Final, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct

from wsadapter.events import (
    BookTicker,
    Coverage,
    Depth,
    Event,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    Source,
    StreamType,
    Ticker,
    Trade,
    UpdateType,
)

RECEIVED: Final = "toUnixTimestamp64Nano(receive_time)"
NEWEST: Final = f"if(source = 'ARCHIVE', intDiv({RECEIVED}, 2), {RECEIVED})"
"""The row that was received last counts; one of a file never instead of one that was received when it happened."""


class Column(Struct, frozen=True):
    """One column of an event table: ``field`` in the Struct and the message, ``name`` in the table (times lose their
    ``_ns``), the ClickHouse ``type`` without Nullable or Array."""

    field: str
    name: str
    type: str
    nullable: bool
    repeated: bool
    enum: bool
    signed: bool = False
    """Of a decimal: it may be negative."""

    @property
    def decimal(self) -> bool:
        return self.type.startswith("Decimal")

    @property
    def implied(self) -> bool:
        """A number that a message leaves out where it is 0, and that is never absent."""
        return self.type == "Int32"

    @property
    def time(self) -> bool:
        return self.type.startswith("DateTime64")

    @property
    def sql_type(self) -> str:
        """The full type of the table's column."""
        if self.repeated:
            return f"Array({self.type})"
        if self.nullable:
            return f"Nullable({self.type})"
        return self.type


class SequenceRule(Struct, frozen=True, kw_only=True):
    """How events of a stream are numbered. ``series``: the fields beside the symbol that tell one series from another,
    with the values that they may have where these are few (empty: any). ``when``: field and value that an event must
    have for the rule to apply to it. An event without a number is for the next rule of its stream."""

    series: tuple[tuple[str, tuple[int, ...]], ...] = ()
    when: tuple[str, int] | None = None


class Contiguous(SequenceRule, frozen=True):
    """Each ``number`` is one above the one before it."""

    number: str


class Chained(SequenceRule, frozen=True):
    """Each event names the number of the one before it: in ``previous``, else as one below its ``first``. ``number`` is
    its last id; an event may take many, so how many events are missing they do not say."""

    number: str
    previous: str
    first: str


class Rising(SequenceRule, frozen=True):
    """Numbers only grow, so that a missing event does not show. ``then``: field whose values, 64 bits at most, grow
    among events of one number. ``awaited`` False: events come once after each connect, at a time of their own, so
    another connection's copy is not to be waited for."""

    number: str
    then: str = ""
    awaited: bool = True


class Timed(SequenceRule, frozen=True):
    """A grid of times: an interval ``opens`` `STEP_NS` after the one before it ``closes``."""

    opens: str
    closes: str


class Dated(SequenceRule, frozen=True):
    """The venue's time of the event (transaction, else event), then its ordinal: times only grow. ``awaited`` as in
    `Rising`."""

    awaited: bool = True


class Identified(SequenceRule, frozen=True):
    """No number and no order: only the fields of ``identity`` together tell an event from the others of its series.
    ``spans``: fields with the first and last of the numbers that it takes, where the venue numbers what it sums up."""

    identity: tuple[str, ...]
    spans: tuple[str, str] | None = None


STEP_NS: Final = 1_000_000
"""Between the close of a candle and the opening of the next one: venues name the last millisecond of an interval."""


class StreamSpec(Struct, frozen=True):
    """``kind`` is the ring record kind (1..; 0 is the ring's padding). ``order_by`` follows (exchange, symbol, ...).
    ``version`` is the SQL of the UInt64 ReplacingMergeTree version, over the table's own columns (a Gap brings its
    own). ``quiet`` streams get one Kafka partition. ``sequence``: how its events are numbered, by the
    first rule that applies (`wsadapter.events.sequence`); by none: an event is no copy, and no missing one shows.
    ``ours``: what the recorder says of its recording, no event of a venue. ``archived``: venues publish files of it."""

    stream: StreamType
    kind: int
    event: type[Event]
    order_by: tuple[str, ...]
    partition_time: str = "time"
    version: str = NEWEST
    quiet: bool = False
    ours: bool = False
    archived: bool = False
    sequence: tuple[SequenceRule, ...] = ()

    @property
    def name(self) -> str:
        """Topic suffix and table name."""
        return self.stream.value

    @property
    def message(self) -> str:
        """The protobuf message, in package wsadapter.v1."""
        return self.event.__name__


ENUMS: Final[Mapping[type, str]] = {Source: "SOURCE", UpdateType: "UPDATE_TYPE", Side: "SIDE"}

SPECS: Final[tuple[StreamSpec, ...]] = (
    StreamSpec(
        StreamType.KLINE,
        1,
        Kline,
        ("interval", "open_time"),
        partition_time="open_time",
        archived=True,
        # REST and archive over closed over open, then receive time: 61 bits of ns last beyond the year 2040
        version="bitShiftLeft(toUInt64(multiIf(source IN ('REST', 'ARCHIVE'), 2, closed, 1, 0)), 61)"
        f" + toUInt64({RECEIVED})",
        # a candle closes once, whatever the time that a server puts on it; until then its updates have their time only,
        # and a message may tell the last of one candle and the first of the next
        sequence=(
            Timed(
                "open_time_ns",
                "close_time_ns",
                series=(("interval", ()), ("closed", (True,))),
                when=("closed", True),
            ),
            Rising("event_time_ns", then="open_time_ns", series=(("interval", ()), ("closed", (False,)))),
        ),
    ),
    StreamSpec(StreamType.TICKER, 2, Ticker, ("time", "ordinal"), sequence=(Dated(),)),
    StreamSpec(
        StreamType.DEPTH,
        3,
        Depth,
        ("update_type", "level_limit", "time", "ifNull(last_update_id, 0)", "ordinal"),
        sequence=(
            Chained(
                "last_update_id",
                "previous_update_id",
                "first_update_id",
                series=(("level_limit", (0,)),),
                when=("update_type", UpdateType.DELTA),
            ),
            Rising("last_update_id", series=(("level_limit", ()),)),
            Dated(series=(("level_limit", ()), ("update_type", (*UpdateType,)))),
        ),
    ),
    StreamSpec(
        StreamType.TRADE,
        4,
        Trade,
        ("aggregated", "time", "trade_id"),
        archived=True,
        sequence=(
            Contiguous("trade_number", series=(("aggregated", (True, False)),)),
            # of venues whose ids are no numbers, or which number only the single trades of an aggregated one
            Identified(
                ("trade_id",), series=(("aggregated", (True, False)),), spans=("first_trade_id", "last_trade_id")
            ),
        ),
    ),
    StreamSpec(
        StreamType.FUNDING_RATE,
        5,
        FundingRate,
        ("time", "settled", "ordinal"),
        sequence=(Dated(series=(("settled", (True, False)),), awaited=False),),
    ),
    StreamSpec(StreamType.MARK_PRICE, 6, MarkPrice, ("time", "ordinal"), sequence=(Dated(),)),
    StreamSpec(
        StreamType.LIQUIDATION,
        7,
        Liquidation,
        ("time", "side", "price", "quantity", "ordinal"),
        sequence=(Identified(("transaction_time_ns", "side", "price", "quantity", "ordinal")),),
    ),
    StreamSpec(
        StreamType.BOOK_TICKER,
        8,
        BookTicker,
        ("time", "ifNull(update_id, 0)", "ordinal"),
        archived=True,
        sequence=(Rising("update_id"), Dated()),
    ),
    StreamSpec(StreamType.OPEN_INTEREST, 9, OpenInterest, ("time", "ordinal"), sequence=(Dated(),)),
    StreamSpec(StreamType.GAP, 10, Gap, ("stream", "interval", "gap_id"), version="version", quiet=True, ours=True),
    StreamSpec(
        StreamType.COVERAGE,
        11,
        Coverage,
        ("stream", "interval", "connection", "from"),
        partition_time="from",
        quiet=True,
        ours=True,
    ),
)

BY_KIND: Final[Mapping[int, StreamSpec]] = {spec.kind: spec for spec in SPECS}
BY_STREAM: Final[Mapping[str, StreamSpec]] = {spec.stream.value: spec for spec in SPECS}
BY_EVENT: Final[Mapping[type, StreamSpec]] = {spec.event: spec for spec in SPECS}

OURS: Final = frozenset(spec.name for spec in SPECS if spec.ours)

RAW_TRADE: Final = "raw_trade"
"""What the configuration and `Coverage` call single trades of a venue that also sends aggregated ones. Elsewhere both
are ``trade``: table, topic, gaps."""


def stream_of(word: str) -> str:
    """Where the rows are that coverage of this word is about."""
    return "trade" if word == RAW_TRADE else word


DEAD_LETTER: Final = "dead_letter"
"""Topic suffix for messages that can never succeed."""


IDENTITY: Final = (
    Column("epoch", "epoch", "UInt64", True, False, False),
    Column("position", "position", "UInt64", True, False, False),
)
"""The ring record that an event was; in messages and tables, not in the Struct: the ring itself knows them."""


def columns(event: type[Event]) -> tuple[Column, ...]:
    """The columns that come from the Struct, in its order. A table has `IDENTITY` before them."""
    hints = get_type_hints(event, include_extras=True)
    return tuple(_column(field, hints[field]) for field in event.__struct_fields__)


def _column(field: str, hint: object) -> Column:
    nullable = repeated = False
    if isinstance(hint, UnionType) or str(get_origin(hint)) == "typing.Union":
        (hint,) = (a for a in get_args(hint) if a is not NoneType)
        nullable = True
    if get_origin(hint) is Sequence:
        (hint,) = get_args(hint)
        repeated = True
    name = field.removesuffix("_ns")
    if get_origin(hint) is Annotated:
        meta = next(a for a in get_args(hint) if isinstance(a, Meta))
        extra = meta.extra or {}
        return Column(field, name, extra["clickhouse"], nullable, repeated, False, extra.get("signed", False))
    if hint in ENUMS:
        return Column(field, name, "LowCardinality(String)", nullable, repeated, True)
    if hint is int and field.endswith("_ns"):
        return Column(field, name, "DateTime64(9,'UTC')", nullable, repeated, False)
    plain = {int: "Int64", str: "String", bool: "Bool"}
    assert isinstance(hint, type)
    return Column(field, name, plain[hint], nullable, repeated, False)
