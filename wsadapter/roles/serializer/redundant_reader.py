"""Rings of redundant connections, read as one: each `RedundantReader` gives only what is to be published of its ring.

It stands where a `RingReader` stands, in a serializer and its spool, and keeps their promise: nothing is lost, and
what comes twice after a kill has the same epoch and position. Verdicts are those of
`wsadapter.roles.serializer.arbitration`.

* **Verdicts stand.** A record that is polled again (a rewind, a spool that was full) gets the verdict that it had; new
  ones are judged when all that were judged before are committed, ring by ring in one order (a round).
* **Watermarks move after the acknowledgement and before head.** `commit` stores the states that the committed records
  have led to, then moves the ring's head. Killed in between, the records are read again and are copies: they are
  dropped, and that is right, for they were acknowledged.
* **A restart judges alike.** Before a record leaves `poll` the page says up to where its ring has been judged. The next
  process begins with the states of the last commit and reads each ring up to there first, in the same order: it comes
  to the same verdicts (what was held then waits no more), so what was produced and not committed is produced again
  under the same identity, never another ring's copy in its place.

A gap of one connection is published with its state: ``repaired`` when another ring covered it, so that nothing is
missing; its first record, while it lasts, is published as it is. Where no ring has what a numbered line misses and the
ring that goes on has published no gap of it, one is put before the event, with the event's position; none where a
reload had taken the line from all rings, whose gaps say so. These are known to the process that has read them: one that
begins behind them, or has not read the last one yet, puts one too many.

Owns the page of watermarks and the rings' heads. One process, one thread.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from wsadapter.errors import SegmentError
from wsadapter.events import Gap, StreamType
from wsadapter.events.gaps import GapCause, RepairState, begin
from wsadapter.events.records import Record, encode, key_of, message_of
from wsadapter.events.sequence import NUMBERINGS, PLACES_BY_KIND, Missing, Sequenced, SequenceKey, filler_place
from wsadapter.events.streams import BY_KIND, BY_STREAM
from wsadapter.log import get_logger
from wsadapter.metrics import STREAM_WORDS
from wsadapter.pb import market_pb2
from wsadapter.roles.serializer.arbitration import Arbitration, Jump, Precedence, State
from wsadapter.roles.serializer.quiet_lines import JUDGED, QuietLines
from wsadapter.roles.serializer.ring_history import PATIENCE_NS, MissedSpan, RingHistory, covered
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.shm.watermarks import Watermarks
from wsadapter.supervision.child import RingRef

log = get_logger()

GAP: Final = BY_STREAM["gap"].kind
CHUNK: Final = 4096


class RedundantReader:
    """A ring of a group. ``number``: which one, the same in every life."""

    def __init__(self, group: "RedundantGroup", number: int, reader: RingReader) -> None:
        self._group, self.number, self._reader = group, number, reader
        self.epoch, self.capacity = reader.epoch, reader.capacity
        self._order = len(group.readers)
        self.history = RingHistory(self._order, lambda: reader.tail == reader.position)
        self.judged = reader.head
        """Records below this position have their verdict."""
        self.resume = group.page.kept.get((JUDGED, self.epoch), State())[-1]
        """An earlier life has judged up to here."""
        self._copies: dict[int, tuple[int, ...]] = {}
        """Position -> cells that count it."""
        self._instead: dict[int, list[Record]] = {}
        self._log: list[tuple[int, SequenceKey, State]] = []
        """(position, line, its state from there on), not stored yet."""
        self._own_missing: dict[tuple[str, str], tuple[int, int]] = {}
        """Stream and symbol -> first and last number of the ring's own last gap."""
        self._held: tuple[int, int] | None = None
        """Position of the record that waits, and since when (monotonic)."""
        group.readers.append(self)

    @property
    def position(self) -> int:
        return self._reader.position

    @property
    def head(self) -> int:
        return self._reader.head

    @property
    def tail(self) -> int:
        return self._reader.tail

    @property
    def pending(self) -> bool:
        """Judged and not committed."""
        return self.judged > self._reader.head

    @property
    def holding(self) -> bool:
        return self._held is not None

    def used(self) -> int:
        return self._reader.used()

    def unread(self) -> int:
        return self._reader.unread()

    def rewind(self) -> None:
        self._reader.rewind()

    def release(self) -> None:
        self._reader.release()

    def store_watermarks(self) -> None:
        """All that was polled is acknowledged, of the other rings too: from here on it is published, whether or not
        head is moved over it in this life."""
        self._store(self._reader.position)

    def resume_at(self, position: int) -> None:
        self._reader.resume_at(position)
        self.judged = max(self.judged, self._reader.head)

    def count_copies(self) -> Counter[int]:
        """Cell -> copies up to the cursor: whoever asks counts them."""
        if self._must_wait():
            self._reader.rewind()
        counted: Counter[int] = Counter()
        for at, cells in self._copies.items():
            if at < self._reader.position:
                counted.update(cells)
                self._copies[at] = ()
        return counted

    def poll(self, limit: int) -> list[Record]:
        """Up to about ``limit`` records to be published; the cursor moves over the others too. Fewer means that there
        are no more now: the ring is empty behind them, or waits for another."""
        found: list[Record] = []
        if self._must_wait():
            return found
        reader, judging, fresh = self._reader, self._group.may_judge(self._order), False
        while len(found) < limit and (records := self._poll_ring(min(CHUNK, limit - len(found)), found)):
            for record in records:
                position = record[0]
                if position >= self.judged:
                    if not judging or self._waits_for_others(position) or not self._judge(record):
                        reader.position = position
                        break
                    self.judged, fresh = position + 8, True
                if position in self._instead:
                    found += self._instead[position]
                elif position not in self._copies:
                    found.append(record)
            else:
                continue
            break
        if fresh and self.judged > self.resume:
            self._group.store((JUDGED, self.epoch), State(high=self.judged))
        return found

    def _poll_ring(self, limit: int, found: list[Record]) -> list[Record]:
        """Damage is raised once the good records before it have been returned."""
        try:
            return self._reader.poll(limit)
        except SegmentError:
            if found:
                return []
            raise

    def skip_damage(self) -> int:
        """Past what is no record and all behind it; there is nothing to be judged."""
        skipped = self._reader.skip_damage()
        self.judged = self._reader.position
        self._held = self.history.held_ns = None
        return skipped

    def commit(self, position: int) -> None:
        """Everything below is acknowledged, or durable on the spool. While a ring that was judged before this one still
        has records that are not, nothing is stored: what was made of these may rest on those."""
        if any(reader.pending for reader in self._group.readers[: self._order]):
            return
        self._store(position)
        self._reader.commit(position)
        for cells in self._forget(self._copies, position):
            for cell in cells:
                self._group.cells[cell] += 1
        self._forget(self._instead, position)

    def _store(self, position: int) -> None:
        """Watermarks of what lies below."""
        final: dict[SequenceKey, State] = {}
        done = 0
        for at, key, state in self._log:
            if at >= position:
                break
            final[key] = state
            done += 1
        del self._log[:done]
        for key, state in final.items():
            self._group.store(key, state)

    def _forget(self, verdicts: dict[int, Any], position: int) -> list[Any]:
        """Verdicts are in the order of their records."""
        done = []
        for at in verdicts:
            if at >= position:
                break
            done.append(at)
        return [verdicts.pop(at) for at in done]

    def _must_wait(self) -> bool:
        """A ring before this one has verdicts that were not polled yet; those of this one may rest on them."""
        return any(reader.judged > reader.position for reader in self._group.readers[: self._order])

    # -- verdicts

    def _waits_for_others(self, position: int) -> bool:
        """First all rings come to where they were, one after the other."""
        return self._group.replaying(self._order if position < self.resume else len(self._group.readers))

    def _judge(self, record: Record) -> bool:
        """Find the verdict; False: the record waits."""
        position, kind, _ = record
        read = PLACES_BY_KIND.get(kind)
        if kind != GAP and read is None:
            return True
        try:
            message = message_of(record, self.epoch)
        except (DecodeError, ValueError):
            return True  # the serializer knows what to do with it
        if kind == GAP and message.cause == GapCause.FILLER:
            judged = self._judge_event(record, message, filler_place(message))
        elif kind == GAP:
            judged = self._judge_gap(record, message)
        else:
            place = read(message) if read is not None else None
            judged = place is None or self._judge_event(record, message, place)
        if judged:
            self.history.saw(message.receive_time_ns)
            self._held = self.history.held_ns = None
        elif self._held is None or self._held[0] != position:
            self._held, self.history.held_ns = (position, self._group.monotonic_ns()), message.receive_time_ns
        return judged

    def _judge_event(self, record: Record, message: Any, place: Sequenced) -> bool:
        lines, position, received_ns = self._group.lines, record[0], message.receive_time_ns
        before = lines.states.get(place.key)
        happened_ns = 0 if record[1] == GAP else message.transaction_time_ns or message.event_time_ns
        verdict, jump = lines.judge(self.number, place, received_ns, False, happened_ns)
        if verdict is Precedence.HOLD:
            if not self._over(position, received_ns):
                return False
            verdict, jump = lines.judge(self.number, place, received_ns, True, happened_ns)
        after = lines.states.get(place.key)
        if after is not None and after is not before:
            self._log.append((position, place.key, after))
        while lines.begun_anew:
            key = lines.begun_anew.pop()
            self._log.append((position, key, lines.states[key]))
        if verdict is Precedence.COPY:
            word = BY_KIND[record[1]].name
            is_open = word == StreamType.KLINE and not message.closed
            self._copies[position] = self._group.counting(word, is_open)
        elif jump is not None:
            gap = _skipped(message, place, jump)
            first, last = self._own_missing.get((place.key[0], place.key[1]), (0, 0))
            is_own = gap.first_missing and gap.last_missing and first <= gap.first_missing <= gap.last_missing <= last
            if not (is_own or self._group.was_away(gap.stream, gap.symbol, jump.since_ns)):
                # of two gaps with one position the consumer would take one: that before a filler names it, too
                rest = [] if record[1] == GAP else [record]
                self._instead[position] = [(position, GAP, encode(gap)), *rest]
        return True

    def _judge_gap(self, record: Record, gap: Any) -> bool:
        position, group = record[0], self._group
        if gap.version == 1:
            for key in group.lines.unlink(self.number, gap.stream, gap.symbol):
                self._log.append((position, key, group.lines.states[key]))
        ended_ns = gap.ended_ns if gap.HasField("ended_ns") else None
        hole = MissedSpan(gap)
        hole.ended_ns = ended_ns
        if ended_ns is not None:
            if self._covers(gap, hole):
                gap.repair_state = RepairState.REPAIRED.value
                self._instead[position] = [_rewritten(record, gap)]
            elif self._may_be_covered(gap, hole) and not self._over(position, gap.receive_time_ns):
                return False
            elif gap.HasField("first_missing") and gap.HasField("last_missing"):
                self._own_missing[gap.stream, gap.symbol] = gap.first_missing, gap.last_missing
            if gap.cause == GapCause.RELOAD:
                away = group.away.setdefault((gap.stream, gap.symbol), {})
                away[self.number] = gap.started_ns, ended_ns
        self.history.note(gap, ended_ns)
        return True

    def _covers(self, gap: Any, hole: MissedSpan) -> bool:
        numbering = NUMBERINGS.get(gap.stream)
        keys = () if numbering is None else numbering.chained_keys(gap.symbol)
        if keys and gap.HasField("first_missing") and gap.HasField("last_missing"):
            return any(self._group.lines.covered(key, gap.first_missing, gap.last_missing) for key in keys)
        return covered(hole, self._others())

    def _may_be_covered(self, gap: Any, hole: MissedSpan) -> bool:
        return gap.HasField("last_missing") or not all(other.misses(hole) for other in self._others())

    def _over(self, position: int, received_ns: int) -> bool:
        """Whether the record has nothing more to wait for."""
        if position < self.resume:
            return True
        patient, held = self._group.now_ns() - received_ns >= PATIENCE_NS, self._held
        if held is not None and held[0] == position:
            patient = patient or self._group.monotonic_ns() - held[1] >= PATIENCE_NS
        return all(other.is_past(received_ns, self._order, patient) for other in self._others())

    def _others(self) -> Sequence[RingHistory]:
        return [reader.history for reader in self._group.readers if reader is not self]


