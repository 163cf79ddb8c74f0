"""What a consumer checks now and then, and what its operator sees of it: lag, health, alarms, offsets out of range.

Asks ClickHouse in a thread, every few seconds: are the tables and views as they must be (a view that somebody dropped
makes inserts vanish without an error), and how many rows of the finished inserts went to ``rejected``. A stream whose
tables differ is in `blocked` until they agree again: nothing of it is inserted.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Final

from clickhouse_connect.driver.client import Client
from msgspec import Struct

from wsadapter.clickhouse.catalog import Verifier, rejected_rows
from wsadapter.clickhouse.client import unavailable
from wsadapter.config.load import Config
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import SPECS
from wsadapter.kafka.topics import ensure_topics
from wsadapter.log import Repeated, get_logger
from wsadapter.roles.consumer.accounting import Accounting, Unsettled
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer
from wsadapter.roles.consumer.group import GroupMember
from wsadapter.roles.consumer.insert_pool import FAILURES, InsertFailure, InsertPool
from wsadapter.supervision.child import Child, ChildState

PUBLISH_SECONDS: Final = 1.0
HEALTH_SECONDS: Final = 5.0
STALE_REPLAY_SECONDS: Final = 10.0
PATIENCE: Final = 3
"""Refusals of one batch in a row (read only, too many parts, no space) until the consumer is not `RUNNING` any more."""

log = get_logger()


class Health(Struct, frozen=True):
    """ClickHouse's answer. ``wrong``: stream -> why inserts must wait; ``rejected``: of these ``ranges``."""

    wrong: dict[str, str]
    ranges: dict[Key, Unsettled]
    rejected: dict[Key, int]


