"""The reader's side of Kafka: one consumer that assigns itself, joins no group and commits nothing.

Errors are told apart by what follows: a broker that is away is waited for (`BROKER_SECONDS`, librdkafka reconnects),
partitions that no longer hold what is asked for are `Log.lost`, and everything else (a topic that is not there, not
authorized, a fatal error) ends the reader with a `ServiceUnavailable` that says which and why.

Owns the consumer.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.kafka.admin import Admin
from wsadapter.kafka.errors import Heard, detail_of, is_fatal, reason_of
from wsadapter.kafka.record_consumer import new_consumer
from wsadapter.kafka.runs import Run
from wsadapter.kafka.settings import LIBRDKAFKA, reader_config
from wsadapter.kafka.topics import Bounds, TopicState, log_bounds, partition_counts, topic_name, topic_states
from wsadapter.log import get_logger

OPEN_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 0.2
CHUNK: Final = 1_000
"""Messages that are taken at a time: their events stay in a core's cache until they are used and freed."""
BROKER_SECONDS: Final = 60.0
"""A broker that is away for longer ends the reader: nobody should trade on a stream that is dead."""
ASK_SECONDS: Final = 2.0
"""So often a broker that was away is asked whether it is back."""
_GONE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
_AWAY: Final = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)

Key = tuple[str, int]
"""Stream and partition."""

T = TypeVar("T")

log = get_logger()