def _rewritten(record: Record, message: Any) -> Record:
    """The record of a message that was changed; its identity is the ring's to know."""
    position, kind, payload = record
    message.ClearField("epoch")
    message.ClearField("position")
    key = key_of(payload)
    return position, kind, b"%c%b%b" % (len(key), key, message.SerializeToString())


def _skipped(message: Any, place: Sequenced, jump: Jump) -> Gap:
    """The gap before an event that no ring filled; before numbers without an event it names them along."""
    stream = str(place.key[0])
    if isinstance(message, market_pb2.Gap):
        missing: Missing = (jump.before + 1, message.last_missing, message.first_missing - 1 - jump.before)
    else:
        missing = NUMBERINGS[stream].missing(message, jump.before)
    return begin(
        GapCause.SEQUENCE,
        jump.since_ns,
        message.receive_time_ns,
        exchange=message.exchange,
        connection=message.connection,
        stream=stream,
        symbol=message.symbol,
        ended_ns=message.receive_time_ns,
        missing=missing,
    )


class RedundantGroup:
    """One group of rings and their page."""

    def __init__(
        self, page: Watermarks, counts: StatsPage, now_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self.page, self.cells = page, counts.cells
        self.now_ns, self.monotonic_ns = now_ns, monotonic_ns
        self._open_candles = counts.index("open_candle_copies_total")
        self._copies = {word: counts.index(f'copies_total{{stream="{word}"}}') for word in STREAM_WORDS}
        self.lines = Arbitration({key: State(*state) for key, state in page.kept.items() if key[0] != JUDGED})
        self.readers: list[RedundantReader] = []
        self.away: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        """Stream and symbol -> ring -> from when to when a reload had last taken them from it. Of this life: a gap by
        numbers too many is better than one too few."""
        self._last = -1
        """The ring that was judged last in this round."""
        self._quiet_lines = QuietLines(page)
        self._is_logged = False

    def may_judge(self, number: int) -> bool:
        if not any(reader.pending for reader in self.readers):
            self._last = -1
        if number <= self._last:
            return False
        self._last = number
        return True

    def replaying(self, before: int) -> bool:
        """Whether a ring of those before this one has not come to where an earlier life judged it."""
        return any(reader.judged < reader.resume for reader in self.readers[:before])

    def was_away(self, stream: str, symbol: str, moved_ns: int) -> bool:
        """Whether all rings were without it at one time, and nothing of it came behind that: it last moved then."""
        away = self.away.get((stream, symbol), {})
        if not away.keys() >= {reader.number for reader in self.readers}:
            return False
        back_ns = min(ended_ns for _, ended_ns in away.values())
        return moved_ns <= back_ns and all(started_ns < back_ns for started_ns, _ in away.values())

    def counting(self, word: str, is_open_candle: bool = False) -> tuple[int, ...]:
        """Cells for a copy; of open candles also one of their own, for the tables do not have them."""
        return (self._copies[word], self._open_candles) if is_open_candle else (self._copies[word],)

    def store(self, key: SequenceKey, state: State) -> None:
        is_stored = self.page.store(key, state)
        if not is_stored and self._quiet_lines.forget_one(
            self.lines.states, {reader.epoch for reader in self.readers}, self.now_ns()
        ):
            is_stored = self.page.store(key, state)
        if not is_stored and not self._is_logged:
            self._is_logged = True
            log.error("the page of watermarks is full: after a kill some lines may come twice", line=str(key))


def attach(rings: Iterable[RingRef], counts: StatsPage) -> list[RingReader | RedundantReader]:
    """The readers of a serializer's rings, those of redundant connections together; one that is there and is no ring is
    left out, so that the others are read. ``counts``: its stats page."""
    groups: dict[str, RedundantGroup] = {}
    readers: list[RingReader | RedundantReader] = []
    for ref in rings:
        try:
            reader = RingReader.attach(ref.name)
        except SegmentError as error:
            if not Segment.exists(ref.name):
                raise
            log.error("ring cannot be read, the others are", connection=ref.connection, reason=str(error))
            continue
        with contextlib.suppress(SegmentError):  # damage, which is passed when it is polled
            if unread := reader.unread():
                log.info("ring has unread records", connection=ref.connection, records=unread)
        if not ref.marks:
            readers.append(reader)
            continue
        group = groups.get(ref.marks)
        if group is None:
            group = groups[ref.marks] = RedundantGroup(Watermarks(ref.marks), counts)
        readers.append(RedundantReader(group, ref.member, reader))
    return readers
