"""From the requester's side: publishes requests (`wsadapter.roles.repairer.backfill`), and reads what becomes of them.

Reads the gap topic and those of the streams from where they ended before the requests were published, with a client
that belongs to no group. Owns a producer and a consumer; `BackfillWatch.close` ends them.
"""

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Source
from wsadapter.events.gaps import GapCause, RepairState, begin
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.errors import is_fatal, made_for
from wsadapter.kafka.messages import gap_of, message_of
from wsadapter.kafka.settings import lookup_config, producer_config
from wsadapter.kafka.topics import log_bounds, partition_counts, topic
from wsadapter.pb import market_pb2

ANSWER_SECONDS: Final = 10.0
CHUNK: Final = 5_000


PREFIX: Final = "backfill:"
"""No connection of a feed has a colon."""
STREAMS: Final = ("kline", "trade", "funding_rate")


class BackfillRequest(Struct, frozen=True):
    """One series to be fetched, from ``since_ns`` to ``until_ns``."""

    feed: str
    exchange: str
    symbol: str
    stream: str
    interval: str
    since_ns: int
    until_ns: int

    def gap(self, gap_id: str, now_ns: int) -> Any:
        """What is published."""
        return message_of(
            begin(
                GapCause.CONNECT,
                self.since_ns,
                now_ns,
                exchange=self.exchange,
                connection=PREFIX + self.feed,
                stream=self.stream,
                symbol=self.symbol,
                interval=self.interval,
                ended_ns=self.until_ns,
                source=Source.REST,
                gap_id=gap_id,
            )
        )


def every_series(
    feeds: Iterable[Any], streams: Iterable[str], intervals: Iterable[str], since_ns: int, until_ns: int
) -> list[BackfillRequest]:
    """Every series of the feeds' symbols once. What is not named is what the feed records: its streams, its
    intervals."""
    requests: dict[tuple[str, ...], BackfillRequest] = {}
    named_streams, named_intervals = tuple(streams), tuple(intervals)
    for feed in feeds:
        for symbol in feed.symbols:
            for stream in named_streams or [word for word in STREAMS if word in feed.streams]:
                for interval in (named_intervals or feed.intervals) if stream == "kline" else ("",):
                    series = symbol, stream, interval
                    requests.setdefault(
                        (feed.exchange, *series), BackfillRequest(feed.name, feed.exchange, *series, since_ns, until_ns)
                    )
    return list(requests.values())


class BackfillProgress(Struct):
    """One request: ``state`` is empty while it is worked on, ``at_ns`` how far it is."""

    request: BackfillRequest
    state: str = ""
    events: int = 0
    at_ns: int = 0

    @property
    def share(self) -> float:
        """0 to 1."""
        if self.state:
            return 1.0
        request = self.request
        return min(1.0, max(0.0, (self.at_ns - request.since_ns) / max(1, request.until_ns - request.since_ns)))


class BackfillWatch:
    """``progress``: gap_id -> what became of it so far."""

    def __init__(self, kafka: KafkaConfig, requests: Sequence[BackfillRequest]) -> None:
        self._kafka = kafka
        name = f"backfill:{time.time_ns()}-{os.getpid()}"
        self.progress = {f"{name}:{number}": BackfillProgress(request) for number, request in enumerate(requests)}
        self._by_series = {
            (request.exchange, request.symbol, request.stream, request.interval): progress
            for progress in self.progress.values()
            for request in (progress.request,)
        }
        words = {"gap", *(request.stream for request in requests)}
        self._words = {topic(kafka, BY_STREAM[word]): word for word in words}
        counts = partition_counts(kafka, ANSWER_SECONDS)
        if missing := sorted(name for name in self._words if not counts.get(name)):
            raise ServiceUnavailable(f"no topic {missing[0]} in Kafka at {kafka.bootstrap_servers}")
        self._partitions = [(name, number) for name in self._words for number in range(counts[name])]
        self._next = {at: end for at, (_, end) in log_bounds(kafka, self._partitions, ANSWER_SECONDS).items()}
        with made_for(kafka.bootstrap_servers):
            self._consumer = Consumer(lookup_config(kafka))
        self._consumer.assign([TopicPartition(*at, offset) for at, offset in self._next.items()])

    @property
    def done(self) -> bool:
        return all(progress.state for progress in self.progress.values())

    def publish(self) -> None:
        """Every request; `ServiceUnavailable` when the broker does not take them."""
        with made_for(self._kafka.bootstrap_servers):
            producer: Any = Producer(producer_config(self._kafka))
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)

        gaps = topic(self._kafka, BY_STREAM["gap"])
        for gap_id, progress in self.progress.items():
            request = progress.request
            value = request.gap(gap_id, time.time_ns()).SerializeToString()
            producer.produce(gaps, value, f"{request.exchange}:{request.symbol}".encode(), on_delivery=delivered)
        if producer.flush(ANSWER_SECONDS) or failed:
            answer = failed[0].str() if failed else "no answer"
            raise ServiceUnavailable(f"Kafka at {self._kafka.bootstrap_servers}: {answer}")

    def poll(self, seconds: float) -> None:
        """Read on, for so long at most."""
        for message in self._consumer.consume(CHUNK, seconds):
            if (error := message.error()) is not None:
                if is_fatal(error):
                    raise ServiceUnavailable(f"Kafka: {error.str()}")
                continue
            offset: Any = message.offset()
            self._next[str(message.topic()), message.partition() or 0] = offset + 1
            self._handle(self._words[str(message.topic())], message.value() or b"")

    def poll_to_the_end(self, seconds: float) -> None:
        """What was published before the last state: another topic's messages may come later."""
        ends = {at: end for at, (_, end) in log_bounds(self._kafka, self._partitions, ANSWER_SECONDS).items()}
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(self._next[at] < end for at, end in ends.items()):
            self.poll(0.2)

    def close(self) -> None:
        self._consumer.close()

    def _handle(self, word: str, value: bytes) -> None:
        if word == "gap":
            gap = gap_of(value)
            if gap is not None and gap.gap_id in self.progress and gap.repair_state != RepairState.OPEN:
                self.progress[gap.gap_id].state = gap.repair_state
            return
        try:
            event: Any = getattr(market_pb2, BY_STREAM[word].message).FromString(value)
        except DecodeError:
            return
        if event.source != market_pb2.SOURCE_REST:
            return
        interval = event.interval if word == "kline" else ""
        progress = self._by_series.get((event.exchange, event.symbol, word, interval))
        at_ns = event.open_time_ns if word == "kline" else event.transaction_time_ns
        if progress is not None and at_ns <= progress.request.until_ns:
            progress.events += 1
            progress.at_ns = max(progress.at_ns, at_ns)
