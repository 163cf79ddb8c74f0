"""Whether partitions were added to topics, or a topic was made, since they were assigned: asked now and then.

Guarantees: `added` never waits, and what a broker does not answer is asked again. Owns its thread; each question has a
client of its own.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Final

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.topics import partition_counts

ASK_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 5.0


class PartitionWatch:
    """``topics``: those that are asked about."""

    def __init__(
        self, kafka: KafkaConfig, topics: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kafka, self._topics, self._clock = kafka, topics, clock
        self._executor = DaemonExecutor(1, "partitions")
        self._asked: Future[Mapping[str, int]] | None = None
        self._ask_at = clock() + ASK_SECONDS

    def added(self, known: Collection[tuple[str, int]]) -> list[tuple[str, int]]:
        """Topics and numbers that are not in ``known``, as far as an answer is there."""
        if self._asked is None:
            if self._clock() >= self._ask_at:
                self._asked = self._executor.call(lambda: partition_counts(self._kafka, ANSWER_SECONDS))
            return []
        if not self._asked.done():
            return []
        asked, self._asked = self._asked, None
        self._ask_at = self._clock() + ASK_SECONDS
        with contextlib.suppress(ServiceUnavailable):
            counts = asked.result()
            return [(t, n) for t in self._topics for n in range(counts.get(t, 0)) if (t, n) not in known]
        return []
