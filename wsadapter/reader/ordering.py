"""Which events of the partitions are given, in which order, and where gaps stand among them. Pure: no Kafka, no clock.

`Ordering` is given the gaps (`gap`) and the messages of each partition, and makes of them one run of events
(`advance`). What it guarantees:

* Events of a symbol and stream come in the order of their partition, each record once (`wsadapter.reader.decoding`).
* **A gap stands before the first event behind it.** Two things tell which that is. An event names its last gap
  (``last_gap_ns``): while that gap has not been read, the event and its partition wait for it, ``gap_seconds`` at
  most; then a `Gap` of cause ``unknown`` is given in its place. And gap and event of one ring have positions in it: a
  gap that was read goes before the first event of its streams and symbols that has a later one.
* A gap stands behind the events before it, as far as Kafka's times tell them: one about all streams or symbols of a
  connection waits until each of its partitions has been read to the end or beyond its time, and so does any gap that no
  event follows. At the head of the log that is at once; where reading ends, what waits is given (`Ordering.rest`).

What it does not know: gaps that were noticed before ``floor_ns``, from when on topic `gap` was read, are not waited
for. An event that names such a one is behind it in the log that nobody asked for.

Bounded: `PENDING_MOST` gaps that wait (then the oldest are given), `KNOWN_MOST` times of gaps, `MARKS_MOST` epochs of
a partition.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from wsadapter import events
from wsadapter.events import Event
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.runs import Message, MessageList, Messages
from wsadapter.oldest import forget_oldest, most_kept
from wsadapter.reader.decoding import Decode, Marks, Parsed, decoder, parser
from wsadapter.reader.events import Gap

GAP_SECONDS: Final = 5.0
"""A gap and the event behind it are sent together; its topic is another one, and may be a moment later. Where the
serializer is killed between the two it is as late as the next one's first messages."""
PENDING_MOST: Final = 10_000
KNOWN_MOST: Final = 200_000
MARKS_MOST: Final = 10_000
UNKNOWN: Final = "unknown"
"""Cause of a gap that only the event behind it names."""


class Scope(Struct, frozen=True):
    """What a reader is asked for; empty: all."""

    exchanges: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()

    def has_gap(self, gap: Gap) -> bool:
        return (
            (not self.exchanges or gap.exchange in self.exchanges)
            and (not self.symbols or gap.symbol in self.symbols or not gap.symbol)
            and (not self.streams or gap.stream in self.streams or not gap.stream)
        )

    def has_key(self, key: bytes | None) -> bool:
        """Of a message, ``exchange:symbol``; a gap about all symbols has an empty one. None is looked at."""
        if key is None:
            return True
        exchange, _, symbol = key.decode("utf-8", "replace").partition(":")
        return (not self.exchanges or exchange in self.exchanges) and (
            not self.symbols or symbol in self.symbols or not symbol
        )


class Partition:
    """One partition of an event topic. ``offset``: behind what was fetched; ``messages``: fetched, wanted, and not
    taken yet; ``at_ms``: Kafka's time of the last one; ``is_read``: there is nothing behind ``offset`` now."""

    def __init__(self, stream: str, number: int, offset: int, marks: Iterable[tuple[int, int]] = ()) -> None:
        self.stream, self.number, self.offset = stream, number, offset
        self.marks: Marks = dict(marks)
        self.messages: Messages = MessageList()
        self.at_ms = 0
        self.is_read = False
        self.held_since: float | None = None

    def add(self, messages: Messages) -> None:
        """They are the partition's now."""
        if self.messages:
            self.messages.extend(messages)
        else:
            self.messages = messages

    @property
    def next_offset(self) -> int:
        """Of the first message that was not taken."""
        return int(self.messages[0].offset()) if self.messages else self.offset

    @property
    def reached_ms(self) -> float:
        """Nothing before this time comes any more."""
        if self.messages:  # the first one may be of the same time; one that waits is behind a gap itself
            return float(self.messages[0].timestamp()[1]) + (self.held_since is not None)
        return math.inf if self.is_read else self.at_ms


class _Pending:
    """A gap that was read and not given. ``at``: its partition and offset; ``at_ms``: Kafka's time."""

    __slots__ = ("at", "at_ms", "epoch", "gap", "is_given", "position")

    def __init__(self, gap: Gap, epoch: int, position: int, at: tuple[int, int], at_ms: int) -> None:
        self.gap, self.epoch, self.position, self.at, self.at_ms = gap, epoch, position, at, at_ms
        self.is_given = False


