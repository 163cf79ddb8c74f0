"""The consumer role: Kafka -> ClickHouse, each message once.

One cycle: take messages, cut the batches that are due, commit their ranges as intents (one commit for all partitions,
which also says what is done), insert when the broker has confirmed and their turn has come, finish.
`wsadapter.roles.consumer.batches` has the rules of exactly once, `wsadapter.roles.consumer.group` the group,
`wsadapter.roles.consumer.insert_pool` the inserts, `wsadapter.roles.consumer.insert_order` whose turn it is. This file
is the order of things, the bounds of memory and time, and what the operator sees.

Guarantees: nothing is held here that Kafka does not have; at most about twice `clickhouse.batch_bytes` are in memory. A
table that waits holds only its own partitions, and the rows of others that say that its rows are there; ClickHouse or
Kafka away is waited for without end, the heart beating. A stop reads to where the logs ended when it came, inserts
that, commits and leaves.
"""

import time
from collections.abc import Set
from concurrent.futures import FIRST_COMPLETED, wait
from math import inf
from typing import Final

from clickhouse_connect.driver.client import Client

from wsadapter.clickhouse.catalog import Verifier
from wsadapter.clickhouse.inserts import Inserter, statement
from wsadapter.clickhouse.presence import Presence
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events.streams import SPECS, StreamSpec
from wsadapter.files import StateDirectory
from wsadapter.kafka.members import instance_id, is_alone
from wsadapter.kafka.messages import identify_as
from wsadapter.kafka.topics import topic
from wsadapter.log import get_logger
from wsadapter.roles.consumer.accounting import Accounting
from wsadapter.roles.consumer.batches import BatchState, Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer
from wsadapter.roles.consumer.group import CHUNK, GroupMember
from wsadapter.roles.consumer.housekeeping import Housekeeping
from wsadapter.roles.consumer.insert_order import InsertOrder
from wsadapter.roles.consumer.insert_pool import InsertPool, InsertTask
from wsadapter.roles.consumer.known_topics import KnownTopics
from wsadapter.supervision.child import Child

POLL_SECONDS: Final = 0.1
ROOM_STEP: Final = 64
"""Batches that the server once refused as too large grow by this part of their rows with each that it takes."""
QUIET_POLL_SECONDS: Final = 0.9
"""With nothing under way: most of an idle consumer's CPU is the turns of this loop."""
BLOCKED_SECONDS: Final = 5.0
"""With full buffers for so long, fetching is suspended, so that polling (and so the membership) goes on."""
MOST_HELD: Final = 1 << 20
"""Bytes of a partition whose turn has not come; more are left with Kafka."""
LEAVE_SECONDS: Final = 5.0
"""How long a rebalance waits for inserts under way."""
JOIN_SECONDS: Final = 5.0
"""A stop that comes before the first assignment waits for it so long: Kafka may hold what came just before."""
CLOSE_SECONDS: Final = 3.0
"""How long leaving the group may take."""
DRAIN_MARGIN: Final = 1.5
"""Before the deadline: for the last commit and leaving."""
QUIET_SECONDS: Final = 3.0
"""A drain ends when nothing came for so long, whatever the end offsets said."""

log = get_logger()


