"""The gaps that are to be repaired, and the candles that pass: what the repairer reads in Kafka, and how far it is.

Guarantees: a gap's offset is committed when its new state is acknowledged and no earlier, and never past one that is
still open: a restart finds every open gap again, and what is said of it later in the log (so none is repaired twice).
Candles are committed as far as their reader says that it needs none of them again (`GapLog.candles_kept`).
Bounded by `MOST_GAPS`; when there are more the rest waits in Kafka. Gaps that other instances repair hold up none of
ours: as many of them, the newest, are found again after a restart, when the number of instances may be another one.
The only member of its group; it assigns itself, and partitions that are added, or a topic that is made later, within a
minute: those from their beginning.

Gaps without an end are passed over: the record that ends one says all that the first one did.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import Reason, ServiceUnavailable, WsadapterError
from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState
from wsadapter.events.streams import BY_STREAM
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.errors import Heard, error_text, is_fatal, made_for, reason_of, refusal
from wsadapter.kafka.messages import Identity, gap_record
from wsadapter.kafka.partition_watch import PartitionWatch
from wsadapter.kafka.settings import LIBRDKAFKA, repairer_config
from wsadapter.kafka.topics import partition_counts, topic
from wsadapter.log import OUTAGE, Repeated, get_logger

MOST_GAPS: Final = 10_000
CHUNK: Final = 2_000
ANSWER_SECONDS: Final = 5.0
COMMIT_SECONDS: Final = 1.0
STATISTICS_MS: Final = 2_000
LOOK_AGAIN_SECONDS: Final = 5.0
"""Between two questions whether what was refused still is: a partition to which nothing comes would never say so."""

log = get_logger()
Key = tuple[str, int]


class BrokerState(Struct):
    state: str


class Statistics(Struct):
    """The part of librdkafka's statistics that says whether a broker is there."""

    brokers: dict[str, BrokerState]


class GapLogFailed(WsadapterError):
    """The client is finished: a new process starts again, from what is committed."""


class LoggedGap(Struct):
    """An open gap and where the log has it first. ``end``: the ring identity of the record that ends it."""

    gap: Gap
    key: Key
    offset: int
    end: Identity | None = None


