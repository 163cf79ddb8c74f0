"""Redundant connections in miniature: real rings and watermarks, a clock of its own, a broker that is a list.

The venue's events are numbered; each connection brings those that it does not miss, in order, with its own lag, and
tells its holes as ingest does. `Bench.cycle` is a serializer's cycle; it can be killed at any step of it.
"""

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from samples import full, trade

from wsadapter import metrics as stats_fields
from wsadapter.events import BookTicker, Depth, Event, Gap, Kline, MarkPrice, Source, UpdateType
from wsadapter.events.records import Record, encode, message_of
from wsadapter.events.sequence import place
from wsadapter.events.streams import BY_EVENT, BY_KIND
from wsadapter.roles.serializer.delivery import Deed
from wsadapter.roles.serializer.redundant_reader import RedundantGroup, RedundantReader
from wsadapter.shm import ring, watermarks
from wsadapter.shm.redo_log import RedoLog
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.shm.watermarks import Watermarks

NS = 1_790_771_371_858_000_000
MS = 1_000_000
CAPACITY = 1 << 20
STREAMS = ("trade", "diff", "book", "candle", "mark")
NEVER = itertools.repeat(False)
_numbers = itertools.count()
_SAMPLES = {type(event): event for event in full()}


class Killed(Exception):
    """A kill -9 of the serializer."""


