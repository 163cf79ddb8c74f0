"""What a connection is to keep, and what changes when it is told otherwise while it runs. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

from wsadapter.client.config import ConnectionConfig
from wsadapter.client.handover import Subject
from wsadapter.events import Gap, StreamType
from wsadapter.events.gaps import GapCause, begin
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import ConnectionPlan, Subscription

MOST_LEFT: Final = 4096


class Terms(Struct, frozen=True):
    """The subscriptions of a connection, and how it is kept."""

    plan: ConnectionPlan
    config: ConnectionConfig


def added(before: ConnectionPlan, after: ConnectionPlan) -> Collection[Subject]:
    """What events may be of that a socket of ``before`` does not bring: those of subscriptions that only ``after`` has,
    and in streams of the whole market those of symbols that only it has."""
    known, fresh = frozenset(before.subscriptions), frozenset(after.symbols) - frozenset(before.symbols)
    # whatever comes of a symbol that is new: a stream may bring more than was asked for
    subjects: set[Subject] = {(word, symbol, "") for word in StreamType for symbol in fresh}
    for each in after.subscriptions:
        if each not in known:
            subjects |= _subjects(each, (each.symbol,) if each.symbol else after.symbols)
        elif not each.symbol:
            subjects |= _subjects(each, fresh)
    return subjects


class LeftStreams:
    """Streams that the connection had and has no more: since when nothing of them is received."""

    def __init__(self) -> None:
        self._since_ns: dict[Subscription, int] = {}

    def exchanged(
        self, before: ConnectionPlan, after: ConnectionPlan, received: Mapping[str, int], now_ns: int
    ) -> list[Gap]:
        """The gaps of streams that come back: from their last event until now. ``received``: by name."""
        had, has = frozenset(before.subscriptions), frozenset(after.subscriptions)
        self._since_ns |= {each: received.get(each.name) or now_ns for each in before.subscriptions if each not in has}
        for each in list(self._since_ns)[:-MOST_LEFT]:
            del self._since_ns[each]
        back = [(each, self._since_ns.pop(each)) for each in after.subscriptions
                if each not in had and each in self._since_ns]  # fmt: skip
        return [
            begin(
                GapCause.RELOAD, since_ns, now_ns, exchange=after.exchange, connection=after.connection,
                stream=word.value, symbol=each.symbol, interval=each.interval, ended_ns=now_ns,
            )
            for each, since_ns in back for word in sorted({each.stream, *map(stream_type, each.feeds)})
        ]  # fmt: skip


def _subjects(subscription: Subscription, symbols: Collection[str]) -> set[Subject]:
    words = {subscription.stream, *map(stream_type, subscription.feeds)}
    return {(word, symbol, subscription.interval) for word in words for symbol in symbols}
