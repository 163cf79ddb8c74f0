"""The consumer role: Kafka -> ClickHouse, each message once.

One cycle: take messages, cut the batches that are due, commit their ranges as intents (one commit for all partitions,
which also says what is done), insert when the broker has confirmed, finish. `wsadapter.batches` has the rules of
exactly once, `wsadapter.membership` the group, `wsadapter.landing` the inserts. This file is the order of things, the
bounds of memory and time, and what the operator sees.

Guarantees: nothing is held here that Kafka does not have; at most about twice `clickhouse.batch_bytes` are in memory. A
table that waits holds only its own partitions; ClickHouse or Kafka away is waited for without end, the heart beating. A
stop reads to where the logs ended when it came, inserts that, commits and leaves.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

from clickhouse_connect.driver.client import Client
from google.protobuf.message import DecodeError

from wsadapter.batches import Identify, Identity, Partition, Progress
from wsadapter.clickhouse import connect, create_or_verify, rejected_rows, unavailable, verify
from wsadapter.config import Config
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.inserts import Inserter, statement
from wsadapter.landing import FAILURES, Landed, Landing, Trouble
from wsadapter.ledger import Ledger
from wsadapter.letters import Outgoing
from wsadapter.lifecycle import Child, ChildState, run_child
from wsadapter.log import Repeated, get_logger
from wsadapter.membership import CHUNK, Key, Membership
from wsadapter.pb import market_pb2
from wsadapter.streams import SPECS, StreamSpec
from wsadapter.topics import ensure_topics, topic

POLL_SECONDS: Final = 0.1
BLOCKED_SECONDS: Final = 5.0
"""With full buffers for so long, fetching is suspended, so that polling (and so the membership) goes on."""
HEALTH_SECONDS: Final = 5.0
SHOW_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 5.0
"""How long a rebalance waits for inserts under way."""
STALE_REPLAY_SECONDS: Final = 10.0
DRAIN_MARGIN: Final = 1.5
"""Before the deadline: for the last commit and leaving."""
QUIET_SECONDS: Final = 3.0
"""A drain ends when nothing came for so long, whatever the end offsets said."""

T = TypeVar("T")
log = get_logger()


def identify_as(spec: StreamSpec) -> Identify:
    """The slow way to a message's ring identity, for what does not begin with it."""
    parse = getattr(market_pb2, spec.message).FromString

    def identify(value: bytes) -> Identity | None:
        try:
            message = parse(value)
        except DecodeError:
            raise ValueError(f"no protobuf of {spec.message}") from None
        if not message.receive_time_ns:
            raise ValueError(f"no {spec.message} of ours: no receive time")
        if message.HasField("epoch") and message.HasField("position"):
            return message.epoch, message.position
        return None

    return identify