class Log:
    """``streams``: whose topics are read."""

    def __init__(self, kafka: KafkaConfig, streams: Collection[str], broker_seconds: float | None) -> None:
        self._kafka, self._broker_seconds = kafka, broker_seconds
        self._topics = {stream: topic_name(kafka, stream) for stream in streams}
        self._streams = {name: stream for stream, name in self._topics.items()}
        self._heard = Heard(LIBRDKAFKA)
        self._away_since: float | None = None
        self._is_said, self._ask_at = False, 0.0
        self._consumer = new_consumer(reader_config(kafka) | {"error_cb": self._on_error, "logger": self._heard})
        self.lost: list[Key] = []
        """Partitions whose next offset is not there any more; they are read again when they are assigned again."""
        self.ends: list[Key] = []
        """Partitions that have been read to their end since `poll` was called."""

    def close(self) -> None:
        self._consumer.close()

    # Questions.

    def topics(self) -> dict[str, TopicState]:
        """Stream -> its topic; `ServiceUnavailable` where one is not there."""
        found = self._asked(lambda: topic_states(self._kafka, tuple(self._topics.values()), ANSWER_SECONDS))
        if missing := sorted(set(self._streams) - set(found)):
            raise ServiceUnavailable(
                f"Kafka at {self._kafka.bootstrap_servers} has no topic {' '.join(missing)} (or does not show it to "
                f"us). topic_prefix is {self._kafka.topic_prefix!r}",
                Reason.MISSING,
            )
        return {self._streams[name]: state for name, state in found.items()}

    def counts(self) -> dict[str, int]:
        """Stream -> partitions that its topic has now."""
        counts = partition_counts(self._kafka, ANSWER_SECONDS)
        return {stream: counts.get(name, 0) for stream, name in self._topics.items()}

    def bounds(self, keys: Iterable[Key]) -> dict[Key, Bounds]:
        names = [(self._topics[stream], number) for stream, number in keys]
        found = self._asked(lambda: log_bounds(self._kafka, names, ANSWER_SECONDS))
        return {(self._streams[name], number): bounds for (name, number), bounds in found.items()}

    def offsets_at(self, keys: Iterable[Key], at_ms: int) -> dict[Key, int | None]:
        """The first offset of this time or later; None: there is none yet."""
        asked = [TopicPartition(self._topics[stream], number, max(0, at_ms)) for stream, number in keys]
        try:
            found = self._consumer.offsets_for_times(asked, timeout=ANSWER_SECONDS) if asked else []
        except KafkaException as error:
            raise Admin(self._kafka).unavailable("offsets are not known", error) from None
        return {(self._streams[at.topic], at.partition): at.offset if at.offset >= 0 else None for at in found}

    def _asked(self, question: Callable[[], T]) -> T:
        """Asked again for a while where the broker answers that it does not know yet: a topic has just been made."""
        until = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                return question()
            except ServiceUnavailable as error:
                if error.reason is not Reason.UNKNOWN or time.monotonic() > until:
                    raise
                self._consumer.take(1, AGAIN_SECONDS)

    # Reading.

    def assign(self, offsets: Mapping[Key, int]) -> None:
        """Read these, too, from these offsets on."""
        held = {(at.topic, at.partition) for at in self._consumer.assignment()}
        wanted = [TopicPartition(self._topics[key[0]], key[1], offset) for key, offset in offsets.items()]
        if again := [at for at in wanted if (at.topic, at.partition) in held]:
            self._consumer.incremental_unassign(again)
        if wanted:
            self._consumer.incremental_assign(wanted)

    def pause(self, key: Key) -> None:
        self._consumer.pause([TopicPartition(self._topics[key[0]], key[1])])

    def resume(self, key: Key) -> None:
        self._consumer.resume([TopicPartition(self._topics[key[0]], key[1])])

    def poll(self, timeout: float, wanted: Mapping[bytes | None, bool] | None = None) -> list[tuple[Key, Run]]:
        """What is there, waiting so long for the first of it. ``wanted``: of which keys."""
        self.ends = []
        runs, failed = self._consumer.take(1, timeout, wanted)  # the first one ends the wait
        if not (runs or failed):
            self._check_broker()
            return []
        more_runs, more_failed = self._consumer.take(CHUNK, 0, wanted)
        runs += more_runs
        for message in (*failed, *more_failed):
            self._on_message_error(message.error(), message)
        if runs or self.ends:
            self._on_answer()
        return [((self._streams[run.topic], run.partition), run) for run in runs]

    # Errors.

    def _on_message_error(self, error: KafkaError, message: Any) -> None:
        topic, partition = message.topic(), message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            self.ends.append((self._streams[topic], partition))
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            pass  # librdkafka looks for the coordinator of a group; we use none
        elif error.code() in _GONE:
            self.lost.append((self._streams[topic], partition))
        elif not is_fatal(error) and (error.code() in _AWAY or error.retriable()):
            self._on_error(error)
        else:
            self._fail(reason_of(error), topic or "", error.str())

    def _on_error(self, error: KafkaError) -> None:
        """What librdkafka says of its connections: one of several brokers may be away without harm."""
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return
        self._heard.note(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._away_since is None:
            self._away_since = time.monotonic()

    def _on_answer(self) -> None:
        if self._is_said:
            log.info("Kafka answers again", servers=self._kafka.bootstrap_servers)
        self._away_since, self._is_said = None, False
        self._heard.clear()

    def _check_broker(self) -> None:
        if self._heard.reason in (Reason.AUTHENTICATION, Reason.AUTHORIZATION):
            self._fail(self._heard.reason, "", self._heard.detail)
        if self._away_since is None:
            return
        now = time.monotonic()
        away = now - self._away_since
        if now >= self._ask_at:
            self._ask_at = now + ASK_SECONDS
            with contextlib.suppress(KafkaException):
                self._consumer.list_topics(next(iter(self._streams)), timeout=1.0)  # quiet topics say nothing
                self._on_answer()
                return
        if self._broker_seconds is not None and away > self._broker_seconds:
            self._fail(self._heard.reason, "", f"away for {away:.0f} s: {self._heard.detail}")
        if not self._is_said:
            self._is_said = True
            log.warning("waiting for Kafka", reason=self._heard.sentence(f"Kafka at {self._kafka.bootstrap_servers}"))

    def _fail(self, reason: Reason, topic: str, detail: str) -> None:
        about = f", topic {topic}" if topic else ""
        service = f"Kafka at {self._kafka.bootstrap_servers}{about}"
        raise ServiceUnavailable(reason.sentence(service, detail_of(detail)), reason)
