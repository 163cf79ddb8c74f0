"""Cut batches on their way into ClickHouse: threads, repeats, bisecting, pauses.

Guarantees: a batch is finished only when each of its messages is in ClickHouse, or it and its gap are delivered to
their topics. A failed insert is repeated with the same bytes under the same token until then; the parts of a bisected
batch have tokens of their own, and a part that is in is not sent again. A batch that is too large for the server is
given back to be halved (`InsertPool.oversized`). One insert per table at a time, tables beside each other: a table that
must wait holds up nobody else.

After a repeat it is looked whether the rows are there: a server that was killed may know a token and not have its rows.
What lacks twice, a while apart, is inserted under a token of its own, which is made of the bytes and counts up, so that
it is the same one after a restart of ours.

A message is only called unreadable when its table is as it must be: a damaged table would refuse them all. The threads
touch a task from `InsertPool.start` until its future is done; then the caller reads what it counted.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import Future
from enum import Enum
from functools import partial
from typing import Final, TypeVar

from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.backoff import Backoff
from wsadapter.clickhouse import endpoints
from wsadapter.clickhouse.client import REQUEST_ERRORS
from wsadapter.clickhouse.errors import ErrorClass, classify, error_code
from wsadapter.clickhouse.inserts import Inserter, token
from wsadapter.clickhouse.lost_inserts import AGAIN, LACKING_SECONDS, token_again
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events.streams import StreamSpec
from wsadapter.executor import DaemonExecutor
from wsadapter.log import get_logger
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer.batches import Batch, BatchState, Partition
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer
from wsadapter.text import first_line

log = get_logger()
T = TypeVar("T")
THREADS: Final = 4
RETRY: Final = Backoff(0.2, 10.0)
PAUSE_SECONDS: Final = 10.0
"""A table that needs the operator is tried again this often."""
MEMORY_ATTEMPTS: Final = 3
"""Refusals for want of memory until the batch is called too large: the server may be short of it for a moment."""
PATIENT_ATTEMPTS: Final = 60
"""The same where an attempt before had no answer: it may be in, then the server had the memory for it, and only a
repeat under its own token adds no row. Some ten minutes."""
LOOK_ROWS: Final = 5_000
"""Rows that are looked for at once: they are decoded, on this side."""


class RowsLack(Exception):
    """An insert was called done, and rows of it are nowhere."""


FAILURES: Final = (*REQUEST_ERRORS, ServiceUnavailable, SchemaMismatch, RowsLack)
"""What an attempt can end with; anything else is a defect of ours and ends the process."""

Verify = Callable[[StreamSpec], None]
"""Raises `SchemaMismatch` when the stream's table is not as it must be."""
Look = Callable[[StreamSpec, Iterable[bytes]], Sequence[int]]
"""Which of these messages are in no table."""


class InsertFailure(Enum):
    """Why a batch waits."""

    UNREACHABLE = "unreachable"
    """ClickHouse, or Kafka for a dead letter, did not answer."""
    REFUSED = "refused"
    """ClickHouse answers and cannot take it now."""
    ALARM = "alarm"
    """Needs the operator."""


class Done(Struct, frozen=True):
    """An insert that was answered."""

    token: str
    written_rows: int
    elapsed_ns: int


class InsertTask:
    """One batch on its way. ``pending``: rows that are still to be inserted, one insert each, the next one last."""

    def __init__(self, partition: Partition, batch: Batch) -> None:
        self.partition = partition
        self.batch = batch
        self.pending: list[Sequence[int]] = [range(batch.rows)] if batch.rows else []
        self.decoded = False
        """What is no protobuf has been taken out."""
        self.letters = [(letter.offset, letter.value, letter.reason, letter.detail) for letter in batch.letters]
        self.taken: set[bytes] = set()
        """What Kafka has of letters and their gaps."""
        self.future: Future[None] | None = None
        self.attempts = 0
        self.logged = 0
        """Attempts that the role has logged."""
        self.retry_at = 0.0
        self.failure: InsertFailure | None = None
        self.is_too_large = False
        self.is_unanswered = batch.may_be_in
        """An attempt had no answer, or may have been made by an earlier owner: what it sent may be in."""
        self.is_repeat = batch.may_be_in
        """What it sends next may have been sent before."""
        self.done: Done | None = None
        """The next insert was answered, and it is not sure that its rows are there."""
        self.lacking: Sequence[int] = ()
        """Rows of the next insert that were not there when it was looked last."""
        self.again = 0
        """How often such rows were inserted under a token of their own."""
        self.reason = ""
        self.code: int | None = None
        # counted for the caller
        self.tokens: list[str] = []
        self.sent_rows = 0
        self.written_rows = 0
        self.elapsed_ns: list[int] = []
        self.dead: list[str] = []
        """Reason of each letter, once they are in their topic."""
        self.gaps = 0
        """That were published of them."""