class Consumer:
    def __init__(self, child: Child, client: Client) -> None:
        config = child.args.config
        self._child, self._client, self._config = child, client, config
        self._limits = config.clickhouse.batch_rows, config.clickhouse.batch_bytes, config.clickhouse.batch_seconds
        self._heads = {spec.name: statement(config.clickhouse.database, spec) for spec in SPECS}
        self._identify = {spec.name: identify_as(spec) for spec in SPECS}
        self._specs = {topic(config.kafka, spec): spec for spec in SPECS}
        self._outgoing = Outgoing(config.kafka)
        self._ledger = Ledger(child.page)
        self._landing = Landing(Inserter(client, SPECS), self._outgoing, self._heads, self._verify_stream)
        self._health: Future[tuple[dict[str, str], list[str], dict[str, int]]] | None = None
        self._next_health = time.monotonic() + HEALTH_SECONDS
        self._next_show = 0.0
        self._blocked_since = 0.0
        self._blocked_streams: dict[str, str] = {}
        self._stale_replays: dict[Key, float] = {}
        self._repeated = Repeated()
        self._group = Membership(
            config.kafka,
            f"{child.args.instance}-{child.args.name}",
            self._specs,
            self._make,
            self._leaving,
            self._patient,
        )

    def run(self) -> int:
        while not self._child.stopping:
            self._turn(draining=False)
        self._drain()
        self._group.close()
        self._landing.close()
        return 0

    def _turn(self, draining: bool) -> int:
        """One cycle; returns how many messages came."""
        self._child.beat()
        came = self._take()
        now = time.monotonic()
        for task in self._landing.collect(now):
            self._finish(task)
        self._cut(now, draining)
        self._group.commit(now)
        while self._group.intended:
            self._landing.take(self._group.intended.pop())
        self._landing.start(now, frozenset(self._blocked_streams))
        self._say_troubles()
        if now >= self._next_show:
            self._look_around(now)
        return came

    # memory and time

    def _take(self) -> int:
        """Poll, unless the buffers are full; then wait for an insert instead."""
        size = sum(partition.buffered for partition in self._group.partitions.values())
        stuck = sum(t.partition.buffered for t in self._landing.tasks if t.trouble is not None)
        limit = self._limits[1]
        now = time.monotonic()
        if max(stuck, size - stuck) < limit:
            self._blocked_since = 0.0
        elif not self._blocked_since:
            self._blocked_since = now
        blocked = bool(self._blocked_since)
        suspend = blocked and now - self._blocked_since > BLOCKED_SECONDS
        self._hold(suspend)
        futures = [task.future for task in self._landing.tasks if task.future is not None]
        if blocked and not suspend and futures:
            wait(futures, POLL_SECONDS, FIRST_COMPLETED)
            return 0
        return self._group.poll(POLL_SECONDS / 2 if futures else POLL_SECONDS, 1 if blocked else CHUNK)

    def _hold(self, everything: bool) -> None:
        if everything:
            self._group.hold(set(self._group.partitions))
            return
        waiting = {_key(task.partition) for task in self._landing.tasks if task.trouble is not None}
        waiting |= {key for key, p in self._group.partitions.items() if p.spec.name in self._blocked_streams}
        self._group.hold(waiting | self._group.out_of_range)

    def _cut(self, now: float, draining: bool) -> None:
        rows, size, seconds = self._limits
        partitions = self._group.partitions
        hurry = draining or sum(p.buffered for p in partitions.values()) >= size // 2
        for key, partition in partitions.items():
            if partition.due(now, rows, size, 0.0 if hurry or key in self._group.out_of_range else seconds):
                partition.cut_open()
            batch = partition.cut
            if batch is None or batch.counted:
                continue
            batch.counted = True
            self._ledger.taken(partition.spec, batch)
            if batch.letters and not batch.rows:
                self._landing.take(partition)
            elif not batch.rows:
                partition.finish()

    def _finish(self, task: Landed) -> None:
        open_candles = self._config.clickhouse.open_candles
        self._ledger.landed(task, filtering=task.partition.spec.name == "kline" and not open_candles)
        self._child.page["clickhouse_up"] = 1
        task.partition.finish()

    # Kafka

    def _make(self, name: str, number: int, start: int, progress: Progress) -> Partition:
        spec = self._specs[name]
        return Partition(spec, name, number, start, progress, self._heads[spec.name], self._identify[spec.name])

    def _patient(self) -> bool:
        self._child.beat()
        return not self._child.stopping

    def _leaving(self, partitions: list[Partition], in_order: bool) -> None:
        """Give inserts under way a moment to end, so that the next owner need not repeat them."""
        until = time.monotonic() + (LEAVE_SECONDS if in_order else 0.0)
        mine = set(map(id, partitions))
        while time.monotonic() < until:
            futures = [t.future for t in self._landing.tasks if t.future is not None and id(t.partition) in mine]
            if not futures:
                break
            self._child.beat()
            wait(futures, POLL_SECONDS)
            for task in self._landing.collect(time.monotonic()):
                self._finish(task)
        self._landing.drop(partitions)

    def _out_of_range(self) -> None:
        """A log no longer holds what comes next: say what is missing, then go on where it begins."""
        for key in list(self._group.out_of_range):
            partition = self._group.partitions[key]
            if not partition.idle:
                continue
            try:
                found = self._group.log_begins(key)
                self._outgoing.gap(partition.spec, *key, partition.next_offset, found)
            except ServiceUnavailable as error:
                self._say("log out of range, its beginning is not known yet", str(error))
                return
            log.error("Kafka no longer holds what comes next", topic=key[0], partition=key[1],
                      expected=partition.next_offset, found=found)  # fmt: skip
            self._group.begin_again(key, found)

    # what is looked at now and then

    def _look_around(self, now: float) -> None:
        self._next_show = now + SHOW_SECONDS
        self._out_of_range()
        ends = self._group.ends_known()
        lag = dict.fromkeys((spec.name for spec in SPECS), 0)
        for key, partition in self._group.partitions.items():
            end = ends.get(key, partition.done)
            lag[partition.spec.name] += max(0, end - partition.done)
            self._check_replay(key, partition, end, now)
        alarms = {t.partition.spec.name for t in self._landing.tasks if t.trouble is Trouble.ALARM}
        alarms |= self._blocked_streams.keys()
        self._ledger.show(lag, dict.fromkeys(alarms, True))
        page = self._child.page
        page["broker_up"] = int(self._group.broker_up)
        page["rebalances_total"] = self._group.rebalances
        self._check_health(now)
        away = not (page["broker_up"] and page["clickhouse_up"])
        self._child.set_state(
            ChildState.PAUSED
            if alarms
            else ChildState.WAITING
            if away or not self._group.rebalances
            else ChildState.RUNNING
        )
        if self._group.topics_missing:
            self._group.topics_missing = False
            self._landing.call(lambda: ensure_topics(self._config.kafka, HEALTH_SECONDS))

    def _check_replay(self, key: Key, partition: Partition, end: int, now: float) -> None:
        """An intended range that ends beyond the log (it was cut off) would wait for ever."""
        if partition.replay_to is None or partition.replay_to < end:
            self._stale_replays.pop(key, None)
        elif now - self._stale_replays.setdefault(key, now) > STALE_REPLAY_SECONDS:
            log.warning("intended range is beyond the log", topic=key[0], partition=key[1], last=partition.replay_to)
            partition.abandon_replay()

    def _check_health(self, now: float) -> None:
        """Ask, in a thread: are the tables as they must be, and what became of the rows."""
        if self._health is None:
            if now >= self._next_health:
                tokens = self._ledger.tokens
                self._health = self._landing.call(lambda: self._ask(tokens))
            return
        if not self._health.done():
            return
        health, self._health = self._health, None
        self._next_health = now + HEALTH_SECONDS
        error = health.exception()
        if error is None:
            wrong, asked, rejected = health.result()
            self._child.page["clickhouse_up"] = 1
            self._ledger.settle(asked, rejected)
            for text in wrong.keys() - self._blocked_streams.keys():
                log.error("inserts wait for the operator", stream=text, reason=wrong[text])
            self._blocked_streams = wrong
        elif isinstance(error, FAILURES):
            self._child.page["clickhouse_up"] = 0
            self._say("ClickHouse does not answer", str(unavailable(self._config.clickhouse, error)))
        else:
            raise error

    def _ask(self, tokens: list[str]) -> tuple[dict[str, str], list[str], dict[str, int]]:
        settings = self._config.clickhouse
        wrong = verify(self._client, settings)
        rejected = rejected_rows(self._client, settings, tokens) if tokens and not wrong else {}
        return wrong, tokens if not wrong else [], rejected

    def _verify_stream(self, spec: StreamSpec) -> None:
        if text := verify(self._client, self._config.clickhouse).get(spec.name):
            raise SchemaMismatch(text)

    def _say_troubles(self) -> None:
        for task in self._landing.tasks:
            if task.trouble is None or task.said == task.attempts:
                continue
            task.said = task.attempts
            self._ledger.retried()
            if task.trouble is Trouble.AWAY:
                self._child.page["clickhouse_up"] = 0
            spec = task.partition.spec
            level = log.error if task.trouble is Trouble.ALARM else log.warning
            if (kept_back := self._repeated((spec.name, task.trouble, task.code))) is not None:
                level("insert failed, the same bytes are sent again", stream=spec.name, trouble=task.trouble.value,
                      code=task.code, reason=task.reason, attempt=task.attempts, repeated=kept_back)  # fmt: skip

    def _say(self, event: str, reason: str) -> None:
        if (kept_back := self._repeated(event)) is not None:
            log.warning(event, reason=reason, repeated=kept_back)

    # the end

    def _drain(self) -> None:
        """Read to where the logs end now, insert that and commit it; at the deadline leave it to the next start."""
        try:
            ends = self._group.end_offsets()
        except ServiceUnavailable as error:
            log.warning("end offsets not known, draining what was fetched", reason=str(error))
            ends = {}
        last_came = time.monotonic()
        while (now := time.monotonic()) < self._child.deadline - DRAIN_MARGIN:
            partitions = self._group.partitions
            read = all(p.next_offset >= ends.get(key, 0) for key, p in partitions.items())
            if (read or now - last_came > QUIET_SECONDS) and all(p.idle for p in partitions.values()):
                if self._group.settled():
                    break
                self._group.hurry()
            if self._turn(draining=True):
                last_came = now
        left = sum(not p.idle for p in self._group.partitions.values())
        if left:
            log.warning("stopped before everything was inserted; Kafka holds it", partitions=left)
        self._settle_last()

    def _settle_last(self) -> None:
        """The last counts, if ClickHouse still answers."""
        tokens = self._ledger.tokens
        if not tokens or not self._child.page["clickhouse_up"]:
            return
        last = self._landing.call(lambda: self._ask(tokens))
        done, _ = wait([last], max(0.0, self._child.deadline - DRAIN_MARGIN - time.monotonic()))
        if done and last.exception() is None:
            _, asked, rejected = last.result()
            self._ledger.settle(asked, rejected)