class Consumer:
    def __init__(self, child: Child, client: Client) -> None:
        config = child.args.config
        self._child, self._config = child, config
        self._verifier = Verifier(client, config.clickhouse)
        self._limits = config.clickhouse.batch_rows, config.clickhouse.batch_bytes, config.clickhouse.batch_seconds
        self._heads = {spec.name: statement(config.clickhouse.database, spec) for spec in SPECS}
        self._identify = {spec.name: identify_as(spec) for spec in SPECS}
        self._specs = {topic(config.kafka, spec): spec for spec in SPECS}
        self._most_rows: dict[str, int] = {}
        """Stream -> rows that the server took at once after it had refused more."""
        self._blocked_since = 0.0
        self._dead_letters = DeadLetterProducer(config.kafka)
        group = child.args.page.rpartition("-")[0]
        members = (f"{group}-{number}" for number in range(config.process_of("consumer").count))
        topics = {spec.name: name for name, spec in self._specs.items()}
        self._accounting = Accounting(child.page, topics, tuple(name for name in members if name != child.args.page))
        look = Presence(client, config.clickhouse).lacking
        self._pool = InsertPool(Inserter(client), self._dead_letters, self._heads, self._verify_stream, look)
        identity = instance_id(config.service, child.args.name)
        self._group = GroupMember(
            config.kafka, identity, self._specs, self._new_partition, self._on_leave, self._keep_waiting,
            KnownTopics(StateDirectory(config.service.state_dir), child.args.name),
        )  # fmt: skip
        streams = {name: spec.name for name, spec in self._specs.items()}
        self._order = InsertOrder(streams, alone=is_alone(config.service, config.process_of("consumer").count))
        self._held: Set[Key] = frozenset()
        self._housekeeping = Housekeeping(
            child, client, self._verifier, self._group, self._pool, self._accounting, self._dead_letters
        )

    def run(self) -> int:
        while not self._child.stopping:
            self._step(draining=False)
        self._drain()
        self._group.close(min(CLOSE_SECONDS, max(0.1, self._child.deadline - time.monotonic() - 0.5)))
        return 0

    def _step(self, draining: bool) -> int:
        """One cycle; returns how many messages came."""
        self._child.beat()
        received = self._poll()
        now = time.monotonic()
        for task in self._pool.collect(now):
            self._finish(task)
        for task in self._pool.oversized():
            self._halve(task)
        self._cut(now, draining)
        self._group.commit(now)
        self._pool.start(now, self._housekeeping.blocked.keys(), self._out_of_turn(now))
        self._housekeeping.step(now)
        return received

    def _out_of_turn(self, now: float) -> Set[Key]:
        group, house = self._group, self._housekeeping
        self._held = self._order.held(
            self._pool.tasks, group.partitions, group.cached_ends, house.offsets, house.blocked.keys(), now,
            self._dead_letters.gaps_at,
        )  # fmt: skip
        house.is_awaited = self._order.asks_group
        return self._held

    def _poll(self) -> int:
        """Poll, unless the buffers are full; then wait for an insert instead."""
        size = stuck = 0
        for partition in self._group.partitions.values():
            size += partition.buffered
        futures = []
        for task in self._pool.tasks:
            if task.failure is not None:
                stuck += task.partition.buffered
            if task.future is not None:
                futures.append(task.future)
        now = time.monotonic()
        if max(stuck, size - stuck) < self._limits[1]:
            self._blocked_since = 0.0
        elif not self._blocked_since:
            self._blocked_since = now
        blocked = self._blocked_since > 0.0
        suspend = blocked and now - self._blocked_since > BLOCKED_SECONDS
        self._pause(suspend)
        if blocked and not suspend and futures:
            wait(futures, POLL_SECONDS, FIRST_COMPLETED)
            return 0
        # what is taken at once may be more than what is missing in a batch
        chunk = min(CHUNK, max(1, min(self._most_rows.values()) // 4)) if self._most_rows else CHUNK
        if futures or blocked:
            return self._group.poll(POLL_SECONDS / 2 if futures else POLL_SECONDS, 1 if blocked else chunk)
        return self._group.poll(self._poll_seconds(now), chunk if size else 1)  # into nothing, the first ends the wait

    def _poll_seconds(self, now: float) -> float:
        """How long to wait for messages when no insert runs: until a batch is old, if nothing else is under way."""
        partitions = self._group.partitions.values()
        under_way = any(p.cut is not None and p.key not in self._held for p in partitions)
        if self._child.stopping or self._group.commits.in_flight or under_way:
            return POLL_SECONDS
        seconds = self._limits[2]
        old = [p.open.old_at(seconds) for p in partitions if p.open is not None]
        # a batch that begins meanwhile may be old after ``seconds``
        return min(QUIET_POLL_SECONDS, seconds, max(POLL_SECONDS, min(old) - now)) if old else QUIET_POLL_SECONDS

    def _pause(self, everything: bool) -> None:
        if everything:
            self._group.pause(set(self._group.partitions))
            return
        waiting = {task.partition.key for task in self._pool.tasks if task.failure is not None}
        if blocked := self._housekeeping.blocked:
            waiting |= {key for key, p in self._group.partitions.items() if p.spec.name in blocked}
        if self._held:
            partitions = self._group.partitions.items()
            waiting |= {key for key, p in partitions if key in self._held and p.buffered > MOST_HELD}
        if self._most_rows:  # what came during an insert would make the next batch too large
            waiting |= {key for key, p in self._group.partitions.items() if self._is_full(p)}
        self._group.pause(waiting)

    def _is_full(self, partition: Partition) -> bool:
        """Its open batch has what the server takes at once."""
        most, batch = self._most_rows.get(partition.spec.name), partition.open
        return most is not None and batch is not None and batch.rows >= most and partition.replay_to is None

    def _cut(self, now: float, draining: bool) -> None:
        rows, size, seconds = self._limits
        partitions = self._group.partitions
        buffered = sum(p.buffered for p in partitions.values())
        # memory is short: those that hold much of it go first; each insert costs the server, however small it is
        large = buffered / len(partitions) if buffered >= size // 2 else inf
        for key, partition in partitions.items():
            ended = key in self._group.out_of_range
            if partition.idle and not ended:
                continue
            if ended:
                partition.abandon_replay()
            hurry = draining or ended or partition.buffered >= large
            most = min(rows, self._most_rows.get(partition.spec.name, rows))
            if partition.due(now, most, size, 0.0 if hurry else seconds):
                partition.cut_open()
            batch = partition.cut
            if batch is None:
                continue
            if batch.state is BatchState.INTENDED or (
                batch.state is BatchState.CUT and batch.letters and not batch.rows
            ):
                self._pool.add(partition)
            elif batch.state is BatchState.CUT and not batch.rows:
                self._accounting.empty(partition, batch)
                partition.finish()

    def _halve(self, task: InsertTask) -> None:
        """Smaller batches from here on: what the server has room for is learned from its refusals."""
        partition, name, rows = task.partition, task.partition.spec.name, task.batch.rows
        half = partition.halve()
        self._allow(name, max(1, half * 4 // 5))
        log.warning(
            "batch too large for the server, its first half is inserted", stream=name, rows=rows, code=task.code
        )
        self._group.fetch_anew()

    def _finish(self, task: InsertTask) -> None:
        settings = self._config.clickhouse
        filtering = task.partition.spec.name == "kline" and not settings.open_candles
        self._accounting.inserted(task, filtering, counted=not settings.cluster)
        self._child.page["clickhouse_up"] = 1
        most = self._most_rows.get(task.partition.spec.name)
        if most is not None and task.batch.rows >= most:  # it may have more room again: try a little more now and then
            self._allow(task.partition.spec.name, 0 if most >= self._limits[0] else most + max(1, most // ROOM_STEP))
        task.partition.finish()

    def _allow(self, stream: str, rows: int) -> None:
        """So many rows of it at once from here on, also after a restart; 0: as many as are configured."""
        self._most_rows.pop(stream, None)
        if rows:
            self._most_rows[stream] = rows
        for partition in self._group.partitions.values():
            if partition.spec.name == stream:
                partition.allow(rows)

    def _new_partition(self, name: str, number: int, start: int, progress: CommitMetadata) -> Partition:
        spec = self._specs[name]
        partition = Partition(spec, name, number, start, progress, self._heads[spec.name], self._identify[spec.name])
        self._accounting.assigned(partition)
        if 0 < progress.most_rows < self._most_rows.get(spec.name, self._limits[0]):
            self._most_rows[spec.name] = progress.most_rows
        return partition

    def _keep_waiting(self) -> bool:
        self._child.beat()
        return not self._child.stopping or time.monotonic() < self._child.deadline - DRAIN_MARGIN

    def _on_leave(self, partitions: list[Partition], in_order: bool) -> None:
        """Give inserts under way a moment to end, so that the next owner need not repeat them."""
        until = time.monotonic() + (LEAVE_SECONDS if in_order else 0.0)
        mine = set(map(id, partitions))
        while time.monotonic() < until:
            futures = [t.future for t in self._pool.tasks if t.future is not None and id(t.partition) in mine]
            if not futures:
                break
            self._child.beat()
            wait(futures, POLL_SECONDS)
            for task in self._pool.collect(time.monotonic()):
                self._finish(task)
        self._pool.drop(partitions)

    def _verify_stream(self, spec: StreamSpec) -> None:
        if text := self._verifier.wrong().get(spec.name):
            raise SchemaMismatch(text)

    def _drain(self) -> None:
        """Read to where the logs end now, insert that and commit it; at the deadline leave it to the next start."""
        until = self._child.deadline - DRAIN_MARGIN
        joined_by = min(until, time.monotonic() + JOIN_SECONDS)
        while not self._group.rebalances and self._group.broker_up and time.monotonic() < joined_by:
            self._step(draining=True)
        ends: dict[tuple[str, int], int] | None
        try:
            ends = self._group.end_offsets()
        except ServiceUnavailable as error:
            log.warning("end offsets unknown, reading until no more messages come", reason=str(error))
            ends = None
        last_received = time.monotonic()
        while (now := time.monotonic()) < until:
            partitions = self._group.partitions
            read = ends is not None and all(p.next_offset >= ends.get(key, 0) for key, p in partitions.items())
            if (read or now - last_received > QUIET_SECONDS) and all(p.idle for p in partitions.values()):
                if self._group.commits.all_committed(partitions) or not self._group.broker_up:
                    break
                self._group.commits.expedite(now)
            if self._step(draining=True):
                last_received = now
        if remaining := sum(not p.idle for p in self._group.partitions.values()):
            log.warning("stopped before every message was inserted; Kafka keeps the rest", partitions=remaining)
        self._housekeeping.finish(until)
