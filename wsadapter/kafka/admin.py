"""A client for questions to the brokers, which can say why it got no answer.

librdkafka tells the cause to ``error_cb`` and the log, which only `poll` serves, and to the question itself nothing but
"transport failure". Nor does it ask again where a broker says that it is not ready yet: a leader or coordinator that
has just become one, after a start, a new topic, or for a broker that went.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.kafka.errors import Heard, made_for
from wsadapter.kafka.settings import LIBRDKAFKA, admin_config

AGAIN_SECONDS: Final = 0.1
"""As librdkafka's own ``retry.backoff.ms``."""

T = TypeVar("T")


class Admin(AdminClient):
    """``heard``: what it was told. Making one raises `ServiceUnavailable` where librdkafka refuses its settings: a
    certificate that is just being replaced."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self.heard = Heard(LIBRDKAFKA)
        self._servers = kafka.bootstrap_servers
        settings: dict[str, Any] = {**admin_config(kafka), "error_cb": self.heard.note, "logger": self.heard}
        with made_for(self._servers):
            super().__init__(settings)

    def __bool__(self) -> bool:
        """It is there. Its length is what its queue holds: without this a client that is idle would be false, and
        ``admin or Admin(kafka)`` another one, with four threads and two connections of its own."""
        return True

    def topics(self, timeout: float) -> Any:
        """The cluster as it is now; `ServiceUnavailable` says why it is not known."""
        try:
            return self.list_topics(timeout=timeout)
        except KafkaException as error:
            raise self.unavailable("", error) from None

    def ask(self, what: str, question: Callable[[], T], timeout: float) -> T:
        """What ``question`` returns, asked again for ``timeout`` seconds while the answer is "not ready yet"; else
        `ServiceUnavailable` with ``what`` failed and why, for what it raises of Kafka's."""
        until = time.monotonic() + timeout
        while True:
            try:
                return question()
            except (KafkaException, TimeoutError) as error:
                refused = self.unavailable(what, error)
            if refused.reason is not Reason.NOT_READY or time.monotonic() >= until:
                raise refused
            time.sleep(AGAIN_SECONDS)

    def unavailable(self, what: str, error: Exception) -> ServiceUnavailable:
        """``what`` failed with ``error``, for the reason that was heard; empty: the broker did not answer at all."""
        self.poll(0)
        return self.heard.unavailable(self._servers, what, error)
