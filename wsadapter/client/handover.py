"""Two sockets with the same streams, and one sequence of events out of both: the order of a hand-over.

The first socket is delivered as it comes. Of the second one copies are dropped, and what the first has not brought yet
is held; when the first has ended, what is still held is delivered, then the second as it comes, less the copies of what
the first had brought. So every event is delivered once, in the order of its series, and no series has a hole where the
two overlap. Where a numbered series does not continue, or a silence ends, a `Gap` is published in its place. A second
socket that lags when it is to be the first of another hand-over goes on so: what this one knows, the other one knows.

Pure: told events, it delivers them. Bounded: more than `MOST_HELD` events held (`MORE_HELD`) means that the first
socket lags too far behind, or that many series are mute on it: then `overflowed`, and the first socket must end, or the
second. Of events without a number the last `MOST_KNOWN` are known.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from wsadapter.events import Depth, Event, Gap, StreamType, UpdateType
from wsadapter.events.sequence import Sequenced, SequenceKey, place
from wsadapter.oldest import forget_oldest, most_kept

MOST_HELD: Final = 20_000
MORE_HELD: Final = 100_000
"""Where the second socket has streams that the first has not: all of theirs is held."""
MOST_KNOWN: Final = 200_000

Deliver = Mapping[type[Event], Callable[[Event], object]]
Subject = tuple[StreamType, str, str]
"""Stream type, symbol and interval: what an event is of."""
Joined = Callable[[Any, tuple[int, int] | None], Gap | None]
"""`Exchange.joined`."""
Reached = Callable[[Any], tuple[int, int] | None]
"""event -> number and receive time of the last one of its series that the first socket brought before."""


def subject(event: Event) -> Subject:
    return event.stream_type, event.symbol, getattr(event, "interval", "")


def _subject_of(key: SequenceKey) -> Subject:
    return key[0], key[1], key[2] if key[0] is StreamType.KLINE else ""


class Handover:
    """``deliver``: event type -> who handles it. ``joined`` makes the gap before the first event behind the hand-over.
    ``copies``: stream word -> events that came twice; only grows. ``mute``: the first socket is not expected to bring
    any of these. ``added``: nor of these any of a series that it has never brought. ``before``: the hand-over by which
    the first socket came, while that may lag behind the one before it; its `second` goes on to take what comes."""

    def __init__(
        self,
        deliver: Deliver,
        reached: Reached,
        joined: Joined,
        copies: Counter[str],
        mute: Collection[Subject] = (),
        added: Collection[Subject] = (),
        before: "Handover | None" = None,
    ) -> None:
        self._deliver, self._reached, self._joined, self._copies = deliver, reached, joined, copies
        self._mute, self._added = mute, added
        self._marks: dict[SequenceKey, int] = {}
        """Series -> number of the last event delivered."""
        self._at_ns: dict[SequenceKey, int] = {}
        """When that was received."""
        self._delivered: dict[tuple[SequenceKey, tuple[Any, ...]], None] = {}
        """Series and identity of the events without a number, oldest first."""
        self._held: deque[tuple[Sequenced, Event]] = deque()
        self._met: dict[SequenceKey, bool] = {}
        """Series of the second socket -> whether the first has brought one of its events, too, or is not to."""
        self._to_check: set[SequenceKey] = set()
        """Series whose next event must continue what the first socket brought."""
        self._changes: dict[str, int] = {}
        """Symbol -> number of the last change of its book that the first socket brought."""
        self._first_ended = False
        self.overflowed = False
        if before is not None:
            self._marks, self._at_ns, self._changes = before._marks, before._at_ns, before._changes
            self._delivered = before._delivered
            for key in [key for key in self._marks if _subject_of(key) in added]:
                del self._marks[key]  # of one that the first socket does not have any more

    def deliver_to(self, deliver: Deliver) -> None:
        """These handle the events from now on."""
        self._deliver = deliver

    def first(self, event: Event) -> None:
        """An event of the first socket."""
        sequenced = place(event)
        if sequenced is not None:
            if sequenced.identity is None:
                self._marks[sequenced.key] = max(sequenced.number, self._marks.get(sequenced.key, 0))
            else:
                self._know(sequenced)
            self._at_ns[sequenced.key] = event.receive_time_ns
            if type(event) is Depth and event.update_type is UpdateType.DELTA:
                self._changes[event.symbol] = max(sequenced.number, self._changes.get(event.symbol, 0))
        self._publish(event)

    def second(self, event: Event) -> None:
        """An event of the second socket. One without number or identity comes from the first while that lives."""
        sequenced = place(event)
        if sequenced is None:
            if self._first_ended:
                self._publish(event)
            return
        if sequenced.key not in self._marks and (reached := self._reached(event)) is not None:
            self._marks[sequenced.key], self._at_ns[sequenced.key] = reached
        if self._is_copy(sequenced, event):
            self._copies[event.stream_type.value] += 1
        elif self._first_ended:
            self._continue(sequenced, event)
        else:
            if sequenced.key not in self._met:
                self._met[sequenced.key] = self._is_of_second(sequenced.key, event)
            self._held.append((sequenced, event))
            self._trim()

    def _is_of_second(self, key: SequenceKey, event: Event) -> bool:
        """Whether the first socket need not bring this series."""
        if not (self._mute or self._added):
            return False
        of = subject(event)
        return of in self._mute or (of in self._added and key not in self._marks)

    @property
    def unproven(self) -> bool:
        """Whether the second socket has a series that the first has not reached: is anything missing between them?"""
        self._compact()
        return not all(self._met.values())

    def hand_over(self) -> None:
        """The first socket has ended: deliver what only the second has brought."""
        self._compact()
        self._first_ended, self._to_check = True, set(self._met)
        held, self._held = self._held, deque()
        marked: dict[SequenceKey, int] = {}
        """They were decoded before the gaps that end here were known."""
        for sequenced, event in held:
            if self._is_copy(sequenced, event):
                self._copies[event.stream_type.value] += 1
            else:
                self._to_check.add(sequenced.key)
                event.last_gap_ns = max(event.last_gap_ns or 0, marked.get(sequenced.key, 0)) or None
                self._continue(sequenced, event)
                marked[sequenced.key] = event.last_gap_ns or 0

    def abandon(self) -> None:
        """The second socket goes; the first one brings what is held."""
        for _, event in self._held:
            self._copies[event.stream_type.value] += 1
        self._held.clear()

    def _is_copy(self, sequenced: Sequenced, event: Event) -> bool:
        is_begin = type(event) is Depth and event.update_type is UpdateType.SNAPSHOT and not self._first_ended
        # a book begins with a snapshot on each socket: the first one's has taken all that is in this one
        if is_begin and sequenced.number <= self._changes.get(event.symbol, 0):
            self._met[sequenced.key] = True
            return True
        if sequenced.identity is not None:
            if (sequenced.key, sequenced.identity) not in self._delivered:
                return False
        elif sequenced.number > self._marks.get(sequenced.key, 0):
            return False
        self._met[sequenced.key] = True
        return True

    def _continue(self, sequenced: Sequenced, event: Event) -> None:
        before = self._marks.get(sequenced.key)
        if sequenced.key in self._to_check:
            self._to_check.remove(sequenced.key)
            is_next = before is None or sequenced.previous in (None, before)
            hole = None if before is None or is_next else (before, self._at_ns[sequenced.key])
            if (gap := self._joined(event, hole)) is not None:
                event.last_gap_ns = gap.receive_time_ns
                self._publish(gap)
        if sequenced.identity is None:
            self._marks[sequenced.key] = sequenced.number
        else:
            self._know(sequenced)
        self._at_ns[sequenced.key] = event.receive_time_ns
        self._publish(event)

    def _know(self, sequenced: Sequenced) -> None:
        assert sequenced.identity is not None
        self._delivered[sequenced.key, sequenced.identity] = None
        if len(self._delivered) > most_kept(MOST_KNOWN):
            forget_oldest(self._delivered, MOST_KNOWN)

    def _publish(self, event: Event) -> None:
        if (handle := self._deliver.get(type(event))) is not None:
            handle(event)

    def _trim(self) -> None:
        """Let go of what the first socket has brought meanwhile."""
        while self._held and self._is_copy(*self._held[0]):
            self._copies[self._held.popleft()[1].stream_type.value] += 1
        most = MORE_HELD if self._added else MOST_HELD
        if len(self._held) > most and not self.overflowed:
            self._compact()
            self.overflowed = len(self._held) > most

    def _compact(self) -> None:
        kept: deque[tuple[Sequenced, Event]] = deque()
        for sequenced, event in self._held:
            if self._is_copy(sequenced, event):
                self._copies[event.stream_type.value] += 1
            else:
                kept.append((sequenced, event))
        self._held = kept
