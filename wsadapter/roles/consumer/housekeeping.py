"""What a consumer looks at now and then, and what its operator sees of it: lag, health, alarms, logs out of range.

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
from wsadapter.roles.consumer.insert_pool import FAILURES, InsertPool, Trouble
from wsadapter.supervision.child import Child, ChildState

SHOW_SECONDS: Final = 1.0
HEALTH_SECONDS: Final = 5.0
STALE_REPLAY_SECONDS: Final = 10.0
PATIENCE: Final = 3
"""Refusals of one batch in a row (read only, too many parts, no space) until the consumer is not `RUNNING` any more."""

log = get_logger()


class Health(Struct, frozen=True):
    """ClickHouse's answer. ``wrong``: stream -> why inserts must wait; ``rejected``: rows of what was ``asked``."""

    wrong: dict[str, str]
    asked: dict[Key, Unsettled]
    rejected: dict[Key, int]


class Housekeeping:
    def __init__(
        self,
        child: Child,
        client: Client,
        verifier: Verifier,
        group: GroupMember,
        landing: InsertPool,
        ledger: Accounting,
        outgoing: DeadLetterProducer,
    ) -> None:
        self.blocked: dict[str, str] = {}
        """Stream -> why nothing of it is inserted."""
        self._child, self._client, self._verifier, self._group = child, client, verifier, group
        self._landing, self._ledger, self._outgoing = landing, ledger, outgoing
        self._config: Config = child.args.config
        self._health: Future[Health] | None = None
        self._next_health = time.monotonic() + HEALTH_SECONDS
        self._next_look = 0.0
        self._rebalances = 0
        self._stale_replays: dict[Key, float] = {}
        self._repeated = Repeated()

    def look(self, now: float) -> None:
        """To be called in every turn; does something about once a second."""
        self._say_troubles()
        if now < self._next_look and self._rebalances == self._group.rebalances:
            return
        self._next_look = now + SHOW_SECONDS
        self._rebalances = self._group.rebalances
        ends = self._group.ends_known()
        self._check_ranges(ends, now)
        self._check_health(now)
        self._show(ends)
        if self._group.topics_missing:
            self._group.topics_missing = False
            self._landing.call(lambda: ensure_topics(self._config.kafka, HEALTH_SECONDS))

    def settle(self, until: float) -> None:
        """The last counts before the end, if ClickHouse still answers."""
        open_rows = self._ledger.unsettled
        if not open_rows or not self._child.page["clickhouse_up"]:
            return
        last = self._landing.call(lambda: self._ask(open_rows))
        done, _ = wait([last], max(0.0, until - time.monotonic()))
        if done and last.exception() is None:
            self._ledger.settle(last.result().asked, last.result().rejected)

    def _show(self, ends: Mapping[Key, int]) -> None:
        page, group = self._child.page, self._group
        lag = dict.fromkeys((spec.name for spec in SPECS), 0)
        for key, partition in group.partitions.items():
            lag[partition.spec.name] += max(0, ends.get(key, 0) - partition.done)
        alarms = {
            t.partition.spec.name for t in self._landing.tasks if t.trouble is Trouble.ALARM
        } | self.blocked.keys()
        self._ledger.show(lag, alarms)
        page["broker_up"] = int(group.broker_up)
        page["rebalances_total"] = group.rebalances
        refused = any(t.trouble is Trouble.REFUSED and t.attempts >= PATIENCE for t in self._landing.tasks)
        working = group.rebalances and page["broker_up"] and page["clickhouse_up"] and not refused
        self._child.set_state(ChildState.PAUSED if alarms else ChildState.RUNNING if working else ChildState.WAITING)

    def _check_ranges(self, ends: Mapping[Key, int], now: float) -> None:
        for key, partition in self._group.partitions.items():
            self._check_replay(key, partition, ends.get(key), now)
        for key in list(self._group.out_of_range):
            partition = self._group.partitions[key]
            if partition.idle:
                self._begin_again(key, partition)

    def _check_replay(self, key: Key, partition: Partition, end: int | None, now: float) -> None:
        """An intended range that ends beyond the log (it was cut off) would wait for ever."""
        if partition.replay_to is None or end is None or partition.replay_to < end:
            self._stale_replays.pop(key, None)
        elif now - self._stale_replays.setdefault(key, now) > STALE_REPLAY_SECONDS:
            log.warning("intended range is beyond the log", topic=key[0], partition=key[1], last=partition.replay_to)
            partition.abandon_replay()

    def _begin_again(self, key: Key, partition: Partition) -> None:
        """A log no longer holds what comes next: say what is missing, then go on where it begins."""
        expected = partition.next_offset
        try:
            found = self._group.log_begins(key)
            self._outgoing.gap(partition.spec, *key, expected, found)
        except ServiceUnavailable as error:
            self._say("a log is out of range, its beginning is not known yet", str(error))
            return
        log.error(
            "Kafka no longer holds what comes next", topic=key[0], partition=key[1], expected=expected, found=found
        )
        self._group.begin_again(key, found)

    def _check_health(self, now: float) -> None:
        if self._health is None:
            if now >= self._next_health:
                open_rows = self._ledger.unsettled
                self._health = self._landing.call(lambda: self._ask(open_rows))
            return
        if not self._health.done():
            return
        health, self._health = self._health, None
        self._next_health = now + HEALTH_SECONDS
        error = health.exception()
        if error is None:
            self._heard(health.result())
        elif isinstance(error, FAILURES):
            self._child.page["clickhouse_up"] = 0
            self._say("ClickHouse does not answer", str(unavailable(self._config.clickhouse, error)))
        else:
            raise error

    def _heard(self, health: Health) -> None:
        self._child.page["clickhouse_up"] = 1
        self._ledger.settle(health.asked, health.rejected)
        for stream in health.wrong.keys() - self.blocked.keys():
            log.error("inserts wait for the operator", stream=stream, reason=health.wrong[stream])
        for stream in self.blocked.keys() - health.wrong.keys():
            log.warning("inserts go on", stream=stream)
        self.blocked = health.wrong

    def _ask(self, open_rows: dict[Key, Unsettled]) -> Health:
        wrong = self._verifier.wrong()
        if wrong or not open_rows:
            return Health(wrong, {}, {})
        ranges = {key: (one.stream, one.first, one.end) for key, one in open_rows.items()}
        return Health(wrong, open_rows, rejected_rows(self._client, self._config.clickhouse, ranges))

    def _say_troubles(self) -> None:
        for task in self._landing.tasks:
            if task.trouble is None or task.said == task.attempts:
                continue
            task.said = task.attempts
            self._ledger.retried()
            if task.trouble is Trouble.AWAY:
                self._child.page["clickhouse_up"] = 0
            name, kind = task.partition.spec.name, task.trouble.value
            if (kept_back := self._repeated((name, kind, task.code))) is None:
                continue
            said = log.error if task.trouble is Trouble.ALARM else log.warning
            said(
                "insert failed, the same bytes are sent again",
                stream=name,
                trouble=kind,
                code=task.code,
                reason=task.reason,
                attempt=task.attempts,
                repeated=kept_back,
            )

    def _say(self, event: str, reason: str) -> None:
        if (kept_back := self._repeated(event)) is not None:
            log.warning(event, reason=reason, repeated=kept_back)
