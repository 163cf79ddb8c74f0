"""Which processes an instance consists of: configuration in, connections, rings and child specs out.

Stop order, lowest group first: ingest, repairer, serializers, consumers (then the pipeline is drained), monitor,
stand-ins. Owns nothing; two calls with the same configuration and rings give equal specs, so a reload touches only what
changed.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter import metrics
from wsadapter.audit.hops import COUNTING_ROLES
from wsadapter.config.model import Config, Feed, ServiceConfig, SocketConfig
from wsadapter.config.shards import Shard
from wsadapter.config.symbol_rules import parsed
from wsadapter.errors import ConfigError, SegmentError
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.placing import Placement
from wsadapter.exchanges.rest_api import BookRule
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.listings.feeds import Listings, ResolvedConfig, Symbols, resolved, rest_host
from wsadapter.recordings import Header
from wsadapter.roles.orders import (
    Assignment,
    Checkpoints,
    HistorySource,
    IngestOrder,
    MonitorOrder,
    Poll,
    RecordOrder,
    RepairerOrder,
    SerializerOrder,
    Snapshots,
    WatchedChild,
    WatchedRing,
    WatchedStream,
)
from wsadapter.roles.supervisor.address_limits import exceeded
from wsadapter.roles.supervisor.left_streams import Left
from wsadapter.roles.supervisor.retired import NAME, retired_page
from wsadapter.roles.supervisor.rings import Rings, member, name_of
from wsadapter.supervision.process import ChildSpec, page_name

INGEST, REPAIRER, SERIALIZER, CONSUMER, MONITOR = 10, 15, 20, 30, 40
DRAINED_GROUP: Final = CONSUMER
REPAIR: Final = "repair"
"""The repairer's connection."""
LINES_PER_SUBSCRIPTION: Final = 4
"""A candle's open and closed line, a mark price with its funding."""
SPARE_LINES: Final = 1024
"""For symbols that later reloads add: a page of watermarks cannot grow while a serializer writes to it."""


class FeedConnection(Struct, frozen=True):
    """A connection, and the feed that it serves."""

    feed: Feed
    plan: ConnectionPlan


class Assembly(Struct, frozen=True):
    """What an instance consists of, before anything of it is created. ``declared``: the configuration as it was
    written, ``whole``: with the symbols that its rules stand for, without the feeds that wait for a listing;
    ``config``: what this instance records of that, where it is one of several."""

    declared: Config
    whole: Config
    resolved: ResolvedConfig
    connections: tuple[FeedConnection, ...]

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def plans(self) -> list[ConnectionPlan]:
        return [connection.plan for connection in self.connections]

    @property
    def placement(self) -> Placement:
        return {plan.connection: [each.name for each in plan.subscriptions] for plan in self.plans}

    @property
    def rings(self) -> list[str]:
        """The connections that have a ring: every one of a venue, and the repairer's."""
        repairer = self.config.process_of("repairer").count
        return [*(plan.connection for plan in self.plans), *([REPAIR] if repairer else [])]

    @property
    def redundant(self) -> dict[str, int]:
        """Group of redundant connections -> how many lines it may have at most."""
        groups = {member(plan.connection).group for plan in self.plans if member(plan.connection).number}
        return {
            plan.connection: LINES_PER_SUBSCRIPTION * len(plan.subscriptions) + SPARE_LINES
            for plan in self.plans
            if plan.connection in groups
        }


