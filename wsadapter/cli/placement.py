"""Where each stream of a configuration goes, and why: connection, process, ring, serializer, topic and partition. Pure.

As of an instance that starts with no ring of an earlier run: a ring that a reload adds goes to a serializer by its own
place, and a topic that was there before has the partitions that it has.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.config.model import Config, Feed
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.protocol import batches
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.roles.orders import Checkpoints, Snapshots
from wsadapter.roles.repairer.book_snapshots import cadence, weight_of
from wsadapter.roles.serializer.partitioning import partition_of
from wsadapter.roles.supervisor.rings import member
from wsadapter.roles.supervisor.topology import REPAIR, Assembly, FeedConnection, checkpoints_of, snapshots_of

UNLIMITED: Final = 1 << 30


class Stream(Struct, frozen=True):
    """What one symbol's stream of one word becomes. ``name``: the venue's; empty where it is asked for over REST."""

    symbol: str
    stream: str
    interval: str
    name: str
    topic: str
    partition: int


class Used(Struct, frozen=True):
    """What a connection takes of what the venue allows. ``octets``: of the names with their quotes and commas; None: no
    such limit. ``request_seconds``: until the last request is sent, without waiting for answers. Attempts are those of
    this address. ``life_seconds`` 0: it is not cut."""

    streams: int
    most_streams: int
    octets: int
    most_octets: int | None
    requests: int
    request_seconds: float
    attempts: int
    attempt_seconds: float
    life_seconds: float
    messages: int | None = None
    message_seconds: float | None = None


class Measured(Struct, frozen=True):
    """What a running instance says of a connection: per second, and how many of its subscriptions are in which
    state."""

    frames: float
    bytes: float
    states: dict[str, int]


class Expected(Struct, frozen=True):
    """What the capacity model expects of a connection, a second (docs/capacity.md)."""

    events: float
    bytes: float


class Placed(Struct, frozen=True):
    """One connection. ``used``: None for the repairer's, which has a budget instead. ``why`` it is one of its own.
    ``measured``: None where nobody was asked, or the running instance has no such connection. ``expected``: None for
    the repairer's."""

    connection: str
    exchange: str
    feed: str
    url: str
    process: str
    ring: str
    serializer: int
    used: Used | None
    why: list[str]
    streams: list[Stream]
    measured: Measured | None = None
    expected: Expected | None = None


def placed(assembly: Assembly) -> list[Placed]:
    """Every connection in the order of its rings, and the repairer where it asks for what no stream brings."""
    config, serializers = assembly.config, serializers_of(assembly)
    result = [_connection(assembly, each, serializers) for each in assembly.connections]
    polled, snapshots = [*dict.fromkeys(_polled(config))], snapshots_of(config)
    checkpoints = checkpoints_of(config)
    if REPAIR in serializers and (polled or snapshots or checkpoints):
        why = ["no stream of it: asked for over REST, within its budget"] if polled else []
        why += [*map(_cost, snapshots), *map(_made, checkpoints), *_ways(assembly, REPAIR)]
        polled += [
            _stream(config, each.exchange, symbol, "depth", "", "") for each in snapshots for symbol in each.symbols
        ]
        result.append(
            Placed(
                REPAIR, "", "", "", "repairer", _ring(config, REPAIR), serializers[REPAIR], None, why, polled,
            )
        )  # fmt: skip
    return result


def measured(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Measured]:
    """By connection, of two answers of /status; one that began anew between them is left out."""
    seconds, earlier = after["time"] - before["time"], {each["connection"]: each for each in before["connections"]}
    found = {}
    for each in after["connections"]:
        first = earlier.get(each["connection"])
        if first is None or seconds <= 0 or each["frames"] < first["frames"]:
            continue
        states = Counter(one["state"] for one in after["streams"] if one["connection"] == each["connection"])
        frames, octets = ((each[name] - first[name]) / seconds for name in ("frames", "bytes"))
        found[each["connection"]] = Measured(round(frames, 1), round(octets, 1), dict(states))
    return found


def serializers_of(assembly: Assembly) -> dict[str, int]:
    """Ring -> its serializer: by turns, redundant connections at that of the first of their group."""
    count = assembly.config.process_of("serializer").count
    turns = {connection: place % count for place, connection in enumerate(assembly.rings)} if count else {}
    return {connection: turns[member(connection).group] for connection in turns}


