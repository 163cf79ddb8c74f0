"""What a consumer checks now and then, and what its operator sees of it: lag, health, alarms, offsets out of range.

Asks Kafka in a thread where the logs end, every few seconds and by another client than the one that reads: the lag of a
member that stands still is seen to grow. Partitions that were added and are nobody's yet count for the first member.

Asks ClickHouse in a thread, every few seconds: are the tables and views as they must be (a view that somebody dropped
makes inserts vanish without an error), and how many rows of the finished inserts went to ``rejected``. A stream whose
tables differ is in `blocked` until they agree again: nothing of it is inserted.
"""

import gc
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.clickhouse.catalog import Verifier, rejected_rows
from wsadapter.clickhouse.client import unavailable
from wsadapter.config.model import Config
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import SPECS, StreamSpec
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import error_text, made_for
from wsadapter.kafka.members import is_alone
from wsadapter.kafka.settings import unsubscribed_config
from wsadapter.kafka.topics import (
    TopicState,
    ensure_topics,
    log_bounds,
    offset_at,
    record_at,
    topic,
    topic_states,
)
from wsadapter.log import OUTAGE, Repeated, get_logger
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer import endpoint_cells
from wsadapter.roles.consumer.accounting import Accounting, Unsettled
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer, LostRange
from wsadapter.roles.consumer.group import GroupMember
from wsadapter.roles.consumer.insert_order import GroupOffsets
from wsadapter.roles.consumer.insert_pool import FAILURES, InsertFailure, InsertPool
from wsadapter.supervision.child import Child, ChildState

PUBLISH_SECONDS: Final = 1.0
HEALTH_SECONDS: Final = 5.0
LAG_SECONDS: Final = 10.0
AWAITED_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
STALE_REPLAY_SECONDS: Final = 10.0
TAIL_LOOKBACK_MS: Final = 300_000
"""In a log that was cut off behind what was read the offset is looked for by time, so much before the last message."""
COMMIT_SECONDS: Final = 5.0
"""A commit that has failed for so long is no hiccup: the broker's reason is shown."""
PATIENCE: Final = 3
"""Refusals of one batch in a row (read only, too many parts, no space) until the consumer is not `RUNNING` any more."""
GARBAGE_SECONDS: Final = 60.0
"""Between two looks for cycles, which hold on to sockets that the driver has given up (every ten minutes) and, after an
error, to batches. By the number of new objects alone (`wsadapter.roles.consumer.__main__.GARBAGE`) none may come for
hours."""
UNREAD_SECONDS: Final = 60.0
"""The same of a partition whose log goes on and that gives nothing, though we have not paused it."""

log = get_logger()


class Health(Struct, frozen=True):
    """ClickHouse's answer. ``wrong``: stream -> why inserts must wait; ``rejected``: of these ``ranges``."""

    wrong: dict[str, str]
    ranges: dict[Key, Unsettled]
    rejected: dict[Key, int]


class LogEnds(Struct, frozen=True):
    """Kafka's answer: where the log of each partition of our topics begins and ends, and which topics these are."""

    at: float
    bounds: Mapping[Key, tuple[int, int]]
    topics: Mapping[str, TopicState]
    committed: Mapping[Key, int]
    """Of the partitions that are not ours, in a group of several members."""