def assemble(
    declared: Config,
    before: Symbols | None = None,
    placed: Placement = MappingProxyType({}),
    listings: Listings = MappingProxyType({}),
) -> Assembly:
    """Every connection of every feed, the redundant ones behind each other; `ConfigError` with everything that a venue
    does not offer. ``before`` and ``listings``: see `resolved`. ``placed``: where the streams are now; those that stay
    stay there."""
    connections: list[FeedConnection] = []
    errors: list[tuple[str, str]] = []
    try:
        resolution = resolved(declared, before, listings)
    except ConfigError as error:
        resolution, errors = ResolvedConfig(declared), [*error.errors]
    shard = Shard.parse(declared.service.shard)
    whole = resolution.config
    resolution = own_share(resolution)
    symbols = {feed.name: feed for feed in resolution.config.feed}
    for index, written in enumerate(declared.feed):
        if (feed := symbols.get(written.name)) is None or (errors and parsed(feed.symbols).any):
            continue
        try:
            connections += [
                FeedConnection(feed, msgspec.structs.replace(plan, connection=name_of(plan.connection, number)))
                for plan in load(feed.exchange).plan(_named(feed, shard), placed)
                for number in range(feed.redundancy)
            ]
        except ConfigError as error:
            errors += [(path if path.startswith("feed[") else f"feed[{index}].{path}", m) for path, m in error.errors]
    if errors := errors or exceeded((each.feed, each.plan) for each in connections):
        raise ConfigError(errors)
    return Assembly(declared, whole, resolution, tuple(connections))


def own_share(resolution: ResolvedConfig) -> ResolvedConfig:
    """What this instance records of it: each feed with its own symbols; those without any are not there."""
    config = resolution.config
    if (shard := Shard.parse(config.service.shard)) is None:
        return resolution
    own = [(feed, tuple(each for each in feed.symbols if shard.owns(feed.exchange, each))) for feed in config.feed]
    feeds = tuple(msgspec.structs.replace(feed, symbols=symbols) for feed, symbols in own if symbols)
    return msgspec.structs.replace(resolution, config=msgspec.structs.replace(config, feed=feeds))


def _named(feed: Feed, shard: Shard | None) -> Feed:
    return feed if shard is None else msgspec.structs.replace(feed, name=shard.feed(feed.name))


def specs(
    assembly: Assembly,
    rings: Rings,
    stand_ins: Iterable[ChildSpec],
    supervisor_pid: int,
    left: Left = MappingProxyType({}),
) -> tuple[ChildSpec, ...]:
    """All children of a run. ``left``: what connections carried before this reload or an earlier one."""
    config = assembly.config
    children = (
        *stand_ins,
        *(_ingest(config, each, rings) for each in assembly.connections),
        *(_repairer(assembly, rings, left) for _ in range(config.process_of("repairer").count)),
        *(_serializer(config, rings, number) for number in range(config.process_of("serializer").count)),
        *(_consumer(config, number) for number in range(config.process_of("consumer").count)),
    )
    return (*children, _monitor(assembly, rings, children, supervisor_pid))


def require_one_reader(rings: Rings, children: Iterable[ChildSpec]) -> None:
    """Each ring is read by exactly one serializer: a second one would move the same head, and without one the ring
    fills and events are lost. `SegmentError` names the ring."""
    readers = Counter(ref.name for child in children for ref in child.rings)
    for connection, name in rings.names():
        if readers[name] != 1:
            raise SegmentError(f"ring of {connection}: read by {readers[name]} serializers, not by one")


def _ingest(config: Config, connection: FeedConnection, rings: Rings) -> ChildSpec:
    feed, plan = connection.feed, connection.plan
    return ChildSpec(
        name=plan.connection,
        role="ingest",
        module="wsadapter.roles.ingest",
        page_fields=metrics.ingest(s.name for s in plan.subscriptions),
        stop_group=INGEST,
        secrets=(),
        ring=rings.refs[plan.connection],
        order=IngestOrder(_socket(feed), plan, _recorded(config, feed, plan)),
        takes_orders=True,
        # another address is another market: what it sends continues nothing
        fingerprint=_fingerprint(
            _service(config),
            config.process_of("ingest"),
            plan.exchange,
            plan.url,
            plan.root,
            plan.headers,
            feed.testnet,
        ),
    )


def _recorded(config: Config, feed: Feed, plan: ConnectionPlan) -> RecordOrder | None:
    """With what it takes to ask for the same again."""
    if not config.record.is_of(feed.name):
        return None
    words = {word for each in plan.subscriptions for word in (each.feeds or (each.stream.value,))}
    symbols = {each.symbol for each in plan.subscriptions}
    header = Header(
        exchange=feed.exchange, connection=plan.connection, url=plan.url,
        symbols=plan.symbols if "" in symbols else tuple(one for one in plan.symbols if one in symbols),
        streams=tuple(word for word in feed.streams if word in words), intervals=feed.intervals,
        depth_levels=feed.depth_levels, depth_speed=feed.depth_speed,
    )  # fmt: skip
    return RecordOrder(config.record, header)


