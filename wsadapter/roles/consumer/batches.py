"""What a consumer knows of one topic partition: the batch being filled, the one being inserted, and how far it is.

Pure: no clock of its own, no Kafka, no ClickHouse. The rules of exactly once live here.

* A batch is a range of offsets, ``first`` to ``last``. It is cut once; the range goes into the metadata of an offset
  commit (the *intent*) before the insert. `TRANSITIONS` permits no other way from `BatchState.OPEN` to
  `BatchState.DONE`: none is inserted without an intent, handed over twice, or called done for another's insert.
* After a restart exactly the intended range is cut again, and as the same messages are dropped from it, its bytes and
  so its insert token are the same.
* A message that carries a ring identity (epoch, position) at or below the *watermark* of its epoch was here before at
  another offset: a serializer began again at its ring's head. It is dropped. Safe because each partition is written in
  ring order. Watermarks are committed with the offset that they belong to, never ahead of it.
* The metadata of an offset commit (`wsadapter.roles.consumer.commit_metadata`) holds watermarks and intent.
* A batch that is too large for the server is given up while nothing of it is in: its range is halved, always at the
  same row, and the first half is read again and intended as any other range is. So the intent says which parts there
  are, whatever the server takes at the next start.
* An offset is one of a topic, and a topic of the same name with another id is another one: its log is read from its
  beginning, without watermarks.
* A message that is not ours is kept as a letter for the dead-letter topic; it has an offset and nothing else.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from wsadapter.events.streams import StreamSpec
from wsadapter.kafka.framing import NO_STOP, frame
from wsadapter.kafka.messages import Identify, length_at, varint
from wsadapter.kafka.runs import Messages
from wsadapter.roles.consumer.commit_metadata import CommitMetadata, newest

QUIET_ROWS: Final = 100
"""A batch with fewer rows waits for more, up to QUIET_FACTOR times as long, and QUIET_SECONDS."""
QUIET_FACTOR: Final = 5
QUIET_SECONDS: Final = 20.0
OURS_SECONDS: Final = 5.0
"""What says that rows are there waits for them (`wsadapter.roles.consumer.insert_order`), and not for more of its own:
a connection whose coverage is old counts as one that is gone (`wsadapter.clickhouse.completeness.ALIVE_SECONDS`)."""
FIRST_SECONDS: Final = 0.1
"""The first batch after an assignment waits no longer, however few its rows are: what it has, nobody has seen yet."""


class BatchState(Enum):
    """Where a batch is on its way."""

    OPEN = "open"
    """Takes messages."""
    CUT = "cut"
    """Its range is final; the commit that carries it as an intent is not confirmed."""
    INTENDED = "intended"
    """It is confirmed: after a restart exactly this range is cut again."""
    INSERTING = "inserting"
    """With the insert pool, until each message is in ClickHouse or the dead-letter topic."""
    DONE = "done"
    """All below its end is."""
    GIVEN_UP = "given up"
    """Nothing of it is in, and its messages are read again: it was too large, or behind one that was."""


TRANSITIONS: Final = {
    BatchState.OPEN: (BatchState.CUT, BatchState.GIVEN_UP),
    BatchState.CUT: (BatchState.INTENDED,),
    BatchState.INTENDED: (BatchState.INSERTING,),
    BatchState.INSERTING: (BatchState.DONE, BatchState.GIVEN_UP),
    BatchState.DONE: (),
    BatchState.GIVEN_UP: (),
}
WITHOUT_ROWS: Final = TRANSITIONS | {BatchState.CUT: (BatchState.INSERTING, BatchState.DONE), BatchState.INTENDED: ()}
"""Of a batch that inserts nothing, so that nothing needs to be intended: only dead letters, or nothing at all."""


class Letter(Struct, frozen=True):
    """A message for the dead-letter topic."""

    offset: int
    value: bytes
    reason: str
    detail: str


class Batch:
    """A range of offsets and what of it is to be inserted: a statement and length-delimited messages, ready to send."""

    def __init__(self, first: int, head: bytes, now: float) -> None:
        self.first = first
        self.last = first - 1
        self.since = now
        self.is_first = False
        """Of its partition, since that was assigned."""
        self.is_ours = False
        """Its rows are no events of a venue."""
        self.head = len(head)
        self.body = bytearray(head)
        self.offsets = array("q")
        """Of each row."""
        self._ends: array[int] | None = None
        self.letters: list[Letter] = []
        self.letter_bytes = 0
        self.redelivered = 0
        self.state = BatchState.OPEN
        self.watermarks: dict[int, int] = {}
        """As of ``last``; set when the batch is cut."""
        self.at_ms = 0
        """Kafka's time of its last message, or of one a little before; set when the batch is cut."""
        self.first_ms = 0
        """Kafka's time of its first message; 0: not known."""
        self.may_be_in = False
        """An attempt to insert it had no answer, or may have been made by an earlier owner."""

    @property
    def rows(self) -> int:
        return len(self.offsets)

    @property
    def size(self) -> int:
        return len(self.body) - self.head + self.letter_bytes

    def advance(self, state: BatchState) -> None:
        """Raises `AssertionError` for a transition that is not permitted."""
        permitted = (TRANSITIONS if self.rows else WITHOUT_ROWS)[self.state]
        assert state in permitted, f"batch {self.first}-{self.last}: {self.state.value} -> {state.value}"
        self.state = state

    def old_at(self, seconds: float) -> float:
        """When it has waited long enough, if no more comes."""
        if self.is_first:
            return self.since + min(seconds, FIRST_SECONDS)
        if self.rows < QUIET_ROWS:
            seconds = max(seconds, min(seconds * QUIET_FACTOR, QUIET_SECONDS))
        return self.since + (min(seconds, OURS_SECONDS) if self.is_ours else seconds)

    def messages(self, rows: Sequence[int]) -> bytes:
        """These rows, length-delimited."""
        return b"".join(self._framed(row) for row in rows)

    def message(self, row: int) -> bytes:
        """One row without its length."""
        framed = self._framed(row)
        return framed[length_at(framed, 0)[1] :]

    def _framed(self, row: int) -> bytes:
        """Where rows end is looked up in the body, once it is cut: only a batch that was refused is taken apart."""
        if self._ends is None:
            self._ends = array("Q")
            at = self.head
            for _ in self.offsets:
                length, start = length_at(self.body, at)
                at = start + length
                self._ends.append(at)
        return bytes(self.body[self._ends[row - 1] if row else self.head : self._ends[row]])


