"""Which processes an instance consists of: configuration in, child specs out.

Stop order, lowest group first: ingest, repairer, serializers, consumers (then the road is drained), monitor,
stand-ins. Owns nothing; two calls with the same configuration and rings give equal specs, so a reload touches only what
changed.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from wsadapter import metrics as stats_fields
from wsadapter.config.load import Config, Feed
from wsadapter.errors import ConfigError
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.roles.orders import Poll
from wsadapter.roles.supervisor.redundancy import member, name_of
from wsadapter.roles.supervisor.rings import Rings
from wsadapter.supervision.process import ChildSpec, page_name

INGEST, REPAIRER, SERIALIZER, CONSUMER, MONITOR, STAND_IN = 10, 15, 20, 30, 40, 50
DRAINED_GROUP: Final = CONSUMER
REPAIR: Final = "repair"
"""The repairer's connection."""
LINES_PER_SUBSCRIPTION: Final = 4
"""A candle's open and closed line, a mark price with its funding."""
SPARE_LINES: Final = 64
DOWNLOAD_SECONDS: Final = 600.0
"""The embedded Kafka's first start fetches its jars."""


def plans(config: Config) -> list[ConnectionPlan]:
    """Every connection of every feed, the redundant ones behind each other; `ConfigError` with everything that a venue
    does not offer."""
    found: list[ConnectionPlan] = []
    errors: list[tuple[str, str]] = []
    for index, feed in enumerate(config.feed):
        try:
            found += [
                msgspec.structs.replace(plan, connection=name_of(plan.connection, number))
                for plan in load(feed.exchange).plan(feed)
                for number in range(feed.redundancy)
            ]
        except ConfigError as error:
            errors += [(path if path.startswith("feed[") else f"feed[{index}].{path}", m) for path, m in error.errors]
    if errors:
        raise ConfigError(errors)
    return found


def redundant(connections: Iterable[ConnectionPlan]) -> dict[str, int]:
    """Group of redundant connections -> how many lines they may have at most."""
    connections = list(connections)
    groups = [member(plan.connection).group for plan in connections if member(plan.connection).number]
    return {
        plan.connection: LINES_PER_SUBSCRIPTION * len(plan.subscriptions) + SPARE_LINES
        for plan in connections
        if plan.connection in groups
    }


def specs(
    config: Config,
    connections: Sequence[ConnectionPlan],
    rings: Rings,
    previous_receive_ns: Callable[[str], int],
    stand_ins: Sequence[ChildSpec],
    supervisor_pid: int,
) -> tuple[ChildSpec, ...]:
    """All children of a run. ``previous_receive_ns``: when a connection (or what is polled, by the labels of its cell)
    last received in an earlier run, 0 = never."""
    road = (
        *(_ingest(config, plan, rings, previous_receive_ns(plan.connection)) for plan in connections),
        *(
            _repairer(config, connections, rings, previous_receive_ns)
            for _ in range(config.process_of("repairer").count)
        ),
        *(_serializer(config, rings, number) for number in range(config.process_of("serializer").count)),
        *(_consumer(config, number) for number in range(config.process_of("consumer").count)),
    )
    return (*stand_ins, *road, _monitor(config, rings, (*stand_ins, *road), supervisor_pid))


def stand_in(config: Config, role: str, fields: Iterable[str], **options: Any) -> ChildSpec:
    """An embedded Kafka, ClickHouse or venue."""
    return ChildSpec(
        name=role,
        role=role,
        module=f"wsadapter.embedded.{role}",
        page_fields=tuple(fields),
        stop_group=STAND_IN,
        essential=False,
        start_deadline=DOWNLOAD_SECONDS if role == "kafka" else 60.0,
        heartbeat_deadline=30.0,
        options=options,
        fingerprint=_fingerprint(config.service, config.kafka if role == "kafka" else config.clickhouse),
    )


def _ingest(config: Config, plan: ConnectionPlan, rings: Rings, previous_receive_ns: int) -> ChildSpec:
    feed = _feed_of(config, plan)
    return ChildSpec(
        name=plan.connection,
        role="ingest",
        module="wsadapter.roles.ingest",
        page_fields=stats_fields.ingest(s.name for s in plan.subscriptions),
        stop_group=INGEST,
        ring=rings.refs[plan.connection],
        options={
            "plan": msgspec.to_builtins(plan),
            "feed": feed.name,
            "previous_receive_ns": previous_receive_ns,
        },
        fingerprint=_fingerprint(config.service, feed, config.process_of("ingest")),
    )


def ring_names(config: Config, connections: Iterable[ConnectionPlan]) -> list[str]:
    """Which rings a run needs: one for each connection, and the repairer's."""
    repairs = [REPAIR] if config.process_of("repairer").count else []
    return [*(plan.connection for plan in connections), *repairs]