def _socket(feed: Feed) -> SocketConfig:
    """Of a feed what each of its connections is told. Symbols are the plan's: one that adds nothing to a connection
    does not concern it."""
    return SocketConfig(**{name: getattr(feed, name) for name in SocketConfig.__struct_fields__})


def _repairer(assembly: Assembly, rings: Rings, left: Left) -> ChildSpec:
    config = assembly.config
    order = RepairerOrder(
        tuple(
            Assignment(each.plan, host, left.get(each.plan.connection, ()))
            for each in assembly.connections
            if (host := rest_host(each.feed))
        ),
        _polls(config),
        tuple(HistorySource(feed.name, feed.exchange, host) for feed in config.feed if (host := rest_host(feed))),
        assembly.resolved.sources,
        Shard.parse(config.service.shard),
        snapshots_of(config),
        tuple(WatchedRing(connection, name) for connection, name in rings.names() if connection != REPAIR),
        tuple(
            page_name(config.service.instance, f"serializer-{number}")
            for number in range(config.process_of("serializer").count)
        ),
        checkpoints_of(config),
    )
    bases = [each.host for part in (order.assignments, order.histories, order.listings) for each in part]
    hosts = dict.fromkeys(metrics.host_label(base) for base in bases)
    symbols = [(poll.exchange, symbol) for poll in order.polls for symbol in poll.symbols]
    return ChildSpec(
        name="repairer",
        role="repairer",
        module="wsadapter.roles.repairer",
        page_fields=metrics.repairer(hosts, symbols, (each.exchange for each in order.histories)),
        stop_group=REPAIRER,
        essential=False,
        heartbeat_deadline=60.0,  # it asks Kafka for offsets, which can be slow
        ring=rings.refs[REPAIR],
        order=order,
        fingerprint=_fingerprint(_service(config), config.kafka, config.process_of("repairer")),
    )


def _polls(config: Config) -> tuple[Poll, ...]:
    """Whom the repairer asks for open interest. A symbol of several feeds is asked for once."""
    symbols: dict[tuple[str, str], dict[str, None]] = {}
    assigned: set[tuple[str, str]] = set()
    for feed in config.feed:
        rest = load_rest(feed.exchange)
        is_polled = rest is not None and "open_interest" in rest.polled
        if is_polled and "open_interest" in feed.streams and (host := rest_host(feed)):
            fresh = [symbol for symbol in feed.symbols if (feed.exchange, symbol) not in assigned]
            assigned |= {(feed.exchange, symbol) for symbol in fresh}
            symbols.setdefault((feed.exchange, host), {}).update(dict.fromkeys(fresh))
    return tuple(Poll(exchange, host, tuple(of)) for (exchange, host), of in symbols.items() if of)


def snapshots_of(config: Config) -> tuple[Snapshots, ...]:
    """Whom the repairer asks for whole books, and how often. A symbol of several feeds is asked for once."""
    symbols: dict[tuple[str, str, float], list[str]] = {}
    for feed, fresh in _books(feed for feed in config.feed if not feed.depth_levels and _book_rule(feed).joins):
        if host := rest_host(feed):
            symbols.setdefault((feed.exchange, host, feed.snapshot_interval), []).extend(fresh)
    return tuple(Snapshots(*key, tuple(of)) for key, of in symbols.items() if of)


def checkpoints_of(config: Config) -> tuple[Checkpoints, ...]:
    """Whose books the repairer makes of what was recorded, and how often: of venues whose answers do not join."""
    symbols: dict[tuple[str, float], list[str]] = {}
    rules = [(feed, _book_rule(feed)) for feed in config.feed]
    for feed, fresh in _books(
        feed for feed, rule in rules if not rule.joins and feed.depth_levels not in rule.whole
    ):  # fmt: skip
        symbols.setdefault((feed.exchange, feed.snapshot_interval), []).extend(fresh)
    return tuple(Checkpoints(*key, tuple(of)) for key, of in symbols.items() if of)


