"""The producer of one serializer: what is queued, what the broker refuses, and what became a dead letter.

Guarantees: `KafkaProducer.flush` says that nothing is outstanding only when every message is acknowledged (acks=all,
idempotent) or is a dead letter that is. Where that cannot be any more, the client is replaced by a new one and
`DeliveryFailed` is raised: what was queued may have arrived or not, and is sent again, in order, from the head. The
client that is given up had stopped at the first refused batch (``enable.gapless.guarantee``): nothing behind it reaches
the log, or its records would come after newer ones and a consumer's watermark would drop them.

Two kinds of refusal:

* **It is the message's own** (too large, invalid). A broker refuses a record batch as a whole and librdkafka then fails
  every message of it, so only a message that was alone in its batch is known to be refused itself. The next client
  sends each message in a batch of its own for `SINGLE_SECONDS`: what is refused then is a dead letter, its neighbours
  are not. After that batches are smaller than the refused one. At the start they are cut to what the topics accept.
  Of an event a gap goes with the letter, or its series would be called complete.
* **It may pass** (not authorized, a timestamp that the broker does not believe, a topic that is gone, what else brokers
  say): an outage. The reason stays in the cell ``broker_refusal`` until a message is acknowledged, and `is_ready` says
  when it is tried again, after a pause that doubles from `PAUSES`. Nothing becomes a dead letter by it.

The client is a `RecordProducer` where there is one, else confluent-kafka's: all of this holds for both.

Owns the client and its queue, and on the page ``broker_up``, ``broker_reason``, ``broker_refusal``,
``single_messages`` and ``batch_bytes``.
"""

import time
from collections import Counter
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from wsadapter.backoff import Backoff
from wsadapter.config.model import Config
from wsadapter.errors import Reason, WsadapterError
from wsadapter.events.streams import BY_KIND, BY_STREAM, SPECS
from wsadapter.kafka.dead_letters import PERMANENT, SMALLER, dead_letter_topic, missing, produce_dead_letter
from wsadapter.kafka.errors import Heard, code_text, is_fatal
from wsadapter.kafka.messages import message_of
from wsadapter.kafka.native_client import AVAILABLE
from wsadapter.kafka.record_producer import FailedMessage, RecordProducer
from wsadapter.kafka.settings import LIBRDKAFKA, LIMIT, producer_config
from wsadapter.kafka.topics import topic_name
from wsadapter.log import OUTAGE, Repeated, get_logger
from wsadapter.metrics import KAFKA_CLIENTS
from wsadapter.shm.stats_page import StatsPage

GAP: Final = BY_STREAM["gap"].kind
"""A gap's name is the identity of its first record, which its writer did not know."""
QUEUE: Final = {
    # Never full: a cycle starts with an empty queue. A full queue in mid-batch could reorder a partition.
    "queue.buffering.max.messages": 2_000_000,
    "queue.buffering.max.kbytes": 1_048_576,
    "delivery.report.only.error": True,
    "linger.ms": 0,
}
DEAD_LETTER_BYTES: Final = 256 * 1024
"""A dead letter carries at most this much of what it is about."""
SINGLE_SECONDS: Final = 10.0
"""After a refused batch each message is a batch for so long; by then what was refused has been sent again."""
DEFAULT_BATCH_BYTES: Final = 1_000_000
LEAST_BATCH_BYTES: Final = 1_024
BATCH_OVERHEAD: Final = 256
"""Bytes by which a batch stays below what a topic takes, for its header."""
PAUSES: Final = Backoff(1.0, 8.0)
"""Until a refused broker is tried again."""
MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
CLOSING: Final = (KafkaError._GAPLESS_GUARANTEE, KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT,
                  KafkaError._INVALID_DIFFERENT_RECORD)  # fmt: skip
"""Of messages that failed with another one: no reason of their own."""
REPORT_SECONDS: Final = 2.0
"""Within so long after its end a client has reported which messages were refused and why."""
AWAY: Final = (Reason.REFUSED, Reason.NAME, Reason.TLS, Reason.AUTHENTICATION)

