"""A producer of librdkafka that takes ring records as they lie in their ring: no Python object is made of a record.

It is a client of our own (`wsadapter.kafka.native_client`, `wsadapter/native/producer.c`). `RecordProducer` has those
methods of `confluent_kafka.Producer` that the serializer needs, with the same meaning, and `put` and `put_ring` for
records.

A failed delivery is told with the message's key and value, as librdkafka kept them: nothing of a record has to be
remembered for it.

Owns the client, its threads and its queue. One thread uses it.
"""

from collections.abc import Mapping
from mmap import mmap
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct

from wsadapter import native
from wsadapter.events.records import Record
from wsadapter.kafka.native_client import NativeClient

Headers = list[tuple[str, bytes]]
BY_KEY: Final = -1
"""Instead of a partition."""


class FailedMessage(Struct, frozen=True):
    """What a delivery report is about, with the methods of `confluent_kafka.Message`."""

    topic_name: str
    key_bytes: bytes | None
    value_bytes: bytes | None
    header_list: Headers

    def topic(self) -> str:
        return self.topic_name

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes

    def headers(self) -> Headers:
        return self.header_list


class Refused(Struct, frozen=True):
    """A record that the client did not take."""

    kind: int
    error: KafkaError
    key: bytes
    value: bytes


class RecordProducer(NativeClient):
    """``settings``: as `confluent_kafka.Producer` takes them, callbacks included; ``topics``: kind -> topic of the
    records that `put` and `put_ring` are to send. ``counts``, there, are 256 numbers of partitions (int64), one a kind;
    0 where the client is to choose. After a refusal that is not for a record's size nothing more is taken."""

    def __init__(self, settings: Mapping[str, Any], topics: Mapping[int, str]) -> None:
        kinds = dict(topics)
        # librdkafka reports what has arrived, too: a report wakes `flush`, which else looks again each 10 ms only. Like
        # confluent-kafka's client, ours tells of failures alone
        passed = {**settings, "delivery.report.only.error": False}
        super().__init__(passed, ("on_delivery",), lambda texts: native.extension.Producer(texts, kinds))

    def put(self, records: list[Record], epoch: int, counts: Any) -> list[Record]:
        """Queue the records of a ring, in order; returns those that are none, or whose kind has no topic here."""
        left: list[Record] = self._client.put(records, epoch, counts)
        return left

    def put_ring(
        self, mapping: mmap, at: int, stop: int, limit: int, lap: int, epoch: int, counts: Any, left: list[Record]
    ) -> tuple[int, int, int, int, Record | None]:
        """The same for what lies in a ring, from ``at`` on (`wsadapter.shm.ring.RingReader.walk`); where it stopped,
        and the last record. Others are appended to ``left``."""
        where: tuple[int, int, int, int, Record | None] = self._client.put_ring(
            mapping, at, stop, limit, lap, epoch, counts, left
        )  # fmt: skip
        return where

    def take_counts(self) -> dict[int, int]:
        """Kind -> records that were queued, or refused, since the last call."""
        counts: dict[int, int] = self._client.take()
        return counts

    def sample(self) -> None:
        """From now on keep the first message of each kind that is queued, for `take_samples`."""
        self._client.sample()

    def take_samples(self) -> list[tuple[int, bytes]]:
        """(kind, value) of each; no more are kept."""
        samples: list[tuple[int, bytes]] = self._client.take_samples()
        return samples

    def take_refused(self) -> list[Refused]:
        """Records that the client did not take, since the last call."""
        if not (refused := self._client.refused):
            return []
        taken = [Refused(kind, KafkaError(code), key, value) for kind, code, key, value in refused]
        refused.clear()
        return taken

    def produce(
        self, topic: str, value: bytes, key: bytes, partition: int = BY_KEY, headers: Headers | None = None
    ) -> None:
        """Queue one message; `KafkaException` when the client does not take it."""
        if code := self._client.send(topic, partition, key, value, headers or []):
            raise KafkaException(KafkaError(code))

    def produce_batch(self, topic: str, messages: list[dict[str, Any]], partition: int = BY_KEY) -> int:
        """Queue the messages of one partition; how many the client has taken. One that it did not has its reason under
        ``_error``."""
        taken = 0
        for message in messages:
            if code := self._client.send(topic, partition, message["key"], message["value"], []):
                message["_error"] = KafkaError(code)
            else:
                taken += 1
        return taken

    def flush(self, seconds: float) -> int:
        """Wait for what is queued; how much still is."""
        queued: int = self._client.flush(seconds)
        self._tell()
        return queued

    def poll(self, seconds: float) -> int:
        served: int = self._client.poll(seconds)
        self._tell()
        return served

    def purge(self) -> None:
        """Forget what is queued and what is in flight; each is reported as failed."""
        self._client.purge()

    def __len__(self) -> int:
        return len(self._client)

    def _on_failed(self, code: int, text: str, *message: Any) -> None:
        if (on_delivery := self._callbacks["on_delivery"]) is not None:
            on_delivery(KafkaError(code, text), FailedMessage(*message))