class Housekeeping:
    def __init__(
        self,
        child: Child,
        client: Client,
        verifier: Verifier,
        group: GroupMember,
        pool: InsertPool,
        accounting: Accounting,
        dead_letters: DeadLetterProducer,
    ) -> None:
        self.blocked: dict[str, str] = {}
        """Stream -> why nothing of it is inserted."""
        self._child, self._client, self._verifier, self._group = child, client, verifier, group
        self._pool, self._accounting, self._dead_letters = pool, accounting, dead_letters
        self._config: Config = child.args.config
        self._health: Future[Health] | None = None
        self._next_health = time.monotonic() + HEALTH_SECONDS
        self._next_step = 0.0
        self._rebalances = 0
        self._stale_replays: dict[Key, float] = {}
        self._repeated = Repeated()

    def step(self, now: float) -> None:
        """To be called in every cycle; does something about once a second."""
        self._log_failures()
        if now < self._next_step and self._rebalances == self._group.rebalances:
            return
        self._next_step = now + PUBLISH_SECONDS
        self._rebalances = self._group.rebalances
        ends = self._group.cached_ends()
        self._check_ranges(ends, now)
        self._check_health(now)
        self._publish(ends)
        if self._group.topics_missing:
            self._group.topics_missing = False
            self._pool.call(lambda: ensure_topics(self._config.kafka, HEALTH_SECONDS))

    def finish(self, until: float) -> None:
        """The last counts before the end, if ClickHouse still answers."""
        unsettled = self._accounting.unsettled
        if not unsettled or not self._child.page["clickhouse_up"]:
            return
        last = self._pool.call(lambda: self._query_health(unsettled))
        done, _ = wait([last], max(0.0, until - time.monotonic()))
        if done and last.exception() is None:
            self._accounting.resolve(last.result().ranges, last.result().rejected)

    def _publish(self, ends: Mapping[Key, int]) -> None:
        page, group = self._child.page, self._group
        lag = dict.fromkeys((spec.name for spec in SPECS), 0)
        for key, partition in group.partitions.items():
            lag[partition.spec.name] += max(0, ends.get(key, 0) - partition.done)
        alarms = {
            t.partition.spec.name for t in self._pool.tasks if t.failure is InsertFailure.ALARM
        } | self.blocked.keys()
        self._accounting.publish(lag, alarms)
        page["broker_up"] = int(group.broker_up)
        page["rebalances_total"] = group.rebalances
        refused = any(t.failure is InsertFailure.REFUSED and t.attempts >= PATIENCE for t in self._pool.tasks)
        working = group.rebalances and page["broker_up"] and page["clickhouse_up"] and not refused
        self._child.set_state(ChildState.PAUSED if alarms else ChildState.RUNNING if working else ChildState.WAITING)

    def _check_ranges(self, ends: Mapping[Key, int], now: float) -> None:
        for key, partition in self._group.partitions.items():
            self._check_replay(key, partition, ends.get(key), now)
        for key in list(self._group.out_of_range):
            partition = self._group.partitions[key]
            if partition.idle:
                self._restart(key, partition)

    def _check_replay(self, key: Key, partition: Partition, end: int | None, now: float) -> None:
        """An intended range that ends beyond the log (it was cut off) would wait for ever."""
        if partition.replay_to is None or end is None or partition.replay_to < end:
            self._stale_replays.pop(key, None)
        elif now - self._stale_replays.setdefault(key, now) > STALE_REPLAY_SECONDS:
            log.warning(
                "intended batch ends beyond the end of the log",
                topic=key[0],
                partition=key[1],
                last=partition.replay_to,
            )
            partition.abandon_replay()

    def _restart(self, key: Key, partition: Partition) -> None:
        """The log no longer holds the next offset: publish a gap, then go on where the log begins."""
        expected = partition.next_offset
        try:
            first = self._group.first_offset(key)
            self._dead_letters.gap(partition.spec, *key, expected, first)
        except ServiceUnavailable as error:
            self._log("offset out of range, the first offset of the log is not known yet", str(error))
            return
        log.error(
            "offset out of range, messages are gone from Kafka",
            topic=key[0],
            partition=key[1],
            expected=expected,
            first=first,
        )
        self._group.seek(key, first)

    def _check_health(self, now: float) -> None:
        if self._health is None:
            if now >= self._next_health:
                unsettled = self._accounting.unsettled
                self._health = self._pool.call(lambda: self._query_health(unsettled))
            return
        if not self._health.done():
            return
        health, self._health = self._health, None
        self._next_health = now + HEALTH_SECONDS
        error = health.exception()
        if error is None:
            self._on_health(health.result())
        elif isinstance(error, FAILURES):
            self._child.page["clickhouse_up"] = 0
            self._log("ClickHouse does not answer", str(unavailable(self._config.clickhouse, error)))
        else:
            raise error

    def _on_health(self, health: Health) -> None:
        self._child.page["clickhouse_up"] = 1
        self._accounting.resolve(health.ranges, health.rejected)
        for stream in health.wrong.keys() - self.blocked.keys():
            log.error("inserts paused until the table is as expected", stream=stream, reason=health.wrong[stream])
        for stream in self.blocked.keys() - health.wrong.keys():
            log.warning("inserts resumed", stream=stream)
        self.blocked = health.wrong

    def _query_health(self, unsettled: dict[Key, Unsettled]) -> Health:
        wrong = self._verifier.wrong()
        if wrong or not unsettled:
            return Health(wrong, {}, {})
        ranges = {key: (rows.stream, rows.first, rows.end) for key, rows in unsettled.items()}
        return Health(wrong, unsettled, rejected_rows(self._client, self._config.clickhouse, ranges))

    def _log_failures(self) -> None:
        for task in self._pool.tasks:
            if task.failure is None or task.logged == task.attempts:
                continue
            task.logged = task.attempts
            self._accounting.retried()
            if task.failure is InsertFailure.UNREACHABLE:
                self._child.page["clickhouse_up"] = 0
            name, kind = task.partition.spec.name, task.failure.value
            if (kept_back := self._repeated((name, kind, task.code))) is None:
                continue
            log_line = log.error if task.failure is InsertFailure.ALARM else log.warning
            log_line(
                "insert failed, will be retried",
                stream=name,
                failure=kind,
                code=task.code,
                reason=task.reason,
                attempt=task.attempts,
                repeated=kept_back,
            )

    def _log(self, event: str, reason: str) -> None:
        if (kept_back := self._repeated(event)) is not None:
            log.warning(event, reason=reason, repeated=kept_back)