log = get_logger()


class DeliveryFailed(WsadapterError):
    """The client was replaced: start again from head. ``topic_missing``: for want of a topic or partition."""

    def __init__(self, reason: str, topic_missing: bool = False) -> None:
        super().__init__(reason)
        self.topic_missing = topic_missing


def _says_no_cause(error: KafkaError) -> bool:
    """The client has ended, and this is all that it says: why, it says elsewhere."""
    return is_fatal(error) and error.code() in CLOSING


class KafkaProducer:
    """See the module docstring; ``page``: the serializer's."""

    def __init__(self, config: Config, page: StatsPage) -> None:
        self._cells, self._page = page.cells, page
        self._are_several = "," in config.kafka.bootstrap_servers
        """Of brokers: what one connection is told does not say that Kafka is away; late acknowledgements do."""
        self._heard, self._repeated = Heard(LIBRDKAFKA), Repeated(*OUTAGE)
        self._broker_reason = page.index("broker_reason")
        self._broker_up, self._broker_refusal = page.index("broker_up"), page.index("broker_refusal")
        self.dead: Counter[tuple[str, str]] = Counter()
        """(reason, topic) of letters that are not counted yet."""
        self.letter_gaps: Counter[str] = Counter()
        """Stream -> gaps of letters that are not counted yet."""
        self._failed: list[tuple[KafkaError, Message | FailedMessage]] = []
        self._dead_letter_topic = dead_letter_topic(config.kafka)
        self._fatal: KafkaError | None = None
        self._refusals = 0
        """In a row, since something was acknowledged."""
        self._retry_at = 0.0
        self._topics = {spec.kind: topic_name(config.kafka, spec.name) for spec in SPECS if spec.kind != GAP}
        """Of the records that are messages as they are."""
        self._gap_topic = topic_name(config.kafka, BY_KIND[GAP].name)
        self._specs = {name: BY_KIND[kind] for kind, name in self._topics.items()}
        self._settings = producer_config(config.kafka) | QUEUE | {
            "error_cb": self._on_error, "logger": self._heard, "on_delivery": self._on_failure,
        }  # fmt: skip
        self._single_until = time.monotonic() + SINGLE_SECONDS if page["single_messages"] else 0.0
        self.producer = self._open()
        page["kafka_client"] = 1 + KAFKA_CLIENTS.index("native" if self.is_direct else "confluent-kafka")

    def _open(self) -> Producer | RecordProducer:
        if self._single_until:
            log.warning("the broker refused a batch: each message is sent alone now", seconds=SINGLE_SECONDS)
            return self._client({"batch.num.messages": 1})
        return self._client({"batch.size": self._batch_bytes(), "enable.gapless.guarantee": True})

    def _client(self, more: dict[str, Any]) -> Producer | RecordProducer:
        return RecordProducer(self._settings | more, self._topics) if AVAILABLE else Producer(self._settings | more)

    @property
    def is_direct(self) -> bool:
        return isinstance(self.producer, RecordProducer)

    @property
    def direct(self) -> RecordProducer:
        """The client, for records; what it does not take is for `pass_refused`."""
        if not isinstance(self.producer, RecordProducer):
            raise TypeError("confluent-kafka takes no records")
        return self.producer

    def _batch_bytes(self) -> int:
        configured = int(self._settings.get("batch.size", DEFAULT_BATCH_BYTES))
        return min(configured, self._page["batch_bytes"] or configured)

    def fit(self, limit: int | None) -> None:
        """Cut batches to what the topics accept; before anything is sent. None: it is not known."""
        if limit is not None and (most := max(LEAST_BATCH_BYTES, limit - BATCH_OVERHEAD)) < self._batch_bytes():
            log.info("batches are cut to what the topics accept", bytes=most)
            self._page["batch_bytes"] = most
            if not self._single_until:
                self.producer = self._open()

    def renew(self) -> None:
        """A client that knows of new partitions, while nothing is queued."""
        self.producer = self._open()

    def rejoin(self) -> None:
        """Send in batches again once the refused one has been passed message by message; while nothing is queued."""
        if self._single_until and time.monotonic() > self._single_until:
            self._single_until = 0.0
            self._page["single_messages"] = 0
            self.producer = self._open()
            log.info("messages are sent in batches again", bytes=self._batch_bytes())

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
            return
        self._heard.note(error)
        self._cells[self._broker_reason] = reason = self._heard.reason
        is_one = self._are_several and error.code() != KafkaError._ALL_BROKERS_DOWN
        if reason in AWAY or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            if not is_one:
                self._cells[self._broker_up] = 0
            # a stand-in of ours that is still being started is no news
            if reason and not LIMIT.is_awaited() and (kept_back := self._repeated((is_one, reason))) is not None:
                event = "one of the brokers is away" if is_one else "waiting for Kafka"
                log.warning(event, reason=self._heard.sentence("Kafka"), repeated=kept_back)

    def _on_failure(self, error: KafkaError | None, message: Message | FailedMessage) -> None:
        if error is not None:
            self._failed.append((error, message))

    @property
    def is_ready(self) -> bool:
        """Not in the pause after a refusal."""
        return time.monotonic() >= self._retry_at

    @property
    def is_refused(self) -> bool:
        """The broker refused what was sent last."""
        return self._refusals > 0

    def send(self, topic: str, messages: list[dict[str, Any]], partition: int) -> None:
        """Queue the messages of one topic and partition (-1: by their keys), in order; one that is too large becomes a
        dead letter. `DeliveryFailed`."""
        if self.producer.produce_batch(topic, messages, partition) == len(messages):
            return
        for message in messages:
            error = message.get("_error")
            if error is None:
                continue
            if error.code() not in PERMANENT:
                raise self._replace(error, topic)
            self.dead_letter("too_large", topic, message["key"], message["value"], str(error))

    def pass_refused(self) -> None:
        """What `direct` did not take: dead letters where it is too large. `DeliveryFailed`."""
        for refused in self.direct.take_refused():
            topic = self._topics[refused.kind]
            if refused.error.code() not in PERMANENT:
                raise self._replace(refused.error, topic)
            self.dead_letter("too_large", topic, refused.key, refused.value, str(refused.error))

    def dead_letter(self, reason: str, topic: str, key: bytes, value: bytes, detail: str) -> None:
        """Put what can never succeed where a person finds it, long values are cut, and an event's gap where its
        readers do. `DeliveryFailed`."""
        self.dead[reason, topic] += 1
        spec = None if reason == "encode" else self._specs.get(topic)
        log.warning("dead letter", reason=reason, topic=topic, key=key.decode(errors="replace"), detail=detail)
        try:
            produce_dead_letter(
                self.producer, self._dead_letter_topic, key, value,
                reason=reason, detail=detail, topic=topic, limit=DEAD_LETTER_BYTES,
            )  # fmt: skip
            if spec is not None and (gap := missing(spec, value)) is not None:
                self.letter_gaps[spec.name] += 1
                series = f"{gap.exchange}:{gap.symbol}".encode()
                self.producer.produce(self._gap_topic, message_of(gap).SerializeToString(), series)
        except KafkaException as error:
            raise self._replace(error.args[0], self._dead_letter_topic) from None

    def flush(self, seconds: float) -> bool:
        """True when nothing is outstanding and all that failed has been dead-lettered; raises `DeliveryFailed`."""
        try:
            queued = self.producer.flush(seconds)  # each acknowledgement wakes it
        except KafkaException as raised:
            if not is_fatal(raised.args[0]):
                raise
            self._fatal, queued = raised.args[0], 0
        if self._fatal is not None:
            raise self._replace(self._fatal)
        if queued:
            return False
        failed, self._failed = self._failed, []
        for error, message in failed:
            topic = str(message.topic())
            key, value = message.key() or b"", message.value() or b""
            if error.code() not in PERMANENT or (topic == self._dead_letter_topic and not value):
                raise self._replace(error, topic)
            if topic == self._dead_letter_topic:  # less of it is a letter too
                size = next(size for size in (DEAD_LETTER_BYTES, *SMALLER) if size < len(value))
                try:
                    self.producer.produce(topic, value[:size], key, headers=list(message.headers() or []))  # type: ignore[arg-type]
                except KafkaException as refused:
                    raise self._replace(refused.args[0], topic) from None
            else:
                self.dead_letter("rejected", topic, key, value, str(error))
        return not failed

    def acknowledged(self) -> None:
        """Something was sent and all of it has arrived: no refusal lasts. (That nothing is outstanding does not say
        that the broker is there: it may have been nothing but errors.)"""
        self._answers()
        if self._cells[self._broker_refusal]:
            log.info("the broker accepts records again")
            self._cells[self._broker_refusal] = 0
        self._refusals = 0

    def _replace(self, error: KafkaError, topic: str = "") -> DeliveryFailed:
        """Give up the client, which sends nothing more that could be counted on, for a new one; what to raise."""
        self.producer.purge()
        reports_by = time.monotonic() + REPORT_SECONDS
        while not (causes := self._causes()) and _says_no_cause(error) and time.monotonic() < reports_by:
            self.producer.poll(0.01)  # the reports of the refused batch come behind the client's end
            error = self._fatal or error  # a client that had ended by itself takes nothing, and says why only here
        cause, topic = causes[0] if causes else (error, topic)
        if error.code() == KafkaError._GAPLESS_GUARANTEE and cause.code() in PERMANENT:
            self._single_until = time.monotonic() + SINGLE_SECONDS
            self._page["single_messages"] = 1
            if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self._page["batch_bytes"] = max(LEAST_BATCH_BYTES, self._batch_bytes() // 4)
        else:
            pause = PAUSES.bound(self._refusals)
            self._refusals += 1
            self._retry_at = time.monotonic() + pause
            self._cells[self._broker_refusal] = cause.code()
            log.error("the broker refuses records, they go to the spool", topic=topic, reason=code_text(cause.code()),
                      detail=cause.str(), retry_in_seconds=pause)  # fmt: skip
        self._failed.clear()
        self.dead.clear()
        self.letter_gaps.clear()
        self._fatal = None
        self.producer = self._open()
        return DeliveryFailed(f"{topic}: {cause.str()}", topic_missing=cause.code() in MISSING)

    def _causes(self) -> list[tuple[KafkaError, str]]:
        """Why messages failed, and of which topic; not those that failed with another one."""
        return [(error, str(message.topic())) for error, message in self._failed if error.code() not in CLOSING]

    def probe(self, seconds: float) -> None:
        """Ask for metadata while the broker is known to be away, so that a quiet feed notices its return."""
        if not self._cells[self._broker_up]:
            try:
                self.producer.list_topics(timeout=seconds)
            except KafkaException:
                return
            self._answers()

    def _answers(self) -> None:
        self._cells[self._broker_up] = 1
        if self._heard.reason:
            self._heard.clear()

    @property
    def trouble(self) -> str:
        """Why nothing is acknowledged, in words, as far as it was said."""
        if code := self._cells[self._broker_refusal]:
            return f"Kafka refuses: {code_text(code)}"
        if self._heard.reason:
            return self._heard.sentence("Kafka")
        return Reason(self._cells[self._broker_reason] or Reason.SLOW).sentence("Kafka")

    def away(self, reason: Reason = Reason.UNKNOWN) -> None:
        """It has not answered for too long; ``reason``: what another client of ours was told."""
        if reason:
            self._cells[self._broker_reason] = reason
        elif self._cells[self._broker_up]:
            self._cells[self._broker_reason] = Reason.SLOW
        self._cells[self._broker_up] = 0

    def abandon(self) -> None:
        """Forget what is queued: it is still in the ring, or on the spool."""
        self.producer.purge()
