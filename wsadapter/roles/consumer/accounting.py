"""The consumer's counts: what came of every message, on its stats page. Main thread only.

A batch counts when it is finished: all its cells change as one (`wsadapter.shm.redo_log`), beside the offset behind
it. A process that is killed before the commit that says so replays the batch, from the intent; it, or another member
of the group that gets the partition, sees by that offset that the batch has been counted.

Rows accepted and rejected are told apart by the server alone: a row's `batch` in table ``rejected`` is the token of its
insert, which begins with partition and offset. So each partition has a range of offsets whose rejects are not known
yet, and its rows, until `resolve` has the answer; they outlive the process too.
"""

import contextlib
import time
from collections.abc import Mapping, Set
from typing import Final

from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.errors import SegmentError
from wsadapter.events.streams import SPECS, StreamSpec
from wsadapter.metrics import INSERTED, LATENCIES, MEASURED_WORDS, dead_letters, latency_labels
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer.batches import Batch, Partition
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.insert_pool import InsertTask
from wsadapter.shm.redo_log import RedoLog
from wsadapter.shm.stats_page import Histogram, StatsPage

_CLOSED: Final = bytes((market_pb2.Kline.DESCRIPTOR.fields_by_name["closed"].number << 3 & 127 | 128,
                        market_pb2.Kline.DESCRIPTOR.fields_by_name["closed"].number >> 4, 1))  # fmt: skip
"""On the wire, of a candle that is closed; elsewhere it may occur by chance."""


class Unsettled(Struct, frozen=True):
    """``rows`` of the offsets from ``first`` to below ``end`` are in the table or in ``rejected``."""

    stream: str
    first: int
    end: int
    rows: int


