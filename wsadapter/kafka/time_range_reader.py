"""Looking up in Kafka what came around a time: a few topics, from a little before to a little after, step by step.

Reads with clients of its own that belong to no group; each step is short, so that its role's heart beats on. Bounded by
the logs' ends as they were at the beginning and by `HORIZON_MS` after the time in question, `LATE_MS` more for who
looks late. Times only bound the search: a clock that went back leaves messages in the log that are dated later than
those behind them, so who knows that a message is of before says so (``is_earlier``), and reading goes on behind it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.kafka.errors import made_for
from wsadapter.kafka.settings import lookup_config
from wsadapter.kafka.topics import partition_counts

LOOKBACK_MS: Final = 30_000
"""So long before a hole the last record of a series is looked for."""
HORIZON_MS: Final = 60_000
"""So long after a hole the first one is."""
LATE_MS: Final = 900_000
"""Who looks later than that may not be the first: what an earlier look had fetched lies behind the horizon. So much
further is read then, up to now."""
CHUNK: Final = 5_000
STEP_SECONDS: Final = 0.2
ANSWER_SECONDS: Final = 5.0

Partition = tuple[str, int]
OnMessage = Callable[[Message], None]


class OffsetRangeReader:
    """``starts``: partition -> offset at which its reading begins, and ends with ``ends``."""

    def __init__(self, kafka: KafkaConfig, on_message: OnMessage) -> None:
        self._on_message, self._servers = on_message, kafka.bootstrap_servers
        with made_for(kafka.bootstrap_servers):
            self._consumer = Consumer(lookup_config(kafka))
        self.starts: dict[Partition, int] = {}
        self.lows: dict[Partition, int] = {}
        """Where each log begins."""
        self._ends: dict[Partition, int] = {}
        """Partitions that are not read to their end -> where that is."""

    def step(self) -> bool:
        """Read on for a moment; True when all is read. `ServiceUnavailable` when the broker does not answer."""
        for message in self._consumer.consume(CHUNK, STEP_SECONDS) if self._ends else ():
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    continue
                raise ServiceUnavailable(f"the log cannot be read: {error.str()}")
            key = str(message.topic()), message.partition() or 0
            offset: Any = message.offset()
            if key in self._ends and offset < self._ends[key]:
                if self._is_beyond(message):
                    del self._ends[key]
                    continue
                self._on_message(message)
            if offset + 1 >= self._ends.get(key, 0):
                self._ends.pop(key, None)
        self._skip_gone()
        return not self._ends

    def close(self) -> None:
        self._consumer.close()

    def earlier(self, kafka: KafkaConfig, count: int) -> "OffsetRangeReader | None":
        """A reader of so many messages of each partition before where this one began; None where there are none."""
        reader = OffsetRangeReader(kafka, self._on_message)
        reader.lows = self.lows
        reader.starts = {at: max(self.lows[at], start - count) for at, start in self.starts.items()}
        ends = {at: start for at, start in self.starts.items() if reader.starts[at] < start}
        if not ends:
            reader.close()
            return None
        reader._assign(ends)
        return reader

    @property
    def is_at_the_beginning(self) -> bool:
        """Whether the log holds nothing before what is read."""
        return all(start <= self.lows[at] for at, start in self.starts.items())

    def _is_beyond(self, message: Message) -> bool:
        """Whether neither it nor anything behind it is to be read."""
        return False

    def _assign(self, ends: Mapping[Partition, int]) -> None:
        self._ends = dict(ends)
        self._consumer.assign([TopicPartition(*at, self.starts[at]) for at in self._ends])

    def _skip_gone(self) -> None:
        """The last offsets of a log may hold no message (a transaction's mark): then its position says it."""
        if self._ends:
            for at in self._consumer.position([TopicPartition(*key) for key in self._ends]):
                if at.offset >= self._ends[at.topic, at.partition]:
                    del self._ends[at.topic, at.partition]


class TimeRangeReader(OffsetRangeReader):
    """One look. ``on_message`` gets every message from `LOOKBACK_MS` before ``started_ns`` on, in no order."""

    def __init__(
        self,
        kafka: KafkaConfig,
        topics: Iterable[str],
        started_ns: int,
        ended_ns: int,
        on_message: OnMessage,
        is_earlier: Callable[[Message], bool] = lambda message: False,
    ) -> None:
        super().__init__(kafka, on_message)
        self._is_earlier = is_earlier
        horizon_ms = max(started_ns, ended_ns) // 1_000_000 + HORIZON_MS
        self._until_ms = max(horizon_ms, min(time.time_ns() // 1_000_000, horizon_ms + LATE_MS))
        try:
            self._open(kafka, topics, max(0, min(started_ns, ended_ns) // 1_000_000 - LOOKBACK_MS))
        except KafkaException as error:
            self.close()
            raise ServiceUnavailable(f"Kafka at {kafka.bootstrap_servers}: {error.args[0].str()}") from None
        except ServiceUnavailable:
            self.close()
            raise

    def _open(self, kafka: KafkaConfig, topics: Iterable[str], from_ms: int) -> None:
        counts = partition_counts(kafka, ANSWER_SECONDS)
        times = [TopicPartition(name, n, from_ms) for name in topics for n in range(counts.get(name, 0))]
        ends: dict[Partition, int] = {}
        for at in self._consumer.offsets_for_times(times, timeout=ANSWER_SECONDS) if times else []:
            key = at.topic, at.partition
            low, end = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=ANSWER_SECONDS)
            self.lows[key] = low
            self.starts[key] = at.offset if low <= at.offset < end else end
            if self.starts[key] < end:
                ends[key] = end
        self._assign(ends)

    def _is_beyond(self, message: Message) -> bool:
        return message.timestamp()[1] > self._until_ms and not self._is_earlier(message)