def _repairer(
    config: Config, connections: Sequence[ConnectionPlan], rings: Rings, previous_receive_ns: Callable[[str], int]
) -> ChildSpec:
    assignments = [
        {"plan": msgspec.to_builtins(plan), "host": host}
        for plan in connections
        if (host := _rest_host(_feed_of(config, plan)))
    ]
    asked = polls(config, previous_receive_ns)
    bases = (*(each["host"] for each in assignments), *(each["host"] for each in histories(config)))
    hosts = dict.fromkeys(stats_fields.host_label(base) for base in bases)
    symbols = [(poll.exchange, symbol) for poll in asked for symbol in poll.symbols]
    return ChildSpec(
        name="repairer",
        role="repairer",
        module="wsadapter.roles.repairer",
        page_fields=stats_fields.repairer(hosts, symbols),
        stop_group=REPAIRER,
        essential=False,
        heartbeat_deadline=60.0,  # it asks Kafka for offsets, which may take its time
        ring=rings.refs[REPAIR],
        options={"assignments": assignments, "polls": msgspec.to_builtins(asked), "feeds": histories(config)},
        fingerprint=_fingerprint(config.service, config.kafka, config.process_of("repairer")),
    )


def histories(config: Config) -> list[dict[str, str]]:
    """The feeds whose history can be asked for, and whom."""
    hosts = ((feed, _rest_host(feed)) for feed in config.feed)
    return [{"feed": feed.name, "exchange": feed.exchange, "host": host} for feed, host in hosts if host]


def polls(config: Config, previous_receive_ns: Callable[[str], int]) -> list[Poll]:
    """Whom the repairer asks for open interest. A symbol of several feeds is asked for once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    taken: set[tuple[str, str]] = set()
    for feed in config.feed:
        if "open_interest" in feed.streams and (host := _rest_host(feed)):
            fresh = [symbol for symbol in feed.symbols if (feed.exchange, symbol) not in taken]
            taken |= {(feed.exchange, symbol) for symbol in fresh}
            found.setdefault((feed.exchange, host), {}).update(dict.fromkeys(fresh))
    return [
        Poll(*key, tuple(symbols), tuple(previous_receive_ns(stats_fields.polled("", key[0], s)) for s in symbols))
        for key, symbols in found.items()
        if symbols
    ]


def _rest_host(feed: Feed) -> str:
    """Where the feed's history is asked for; empty where its venue has no REST side, or where the streams come from an
    address of the operator's own and its REST is not known: the live venue has another history."""
    rest = load_rest(feed.exchange)
    if rest is None or (feed.ws_url and not feed.rest_url):
        return ""
    return feed.rest_url or rest.base(feed.testnet)


def _feed_of(config: Config, plan: ConnectionPlan) -> Feed:
    named = (feed for feed in config.feed if plan.connection.startswith(feed.name + "-"))
    return max(named, key=lambda feed: len(feed.name))  # one feed's name may begin another's


def _serializer(config: Config, rings: Rings, number: int) -> ChildSpec:
    return ChildSpec(
        name=f"serializer-{number}",
        role="serializer",
        module="wsadapter.roles.serializer",
        page_fields=stats_fields.SERIALIZER,
        stop_group=SERIALIZER,
        drains=True,
        rings=rings.of_serializer(number),
        options={"number": number, "generation": rings.generation},
        fingerprint=_fingerprint(config.service, config.kafka, config.spool, config.process_of("serializer")),
    )


def _consumer(config: Config, number: int) -> ChildSpec:
    return ChildSpec(
        name=f"consumer-{number}",
        role="consumer",
        module="wsadapter.roles.consumer",
        page_fields=stats_fields.consumer(config.kafka.partitions),
        stop_group=CONSUMER,
        drains=True,
        heartbeat_deadline=60.0,  # one slow insert is one turn of its loop
        options={"number": number},
        fingerprint=_fingerprint(config.service, config.kafka, config.clickhouse, config.process_of("consumer")),
    )


def _monitor(config: Config, rings: Rings, children: Iterable[ChildSpec], supervisor_pid: int) -> ChildSpec:
    instance = config.service.instance
    members = [(child.role, child.name) for child in children] + [("supervisor", "supervisor"), ("monitor", "monitor")]
    return ChildSpec(
        name="monitor",
        role="monitor",
        module="wsadapter.roles.monitor",
        page_fields=stats_fields.MONITOR,
        stop_group=MONITOR,
        essential=False,
        options={
            "supervisor_pid": supervisor_pid,
            "children": [{"role": role, "name": name, "page": page_name(instance, name)} for role, name in members],
            "rings": [{"connection": connection, "name": name} for connection, name in rings.names()],
        },
        fingerprint=_fingerprint(config),
    )


def _fingerprint(*parts: object) -> str:
    return hashlib.sha1(msgspec.json.encode(parts)).hexdigest()