def _book_rule(feed: Feed) -> BookRule:
    rest = load_rest(feed.exchange)
    return BookRule() if rest is None else rest.book_rule


def _books(feeds: Iterable[Feed]) -> Iterator[tuple[Feed, list[str]]]:
    """Those that record books, each with the symbols that none with a shorter interval has."""
    assigned: set[tuple[str, str | None, str]] = set()
    recorded = [feed for feed in feeds if "depth" in feed.streams and feed.snapshot_interval]
    for feed in sorted(recorded, key=lambda feed: feed.snapshot_interval):
        host = rest_host(feed)
        fresh = [symbol for symbol in feed.symbols if (feed.exchange, host, symbol) not in assigned]
        assigned |= {(feed.exchange, host, symbol) for symbol in fresh}
        yield feed, fresh


def _serializer(config: Config, rings: Rings, number: int) -> ChildSpec:
    return ChildSpec(
        name=f"serializer-{number}",
        role="serializer",
        module="wsadapter.roles.serializer",
        page_fields=metrics.serializer(feed.exchange for feed in config.feed),
        stop_group=SERIALIZER,
        drains=True,
        rings=rings.of_serializer(number),
        order=SerializerOrder(number, rings.generation),
        fingerprint=_fingerprint(_service(config), config.kafka, config.spool, config.process_of("serializer")),
    )


def _consumer(config: Config, number: int) -> ChildSpec:
    return ChildSpec(
        name=f"consumer-{number}",
        role="consumer",
        module="wsadapter.roles.consumer",
        page_fields=metrics.consumer(config.kafka.partitions, config.clickhouse.url.split(",")),
        stop_group=CONSUMER,
        drains=True,
        heartbeat_deadline=60.0,  # one slow insert holds its loop
        fingerprint=_fingerprint(_service(config), config.kafka, config.clickhouse, config.process_of("consumer")),
    )


def _monitor(assembly: Assembly, rings: Rings, children: Iterable[ChildSpec], supervisor_pid: int) -> ChildSpec:
    config = assembly.config
    members = [
        *((child.role, child.name, _exchange(child), _streams(child)) for child in children),
        ("supervisor", "supervisor", "", ()),
        ("monitor", "monitor", "", ()),
    ]
    return ChildSpec(
        name="monitor",
        role="monitor",
        module="wsadapter.roles.monitor",
        page_fields=metrics.MONITOR,
        stop_group=MONITOR,
        essential=False,
        secrets=("clickhouse",),  # for the page of stored candles
        watches=True,
        order=MonitorOrder(
            supervisor_pid,
            tuple(
                WatchedChild(role, name, page_name(config.service.instance, name), exchange, streams)
                for role, name, exchange, streams in members
            ),
            tuple(WatchedRing(connection, name) for connection, name in rings.names()),
            assembly.resolved.waiting,
            tuple(WatchedChild(role, NAME, retired_page(config.service.instance, role)) for role in COUNTING_ROLES),
        ),
        fingerprint=_fingerprint(config),
    )


def _streams(child: ChildSpec) -> tuple[WatchedStream, ...]:
    """What the cells of a connection's or the repairer's page that name a stream are about."""
    order = child.order
    if isinstance(order, IngestOrder):
        return tuple(
            WatchedStream(one.name, one.stream.value, one.symbol, order.plan.exchange)
            for one in order.plan.subscriptions
        )
    if isinstance(order, RepairerOrder):
        return tuple(
            WatchedStream(metrics.polled_stream(symbol), "open_interest", symbol, poll.exchange)
            for poll in order.polls
            for symbol in poll.symbols
        )
    return ()


def _exchange(child: ChildSpec) -> str:
    """Of the connection that the child keeps; empty for any other."""
    return child.order.plan.exchange if isinstance(child.order, IngestOrder) else ""


def _service(config: Config) -> ServiceConfig:
    """As the children read it: which symbols are whose they are told in their orders."""
    return msgspec.structs.replace(config.service, shard="")


def _fingerprint(*parts: object) -> str:
    return hashlib.sha1(msgspec.json.encode(parts)).hexdigest()