class GapLog:
    """``open``: gap_id -> gaps to be repaired, oldest first; ``others``: those that other instances repair, the newest
    of them. ``refused``: partition -> Kafka's error code for which it
    is not read, until it gives a message or its end. Making one raises `ServiceUnavailable` while Kafka does not
    answer."""

    def __init__(self, kafka: KafkaConfig, shard: int = 0, is_ours: Callable[[Gap], bool] = lambda gap: True) -> None:
        self._is_ours = is_ours
        self.open: dict[str, LoggedGap] = {}
        self.others: dict[str, LoggedGap] = {}
        self.refused: dict[Key, int] = {}
        self.broker_up = True
        self.heard = Heard(LIBRDKAFKA)
        self._gaps, self._klines = (topic(kafka, BY_STREAM[word]) for word in ("gap", "kline"))
        # asked first: a client of a broker that is away complains without an end
        counts = partition_counts(kafka, ANSWER_SECONDS)
        if not counts.get(self._gaps):
            raise ServiceUnavailable(f"no topic {self._gaps} yet", Reason.NOT_READY)
        with made_for(kafka.bootstrap_servers):
            self._consumer = Consumer(
                {
                    **repairer_config(kafka, shard),
                    "error_cb": self._on_error,
                    "logger": self.heard,
                    "stats_cb": self._on_statistics,
                    "statistics.interval.ms": STATISTICS_MS,
                    "enable.partition.eof": True,
                }
            )
        self._partitions = PartitionWatch(kafka, DaemonExecutor(1, "partitions"))
        self._next: dict[Key, int] = {}
        self._behind: dict[Key, int] = {}
        """Gap partitions that are not read to where they ended at the start."""
        self._candles_kept: dict[Key, int] = {}
        self._committed: dict[Key, int] = {}
        self._committed_at = float("-inf")
        self._held = False
        self._look_again_at = float("-inf")
        self._fatal: KafkaError | None = None
        self._repeated = Repeated(*OUTAGE)
        self._fresh: dict[str, None] = {}
        try:
            self._assign(counts)
        except KafkaException as error:
            self._consumer.close()
            raise ServiceUnavailable(
                f"Kafka at {kafka.bootstrap_servers}: {error.args[0].str()}", reason_of(error.args[0])
            ) from None

    @property
    def caught_up(self) -> bool:
        """All that was there at the start is read: what is open now is open."""
        return not self._behind or self._held

    def poll(self, timeout: float) -> list[Message]:
        """Read on; returns the messages of candles."""
        candles = []
        if counts := self._partitions.counts():
            self._add([key for key in self._places(counts) if key not in self._next])
        if self.refused:
            self._look_again(time.monotonic())
        for message in self._consumer.consume(CHUNK, timeout):
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self.refused.pop((str(message.topic()), message.partition() or 0), None)
                    continue
                self._note(error)
                if code := refusal(error):
                    self.refused[str(message.topic()), message.partition() or 0] = code
                continue
            key: Key = str(message.topic()), message.partition() or 0
            offset: Any = message.offset()
            self._next[key] = offset + 1
            self.refused.pop(key, None)
            if key[0] == self._klines:
                candles.append(message)
                continue
            self._handle(message, key, offset)
            if offset + 1 >= self._behind.get(key, 0):
                self._behind.pop(key, None)
        self._hold(len(self.open) >= MOST_GAPS)
        if self._fatal is not None:
            raise GapLogFailed(f"the client of the gap topic failed: {error_text(self._fatal)}")
        return candles

    def _look_again(self, now: float) -> None:
        """Have the partitions that were refused read from where they are: each gives a message, its end, or the refusal
        again."""
        if now < self._look_again_at:
            return
        self._look_again_at = now + LOOK_AGAIN_SECONDS
        for key in self.refused.keys() & self._next.keys():
            with contextlib.suppress(KafkaException):  # its topic is not known again yet
                self._consumer.seek(TopicPartition(*key, self._next[key]))

    def fresh(self) -> list[LoggedGap]:
        """Open gaps that were not asked for yet; only when `caught_up`."""
        gaps = [self.open[gap_id] for gap_id in self._fresh if gap_id in self.open]
        self._fresh.clear()
        return gaps

    def candles_read(self) -> dict[Key, int]:
        """How far each partition of candles is read."""
        return {key: offset for key, offset in self._next.items() if key[0] == self._klines}

    def candles_kept(self, read: Mapping[Key, int]) -> None:
        """So far nothing of them is needed again."""
        self._candles_kept.update(read)

    def done(self, gap_id: str) -> None:
        """Its new state is acknowledged."""
        self.open.pop(gap_id, None)

    def commit(self, now: float) -> None:
        """Say how far everything is done, now and then."""
        if now < self._committed_at + COMMIT_SECONDS:
            return
        done = self._next | self._candles_kept
        for each in (*self.open.values(), *self.others.values()):
            done[each.key] = min(done[each.key], each.offset)
        changed = {key: offset for key, offset in done.items() if self._committed.get(key) != offset}
        if not changed:
            return
        self._committed_at = now
        try:
            offsets = [TopicPartition(*key, offset) for key, offset in changed.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._note(error.args[0])  # what is not committed is read again, and found done
        else:
            self._committed |= changed

    def close(self, seconds: float) -> None:
        """Commit what is done and leave. librdkafka would wait for a broker that is away: what is not committed then is
        read again."""
        if self.broker_up:
            self.commit(float("inf"))
        closed = DaemonExecutor(1, "leave").call(self._consumer.close)
        if not wait([closed], seconds).done:
            log.warning("closed without an answer of the broker")

    def _assign(self, counts: Mapping[str, int]) -> None:
        wanted = [TopicPartition(*key) for key in self._places(counts)]
        for at in self._consumer.committed(wanted, timeout=ANSWER_SECONDS):
            if at.error is not None:
                raise KafkaException(at.error)
            key = at.topic, at.partition
            low, end = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=ANSWER_SECONDS)
            # old gaps are still holes; old candles were checked, or nobody was there to
            begin = at.offset if low <= at.offset <= end else low if at.topic == self._gaps else end
            self._next[key] = begin
            if at.topic == self._klines:
                self._candles_kept[key] = begin
            if at.topic == self._gaps and begin < end:
                self._behind[key] = end
        self._consumer.assign([TopicPartition(*key, offset) for key, offset in self._next.items()])

    def _places(self, counts: Mapping[str, int]) -> list[Key]:
        return [(name, n) for name in (self._gaps, self._klines) for n in range(counts.get(name, 0))]

    def _add(self, partitions: Sequence[Key]) -> None:
        """All that is in them came while we read."""
        if not partitions:
            return
        for key in partitions:
            self._next[key] = 0
            if key[0] == self._klines:
                self._candles_kept[key] = 0
            log.info("a partition was added", topic=key[0], partition=key[1])
        self._consumer.assign([TopicPartition(*key, offset) for key, offset in self._next.items()])
        self._pause()  # an assignment knows nothing of it

    def _handle(self, message: Message, key: Key, offset: int) -> None:
        gap, end = gap_record(message.value())
        if gap is None:
            return
        place = self.open if self._is_ours(gap) else self.others
        before = place.get(gap.gap_id)
        if gap.repair_state != RepairState.OPEN:
            if before is not None and _series(before.gap) == _series(gap):  # else it is about one stream of the gap
                del place[gap.gap_id]
        elif gap.ended_ns is not None and (before is None or gap.version > before.gap.version):
            if before is None and place is self.open:
                self._fresh[gap.gap_id] = None
            place[gap.gap_id] = LoggedGap(gap, key, before.offset if before else offset, end)
        if len(self.others) > MOST_GAPS:  # of an instance that repairs nothing
            del self.others[next(iter(self.others))]

    def _hold(self, full: bool) -> None:
        if full != self._held:
            self._held = full
            self._pause()
            if full:
                log.warning("too many open gaps, the rest waits in Kafka", gaps=len(self.open))

    def _pause(self) -> None:
        """Or resume."""
        gaps = [TopicPartition(*key) for key in self._next if key[0] == self._gaps]
        (self._consumer.pause if self._held else self._consumer.resume)(gaps)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.broker_up = False
            return  # each said why
        self.heard.note(error)
        self._note(error)

    def _on_statistics(self, text: str) -> None:
        brokers = msgspec.json.decode(text, type=Statistics).brokers
        self.broker_up = any(broker.state == "UP" for broker in brokers.values())
        if self.broker_up:
            self.heard.clear()

    def _note(self, error: KafkaError) -> None:
        """An error of the client, by whichever way it came."""
        if is_fatal(error):
            self._fatal = error
        if (kept_back := self._repeated(error.code())) is not None:
            log.warning("kafka client", reason=error.str(), repeated=kept_back)


def _series(gap: Gap) -> tuple[str, str, str]:
    return gap.stream, gap.symbol, gap.interval
