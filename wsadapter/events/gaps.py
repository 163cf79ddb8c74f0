"""A `Gap` from its begin to its repair: the only place where one is made.

`begin` makes the first record, `ended` the one that closes it, `with_state` the one that says what the repair achieved.
Each record but the first is a copy with the next ``version``; none changes the record that it is given. Times are ns
since the epoch, UTC.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Protocol

from msgspec.structs import replace

from wsadapter.events import Gap, Source


class GapCause(StrEnum):
    """Why events are missing. A stats page keeps a cause by its place in this list: append only."""

    CONNECT = "connect"
    """From the start to the first complete subscription."""
    DISCONNECT = "disconnect"
    """The connection was lost, until every subscription is acknowledged again."""
    SEQUENCE = "sequence"
    """The venue's numbers skip."""
    RING_FULL = "ring_full"
    """Received, and dropped for want of room."""
    DECODE = "decode"
    """Received, and not decodable; or decoded, and a dead letter."""
    STALE = "stale"
    """A stream was silent while its connection lived."""
    RESTART = "restart"
    """The recording process was not running."""
    KAFKA_RETENTION = "kafka_retention"
    """Deleted from Kafka before the consumer read it."""
    FILLER = "filler"
    """Nothing is missing: the venue gave these numbers of single trades to no trade. Always ``repaired``."""
    CHECKSUM = "checksum"
    """A book is not what the venue's checksum says: a change was lost, or is wrong."""
    NOTICE = "notice"
    """The connection was lost after the venue had announced that, before another one could take over."""
    RELOAD = "reload"
    """A reload had taken the stream away, or started its connection anew, until a reload brought it back."""


class RepairState(StrEnum):
    OPEN = "open"
    """Lasts, or was not worked off yet."""
    REPAIRED = "repaired"
    PARTIAL = "partial"
    UNREPAIRABLE = "unrepairable"


SAID_SECONDS: Final = 20
"""So long before its end a process that is killed may have said its coverage last."""


def accounts_since(cause: str, started_ns: int) -> int:
    """From when on a gap accounts for a time without coverage. It begins with the last event that a killed process
    delivered, which is later than what that said of its coverage: nothing is missing between the two. A `CONNECT` is of
    a start that knows of nothing before it (a new state directory), and so of no last event."""
    return started_ns if cause == GapCause.CONNECT else started_ns - SAID_SECONDS * 1_000_000_000


class Placed(Protocol):
    """A row of a gap, as far as it says what it is about."""

    @property
    def symbol(self) -> str: ...
    @property
    def connection(self) -> str: ...
    @property
    def cause(self) -> str: ...


def may_concern(gap: Placed, connections: Collection[str]) -> bool:
    """Whether a gap of a series' stream is about the series, which these connections recorded (none: not known which).
    Without a symbol it is about all that its connection carries; what Kafka lost came over any of them."""
    return (
        gap.symbol != ""
        or gap.cause == GapCause.KAFKA_RETENTION
        or not (gap.connection and connections)
        or gap.connection in connections
    )


Missing = tuple[int | None, int | None, int | None]
"""First and last missing number, and how many; None where it is not known."""
UNKNOWN: Final[Missing] = None, None, None


def begin(
    cause: GapCause,
    started_ns: int,
    at_ns: int,
    *,
    exchange: str,
    connection: str,
    stream: str = "",
    symbol: str = "",
    interval: str = "",
    ended_ns: int | None = None,
    missing: Missing = UNKNOWN,
    source: Source = Source.WEBSOCKET,
    gap_id: str = "",
) -> Gap:
    """Nothing since ``started_ns``, noticed at ``at_ns``; with ``ended_ns`` where the end is known at once. No symbol:
    all of the connection; no stream: all streams. ``gap_id`` only for a gap that comes from no ring. A begin that lies
    ahead is of a clock that was set back since: nothing is known of the time before ``at_ns`` then."""
    return Gap(
        exchange, symbol, None, None, at_ns, source, connection, None,
        gap_id, 1, stream, interval, cause.value, min(started_ns, at_ns), ended_ns, *missing, RepairState.OPEN.value,
    )  # fmt: skip


def ended(gap: Gap, at_ns: int, missing: Missing = UNKNOWN) -> Gap:
    """The gap is over. Its begin is no later, see `begin`."""
    first, last, count = missing
    return replace(
        gap, version=gap.version + 1, receive_time_ns=at_ns, ended_ns=at_ns, repair_state=RepairState.OPEN.value,
        first_missing=first, last_missing=last, missing_count=count, started_ns=min(gap.started_ns, at_ns),
    )  # fmt: skip


def with_state(gap: Gap, state: RepairState | str) -> Gap:
    """What its repair achieved. The receive time stays: ``last_gap`` of the events refers to it."""
    return replace(gap, version=gap.version + 1, repair_state=RepairState(state).value)


def filler(number: int, at_ns: int, *, exchange: str, connection: str, stream: str, symbol: str) -> Gap:
    """The venue gave this number to no event."""
    gap = begin(
        GapCause.FILLER, at_ns, at_ns, exchange=exchange, connection=connection, stream=stream, symbol=symbol,
        ended_ns=at_ns, missing=(number, number, 0),
    )  # fmt: skip
    gap.repair_state = RepairState.REPAIRED.value
    return gap


Identity = tuple[str, str, str, str, int | None]


def identity(gap: Gap) -> Identity:
    """What makes two records of a stream's gap one, as long as it lasts. Fillers do not last, and their numbers may be
    anywhere."""
    return gap.stream, gap.symbol, gap.interval, gap.cause, gap.first_missing if gap.cause == GapCause.FILLER else None


def of_connection(gap: Gap) -> bool:
    """Whether it is about all streams and symbols of its connection."""
    return not (gap.stream or gap.symbol)
