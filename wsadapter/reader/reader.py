"""`Reader`: typed events out of Kafka, for a strategy. See docs/reading-kafka.md.

Guarantees: each record once; the events of a symbol and stream in their order; each gap before the first event behind
it (`wsadapter.reader.ordering` says exactly what that means, and what is not promised); what Kafka lost before it was
read is a `Gap` of cause ``kafka_retention``, what cannot be decoded one of cause ``decode``; nothing is skipped in
silence. Memory is bounded: librdkafka's queue (``queued.max.messages.kbytes``), one batch, and what waits for a gap.

One thread at a time; asyncio reads in a thread of its own. Owns the consumer until `close`.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

from wsadapter.config.load import load
from wsadapter.config.model import KafkaConfig
from wsadapter.events import Event
from wsadapter.kafka.topics import TopicState
from wsadapter.reader.asked import GAP, STREAMS, Start, Wanted, Words, checked_scope, checked_start
from wsadapter.reader.log import BROKER_SECONDS, Key, Log
from wsadapter.reader.ordering import GAP_SECONDS, Ordering, Partition, lost_range
from wsadapter.reader.position import MARKS, PartitionPosition, Position, TopicPosition

WAIT_SECONDS: Final = 0.25
"""How long one look into the log lasts where nothing comes: so long Ctrl-C may wait."""
LOOKBACK_MS: Final = 60_000
"""Gaps of so long before the start are known: events behind it name them."""
HELD_MOST: Final = 20_000
"""A partition that waits for a gap is fetched no further than that."""
COUNTS_SECONDS: Final = 30.0
"""So often it is looked whether a topic has more partitions."""


class Batch(Struct, frozen=True):
    """Some events, and the position behind them: who keeps it with what he makes of them goes on exactly there."""

    events: Sequence[Event]
    position: Position


class Reader:
    """Events of Kafka at ``bootstrap_servers``, as an iterator (``for``, ``async for``), a context manager, or in
    `batches`.

    ``exchange``, ``symbols``, ``streams``: what is wanted, each one word or several; nothing means all (symbols in
    the venue's own words). ``start``: ``"newest"``, ``"earliest"``, a time (`datetime` with a zone; Kafka's time of
    the message) or a `Position`. ``follow=False`` ends at what is the end of the log when reading begins.
    ``gaps=False`` leaves gaps out. ``gap_seconds``: so long an event waits for a gap that it names and that has not
    come; then a `Gap` of cause ``unknown`` is given in its place. ``broker_seconds``: so long a broker may be away
    before `ServiceUnavailable` ends it (None: for ever). ``kafka``: further keys of [kafka] in the configuration,
    such as ``security_protocol``, ``sasl_mechanism``, ``sasl_username``, ``sasl_password_file``, ``ssl_ca``,
    ``topic_prefix``; a password may come from KAFKA_SASL_PASSWORD in the environment.

    Raises `ConfigError` for what it is not given right, `ServiceUnavailable` where Kafka is not there, has no such
    topic or does not let us.
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        *,
        exchange: Words = (),
        symbols: Words = (),
        streams: Words = (),
        start: Start = "newest",
        follow: bool = True,
        gaps: bool = True,
        gap_seconds: float = GAP_SECONDS,
        broker_seconds: float | None = BROKER_SECONDS,
        **kafka: Any,
    ) -> None:
        settings = {f"kafka.{key}": value for key, value in {"bootstrap_servers": bootstrap_servers, **kafka}.items()}
        secret = {name: os.environ[name] for name in ("KAFKA_SASL_PASSWORD",) if name in os.environ}
        config = load(None, secret, dotenv=None, demo=True, overrides=settings)
        self._set_up(config.kafka, exchange, symbols, streams, start, follow, gaps, gap_seconds, broker_seconds)

    @classmethod
    def from_config(
        cls,
        path: str,
        *,
        exchange: Words = (),
        symbols: Words = (),
        streams: Words = (),
        start: Start = "newest",
        follow: bool = True,
        gaps: bool = True,
        gap_seconds: float = GAP_SECONDS,
        broker_seconds: float | None = BROKER_SECONDS,
    ) -> Self:
        """With address, topics and security of a configuration file (and the environment), as the recorder has them."""
        made = cls.__new__(cls)
        config = load(path, os.environ, demo=True)
        made._set_up(config.kafka, exchange, symbols, streams, start, follow, gaps, gap_seconds, broker_seconds)
        return made

    def _set_up(
        self, kafka: KafkaConfig, exchange: Words, symbols: Words, streams: Words, start: Start, follow: bool,
        gaps: bool, gap_seconds: float, broker_seconds: float | None,
    ) -> None:  # fmt: skip
        self._kafka, self._start, self._follow, self._has_gaps = kafka, checked_start(start), follow, gaps
        self._scope = checked_scope(exchange, symbols, streams)
        self._streams = sorted(self._scope.streams) or list(STREAMS)
        self._gap_seconds, self._broker_seconds = gap_seconds, broker_seconds
        self._log: Log | None = None
        self._partitions: dict[Key, Partition] = {}
        self._gap_offsets: dict[int, int] = {}
        """Partition of topic `gap` -> behind what was read."""
        self._gaps_from: dict[int, int] = {}
        self._given: frozenset[tuple[int, int]] = frozenset()
        has_all = not (self._scope.exchanges or self._scope.symbols)
        self._wanted = None if has_all else Wanted(self._scope)
        self._paused: set[Key] = set()
        self._ends: dict[Key, int] | None = None
        """Without ``follow``: where each partition ends."""
        self._is_done = False
        self._counts_at = 0.0
        self._at_ms = 0
        self._topic_ids: dict[str, str] = {}
        self._snapshot: dict[str, dict[int, PartitionPosition]] = {}
        self._first: list[Event] = []
        """Found while it was opened."""
        self._position: Position | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._reading: Future[Batch | None] | None = None

    # What it says of itself.

    @property
    def position(self) -> Position | None:
        """Behind the last batch that was given wholly; None before the first."""
        return self._position

    @property
    def redelivered(self) -> int:
        """Records that came again and were dropped."""
        return self._ordering.redelivered if self._log is not None else 0

    @property
    def unreadable(self) -> int:
        """Messages that could not be decoded: each was given as a `Gap` of cause ``decode``."""
        return self._ordering.unreadable if self._log is not None else 0

    # Iteration.

    def batches(self) -> "Batches":
        """An iterator (``for``, ``async for``) of `Batch`: what is there at a time, with its position."""
        return Batches(self)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from batch.events

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for batch in self.batches():
            for event in batch.events:
                yield event

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.wrap_future(self._in_thread().submit(self.open))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def stop(self) -> None:
        """The iteration ends behind what is being read now. From any thread, and from a signal handler."""
        self._is_done = True

    def close(self) -> None:
        """Not while another thread reads: `stop` it first."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._log is not None:
            self._log.close()
            self._partitions.clear()  # the client ends with the last message of it
        self._log, self._is_done = None, True

    async def aclose(self) -> None:
        """The look into the log that goes on is waited for."""
        self._is_done = True
        if self._reading is not None:
            with contextlib.suppress(Exception):  # whoever iterates gets it
                await asyncio.wrap_future(self._reading)
        self.close()

    def _in_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "wsadapter-reader")
        return self._thread

    async def _next_async(self) -> Batch | None:
        """A call that is cancelled loses nothing: what was being read is given to the next one."""
        if self._reading is None:
            self._reading = self._in_thread().submit(self.next_batch)
        try:
            batch = await asyncio.shield(asyncio.wrap_future(self._reading))
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._reading = None
            raise
        self._reading = None
        return batch

    def next_batch(self) -> Batch | None:
        """The next events, waiting for them; None at the end (``follow=False``, or closed)."""
        self.open()
        while not self._is_done:
            if events := self._read():
                return Batch(events, self._position_now())
        return None

    # Opening.

    def open(self) -> None:
        """Find the topics and the place to begin. Called by whatever reads first."""
        if self._log is not None or self._is_done:
            return
        log = Log(self._kafka, [*self._streams, GAP], self._broker_seconds)
        try:
            self._open(log)
        except BaseException:
            log.close()
            raise
        self._log = log

    def _open(self, log: Log) -> None:
        states = log.topics()
        self._topic_ids = {stream: state.topic_id for stream, state in states.items()}
        keys = [(stream, number) for stream, state in states.items() for number in range(state.partitions)]
        bounds = log.bounds(keys)
        starts, marks, lost = self._starts(log, states, bounds)
        gap_keys = [key for key in keys if key[0] == GAP]
        self._gaps_from = {number: starts[stream, number] for stream, number in gap_keys}
        before = log.offsets_at(gap_keys, self._at_ms - LOOKBACK_MS)
        looks = {
            key: max(bounds[key][0], min(starts[key], starts[key] if before[key] is None else int(before[key] or 0)))
            for key in gap_keys
        }
        is_whole = all(bounds[key][0] == 0 for key in gap_keys)
        floor_ns = 0 if is_whole and not self._at_ms else max(0, self._at_ms - LOOKBACK_MS) * 1_000_000
        self._ordering = Ordering(self._scope, self._streams, floor_ns, self._has_gaps, self._gap_seconds)
        self._partitions = {
            key: Partition(*key, starts[key], marks.get(key, ())) for key in keys if key[0] != GAP
        }  # fmt: skip
        self._ordering.partitions = self._partitions
        self._ordering.gap_marks = {number: dict(marks.get((GAP, number), ())) for _, number in gap_keys}
        self._first = [lost_range(stream, count, time.time_ns()) for stream, count in lost.items()]
        self._gap_offsets = {key[1]: looks[key] for key in gap_keys}
        self._read_gaps(log, looks, {key: bounds[key][1] for key in gap_keys})
        log.assign({key: starts[key] for key in self._partitions})
        if not self._follow:
            self._ends = {key: end for key, (_, end) in bounds.items()}
        self._counts_at = time.monotonic() + COUNTS_SECONDS
        for key in keys:
            self._keep(*key)

    def _starts(
        self, log: Log, states: Mapping[str, TopicState], bounds: Mapping[Key, tuple[int, int]]
    ) -> tuple[dict[Key, int], dict[Key, Sequence[tuple[int, int]]], dict[str, int | None]]:
        """Where each partition begins, what was given of it before, and how many messages of a stream are gone."""
        start, now_ms = self._start, time.time_ns() // 1_000_000
        if start == "newest":
            self._at_ms = now_ms
            return {key: end for key, (_, end) in bounds.items()}, {}, {}
        if start == "earliest":
            return {key: low for key, (low, _) in bounds.items()}, {}, {}
        if isinstance(start, datetime):
            self._at_ms = int(start.timestamp() * 1000)
            found = log.offsets_at(bounds, self._at_ms)
            return {key: bounds[key][1] if at is None else at for key, at in found.items()}, {}, {}
        assert isinstance(start, Position)
        self._at_ms, self._given = start.at_ms, frozenset(start.given)
        offsets: dict[Key, int] = {}
        marks: dict[Key, Sequence[tuple[int, int]]] = {}
        lost: dict[str, int | None] = {}
        others = log.offsets_at([key for key in bounds if key[0] not in start.topics], start.at_ms)
        for key, (low, end) in bounds.items():
            stream, number = key
            topic = start.topics.get(stream)
            if topic is None:
                at = others[key]
                offsets[key] = end if at is None else at
                continue
            kept = topic.partitions.get(number, PartitionPosition(0))
            is_other = bool(topic.topic_id and states[stream].topic_id and topic.topic_id != states[stream].topic_id)
            if is_other or kept.offset > end:
                offsets[key], lost[stream] = low, None
                continue
            offsets[key], marks[key] = max(low, kept.offset), kept.marks
            if kept.offset < low and number in topic.partitions:
                lost[stream] = (lost.get(stream, 0) or 0) + low - kept.offset
        return offsets, marks, lost

    def _read_gaps(self, log: Log, offsets: Mapping[Key, int], ends: Mapping[Key, int]) -> None:
        """Topic `gap` is read to its end before anything else: what happened up to now is known then."""
        log.assign(offsets)
        unread = {key for key in offsets if offsets[key] < ends[key]}
        while unread:
            for (_, number), run in log.poll(WAIT_SECONDS):
                self._gap_offsets[number] = run.last_offset + 1
                for message in run.messages:
                    self._first += self._take_gap(message)
            unread -= set(log.ends)
            unread = {key for key in unread if self._gap_offsets[key[1]] < ends[key]}

    # Reading.

    def _read(self) -> list[Event]:
        """One look into the log."""
        assert self._log is not None
        out, self._first = self._first, []
        touched = {key for key, partition in self._partitions.items() if partition.messages}
        gaps: list[Any] = []
        for key, run in self._log.poll(0 if out else WAIT_SECONDS, self._wanted):
            if key[0] == GAP:
                gaps += run.messages
                self._gap_offsets[key[1]] = run.last_offset + 1
                continue
            touched.add(key)
            partition = self._partitions[key]
            partition.is_read = False
            partition.offset, partition.at_ms = run.last_offset + 1, run.last_ms
            self._at_ms = max(self._at_ms, partition.at_ms)
            partition.add(run.messages)
        for message in gaps:  # first: events may wait for them
            out += self._take_gap(message)
        for key in self._log.ends:
            if key[0] != GAP:
                self._partitions[key].is_read = True
        now = time.monotonic()
        self._ordering.advance(now, out)
        for key in touched:
            self._keep(*key)
        if self._log.lost:
            out += self._skip_lost()
        self._hold()
        if self._ends is not None and self._is_at_end():
            out += self._ordering.rest({number: end for (stream, number), end in self._ends.items() if stream == GAP})
            self._is_done = True
        elif now >= self._counts_at:
            self._counts_at = now + COUNTS_SECONDS
            self._add_partitions()
        return out

    def _take_gap(self, message: Any) -> list[Event]:
        number, offset = message.partition(), message.offset()
        is_given = offset < self._gaps_from.get(number, 0) or (number, offset) in self._given
        return self._ordering.gap(message, is_given)

    def _hold(self) -> None:
        """A partition that waits is not fetched any further, and is again when it goes on."""
        assert self._log is not None
        partitions = self._partitions.items()  # a message keeps what it was fetched with in memory, wanted or not
        waits = {key for key, partition in partitions if partition.offset - partition.next_offset > HELD_MOST}
        for key in waits - self._paused:
            self._log.pause(key)
        goes_on = {key for key in self._paused - waits if not self._partitions[key].messages}
        for key in goes_on:
            self._log.resume(key)
        self._paused = (self._paused | waits) - goes_on

    def _skip_lost(self) -> list[Event]:
        """What was next is not there any more: Kafka's retention was quicker, or the topic is another one."""
        assert self._log is not None
        lost, self._log.lost = self._log.lost, []
        out: list[Event] = []
        offsets = {}
        for key, (low, _) in self._log.bounds(lost).items():
            before = self._gap_offsets[key[1]] if key[0] == GAP else self._partitions[key].offset
            out.append(lost_range(key[0], low - before if low > before else None, time.time_ns()))
            offsets[key] = low
            if key[0] == GAP:
                self._gap_offsets[key[1]] = low
            else:
                self._partitions[key].offset = low
                self._keep(*key)
        self._log.assign(offsets)
        return out

    def _add_partitions(self) -> None:
        """Those that a topic has got meanwhile, from their beginning."""
        assert self._log is not None
        new: dict[Key, int] = {}
        for stream, count in self._log.counts().items():
            for number in range(count):
                key = stream, number
                if stream == GAP and number not in self._gap_offsets:
                    new[key] = self._gap_offsets[number] = 0
                elif stream != GAP and key not in self._partitions:
                    new[key], self._partitions[key] = 0, Partition(stream, number, 0)
                    self._keep(*key)
        self._log.assign(new)

    def _is_at_end(self) -> bool:
        assert self._ends is not None
        return all(
            not partition.messages and (partition.is_read or partition.offset >= self._ends.get(key, 0))
            for key, partition in self._partitions.items()
        )

    # The position.

    def _keep(self, stream: str, number: int) -> None:
        if stream != GAP:
            partition = self._partitions[stream, number]
            marks = tuple(partition.marks.items())[-MARKS:]
            kept = self._snapshot.get(stream, {})
            self._snapshot[stream] = {**kept, number: PartitionPosition(partition.next_offset, marks)}

    def _position_now(self) -> Position:
        first, given = self._ordering.first_gaps()
        gaps = {}
        for number, offset in self._gap_offsets.items():
            marks = tuple(self._ordering.marks_of_gaps(number).items())[-MARKS:]
            gaps[number] = PartitionPosition(first.get(number, max(offset, self._gaps_from.get(number, 0))), marks)
        topics = {
            stream: TopicPosition(self._topic_ids.get(stream, ""), partitions)
            for stream, partitions in {**self._snapshot, GAP: gaps}.items()
        }
        return Position(self._at_ms, topics, given)


class Batches:
    """See `Reader.batches`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[Batch]:
        while (batch := self._reader.next_batch()) is not None:
            yield batch
            self._reader._position = batch.position

    async def __aiter__(self) -> AsyncIterator[Batch]:
        while (batch := await self._reader._next_async()) is not None:
            yield batch
            self._reader._position = batch.position
