"""A broker that is a part of librdkafka."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS: Final = 4
"""Of each topic."""


class Broker:
    """A mock broker inside a producer; topics come with four partitions."""

    def __init__(self) -> None:
        self.cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self.cluster.list_topics(timeout=30).brokers.values()
        self.address = f"{broker.host}:{broker.port}"
        self.settings = {
            "bootstrap.servers": self.address, "enable.idempotence": True, "delivery.report.only.error": True,
            "linger.ms": 0, "partitioner": "murmur2_random",
        }  # fmt: skip

    def log(self, topics: Iterable[str]) -> dict[tuple[str, int], list[tuple[bytes, bytes]]]:
        """(stream, partition) -> (key, value)."""
        consumer = Consumer(
            {"bootstrap.servers": self.address, "group.id": "check", "fetch.wait.max.ms": 10, "log_level": 0}
        )
        places = [TopicPartition(topic, number, 0) for topic in topics for number in range(PARTITIONS)]
        missing = sum(consumer.get_watermark_offsets(place, timeout=20)[1] for place in places)
        found: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}
        consumer.assign(places)
        while missing:
            for message in consumer.consume(min(1000, missing), 1.0):
                assert message.error() is None
                place = str(message.topic()).partition(".")[2], message.partition() or 0
                found.setdefault(place, []).append((message.key() or b"", message.value() or b""))
                missing -= 1
        consumer.close()
        return found