class Partition:
    """One assigned topic partition. ``done``: all below it is finished. ``batches``: in order, at most one of them cut
    and one open."""

    def __init__(
        self,
        spec: StreamSpec,
        topic: str,
        number: int,
        start: int,
        progress: CommitMetadata,
        head: bytes,
        identify: Identify,
    ) -> None:
        self.spec = spec
        self.topic = topic
        self.number = number
        self.done = start
        self.next_offset = start
        self.progress = replace(progress, intent=None, untouched=False)
        """As of ``done``, without intent."""
        self.replay_to = progress.intent
        self._may_be_in = progress.intent is not None and not progress.untouched
        """What is replayed, an earlier owner may have inserted."""
        self.batches: deque[Batch] = deque()
        self._head = head
        self._identify = identify
        self._seen = dict(progress.watermarks)
        self._at_ms = progress.at_ms
        self._has_begun = False

    @property
    def key(self) -> tuple[str, int]:
        return self.topic, self.number

    @property
    def cut(self) -> Batch | None:
        """The batch that is cut and not done."""
        batches = self.batches
        return batches[0] if batches and batches[0].state is not BatchState.OPEN else None

    @property
    def open(self) -> Batch | None:
        """The batch that takes messages."""
        batches = self.batches
        return batches[-1] if batches and batches[-1].state is BatchState.OPEN else None

    @property
    def buffered(self) -> int:
        """Bytes held in memory."""
        return sum(batch.size for batch in self.batches)

    @property
    def idle(self) -> bool:
        return not self.batches

    def extend(self, messages: Messages, now: float, at_ms: int = 0, first_ms: int = 0) -> None:
        """Take the next messages; those that were taken already (a fetch repeated after a pause) are ignored.
        ``at_ms`` and ``first_ms``: Kafka's time of the last one and of the first one."""
        values, offsets, index = messages.values, messages.offsets, 0
        while (index := self._add_rows(values, offsets, index, now)) < len(messages):
            message = messages[index]
            index += self._add_other(message.offset(), message.value(), now)
        self._at_ms = at_ms or self._at_ms
        if (batch := self.open) is not None and not batch.first_ms:
            batch.first_ms = first_ms

    def add(self, offset: int, value: bytes | None, now: float) -> None:
        """The same for one message."""
        while not self._add_rows([value], [offset], 0, now) and not self._add_other(offset, value, now):
            pass

    def _add_rows(self, values: Any, offsets: Any, index: int, now: float) -> int:
        """Take what begins with its ring identity, from ``index`` on; where it stopped."""
        while True:
            batch = self.open or Batch(self.next_offset, self._head, now)
            stop = NO_STOP if self.replay_to is None else self.replay_to + 1
            index, after, redelivered, rows = frame(
                values, offsets, index, self.next_offset, stop, self._seen, batch.body
            )
            if after == self.next_offset:
                return index
            if batch is not self.open:
                self._begin(batch)
            batch.offsets.frombytes(rows)
            batch.redelivered += redelivered
            self.next_offset, batch.last = after, after - 1
            if self.replay_to is None or after <= self.replay_to:
                return index
            self._end_replay(now)

    def _add_other(self, offset: int, value: bytes | None, now: float) -> bool:
        """Take a message that does not begin with its ring identity. False: what was intended ends before it, which may
        be a row of the next batch."""
        if self.replay_to is not None and offset > self.replay_to:
            self._end_replay(now)  # the last message of the range is no longer in the log
            return False
        if offset >= self.next_offset:
            batch = self._open_batch(now)
            self.next_offset, batch.last = offset + 1, offset
            self._identified(batch, offset, value or b"")
            if offset == self.replay_to:
                self._end_replay(now)
        return True

    def _identified(self, batch: Batch, offset: int, value: bytes) -> None:
        try:
            identity = self._identify(value)
        except ValueError as error:
            batch.letters.append(Letter(offset, value, "foreign", str(error)))
            batch.letter_bytes += len(value)
            return
        if identity is not None:
            epoch, position = identity
            if position <= self._seen.get(epoch, -1):
                batch.redelivered += 1
                return
            self._seen[epoch] = position
        batch.body += varint(len(value)) + value
        batch.offsets.append(offset)

    def _open_batch(self, now: float, first: int | None = None) -> Batch:
        return self.open or self._begin(Batch(self.next_offset if first is None else first, self._head, now))

    def _begin(self, batch: Batch) -> Batch:
        batch.is_first, self._has_begun = not self._has_begun, True
        batch.is_ours = self.spec.ours
        self.batches.append(batch)
        return batch

    def _end_replay(self, now: float) -> None:
        assert self.replay_to is not None
        last, self.replay_to = self.replay_to, None
        self.next_offset = max(self.next_offset, last + 1)
        self._open_batch(now, self.done)
        self.cut_open(last).may_be_in = self._may_be_in
        self._may_be_in = False

    def abandon_replay(self) -> None:
        """The intended range goes beyond the log's end: its offsets were given away anew. Go on with what is there."""
        self.replay_to, self._may_be_in = None, False

    def seek(self, offset: int, topic_id: str = "") -> None:
        """Go on at ``offset``: what lies before is not in the log, or was read. Unless ``topic_id`` says that the log
        is the same one the watermarks are forgotten: at worst rows come twice, which FINAL hides."""
        assert self.idle
        is_same = bool(topic_id) and topic_id == self.progress.topic_id
        self.done = self.next_offset = offset
        self.replay_to, self._may_be_in = None, False
        watermarks = self.progress.watermarks if is_same else {}
        self.progress = replace(self.progress, watermarks=watermarks, topic_id=topic_id)
        self._seen = dict(self.progress.watermarks)

    def due(self, now: float, rows: int, size: int, seconds: float) -> bool:
        """Whether the open batch should be cut now; never in the middle of an intended range."""
        batch = self.open
        if batch is None or self.cut is not None or self.replay_to is not None:
            return False
        return batch.rows >= rows or batch.size >= size or now >= batch.old_at(seconds)

    def cut_open(self, last: int | None = None) -> Batch:
        """Freeze the open batch; its range is final from now on."""
        batch = self.open
        assert self.cut is None
        assert batch is not None
        batch.advance(BatchState.CUT)
        batch.last = batch.last if last is None else last
        batch.watermarks = newest(self.progress.watermarks, self._seen)
        batch.at_ms = self._at_ms
        self._seen = dict(batch.watermarks)
        return batch

    def halve(self) -> int:
        """The server takes nothing as large as the cut batch, and nothing of it is in: its first half is the batch now,
        to be read again from ``done`` on. Returns the rows of the half."""
        batch = self.cut
        assert batch is not None
        assert batch.rows > 1
        middle = batch.rows // 2
        while self.batches:
            self.batches.popleft().advance(BatchState.GIVEN_UP)
        self.next_offset, self.replay_to = self.done, batch.offsets[middle - 1]
        self._seen, self._at_ms = dict(self.progress.watermarks), self.progress.at_ms
        return middle

    def finish(self) -> Batch:
        """The cut batch is in ClickHouse (or had nothing for it): what comes next can be committed."""
        batch = self.batches.popleft()
        batch.advance(BatchState.DONE)
        self.done = batch.last + 1
        self.progress = replace(self.progress, watermarks=batch.watermarks, at_ms=batch.at_ms)
        return batch

    def allow(self, rows: int) -> None:
        """So many the server takes at once (0: any number), also of who reads on after us."""
        self.progress = replace(self.progress, most_rows=rows)

    @property
    def untouched(self) -> bool:
        """Nothing of the range that is next is in, as long as nobody tries again."""
        batch = self.cut
        if batch is not None:
            return batch.rows > 0 and not batch.may_be_in
        return self.replay_to is not None and not self._may_be_in

    def commit(self, leaving: bool = False) -> tuple[int, str]:
        """(offset, metadata) that is true now: all below is done, and this range is next. A replayed range still is:
        without it another crash would cut other batches, under other tokens, of what may be in the table.
        ``leaving``: nothing more is inserted."""
        batch = self.cut
        intent = batch.last if batch is not None else self.replay_to
        untouched = leaving and self.untouched
        return self.done, replace(self.progress, intent=intent, untouched=untouched).encode()
