"""What a connection is to keep, and what changes when it is told otherwise while it runs. Pure."""

from collections.abc import Collection

from msgspec import Struct

from wsadapter.client.config import ConnectionConfig
from wsadapter.client.handover import Subject
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import ConnectionPlan, Subscription


class Terms(Struct, frozen=True):
    """The subscriptions of a connection, and how it is kept."""

    plan: ConnectionPlan
    config: ConnectionConfig


def added(before: ConnectionPlan, after: ConnectionPlan) -> Collection[Subject]:
    """What events may be of that a socket of ``before`` does not bring: those of subscriptions that only ``after`` has,
    and in streams of the whole market those of symbols that only it has."""
    known, fresh = frozenset(before.subscriptions), frozenset(after.symbols) - frozenset(before.symbols)
    subjects: set[Subject] = set()
    for each in after.subscriptions:
        if each not in known:
            subjects |= _subjects(each, (each.symbol,) if each.symbol else after.symbols)
        elif not each.symbol:
            subjects |= _subjects(each, fresh)
    return subjects


def _subjects(subscription: Subscription, symbols: Collection[str]) -> set[Subject]:
    words = {subscription.stream, *map(stream_type, subscription.feeds)}
    return {(word, symbol, subscription.interval) for word in words for symbol in symbols}
