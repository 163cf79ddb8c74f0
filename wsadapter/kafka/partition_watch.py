"""How many partitions the topics have now: asked once a minute, for whoever reads or writes them all.

Guarantees: `counts` never waits, and what a broker does not answer is asked again. Each question has a client of its
own. Owns the question; the thread is the caller's.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.topics import partition_counts

ASK_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 5.0


class PartitionWatch:
    """Asks in ``executor``."""

    def __init__(
        self, kafka: KafkaConfig, executor: DaemonExecutor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kafka, self._executor, self._clock = kafka, executor, clock
        self._asked: Future[Mapping[str, int]] | None = None
        self._ask_at = clock() + ASK_SECONDS

    def counts(self) -> Mapping[str, int] | None:
        """Topic -> partitions, once when an answer has come; else None."""
        if self._asked is None:
            if self._clock() >= self._ask_at:
                self._asked = self._executor.call(lambda: partition_counts(self._kafka, ANSWER_SECONDS))
            return None
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        self._ask_at = self._clock() + ASK_SECONDS
        with contextlib.suppress(ServiceUnavailable):
            return asked.result()
        return None
