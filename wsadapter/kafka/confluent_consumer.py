"""confluent-kafka's consumer with `take`, as `wsadapter.kafka.record_consumer.RecordConsumer` has it: where our own
client is not to be had. Owns what its base owns."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer

from wsadapter.kafka.runs import Run, runs_of


class ConfluentConsumer(Consumer):
    def take(
        self, most: int, seconds: float, wanted: Mapping[bytes | None, bool] | None = None
    ) -> tuple[list[Run], list[Any]]:
        """Wait until so many messages are there, or so long; serves every callback. ``wanted``: of which keys. What
        librdkafka gives in the place of a message is in the second list."""
        return runs_of(self.consume(most, seconds), wanted)
