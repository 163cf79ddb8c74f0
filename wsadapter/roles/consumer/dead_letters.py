"""What a consumer itself sends to Kafka: dead letters and their gaps, and the Gap of a log that no longer holds what
was to be read.

Guarantees: each call returns only when the broker has all of it; until letters and gaps are there no offset moves past
what they are about. What the broker has taken is not sent again with the next attempt: the caller keeps which that is
(``taken``) for as long as it tries. A repeat after a crash may send both twice. The producer is made when the first
letter is there: most consumers never need one.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Gap
from wsadapter.events.gaps import GapCause, begin
from wsadapter.events.streams import BY_STREAM, StreamSpec
from wsadapter.kafka.dead_letters import PERMANENT, SMALLER, dead_letter_topic, missing, produce_dead_letter
from wsadapter.kafka.errors import error_text, made_for
from wsadapter.kafka.messages import message_of
from wsadapter.kafka.settings import producer_config
from wsadapter.kafka.topics import topic

VALUE_BYTES: Final = 512 * 1024
"""A dead letter carries at most this much: the message itself is where its headers name."""
DELIVERY_SECONDS: Final = 10.0


class LostRange(Struct, frozen=True):
    """What a log no longer holds: ``expected`` was to be read, and it goes on at ``first`` (less: the log is another
    one, or was cut off). Times are ns since the epoch, 0: not known; ``missing``: how many messages, where that is
    known."""

    topic: str
    partition: int
    expected: int
    first: int
    started_ns: int
    ended_ns: int
    missing: int | None
    exchanges: tuple[str, ...]


class DeadLetterProducer:
    """The producer of one consumer. Threads take turns."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._failed: list[tuple[KafkaError, bytes]] = []
        """What was refused, and its name."""
        self._dead_letter_topic = dead_letter_topic(kafka)
        self.gaps_at = -inf
        """When the broker had the last gaps (monotonic)."""

    def dead_letters(
        self, source: str, partition: int, letters: Sequence[tuple[int, bytes, str, str]], taken: set[bytes]
    ) -> None:
        """Send (offset, value, reason, detail) of messages of one partition and wait for the broker. What it calls too
        large is sent again with less of its value: a letter that is never taken would hold up its partition."""
        with self._lock:
            named = {f"{source}:{partition}:{letter[0]}".encode(): letter for letter in letters}
            remaining = {key: letter for key, letter in named.items() if key not in taken}
            for limit in (VALUE_BYTES, *SMALLER):
                producer = self._open()
                for key, (offset, value, reason, detail) in remaining.items():
                    produce_dead_letter(
                        producer, self._dead_letter_topic, key, value, partial(self._on_delivery, taken, key),
                        reason=reason, detail=detail, topic=source, limit=limit, partition=partition, offset=offset,
                    )  # fmt: skip
                refused = self._deliver(producer, may_shrink=limit > 0)
                remaining = {key: letter for key, letter in remaining.items() if key in refused}
                if not remaining:
                    break

    def letter_gaps(self, spec: StreamSpec, letters: Sequence[tuple[int, bytes, str, str]], taken: set[bytes]) -> int:
        """Publish what the tables lack with letters that are sent; how many gaps that are."""
        gaps = [gap for _, value, _, _ in letters if (gap := missing(spec, value)) is not None]
        with self._lock:
            self._publish(gaps, taken)
        return len(gaps)

    def gap(self, spec: StreamSpec, lost: LostRange) -> int:
        """Publish what is not in the log any more: one gap for each exchange that may have been in it. Returns how
        many."""
        now = time.time_ns()
        exchanges = lost.exchanges or ("",)
        # several are told apart in their names, and how many messages each lost nobody knows
        is_one = len(exchanges) == 1
        gap_id = f"{lost.topic}:{lost.partition}:{lost.expected}-{lost.first}"
        gaps = [
            begin(
                GapCause.KAFKA_RETENTION,
                lost.started_ns or now,
                now,
                exchange=exchange,
                connection=f"kafka:{lost.topic}:{lost.partition}",
                stream=spec.name,
                ended_ns=lost.ended_ns or now,
                missing=(None, None, lost.missing if is_one else None),
                gap_id=gap_id if is_one else f"{gap_id}:{exchange}",
            )
            for exchange in exchanges
        ]
        with self._lock:
            self._publish(gaps, set())
        return len(gaps)

    def _publish(self, gaps: Sequence[Gap], taken: set[bytes]) -> None:
        if not gaps:
            return
        producer = self._open()
        for gap in gaps:
            if (name := gap.gap_id.encode()) in taken:
                continue
            value = message_of(gap).SerializeToString()
            key, told = f"{gap.exchange}:{gap.symbol}".encode(), partial(self._on_delivery, taken, name)
            producer.produce(topic(self._kafka, BY_STREAM["gap"]), value, key, on_delivery=told)
        self._deliver(producer)
        self.gaps_at = time.monotonic()

    def _open(self) -> Producer:
        if self._producer is None:
            with made_for(self._kafka.bootstrap_servers):
                self._producer = Producer(producer_config(self._kafka))
        return self._producer

    def _on_delivery(self, taken: set[bytes], name: bytes, error: KafkaError | None, message: Message) -> None:
        if error is None:
            taken.add(name)
        else:
            self._failed.append((error, name))

    def _deliver(self, producer: Any, may_shrink: bool = False) -> set[bytes]:
        """Wait for the broker. Returns the names of what is too large for it, if ``may_shrink`` and no other failed."""
        outstanding = producer.flush(DELIVERY_SECONDS)
        failed, self._failed = self._failed, []
        if outstanding:
            # with its producer goes what it still holds: that is sent again
            self._producer = None
            raise ServiceUnavailable(f"{outstanding} messages not delivered to {self._kafka.bootstrap_servers}")
        if others := [error for error, _ in failed if not (may_shrink and error.code() in PERMANENT)]:
            raise ServiceUnavailable(f"{len(failed)} messages refused: {error_text(others[0])}")
        return {name for _, name in failed}
