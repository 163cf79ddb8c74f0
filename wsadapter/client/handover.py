"""Two sockets with the same streams, and one sequence of events out of both: the order of a hand-over.

The first socket is delivered as it comes. Of the second one copies are dropped, and what the first has not brought yet
is held; when the first has ended, what is still held is delivered, then the second as it comes, less the copies of what
the first had brought. So every event is delivered once, in the order of its series, and no series has a hole where the
two overlap. Where a numbered series does not continue, or a silence ends, a `Gap` is published in its place. A gap that
the second socket found itself stands before the event that showed it and shares its fate: it is published with it, and
is none where the first socket has brought what the second one missed. What is delivered names published gaps only. A
second socket that lags when it is to be the first of another hand-over goes on so: what this one knows, the other one
knows.

Pure: told events, it delivers them. Bounded: more than `MOST_HELD` events held (`MORE_HELD`) means that the first
socket lags too far behind, or that many series are mute on it: then `overflowed`, and the first socket must end, or the
second. Of events without a number the last `MOST_KNOWN` are known.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from wsadapter.events import Depth, Event, Gap, StreamType, UpdateType
from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.events.sequence import NUMBERINGS, Sequenced, SequenceKey, filler_place
from wsadapter.events.sequence import place as place_of
from wsadapter.events.streams import Contiguous
from wsadapter.exchanges.venue import Exchange
from wsadapter.oldest import forget_oldest, most_kept

MOST_HELD: Final = 20_000
MORE_HELD: Final = 100_000
"""Where the second socket has streams that the first has not: all of theirs is held."""
MOST_KNOWN: Final = 200_000

Deliver = Mapping[type[Event], Callable[[Event], object]]
Subject = tuple[StreamType, str, str]
"""Stream type, symbol and interval: what an event is of."""
Reached = Callable[[Any], tuple[int, int] | None]
"""event -> number and receive time of the last one of its series that the first socket brought before."""


def place(event: Event) -> Sequenced | None:
    """Where it stands; a number that the venue gave to no event stands among those of events."""
    return filler_place(event) if type(event) is Gap and event.cause == GapCause.FILLER else place_of(event)


class _Held(NamedTuple):
    """``found``: the gaps that its socket found before it."""

    sequenced: Sequenced
    event: Event
    found: Sequence[Gap]


def _subject_of(key: SequenceKey) -> Subject:
    return key[0], key[1], key[2] if key[0] is StreamType.KLINE else ""


class Handover:
    """``deliver``: event type -> who handles it. ``successor``: the second socket's; it makes the gap before the first
    event behind the hand-over, and knows what events name. ``copies``: stream word -> events that came twice; only
    grows. ``mute``: the first socket is not expected to bring any of these. ``added``: nor of these any of a series
    that it has never brought. ``before``: the hand-over by which the first socket came, while that may lag behind the
    one before it; its `second` goes on to take what comes."""

    def __init__(
        self,
        deliver: Deliver,
        reached: Reached,
        successor: Exchange,
        copies: Counter[str],
        mute: Collection[Subject] = (),
        added: Collection[Subject] = (),
        before: "Handover | None" = None,
    ) -> None:
        self._deliver, self._reached, self._successor, self._copies = deliver, reached, successor, copies
        self._mute, self._added = mute, added
        self._marks: dict[SequenceKey, int] = {}
        """Series -> number of the last event delivered."""
        self._at_ns: dict[SequenceKey, int] = {}
        """When that was received."""
        self._delivered: dict[tuple[SequenceKey, tuple[Any, ...]], None] = {}
        """Series and identity of the events without a number, oldest first."""
        self._held: deque[_Held] = deque()
        self._found: list[Gap] = []
        """By the second socket, which has not brought the event behind them yet."""
        self._of_numbers: Gap | None = None
        """By it, when the first one has ended: the next event is the one behind it."""
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
        if sequenced is not None and type(event) is Gap:
            if self._marks.get(sequenced.key) == sequenced.previous:
                self._marks[sequenced.key] = sequenced.number
        elif sequenced is not None:
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
        if (gap := self._of_numbers) is not None:
            self._of_numbers = None
            self._publish(self._less_what_the_first_brought(gap, sequenced))
        if sequenced is None and self._first_ended:
            if type(event) is Gap and _is_of_numbers(event):
                self._of_numbers = event
            else:
                self._publish(event)
            return
        if type(event) is Gap and sequenced is None:
            self._found.append(event)
            self._trim()
            return
        found = self._found_before(event) if self._found else ()
        if sequenced is None:
            return
        if sequenced.key not in self._marks and (reached := self._reached(event)) is not None:
            self._marks[sequenced.key], self._at_ns[sequenced.key] = reached
        if self._is_copy(sequenced, event):
            self._count_copy(event)
        elif self._first_ended:
            self._continue(sequenced, event)
        else:
            if sequenced.key not in self._met:
                self._met[sequenced.key] = self._is_of_second(sequenced.key)
            self._held.append(_Held(sequenced, event, found))
            self._trim()

    def _less_what_the_first_brought(self, gap: Gap, following: Sequenced | None) -> Gap:
        """While the second socket lags, it may miss what the first one has brought: the numbers tell, and which series
        these are tells the event that showed it. What comes next names the gap; so where nothing of it is missing it is
        published all the same, and repaired."""
        assert gap.first_missing is not None
        assert gap.last_missing is not None
        if following is None or (following.key[0].value, following.key[1]) != (gap.stream, gap.symbol):
            return gap
        mark = self._marks.get(following.key, 0)
        if mark >= gap.last_missing:
            return replace(
                gap, first_missing=None, last_missing=None, missing_count=0, repair_state=RepairState.REPAIRED.value
            )
        self._to_check.discard(following.key)  # the gap says it
        if mark < gap.first_missing:
            return gap
        return replace(
            gap, first_missing=mark + 1, missing_count=gap.last_missing - mark,
            started_ns=min(self._at_ns.get(following.key, gap.started_ns), gap.receive_time_ns),
        )  # fmt: skip

    def _found_before(self, event: Event) -> Sequence[Gap]:
        """What the second socket found missing before this one."""
        stream, symbol = event.stream_type.value, event.symbol
        found = [gap for gap in self._found if gap.stream == stream and gap.symbol == symbol]
        if found:
            self._found = [gap for gap in self._found if gap not in found]
        return found

    def _count_copy(self, event: Event) -> None:
        if type(event) is not Gap:
            self._copies[event.stream_type.value] += 1

    def _is_of_second(self, key: SequenceKey) -> bool:
        """Whether the first socket need not bring this series."""
        if not (self._mute or self._added):
            return False
        of = _subject_of(key)
        return of in self._mute or (of in self._added and key not in self._marks)

    @property
    def unproven(self) -> bool:
        """Whether the second socket has a series that the first has not reached: is anything missing between them?"""
        self._compact()
        return not all(self._met.values())

    def hand_over(self) -> None:
        """The first socket has ended, the second one's session has succeeded its own: deliver what only the second has
        brought."""
        self._compact()
        self._first_ended, self._to_check = True, set(self._met)
        held, self._held = self._held, deque()
        found, self._found = self._found, []
        for gap in found:  # of no symbol, or before an event that has yet to come
            self._publish_gap(gap)
        for sequenced, event, before in held:
            if self._is_copy(sequenced, event):
                self._count_copy(event)
            else:
                self._to_check.add(sequenced.key)
                if type(event) is not Gap:  # it was decoded before what it is to name was known
                    event.last_gap_ns = self._successor.marked(event.stream_type.value, event.symbol)
                self._continue(sequenced, event, before)

    def abandon(self) -> None:
        """The second socket goes; the first one brings what is held."""
        for held in self._held:
            self._count_copy(held.event)
        self._held.clear()
        self._found.clear()

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

    def _continue(self, sequenced: Sequenced, event: Any, found: Sequence[Gap] = ()) -> None:
        before = self._marks.get(sequenced.key)
        is_next = before is None or sequenced.previous in (None, before)
        if type(event) is Gap:
            if is_next:
                self._marks[sequenced.key], self._at_ns[sequenced.key] = sequenced.number, event.receive_time_ns
            self._publish(event)  # else the next event shows what is missing before it
            return
        if sequenced.key in self._to_check:
            self._to_check.remove(sequenced.key)
            if before is not None:
                found = [gap for gap in found if not _is_disproved(gap, sequenced, before)]
            hole = None if before is None or is_next else (before, self._at_ns[sequenced.key])
            if (gap := self._successor.joined(event, hole)) is not None:
                found = (*_without_its_own(found, gap), gap)
        for gap in found:
            self._publish_gap(gap)
            event.last_gap_ns = gap.receive_time_ns
        if sequenced.identity is None:
            self._marks[sequenced.key] = sequenced.number
        else:
            self._know(sequenced)
        self._at_ns[sequenced.key] = event.receive_time_ns
        self._publish(event)

    def _publish_gap(self, gap: Gap) -> None:
        """And what follows it names it."""
        self._successor.mark(gap.stream, gap.symbol, gap.receive_time_ns)
        self._publish(gap)

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
        while self._held and self._is_copy(self._held[0].sequenced, self._held[0].event):
            self._count_copy(self._held.popleft().event)
        most = MORE_HELD if self._added else MOST_HELD
        if len(self._held) + len(self._found) > most and not self.overflowed:
            self._compact()
            self.overflowed = len(self._held) + len(self._found) > most

    def _compact(self) -> None:
        kept: deque[_Held] = deque()
        for held in self._held:
            if self._is_copy(held.sequenced, held.event):
                self._count_copy(held.event)
            else:
                kept.append(held)
        self._held = kept


def _is_of_numbers(gap: Gap) -> bool:
    """Whether it names each missing number: then it stands directly before the event that showed it."""
    is_found = gap.cause in (GapCause.SEQUENCE, GapCause.DECODE) and None not in (gap.first_missing, gap.last_missing)
    return is_found and isinstance(NUMBERINGS[gap.stream].checked, Contiguous)


def _is_disproved(gap: Gap, following: Sequenced, before: int) -> bool:
    """Whether it is none in a series of which the first socket has brought all up to ``before``, though the second one
    missed a part."""
    if gap.cause != GapCause.SEQUENCE:
        return False
    return following.previous is not None or (gap.last_missing is not None and gap.last_missing <= before)


def _without_its_own(found: Sequence[Gap], by_ids: Gap) -> Sequence[Gap]:
    """Frames of the second socket that gave no event are in the hole that ids show: one hole, one gap. It is of their
    cause where it is no larger than they are."""
    own = [gap for gap in found if gap.cause == GapCause.DECODE and gap.first_missing is None]
    if by_ids.cause != GapCause.SEQUENCE or not own:
        return found
    count = sum(gap.missing_count or 0 for gap in own)
    if (by_ids.missing_count or count) <= count:
        by_ids.cause = GapCause.DECODE.value
    return [gap for gap in found if gap not in own]