def event(stream: str, symbol: str, number: int, at_ns: int) -> Event:
    if stream == "trade":
        return trade(number, symbol, at_ns)
    kinds: dict[str, type[Event]] = {"diff": Depth, "book": BookTicker, "candle": Kline, "mark": MarkPrice}
    changes: dict[str, dict[str, Any]] = {
        "diff": {"update_type": UpdateType.DELTA, "level_limit": 0, "first_update_id": 10 * number - 5,
                 "last_update_id": 10 * number, "previous_update_id": 10 * number - 10},
        "book": {"update_id": 7 * number},
        # two of each time
        "mark": {"event_time_ns": NS + number // 2 * MS, "transaction_time_ns": None, "ordinal": number % 2},
        "candle": {"open_time_ns": number * 60_000 * MS, "closed": True},
    }  # fmt: skip
    return msgspec.structs.replace(_SAMPLES[kinds[stream]], symbol=symbol, receive_time_ns=at_ns, **changes[stream])


def gap(cause: str, started_ns: int, at_ns: int, ended_ns: int | None = None, **changes: Any) -> Gap:
    made = Gap(
        "binance", "", None, None, at_ns, Source.WEBSOCKET, "c", None, "", 1, "", "", cause, started_ns, ended_ns,
        None, None, None, "open",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


class Connection:
    """The writing end of one ring."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        ring.create(name, CAPACITY, NS + number)
        self.epoch = NS + number
        self.writer = RingWriter.attach(name)
        self.down_since: int | None = None
        self.told = 0
        self.wrote: list[Event] = []

    def write(self, one: Event) -> None:
        assert self.writer.try_write(BY_EVENT[type(one)].kind, encode(one))
        self.writer.publish()
        if not isinstance(one, Gap):
            self.wrote.append(one)

    def lose(self, at_ns: int) -> None:
        self.down_since = at_ns
        self.write(gap("disconnect", at_ns, at_ns))
        self.told = self.writer.last_position

    def return_(self, at_ns: int) -> None:
        assert self.down_since is not None
        name = f"{self.epoch}:{self.told}"
        self.write(gap("disconnect", self.down_since, at_ns, at_ns, version=2, gap_id=name))
        self.down_since = None


class Bench:
    def __init__(self, connections: int = 2) -> None:
        name = f"wsadapter-redundant{os.getpid()}-{next(_numbers)}"
        self.page_name = f"{name}-marks"
        self.now_ns = NS
        self.connections = [Connection(f"{name}-{n}", n) for n in range(connections)]
        watermarks.prepare(self.page_name, 200)
        self.log: list[tuple[int, Record]] = []
        """(epoch, record) as the broker has them."""
        self.counts = StatsPage.create(f"{name}-counts", stats_fields.SERIALIZER)
        self.redo_log = RedoLog(self.counts)
        self.start()

    def start(self) -> None:
        """A serializer begins, after whatever became of the one before."""
        self.group = RedundantGroup(Watermarks(self.page_name), self.counts, lambda: self.now_ns, lambda: self.now_ns)
        self.readers = [RedundantReader(self.group, c.number, RingReader.attach(c.name)) for c in self.connections]
        if self.redo_log.pending:
            for reader in self.readers:
                reader.resume_at(self.redo_log.targets[reader.epoch])
            self.redo_log.end()

    @property
    def copies(self) -> dict[str, int]:
        cells = ((w, self.counts[f'copies_total{{stream="{w}"}}']) for w in stats_fields.STREAM_WORDS)
        return {word: count for word, count in cells if count}

    def end(self) -> None:
        for reader in self.readers:
            reader.release()
        self.group.page.release()

    def restart(self) -> None:
        self.end()
        self.start()

    def cycle(self, limit: int = 1000, kill: Iterator[bool] = NEVER) -> int:
        """Poll, produce, acknowledge, decide, commit; ``kill`` is asked before each step."""
        moved = 0
        for reader in self.readers:
            self._may_die(kill)
            records = reader.poll(limit)
            for record in records:
                self.log.append((reader.epoch, record))
                self._may_die(kill)
            moved += len(records)
        copies: Counter[int] = sum((reader.count_copies() for reader in self.readers), Counter())
        for reader in self.readers:
            self._may_die(kill)
            reader.store_watermarks()
        self._may_die(kill)
        self.redo_log.begin(copies, deed=Deed.RINGS, targets={r.epoch: r.position for r in self.readers})
        for reader in self.readers:
            self._may_die(kill)
            reader.commit(reader.position)
        self.redo_log.end()
        return moved

    def spool(self, rng: random.Random, limit: int, kill: Iterator[bool] = NEVER) -> None:
        """As `Spooling.spool` does: what is durable is a part of what was polled, then the rest is polled again."""
        polled = [(reader, reader.poll(limit)) for reader in self.readers]
        stored = rng.randint(0, sum(len(records) for _, records in polled))
        left = stored
        for reader, records in polled:
            self.log += [(reader.epoch, record) for record in records[:left]]
            self._may_die(kill)
            if left < len(records):
                reader.commit(records[left][0])
                reader.rewind()
            else:
                reader.commit(reader.position)
            left = max(0, left - len(records))

    def _may_die(self, kill: Iterator[bool]) -> None:
        if next(kill):
            raise Killed

    def drain(self) -> None:
        for _ in range(200):
            self.cycle()
            if all(reader.head == reader.tail for reader in self.readers):
                return
            self.now_ns += 100 * MS
        raise AssertionError("not drained")

    @property
    def accepted(self) -> list[Any]:
        """Messages that a consumer takes: of each epoch and stream only positions above the last."""
        seen: dict[tuple[int, int], int] = {}
        found = []
        for epoch, record in self.log:
            position, kind, _ = record
            if position > seen.get((epoch, kind), -1):
                seen[epoch, kind] = position
                found.append(message_of(record, epoch))
        return found

    def events(self) -> list[Any]:
        return [message for message in self.accepted if type(message).__name__ != "Gap"]

    def gaps(self) -> list[Any]:
        return [message for message in self.accepted if type(message).__name__ == "Gap"]

    def close(self) -> None:
        self.end()
        for connection in self.connections:
            connection.writer.release()
            Segment.unlink(connection.name)
        Segment.unlink(self.page_name)
        self.counts.release()
        Segment.unlink(self.counts.name)


def identity(one: Any) -> tuple[Any, ...]:
    """What makes two copies one, of a Struct or a message."""
    name = type(one).__name__
    if isinstance(one, Event):
        found = place(one)
    else:
        from wsadapter.events.sequence import PLACES_BY_KIND

        kind = next(kind for kind, spec in BY_KIND.items() if spec.message == name)
        found = PLACES_BY_KIND[kind](one)
    assert found is not None
    return (*found.key, found.number)


def numbers(messages: list[Any], symbol: str = "BTCUSDT") -> list[int]:
    return [m.trade_number for m in messages if hasattr(m, "trade_number") and m.symbol == symbol]