class ResumePoint(Struct, frozen=True):
    """Where a log is read on; ``end``: its next offset."""

    offset: int
    end: int
    topic_id: str


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
        self._next_collection = time.monotonic() + GARBAGE_SECONDS
        self._rebalances = 0
        self._kafka_thread = DaemonExecutor(1, "kafka")
        self._admin: Admin | None = None
        self._streams = {topic(self._config.kafka, spec): spec.name for spec in SPECS}
        self._is_first = child.args.name.endswith("-0")
        self._log_ends = LogEnds(time.monotonic(), {}, {}, {})
        self._log_ends_call: Future[LogEnds] | None = None
        self._is_alone = is_alone(self._config.service, self._config.process_of("consumer").count)
        self._committed: Consumer | None = None
        self.offsets = GroupOffsets()
        self.is_awaited = False
        """Somebody waits for the next `offsets`."""
        self._next_log_ends = 0.0
        self._stale_replays: dict[Key, float] = {}
        self._unread: dict[Key, tuple[int, float]] = {}
        """Partitions that are behind and not paused: their next offset, and since when it is that."""
        self._repeated = Repeated(*OUTAGE)

    def step(self, now: float) -> None:
        """To be called in every cycle; does something about once a second."""
        self._log_failures()
        if now < self._next_step and self._rebalances == self._group.rebalances:
            return
        self._next_step = now + PUBLISH_SECONDS
        self._rebalances = self._group.rebalances
        ends = self._group.cached_ends()
        self._check_ranges(ends, now)
        self._group.remember(now)
        self._check_health(now)
        self._check_log_ends(now)
        self._publish(ends, now)
        self._collect_garbage(now)
        if self._group.topics_missing:
            self._group.topics_missing = False
            self._kafka_thread.call(lambda: ensure_topics(self._config.kafka, HEALTH_SECONDS))

    def _collect_garbage(self, now: float) -> None:
        if now >= self._next_collection:
            self._next_collection = now + GARBAGE_SECONDS
            gc.collect()

    def finish(self, until: float) -> None:
        """The last counts before the end, of ClickHouse if it still answers."""
        self._publish_lag(self._lag(self._group.cached_ends()))
        unsettled = self._accounting.unsettled
        if not unsettled or not self._child.page["clickhouse_up"]:
            return
        last = self._pool.call(lambda: self._query_health(unsettled))
        done, _ = wait([last], max(0.0, until - time.monotonic()))
        if done and last.exception() is None:
            self._accounting.resolve(last.result().ranges, last.result().rejected)

    def _lag(self, ends: Mapping[Key, int]) -> dict[Key, int]:
        """Messages that are not done, of our partitions and of those that are nobody's yet."""
        partitions, bounds = self._group.partitions, self._log_ends.bounds
        lag = {
            key: max(0, max(ends.get(key, 0), bounds[key][1] if key in bounds else 0) - partition.done)
            for key, partition in partitions.items()
        }
        if self._is_first and (topics := self._group.topics):
            known = {name: state.partitions for name, state in topics.items()}
            lag |= {key: end - first for key, (first, end) in bounds.items() if key[1] >= known.get(key[0], 0)}
        return lag

    def _publish(self, ends: Mapping[Key, int], now: float) -> None:
        page, group = self._child.page, self._group
        by_partition = self._lag(ends)
        self._publish_lag(by_partition)
        page["commit_failed_since_ns"] = int(group.unconfirmed_since * 1e9)
        # a partition that holds nothing for us keeps nothing from us
        refusals = [code for key, code in group.refused.items() if by_partition.get(key, 1)]
        if group.unconfirmed_since and now - group.unconfirmed_since > COMMIT_SECONDS and group.commit_refusal:
            refusals.append(group.commit_refusal)
        page["broker_refusal"] = max(0, *refusals, 0)
        alarms = {
            t.partition.spec.name for t in self._pool.tasks if t.failure is InsertFailure.ALARM
        } | self.blocked.keys()
        self._accounting.paused(alarms)
        page["broker_up"] = int(group.broker_up)
        endpoint_cells.publish(page, self._config.clickhouse)
        page["broker_reason"] = group.heard.reason
        page["rebalances_total"] = group.rebalances
        refused = any(t.failure is InsertFailure.REFUSED and t.attempts >= PATIENCE for t in self._pool.tasks)
        working = group.rebalances and page["broker_up"] and page["clickhouse_up"] and not refused
        working = working and not page["broker_refusal"] and not self._is_unread(now)
        self._child.set_state(ChildState.PAUSED if alarms else ChildState.RUNNING if working else ChildState.WAITING)

    def _is_unread(self, now: float) -> bool:
        """Whether a partition stands still that should not."""
        before, self._unread = self._unread, {}
        for key, partition in self._group.partitions.items():
            offset = partition.next_offset
            if key not in self._group.paused and offset < self._log_ends.bounds.get(key, (0, 0))[1]:
                known, since = before.get(key, (offset, now))
                self._unread[key] = offset, since if known == offset else now
        still = [key for key, (_, since) in self._unread.items() if now - since > UNREAD_SECONDS]
        if still and (kept_back := self._repeated(still[0])) is not None:
            log.error("nothing comes of a log that goes on", topic=still[0][0], partition=still[0][1],
                      partitions=len(still), repeated=kept_back)  # fmt: skip
        return bool(still)

    def _publish_lag(self, lag: Mapping[Key, int]) -> None:
        messages = dict.fromkeys((self._streams[name] for name, _ in lag), 0)
        for (name, _), count in lag.items():
            messages[self._streams[name]] += count
        self._accounting.lag(messages, int(self._log_ends.at * 1e9))

    def _check_log_ends(self, now: float) -> None:
        if self._log_ends_call is None:
            if now >= self._next_log_ends or (self.is_awaited and now >= self._log_ends.at + AWAITED_SECONDS):
                mine = frozenset(self._group.partitions)
                self._log_ends_call = self._kafka_thread.call(lambda: self._query_log_ends(mine))
            return
        if not self._log_ends_call.done():
            return
        call, self._log_ends_call = self._log_ends_call, None
        self._next_log_ends = now + LAG_SECONDS
        error = call.exception()
        if error is None:
            self._log_ends = found = call.result()
            first = {key: bounds[0] for key, bounds in found.bounds.items()}
            committed = {key: max(offset, first.get(key, 0)) for key, offset in found.committed.items()}
            ends = {key: bounds[1] for key, bounds in found.bounds.items()}
            self.offsets = GroupOffsets(found.at, ends, first | committed)
            for key, partition in self._group.partitions.items():
                state = self._log_ends.topics.get(key[0])
                if state is not None and partition.progress.is_other_topic(state.topic_id):
                    self._group.out_of_range.add(key)
        elif isinstance(error, ServiceUnavailable):
            self._log("the lag is not known", error)
        else:
            raise error

    def _query_log_ends(self, mine: frozenset[Key]) -> LogEnds:
        kafka, at = self._config.kafka, time.monotonic()
        self._admin = self._admin or Admin(kafka)
        topics = topic_states(kafka, self._streams, ANSWER_SECONDS, self._admin)
        keys = [(name, number) for name, state in topics.items() for number in range(state.partitions)]
        # in this order: the gaps of what is committed lie before their log's end
        committed = {} if self._is_alone else self._query_committed([key for key in keys if key not in mine])
        return LogEnds(at, log_bounds(kafka, keys, ANSWER_SECONDS, self._admin), topics, committed)

    def _query_committed(self, keys: list[Key]) -> dict[Key, int]:
        if self._committed is None:
            with made_for(self._config.kafka.bootstrap_servers):
                self._committed = Consumer(unsubscribed_config(self._config.kafka))
        try:
            found = self._committed.committed([TopicPartition(*key) for key in keys], timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise ServiceUnavailable(f"committed offsets are not known: {error_text(error)}") from None
        return {(each.topic, each.partition): each.offset for each in found}

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
        """The next offset is not in the log: publish a gap, then go on where the log still has what is to be read."""
        self._child.beat()  # the broker is asked several times
        expected = partition.next_offset
        try:
            resume = self._resume_point(key, partition)
            published = self._dead_letters.gap(partition.spec, self._lost_range(key, partition, resume))
        except ServiceUnavailable as error:
            self._log("offset out of range, where to go on is not known yet", error)
            return
        self._accounting.gaps(partition.spec, published)
        log.error(
            "offset out of range, messages are gone from Kafka",
            topic=key[0],
            partition=key[1],
            expected=expected,
            first=resume.offset,
            is_other_topic=partition.progress.is_other_topic(resume.topic_id),
        )
        self._group.seek(key, resume.offset, resume.topic_id)

    def _resume_point(self, key: Key, partition: Partition) -> ResumePoint:
        """Of the same topic, cut off behind what was read, we read again from a while before our last message on: what
        is new may have offsets that we read before, and what is not is dropped by its watermarks. Any other log is read
        from its beginning."""
        kafka, progress = self._config.kafka, partition.progress
        state = topic_states(kafka, [key[0]], ANSWER_SECONDS).get(key[0])
        if state is None:
            raise ServiceUnavailable(f"there is no topic {key[0]}")
        first, end = log_bounds(kafka, [key], ANSWER_SECONDS)[key]
        is_same = bool(state.topic_id) and state.topic_id == progress.topic_id
        if not is_same or partition.next_offset <= first or not progress.at_ms:
            return ResumePoint(first, end, state.topic_id)
        offset = offset_at(kafka, key, progress.at_ms - TAIL_LOOKBACK_MS, ANSWER_SECONDS)
        return ResumePoint(end if offset is None else offset, end, state.topic_id)

    def _lost_range(self, key: Key, partition: Partition, resume: ResumePoint) -> LostRange:
        """What lies between the last message that was read and the first one that can be."""
        expected, first, is_empty = partition.next_offset, resume.offset, resume.offset >= resume.end
        record = None if is_empty else record_at(self._config.kafka, key, first, ANSWER_SECONDS)
        ended_ns = _received_ns(partition.spec, record) if record is not None else time.time_ns()
        started_ns = min(partition.progress.at_ms * 1_000_000, ended_ns)
        known = first > expected and not partition.progress.is_other_topic(resume.topic_id)
        exchanges = tuple(sorted({feed.exchange for feed in self._config.feed}))
        return LostRange(
            *key, expected, first, started_ns or ended_ns, ended_ns, first - expected if known else None, exchanges
        )

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
            away = unavailable(self._config.clickhouse, error)
            self._child.page["clickhouse_up"] = 0
            self._child.page["clickhouse_reason"] = away.reason
            self._log("waiting for ClickHouse", away)
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

    def _log(self, event: str, error: ServiceUnavailable) -> None:
        if (kept_back := self._repeated((event, error.reason))) is not None:
            log.warning(event, reason=str(error), repeated=kept_back)


def _received_ns(spec: StreamSpec, record: Message) -> int:
    """When it was received from the venue; where it cannot be read, when Kafka got it."""
    try:
        message: Any = getattr(market_pb2, spec.message).FromString(record.value() or b"")
    except DecodeError:
        message = None
    return int(getattr(message, "receive_time_ns", 0) or record.timestamp()[1] * 1_000_000)