def _connection(assembly: Assembly, each: FeedConnection, serializers: dict[str, int]) -> Placed:
    config, plan = assembly.config, each.plan
    streams = [
        _stream(config, plan.exchange, symbol, word, subscription.interval, subscription.name)
        for subscription in plan.subscriptions
        for symbol in ((subscription.symbol,) if subscription.symbol else plan.symbols)
        for word in subscription.feeds or (subscription.stream.value,)
    ]
    return Placed(
        plan.connection, plan.exchange, each.feed.name, plan.url, f"ingest {plan.connection}",
        _ring(config, plan.connection), serializers.get(plan.connection, 0), _used(plan),
        [*_why(assembly, each), *_ways(assembly, plan.connection)],
        streams,
    )  # fmt: skip


def _stream(config: Config, exchange: str, symbol: str, word: str, interval: str, name: str) -> Stream:
    spec = BY_STREAM["trade" if word == "raw_trade" else word]
    count = 1 if spec.quiet else config.kafka.partitions
    partition = partition_of(f"{exchange}:{symbol}".encode(), count)
    return Stream(symbol, word, interval, name, config.kafka.topic_prefix + spec.name, partition)


def _polled(config: Config) -> Iterator[Stream]:
    for feed in config.feed:
        rest = load_rest(feed.exchange)
        for word in feed.streams if rest else ():
            if rest and word in rest.polled:
                yield from (_stream(config, feed.exchange, symbol, word, "", "") for symbol in feed.symbols)


def _cost(each: Snapshots) -> str:
    rest = load_rest(each.exchange)
    assert rest is not None, "it gives books"
    weight, count = weight_of(rest), len(each.symbols)
    seconds = cadence(each.every, count, rest.weights, weight)
    used = count * weight / seconds * rest.weights.seconds
    slower = f", for so many symbols not each {each.every:g} s" if seconds > each.every else ""
    return (
        f"whole books of {count} symbols of {each.exchange}, each one every {seconds:g} s{slower}: weight {used:g} of "
        f"{rest.weights.units} in {rest.weights.seconds:g} s"
    )


def _made(each: Checkpoints) -> str:
    return (
        f"books of {len(each.symbols)} symbols of {each.exchange}, made of what was recorded each {each.every:g} s: no "
        "request, table book_checkpoint"
    )


def _ring(config: Config, connection: str) -> str:
    return f"wsadapter-{config.service.instance}-{connection}"


def _used(plan: ConnectionPlan) -> Used:
    exchange: Any = load(plan.exchange)(plan)
    names, requests, most_octets = [each.name for each in plan.subscriptions], len(exchange.open()), None
    if isinstance(exchange, VenueSession):
        limits = exchange.venue.limits
        requests = len(batches(exchange.venue.requests, names))  # some wait for the answers to others
        most_octets = None if limits.octets >= UNLIMITED else limits.octets
    return Used(
        streams=len(names),
        most_streams=exchange.max_streams,
        octets=sum(len(name.encode()) + 3 for name in names),
        most_octets=most_octets,
        requests=requests,
        request_seconds=(requests - 1) * exchange.message_interval,
        attempts=exchange.attempt_limit.attempts,
        attempt_seconds=exchange.attempt_limit.seconds,
        life_seconds=exchange.max_life,
        messages=None if exchange.message_limit is None else exchange.message_limit.attempts,
        message_seconds=None if exchange.message_limit is None else exchange.message_limit.seconds,
    )


def _why(assembly: Assembly, each: FeedConnection) -> list[str]:
    plan, feed = each.plan, each.feed
    group, copy = member(plan.connection)
    root, index = _class_of(feed, group)
    roots = {
        _class_of(feed, member(other.plan.connection).group) for other in assembly.connections if other.feed is feed
    }  # fmt: skip
    of_root = len([number for name, number in roots if name == root])
    why = []
    if len({name for name, _ in roots}) > 1:
        why.append(f"class {root}: a socket of this venue carries one class")
    if of_root > 1:
        why.append(f"{index + 1} of {of_root}: one connection does not take all streams")
    if feed.redundancy > 1:
        why.append(f"copy {copy + 1} of {feed.redundancy}: feed.redundancy")
    return why or ["all streams of the feed fit on one connection"]


def _ways(assembly: Assembly, connection: str) -> list[str]:
    """Why it goes on as it does."""
    config, rings = assembly.config, assembly.rings
    count = config.process_of("serializer").count
    turn = f"ring {rings.index(connection) + 1} of {len(rings)}, serializers in turn ({count})"
    if member(connection).number:
        turn = "the serializer of the first copy"
    return [turn, f"a partition by the key exchange:symbol, of {config.kafka.partitions}"]


def _class_of(feed: Feed, group: str) -> tuple[str, int]:
    """Class of connection, and the number within it, of a connection's name."""
    root, _, index = group.removeprefix(f"{feed.name}-").rpartition("-")
    return root, int(index)