class Ordering:
    """``streams``: of the event topics; ``floor_ns``: topic `gap` was read from this time on (0: from its begin);
    ``gap_seconds``: so long an event waits for the gap that it names."""

    def __init__(
        self,
        scope: Scope,
        streams: Iterable[str],
        floor_ns: int,
        has_gaps: bool = True,
        gap_seconds: float = GAP_SECONDS,
    ) -> None:
        self._scope, self.floor_ns, self._has_gaps, self._gap_seconds = scope, floor_ns, has_gaps, gap_seconds
        self.partitions: dict[tuple[str, int], Partition] = {}
        self._decoders: dict[str, Decode] = {stream: decoder(stream) for stream in streams}
        self._parsers: dict[str, Parsed] = {stream: parser(BY_STREAM[stream]) for stream in streams}
        self._parse_gap = parser(BY_STREAM["gap"])
        self.gap_marks: dict[int, Marks] = {}
        """Of each partition of topic `gap`."""
        self._known: dict[int, None] = {}
        self._pending: deque[_Pending] = deque()
        self._by_epoch: dict[int, deque[_Pending]] = {}
        """Those that are in a ring's order, by it."""
        self._stops: dict[str, dict[int, int]] = {stream: {} for stream in self._decoders}
        """Stream -> epoch -> position of the first gap that is about it."""
        self._given: set[tuple[int, int]] = set()
        self.redelivered = 0
        self.unreadable = 0

    # Gaps.

    def gap(self, message: Message, is_given: bool = False) -> list[Event]:
        """A message of topic `gap`; ``is_given``: in an earlier life, or it is older than what was asked for. What is
        to be given at once."""
        at = int(message.partition()), int(message.offset())
        try:
            gap, identity = self._parse_gap(message.value() or b"")
        except ValueError:
            self.unreadable += not is_given
            return [] if is_given else [_unreadable("gap", message)]
        assert isinstance(gap, Gap)
        self._know(gap.receive_time_ns)
        if is_given:
            return []
        epoch, position = identity or (0, 0)
        if identity is not None:
            marks = self.gap_marks.setdefault(at[0], {})
            if position <= marks.get(epoch, -1):
                self.redelivered += 1
                return []
            marks[epoch] = position
            forget(marks)
        if not self._has_gaps or not self._scope.has_gap(gap):
            return []
        pending = _Pending(gap, epoch, position, at, message.timestamp()[1])
        self._pending.append(pending)
        if identity is not None:
            self._by_epoch.setdefault(epoch, deque()).append(pending)
            for stream in self._streams_of(gap):
                self._stops[stream].setdefault(epoch, position)
        out = self._release(self._pending[0]) if len(self._pending) > PENDING_MOST else []
        self._trim()
        return out

    def settled(self) -> list[Event]:
        """The gaps before which nothing more comes."""
        if not self._pending:
            return []
        horizon = min((partition.reached_ms for partition in self.partitions.values()), default=math.inf)
        out: list[Event] = []
        while self._pending and (self._pending[0].is_given or self._pending[0].at_ms < horizon):
            out += self._release(self._pending[0])
            self._trim()
        return out

    def rest(self, ends: Mapping[int, int]) -> list[Event]:
        """Nothing more is read: the gaps that are left, of each partition of topic `gap` up to its end."""
        out: list[Event] = []
        for pending in [pending for pending in self._pending if pending.at[1] < ends.get(pending.at[0], 0)]:
            out += self._release(pending)
        self._trim()
        return out

    def first_gaps(self) -> tuple[dict[int, int], tuple[tuple[int, int], ...]]:
        """Partition of topic `gap` -> offset of the first one that was read and not given; and those behind it that
        were given."""
        first: dict[int, int] = {}
        for pending in self._pending:
            if not pending.is_given:
                first.setdefault(*pending.at)
        return first, tuple(sorted(self._given))

    def marks_of_gaps(self, number: int) -> Marks:
        """Of a partition of topic `gap`, as far as they were given."""
        marks = dict(self.gap_marks.get(number, {}))
        for epoch, waiting in self._by_epoch.items():
            if waiting and waiting[0].at[0] == number:
                marks[epoch] = waiting[0].position - 1
        return marks

    def _release(self, pending: _Pending) -> list[Event]:
        if pending.is_given:
            return []
        pending.is_given = True
        self._given.add(pending.at)
        if (waiting := self._by_epoch.get(pending.epoch)) is not None:
            while waiting and waiting[0].is_given:
                waiting.popleft()
            for stream in self._streams_of(pending.gap):
                self._stops[stream].pop(pending.epoch, None)
                for other in waiting:
                    if not other.is_given and stream in self._streams_of(other.gap):
                        self._stops[stream][pending.epoch] = other.position
                        break
            if not waiting:
                del self._by_epoch[pending.epoch]
        return [pending.gap]

    def _trim(self) -> None:
        while self._pending and self._pending[0].is_given:
            self._given.discard(self._pending.popleft().at)

    def _streams_of(self, gap: Gap) -> tuple[str, ...]:
        if not gap.stream:
            return tuple(self._stops)
        return (gap.stream,) if gap.stream in self._stops else ()

    def _know(self, at_ns: int) -> None:
        self._known[at_ns] = None
        if len(self._known) > most_kept(KNOWN_MOST):
            self.floor_ns = max(self.floor_ns, 1 + max(forget_oldest(self._known, KNOWN_MOST)))

    # Events.

    def advance(self, now: float, out: list[Event]) -> None:
        """Append whatever is to be given now (monotonic): events of all partitions, and gaps."""
        waiting = [partition for partition in self.partitions.values() if partition.messages]
        while waiting:
            before = len(out)
            for partition in waiting:
                self.take(partition, now, out)
            out += self.settled()
            # one that waits for another partition may go on now
            waiting = [partition for partition in waiting if len(out) > before and partition.messages]
        out += self.settled()

    def take(self, partition: Partition, now: float, out: list[Event]) -> None:
        """The events of what the partition has fetched, up to the first one that has to wait (``now``: monotonic)."""
        messages = partition.messages
        decode, stops = self._decoders[partition.stream], self._stops[partition.stream]
        index = 0
        while True:
            first, before = index, len(out)
            index = decode(messages.values, first, partition.marks, stops, self._known, out)
            self.redelivered += index - first - (len(out) - before)
            if index > first:
                partition.held_since = None  # the one that waited has gone on: another partition gave its gap
            if index == len(messages) or not self._take_one(partition, messages[index], now, out):
                break
            index += 1
        messages.drop(index)
        forget(partition.marks)

    def _take_one(self, partition: Partition, message: Message, now: float, out: list[Event]) -> bool:
        """A message that wants a decision; False: it has to wait."""
        try:
            event, identity = self._parsers[partition.stream](message.value() or b"")
        except ValueError:
            self.unreadable += 1
            out.append(_unreadable(partition.stream, message))
            return True
        if identity is not None and identity[1] <= partition.marks.get(identity[0], -1):
            self.redelivered += 1
            return True
        gap_ns = event.last_gap_ns
        is_known = gap_ns is None or gap_ns in self._known or gap_ns < self.floor_ns or not self._has_gaps
        before = [] if identity is None else self._gaps_before(event, partition.stream, *identity)
        if not (is_known and all(self._is_reached(pending, partition) for pending in before)):
            if partition.held_since is None:
                partition.held_since = now
            if now - partition.held_since < self._gap_seconds:
                return False
        partition.held_since = None
        for pending in before:
            out += self._release(pending)
        if gap_ns is not None:
            if not is_known:
                out.append(_unknown_gap(event, gap_ns))
            self._know(gap_ns)
        if identity is not None:
            partition.marks[identity[0]] = identity[1]
        out.append(event)
        return True

    def _gaps_before(self, event: Event, stream: str, epoch: int, position: int) -> list[_Pending]:
        if position < self._stops[stream].get(epoch, 1 << 64):
            return []
        found = []
        for pending in self._by_epoch.get(epoch, ()):
            if pending.position > position:
                break
            gap = pending.gap
            if not pending.is_given and gap.symbol in ("", event.symbol) and gap.stream in ("", stream):
                found.append(pending)
        return found

    def _is_reached(self, pending: _Pending, partition: Partition) -> bool:
        """Whether no other partition may have an event that stands before it."""
        gap = pending.gap
        if gap.stream and gap.symbol:
            return True  # all that it is about have one key, and so one partition
        others = (other for other in self.partitions.values() if other is not partition)
        return all(pending.at_ms < other.reached_ms for other in others if gap.stream in ("", other.stream))


