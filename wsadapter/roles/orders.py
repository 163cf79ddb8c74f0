"""What the supervisor tells each role to do: one Struct a role, read there by `Child.order`.

The configuration as a whole goes to every child beside its order. An order travels as JSON; equal orders leave a child
untouched at a reload.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from wsadapter.config.model import RecordConfig, SocketConfig
from wsadapter.config.shards import Shard
from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.listings.feeds import ListingSource, WaitingFeed
from wsadapter.recordings import Header

CLIENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka": ("serializer", "consumer", "repairer"),
    "clickhouse": ("consumer",),
}
"""Role of a stand-in -> roles of those who wait for it."""


class RecordOrder(Struct, frozen=True):
    """Keep raw frames, too. ``header``: what recordings say of themselves."""

    settings: RecordConfig
    header: Header


class IngestOrder(Struct, frozen=True):
    """Keep one connection. When it last received is in its page, of earlier runs too. It is given to a process that
    runs, too: with other subscriptions or settings for the same connection."""

    socket: SocketConfig
    plan: ConnectionPlan
    record: RecordOrder | None = None


class SerializerOrder(Struct, frozen=True):
    """``number`` among the serializers; 0 also delivers the spools of earlier runs. ``generation``: of this run; it
    grows from run to run and keeps their spools apart."""

    number: int = 0
    generation: int = 0


class LeftStream(Struct, frozen=True):
    """What a connection does not carry any more, and since when (ns)."""

    subscription: Subscription
    at_ns: int


class Assignment(Struct, frozen=True):
    """A connection whose gaps are repaired, and the REST host that has its history. ``left``: what it does not carry
    any more, of which its earlier gaps are, too."""

    plan: ConnectionPlan
    host: str
    left: tuple[LeftStream, ...] = ()


class HistorySource(Struct, frozen=True):
    """The REST host that is asked for what a feed has not recorded."""

    feed: str
    exchange: str
    host: str


class Poll(Struct, frozen=True):
    """Symbols whose open interest a REST host is asked for. When each was answered last is in the page, of earlier runs
    too."""

    exchange: str
    host: str
    symbols: tuple[str, ...]


class Snapshots(Struct, frozen=True):
    """Symbols whose whole books a REST host is asked for each ``every`` seconds, beside their changes."""

    exchange: str
    host: str
    every: float
    symbols: tuple[str, ...]


class WatchedRing(Struct, frozen=True):
    """A connection and the segment of its ring."""

    connection: str
    name: str


class Checkpoints(Struct, frozen=True):
    """Symbols whose books are made of what was recorded each ``every`` seconds and kept: no answer of the venue's joins
    its changes."""

    exchange: str
    every: float
    symbols: tuple[str, ...]


class RepairerOrder(Struct, frozen=True):
    """``listings``: those that are kept, as the symbols of feeds go by them. ``shard``: whose gaps are repaired.
    ``rings`` (without its own) and the stats pages of ``serializers``: where that may be which is not in Kafka yet."""

    assignments: tuple[Assignment, ...] = ()
    polls: tuple[Poll, ...] = ()
    histories: tuple[HistorySource, ...] = ()
    listings: tuple[ListingSource, ...] = ()
    shard: Shard | None = None
    snapshots: tuple[Snapshots, ...] = ()
    rings: tuple[WatchedRing, ...] = ()
    serializers: tuple[str, ...] = ()
    checkpoints: tuple[Checkpoints, ...] = ()


class WatchedStream(Struct, frozen=True):
    """What a subscription, or the polling of a symbol, is about. ``name``: as the cells of the page call it."""

    name: str
    stream: str
    symbol: str
    exchange: str


class WatchedChild(Struct, frozen=True):
    """A process of this instance and the name of its stats page. ``exchange``: of a connection."""

    role: str
    name: str
    page: str
    exchange: str = ""
    streams: tuple[WatchedStream, ...] = ()


class MonitorOrder(Struct, frozen=True):
    """Which stats pages and rings to read. ``waiting``: feeds without a listing for their rules. ``retired``: where the
    counts are of processes that a reload has taken away, if it has."""

    supervisor_pid: int = 0
    children: tuple[WatchedChild, ...] = ()
    rings: tuple[WatchedRing, ...] = ()
    waiting: tuple[WaitingFeed, ...] = ()
    retired: tuple[WatchedChild, ...] = ()