def _key(partition: Partition) -> Key:
    return partition.topic, partition.number


def patiently(child: Child, threads: ThreadPoolExecutor, work: Callable[[], T], service: str) -> T | None:
    """The result of ``work``, tried again while the service is away, the heart beating; None when a stop came."""
    repeated = Repeated()
    while not child.stopping:
        future = threads.submit(work)
        while not wait([future], POLL_SECONDS).done:
            child.beat()
        try:
            return future.result()
        except (ServiceUnavailable, OSError) as error:
            child.set_state(ChildState.WAITING)
            if repeated(service) is not None:
                log.warning(f"no {service} yet", reason=str(error))
            child.wait([], 0.5)
    return None


def prepare(config: Config) -> Client:
    """A client of a server whose tables are there and as they must be."""
    client = connect(config.clickhouse)
    try:
        create_or_verify(client, config.clickhouse)
    except FAILURES as error:
        client.close()
        if isinstance(error, SchemaMismatch):
            raise
        raise unavailable(config.clickhouse, error) from None
    return client


def main(child: Child) -> int:
    # it logs a warning of its own for each error that it raises
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
    config = child.args.config
    with ThreadPoolExecutor(1, "start") as threads:
        client: Any = patiently(child, threads, lambda: prepare(config), "ClickHouse")
        if client is None:
            return 0
        child.page["clickhouse_up"] = 1
        patiently(child, threads, lambda: ensure_topics(config.kafka, 5.0), "Kafka")
    if child.stopping:
        return 0
    child.page["broker_up"] = 1
    return Consumer(child, client).run()


if __name__ == "__main__":
    run_child(main)