def forget(marks: Marks) -> None:
    """Bounded: of so many epochs the first is long gone."""
    if len(marks) > MARKS_MOST:
        del marks[next(iter(marks))]


def frozen(gap: events.Gap) -> Gap:
    return Gap(*(getattr(gap, field) for field in Gap.__struct_fields__))


def lost_range(stream: str, count: int | None, at_ns: int) -> Gap:
    """Messages that Kafka no longer has; of which venue and symbol they were nobody knows."""
    return frozen(
        begin(
            GapCause.KAFKA_RETENTION, at_ns, at_ns, exchange="", connection="", stream=stream, ended_ns=at_ns,
            missing=(None, None, count),
        )
    )  # fmt: skip


def _unknown_gap(event: Event, at_ns: int) -> Gap:
    """That there was one is all that is known."""
    made = begin(
        GapCause.RESTART, at_ns, at_ns, exchange=event.exchange, connection=event.connection, symbol=event.symbol,
        stream=event.stream_type.value, interval=getattr(event, "interval", ""), ended_ns=at_ns,
    )  # fmt: skip
    made.cause = UNKNOWN
    return frozen(made)


def _unreadable(stream: str, message: Message) -> Gap:
    """In the place of a message that is none of ours."""
    exchange, _, symbol = (message.key() or b"").decode("utf-8", "replace").partition(":")
    at_ns = max(0, message.timestamp()[1]) * 1_000_000
    return frozen(
        begin(
            GapCause.DECODE, at_ns, at_ns, exchange=exchange, connection="", symbol=symbol, stream=stream,
            ended_ns=at_ns, missing=(None, None, 1),
        )
    )  # fmt: skip