class InsertPool:
    def __init__(
        self, inserter: Inserter, dead_letters: DeadLetterProducer, heads: dict[str, bytes], verify: Verify, look: Look
    ) -> None:
        self._inserter = inserter
        self._look = look
        self._dead_letters = dead_letters
        self._heads = heads
        self._verify = verify
        self._threads = DaemonExecutor(THREADS, "insert")
        self._random = random.Random().random
        self.tasks: list[InsertTask] = []

    def add(self, partition: Partition) -> None:
        """The cut batch of ``partition``, whose intent is committed, or which has no row."""
        batch = partition.cut
        assert batch is not None
        batch.advance(BatchState.INSERTING)
        self.tasks.append(InsertTask(partition, batch))

    def drop(self, partitions: Iterable[Partition]) -> None:
        """They are somebody else's now. What is under way may still end well: the token makes that harmless."""
        gone = set(map(id, partitions))
        self.tasks = [task for task in self.tasks if id(task.partition) not in gone]

    def start(self, now: float, blocked: Set[str] = frozenset(), held: Set[Key] = frozenset()) -> None:
        """Begin what is due, at most one insert per table; ``blocked`` streams and ``held`` partitions wait."""
        running = [task for task in self.tasks if task.future is not None]
        busy = {task.partition.spec.name for task in running} | blocked
        for task in self.tasks:
            name = task.partition.spec.name
            if task.future is None and task.retry_at <= now and name not in busy and task.partition.key not in held:
                busy.add(name)
                task.batch.may_be_in = True
                task.future = self._threads.call(partial(self._run, task))

    def collect(self, now: float) -> list[InsertTask]:
        """The tasks that are finished; those that failed get their next time."""
        finished = []
        for task in self.tasks:
            if task.future is None or not task.future.done():
                continue
            error, task.future = task.future.exception(), None
            if error is None:
                task.failure = None
                finished.append(task)
            elif isinstance(error, FAILURES):
                self._postpone(task, error, now)
            else:
                raise error
        self.tasks = [task for task in self.tasks if task not in finished]
        return finished

    def oversized(self) -> list[InsertTask]:
        """The tasks whose batch is too large, and nothing of it is in; they are the caller's from here on."""
        found = [task for task in self.tasks if task.is_too_large]
        self.tasks = [task for task in self.tasks if not task.is_too_large]
        return found

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Do something else that asks ClickHouse, beside the inserts."""
        return self._threads.call(work)

    def _postpone(self, task: InsertTask, error: BaseException, now: float) -> None:
        task.attempts += 1
        task.is_repeat = True
        task.code = error_code(error)
        task.reason = first_line(error)
        task.is_unanswered |= task.code is None
        is_in = bool(task.tokens) or task.done is not None
        task.batch.may_be_in = task.is_unanswered or is_in
        if isinstance(error, RowsLack):
            task.failure, task.retry_at = InsertFailure.REFUSED, now + LACKING_SECONDS
            return
        kind = ErrorClass.PAUSE if isinstance(error, SchemaMismatch) else classify(error)
        if kind in (ErrorClass.MEMORY, ErrorClass.TOO_LARGE):
            most = PATIENT_ATTEMPTS if task.is_unanswered else MEMORY_ATTEMPTS
            enough = kind is ErrorClass.TOO_LARGE or task.attempts >= most
            task.is_too_large = enough and task.batch.rows > 1 and not is_in
        if kind in (ErrorClass.PAUSE, ErrorClass.BISECT, ErrorClass.SPLIT):
            task.failure, task.retry_at = InsertFailure.ALARM, now + PAUSE_SECONDS
            return
        task.failure = InsertFailure.UNREACHABLE if task.code is None else InsertFailure.REFUSED
        task.retry_at = now + RETRY.delay(task.attempts - 1, self._random)

    # in a thread, from here on

    def _run(self, task: InsertTask) -> None:
        if task.failure is InsertFailure.ALARM:
            self._verify(task.partition.spec)
        while task.pending:
            rows = task.pending[-1]
            unanswered = endpoints.unanswered()
            try:
                done = task.done = task.done or self._insert(task, rows)
            except REQUEST_ERRORS as error:
                if not self._split(task, rows, error):
                    raise
                continue
            if task.is_repeat or endpoints.unanswered() != unanswered:
                self._make_sure(task, rows)
            task.elapsed_ns.append(done.elapsed_ns)
            task.tokens.append(done.token)
            task.sent_rows += len(rows)
            task.written_rows += done.written_rows
            task.pending.pop()
            task.done, task.lacking, task.again = None, (), 0
        if task.letters:
            at = task.partition
            # one after the other: while a topic refuses, each attempt would send again what the other one took
            if not task.dead:
                self._dead_letters.dead_letters(at.topic, at.number, task.letters, task.taken)
                task.dead = [reason for _, _, reason, _ in task.letters]
            task.gaps = self._dead_letters.letter_gaps(at.spec, task.letters, task.taken)

    def _insert(self, task: InsertTask, rows: Sequence[int], again: int = 0) -> Done:
        """``again``: which one of the inserts of lacking rows it is, from 1."""
        batch, partition = task.batch, task.partition
        if len(rows) == batch.rows:
            first, last, body = batch.first, batch.last, batch.body
        else:
            first, last = batch.offsets[rows[0]], batch.offsets[rows[-1]]
            body = bytearray(self._heads[partition.spec.name] + batch.messages(rows))
        dedup_token = token(partition.topic, partition.number, first, last, memoryview(body)[batch.head :])
        dedup_token = token_again(dedup_token, again)
        started = time.monotonic_ns()
        written = self._inserter.insert(body, len(rows), dedup_token)
        return Done(dedup_token, written, time.monotonic_ns() - started)

    def _make_sure(self, task: InsertTask, rows: Sequence[int]) -> None:
        """That these rows, which were called known or inserted, are there; `RowsLack` while they are not."""
        before, task.lacking = task.lacking, ()
        lacking = self._lacking(task, rows)
        if not lacking:
            return
        where = {"topic": task.partition.topic, "partition": task.partition.number, "rows": len(lacking),
                 "first": task.batch.offsets[lacking[0]], "last": task.batch.offsets[lacking[-1]]}  # fmt: skip
        if lacking == before and task.again == AGAIN:
            log.error("rows that ClickHouse takes are in no table: something removes them", **where)
            return
        if lacking == before:
            self._insert(task, lacking, task.again + 1)  # without an answer: under the same token next time
            task.again += 1
            log.warning("rows of an insert that ClickHouse called done were in no table: inserted again", **where)
            lacking = self._lacking(task, lacking)
        if lacking:
            task.lacking = lacking
            raise RowsLack(f"{len(lacking)} of {len(rows)} rows of an insert that was called done are in no table")

    def _lacking(self, task: InsertTask, rows: Sequence[int]) -> list[int]:
        lacking: list[int] = []
        for at in range(0, len(rows), LOOK_ROWS):
            some = rows[at : at + LOOK_ROWS]
            found = self._look(task.partition.spec, map(task.batch.message, some))
            lacking += [some[number] for number in found]
        return lacking

    def _split(self, task: InsertTask, rows: Sequence[int], error: Exception) -> bool:
        """Make smaller what the server refused for its content; False when the content is not the reason."""
        kind = classify(error)
        if kind in (ErrorClass.BISECT, ErrorClass.MEMORY) and self._remove_undecodable(task, rows):
            return True
        if kind is ErrorClass.BISECT and len(rows) == 1:
            self._verify(task.partition.spec)
            task.letters.append(_letter(task.batch, rows[0], first_line(error)))
            task.pending.pop()
            return True
        if kind not in (ErrorClass.BISECT, ErrorClass.SPLIT) or len(rows) == 1:
            return False
        middle = len(rows) // 2
        task.pending[-1:] = [rows[middle:], rows[:middle]]
        return True

    def _remove_undecodable(self, task: InsertTask, rows: Sequence[int]) -> bool:
        """Take out, once, what is no protobuf at all: a flood of it would otherwise cost an insert each. (A length that
        a message claims and does not have makes the server ask for that much memory.)"""
        if task.decoded:
            return False
        task.decoded = True
        parse = getattr(market_pb2, task.partition.spec.message).FromString
        good: list[int] = []
        bad: list[int] = []
        for row in rows:
            try:
                parse(task.batch.message(row))
            except DecodeError:
                bad.append(row)
            else:
                good.append(row)
        if not bad:
            return False
        self._verify(task.partition.spec)
        task.letters += [_letter(task.batch, row, "no protobuf of this topic's message") for row in bad]
        task.pending[-1:] = [good] if good else []
        return True


def _letter(batch: Batch, row: int, detail: str) -> tuple[int, bytes, str, str]:
    return batch.offsets[row], batch.message(row), "parse", detail