class Accounting:
    """``topics``: by stream; ``others``: names of the pages of the group's other members."""

    def __init__(self, page: StatsPage, topics: Mapping[str, str], others: tuple[str, ...] = ()) -> None:
        self._page, self._others = page, others
        self._insert = Histogram(page, "insert_seconds")
        self._latency = {
            word: Histogram(page, "latency_seconds", latency_labels(word, INSERTED), LATENCIES)
            for word in MEASURED_WORDS
        }
        self._redo_log = RedoLog(page)
        self._redo_log.end()
        self._counted: dict[Key, int] = {}
        """Partition -> last offset of a batch that is replayed and was counted by whoever finished it before."""
        self._names: dict[Key, tuple[str, int]] = {}
        """Partitions that have cells: those of earlier lives may have rows that are not settled."""
        for stream, topic in topics.items():
            number = 0
            while _cell("unsettled", stream, number) in page:
                self._names[topic, number] = stream, number
                number += 1

    def assigned(self, partition: Partition) -> None:
        """It is ours from here on."""
        self._counted.pop(partition.key, None)
        if (last := partition.replay_to) is not None and last + 1 in self._ends(partition):
            self._counted[partition.key] = last

    def _ends(self, partition: Partition) -> set[int]:
        """Where the batches ended that members of the group counted last."""
        cell = _cell("counted_to", partition.spec.name, partition.number)
        ends = {self._page[cell]} if cell in self._page else set()
        for name in self._others:
            with contextlib.suppress(SegmentError):  # not started yet, or gone
                page = StatsPage.attach(name)
                ends |= {page[cell]} if cell in page else set()
                page.release()
        return ends

    def empty(self, partition: Partition, batch: Batch) -> None:
        """A batch without a row is finished."""
        self._count(partition, batch, {})

    def inserted(self, task: InsertTask, filtering: bool, counted: bool = True) -> None:
        """A batch is finished. ``filtering``: its view may pass over rows (open candles); ``counted``: the server
        counts the rows of its own tables alone."""
        partition, page, name = task.partition, self._page, task.partition.spec.name
        for elapsed in task.elapsed_ns:
            self._insert.observe(elapsed)
        if task.batch.first_ms and (latency := self._latency.get(name)) is not None:
            # of the message that waited for longest; a batch that is replayed waited since before the restart
            latency.observe(max(0, time.time_ns() - task.batch.first_ms * 1_000_000))
        increments = {"inserts_total": len(task.elapsed_ns)}
        for reason in task.dead:
            cell = dead_letters(reason, name)
            cell = cell if cell in page else dead_letters("other", name)
            increments[cell] = increments.get(cell, 0) + 1
        increments[f'letter_gaps_total{{stream="{name}"}}'] = task.gaps
        kept_rows = _kept_rows(task, counted) if filtering else task.sent_rows
        increments[f'filtered_rows_total{{stream="{name}"}}'] = task.sent_rows - kept_rows
        tracked = _cell("unsettled", name, partition.number) in page
        increments[f'{"unsettled_rows" if tracked else "accepted_rows_total"}{{stream="{name}"}}'] = kept_rows
        self._count(partition, task.batch, increments, kept_rows)

    def _count(self, partition: Partition, batch: Batch, increments: dict[str, int], kept_rows: int = 0) -> None:
        page, name, number = self._page, partition.spec.name, partition.number
        if batch.last == self._counted.pop(partition.key, None):
            return
        increments[f'consumed_total{{stream="{name}"}}'] = batch.rows + batch.redelivered + len(batch.letters)
        increments[f'redelivered_total{{stream="{name}"}}'] = batch.redelivered
        values: dict[str, int] = {}
        open_rows = _cell("unsettled", name, number)
        if batch.rows and open_rows in page:
            values[_cell("counted_to", name, number)] = batch.last + 1
            if not page[open_rows]:
                values[_cell("unsettled_from", name, number)] = batch.first
            increments[open_rows] = kept_rows
        self._redo_log.record(
            {page.index(cell): count for cell, count in increments.items() if count},
            {page.index(cell): value for cell, value in values.items()},
        )

    def gaps(self, spec: StreamSpec, count: int) -> None:
        """Rows that this consumer published about a stream. Killed before, the same are published and read again."""
        self._page[f'kafka_gaps_total{{stream="{spec.name}"}}'] += count

    def retried(self) -> None:
        self._page["insert_retries_total"] += 1

    @property
    def unsettled(self) -> dict[Key, Unsettled]:
        """What the server is to be asked about."""
        unsettled = {}
        for key, (name, number) in self._names.items():
            if rows := self._page[_cell("unsettled", name, number)]:
                first, end = (self._page[_cell(word, name, number)] for word in ("unsettled_from", "counted_to"))
                unsettled[key] = Unsettled(name, first, end, rows)
        return unsettled

    def resolve(self, ranges: Mapping[Key, Unsettled], rejected: Mapping[Key, int]) -> None:
        """Of these ranges so many rows were rejected."""
        page = self._page
        for key, unsettled in ranges.items():
            name, number = self._names[key]
            rejected_rows = min(rejected.get(key, 0), unsettled.rows)
            increments = {
                f'accepted_rows_total{{stream="{name}"}}': unsettled.rows - rejected_rows,
                f'rejected_rows_total{{stream="{name}"}}': rejected_rows,
                f'unsettled_rows{{stream="{name}"}}': -unsettled.rows,
                _cell("unsettled", name, number): -unsettled.rows,
            }
            self._redo_log.record(
                {page.index(cell): count for cell, count in increments.items()},
                {page.index(_cell("unsettled_from", name, number)): unsettled.end},
            )

    def lag(self, messages: Mapping[str, int], measured_ns: int) -> None:
        """By stream; a stream without a partition here has none, and no time at which it was measured."""
        for name in (spec.name for spec in SPECS):
            self._page[f'consumer_lag{{stream="{name}"}}'] = messages.get(name, 0)
            self._page[f'lag_measured_ns{{stream="{name}"}}'] = measured_ns if name in messages else 0

    def paused(self, streams: Set[str]) -> None:
        for spec in SPECS:
            self._page[f'paused{{stream="{spec.name}"}}'] = int(spec.name in streams)


def _cell(word: str, stream: str, partition: int) -> str:
    return f'{word}{{stream="{stream}",partition="{partition}"}}'


def _kept_rows(task: InsertTask, counted: bool) -> int:
    """Rows of candles that the views did not pass over. The server counts the rows of the Null table and of each view;
    of a repeat that its token stopped it counts none of a view, and not ``counted`` where shards count, too: then the
    messages are looked at."""
    if counted and task.sent_rows < task.written_rows <= 2 * task.sent_rows:
        return task.written_rows - task.sent_rows
    batch, closed = task.batch, 0
    if _CLOSED not in batch.body:
        return 0
    for row in range(batch.rows):
        with contextlib.suppress(DecodeError):  # a dead letter
            closed += market_pb2.Kline.FromString(batch.message(row)).closed
    return closed
