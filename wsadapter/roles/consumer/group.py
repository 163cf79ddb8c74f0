"""One member of the consumer group: assignment, offsets with their metadata, fetching, lag.

Guarantees: a partition is read from its committed offset with its committed watermarks and intent, or from the earliest
offset when there is none; an offset that is out of the log's range, or was lost with a topic that was deleted, is
reported in `out_of_range` and never skipped.
An intent counts only when the broker has confirmed the commit that carries it; one commit is under way at a time and
says what is true of every partition. What was revoked or lost is never committed again. A client that is finished
(fenced by another process with our identity) ends in `GroupFailed`, by whichever way its error arrived.

librdkafka's callbacks run inside `poll` (and `close`), on the caller's thread. Owns the client; the batches belong to
the role.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import wait
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable, WsadapterError
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka.errors import AUTHORIZATION, Heard, error_text, is_fatal
from wsadapter.kafka.record_consumer import Placed, new_consumer
from wsadapter.kafka.settings import LIBRDKAFKA, consumer_config
from wsadapter.kafka.topics import TopicState, log_bounds, topic_states
from wsadapter.log import OUTAGE, Repeated, get_logger
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.commits import Commits, Key
from wsadapter.roles.consumer.known_topics import KnownTopics

CHUNK: Final = 2_000
"""Messages taken from librdkafka at once."""
ANSWER_SECONDS: Final = 1.0
"""Longest wait for one answer of the broker: the heartbeat beats between two."""
STATISTICS_MS: Final = 5_000
"""How soon a broker that is back is noticed. That one is down, librdkafka reports at once. Each report lists every
partition: a tenth of what an idle consumer costs."""

log = get_logger()


class GroupFailed(WsadapterError):
    """The client is finished (fenced by another process with our identity, or broken): a new process starts again."""


class _Broker(Struct):
    state: str


class _Statistics(Struct):
    brokers: dict[str, _Broker]


class GroupMember:
    """``new_partition``: (topic, partition, first offset, progress) -> the state of a partition that is assigned now.
    ``on_leave``: called with what is taken away; in good order (True) before its progress is committed.
    ``keep_waiting``: called while the broker is waited for; False ends the waiting. ``known``: the topics read before.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        instance_id: str,
        topics: Iterable[str],
        new_partition: Callable[[str, int, int, CommitMetadata], Partition],
        on_leave: Callable[[list[Partition], bool], None],
        keep_waiting: Callable[[], bool],
        known: KnownTopics,
    ) -> None:
        self.partitions: dict[Key, Partition] = {}
        self.out_of_range: set[Key] = set()
        self.paused: set[Key] = set()
        """What librdkafka has paused for us; of `partitions` only."""
        self.commits = Commits()
        self.broker_up = True
        self.rebalances = 0
        self.topics: dict[str, TopicState] = {}
        """As of the last assignment: each of their partitions is some member's."""
        self.topics_missing = False
        self.unconfirmed_since = 0.0
        """Since when a commit has waited for the broker's confirmation, whether it failed or got no answer; 0: none."""
        self.commit_refusal: int | None = None
        """Kafka's error code of the last commit, if it failed."""
        self.refused: dict[Key, int] = {}
        """What the broker does not let us read, with its error code; partition -1: the topic, no topic: the group."""
        self._kafka, self._new_partition = kafka, new_partition
        self._on_leave, self._keep_waiting = on_leave, keep_waiting
        self._names, self._known = tuple(topics), known
        self.heard = Heard(LIBRDKAFKA)
        """Why the broker does not answer."""
        self._fatal: KafkaError | None = None
        self._repeated = Repeated(*OUTAGE)
        self._consumer = new_consumer(
            {
                **consumer_config(kafka, instance_id),
                "error_cb": self._on_error,
                "logger": self.heard,
                "on_commit": self._on_commit,
                "stats_cb": self._on_statistics,
                "statistics.interval.ms": STATISTICS_MS,
            }
        )
        self._consumer.subscribe(
            list(self._names), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, timeout: float, limit: int = CHUNK) -> int:
        """Take up to ``limit`` messages into their partitions; serves every callback. Returns how many came."""
        runs, failed = self._consumer.take(limit, timeout)
        for each in failed:
            self._on_message_error(each.error(), each.topic(), each.partition())
        self._check_alive()
        now, count = time.monotonic(), 0
        for topic, number, messages, _, first_ms, last_ms in runs:
            count += len(messages)
            key = topic, number
            partition = self.partitions.get(key)
            if partition is not None and key not in self.out_of_range:  # else revoked meanwhile, or of another log
                partition.extend(messages, now, last_ms, first_ms)
                if self.refused:
                    self.refused.pop(key, None)
        return count

    def commit(self, now: float) -> None:
        """Send the commit that is due, if any."""
        if changed := self.commits.due(self.partitions, now):
            self.unconfirmed_since = self.unconfirmed_since or now
            try:
                self._consumer.commit(offsets=_offsets(changed), asynchronous=True)
            except KafkaException as error:
                self._commit_failed(error.args[0])
                self._check_alive()

    def pause(self, keys: set[Key]) -> None:
        """Fetch nothing for these partitions, and again for the others. Members that hold go on polling."""
        keys &= self.partitions.keys()
        if pausing := keys - self.paused:
            self._consumer.pause([TopicPartition(*key) for key in pausing])
        self._resume(self.paused - keys)
        self.paused |= keys

    def end_offsets(self) -> dict[Key, int]:
        """Where the log of each partition ends now; `ServiceUnavailable` when the broker does not answer."""
        if not self.broker_up:
            raise ServiceUnavailable("the broker does not answer")
        bounds = log_bounds(self._kafka, self.partitions.keys(), ANSWER_SECONDS * 5)
        return {key: end for key, (_, end) in bounds.items()}

    def cached_ends(self) -> dict[Key, int]:
        """The same without asking, from the last fetches; only what is known."""
        known = {}
        for key in self.partitions:
            bounds = self._consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
            if bounds is not None and bounds[1] >= 0:
                known[key] = bounds[1]
        return known

    def seek(self, key: Key, offset: int, topic_id: str) -> None:
        """An idle partition whose offset is out of range goes on at ``offset``; the gap has been published."""
        self.partitions[key].seek(offset, topic_id)
        self.out_of_range.discard(key)
        if not any(name == key[0] for name, _ in self.out_of_range):
            self._known.take(key[0], topic_id)
        self.fetch_anew()

    def remember(self, now: float) -> None:
        """Which topics these are and how far they are read, for a time when Kafka does not know it any more."""
        self._known.note(self.partitions)
        self._known.write(now)

    def fetch_anew(self) -> None:
        """Fetch each partition from its next offset on, which has moved other than by reading."""
        self._resume(self.paused)
        # a partition that ended with an error cannot be sought: all are fetched anew from where they are
        self._consumer.assign([TopicPartition(*k, p.next_offset) for k, p in self.partitions.items()])

    def _resume(self, keys: Iterable[Key]) -> None:
        """Also before they are assigned anew or taken away: librdkafka keeps a pause over both."""
        if resuming := self.paused.intersection(keys):
            self._consumer.resume([TopicPartition(*key) for key in resuming])
            self.paused -= resuming

    def close(self, seconds: float) -> None:
        """Leave: what is done is committed, the static membership stays for the next start. librdkafka would wait for a
        broker that is down with a commit in flight; the next start replays what that commit intends."""
        closed = DaemonExecutor(1, "leave").call(self._consumer.close)
        if not wait([closed], seconds).done:
            log.warning("left the group without an answer from the broker")
        self._known.close()

    # callbacks

    def _on_assign(self, _: object, assigned: Sequence[Placed]) -> None:
        self.rebalances += 1
        while self._keep_waiting():
            try:
                starts = self._starts(assigned)
            except (KafkaException, ServiceUnavailable) as error:
                if isinstance(error, KafkaException) and is_fatal(error.args[0]):
                    self._fatal = error.args[0]
                    return
                self._log("committed offsets not known yet", error)
                continue
            break
        else:
            return  # stopping: what is assigned without state is not read
        self.unconfirmed_since, self.commit_refusal = 0.0, None
        self.refused.clear()
        for key, (offset, progress) in starts.items():
            self.partitions[key] = self._new_partition(*key, offset, progress)
            self.commits.forget(key)
        self._consumer.assign([TopicPartition(*key, offset) for key, (offset, _) in starts.items()])

    def _starts(self, assigned: Sequence[Placed]) -> dict[Key, tuple[int, CommitMetadata]]:
        if not assigned:
            return {}
        states, names = topic_states(self._kafka, self._names, ANSWER_SECONDS), {each.topic for each in assigned}
        self._known.see(states)
        self.topics |= {name: state for name, state in states.items() if name in names}
        starts, new = {}, []
        places = [TopicPartition(place.topic, place.partition) for place in assigned]
        for position in self._consumer.committed(places, timeout=ANSWER_SECONDS):
            if position.error is not None:
                raise KafkaException(position.error)
            key, state = (position.topic, position.partition), self.topics.get(position.topic, TopicState(0, ""))
            progress = CommitMetadata.decode(position.metadata)
            if position.offset < 0 and (before := self._known.predecessor(key, state)) is not None:
                self.out_of_range.add(key)  # Kafka has forgotten the offset with the topic
                starts[key] = before
                continue
            if position.offset < 0:
                new.append(key)
                progress = CommitMetadata().of_topic(*state)
            elif progress.is_other_topic(state.topic_id):
                self.out_of_range.add(key)  # its messages are not read before a gap says so
                progress = CommitMetadata(state.partitions, topic_id=progress.topic_id, at_ms=progress.at_ms)
            else:
                progress = progress.of_topic(*state)
            starts[key] = position.offset, progress
        for key, (first, _) in log_bounds(self._kafka, new, ANSWER_SECONDS).items():
            starts[key] = first, starts[key][1]
        return starts

    def _on_revoke(self, _: object, revoked: Sequence[Placed]) -> None:
        states = self._states(revoked)
        self._on_leave(list(states.values()), True)
        if self.broker_up and (self.commits.uncommitted(states) or any(p.untouched for p in states.values())):
            try:
                self._consumer.commit(offsets=_offsets(states, leaving=True), asynchronous=False)
            except KafkaException as error:
                if is_fatal(error.args[0]):
                    self._fatal = error.args[0]
                # the next owner replays the intended ranges under their old tokens
                log.warning("offsets of revoked partitions not committed", reason=error_text(error))
        self._drop(states)

    def _on_lost(self, _: object, lost: Sequence[Placed]) -> None:
        log.warning("partitions lost, another member may have them", partitions=len(lost))
        states = self._states(lost)
        self._on_leave(list(states.values()), False)
        self._drop(states)

    def _states(self, named: Sequence[Placed]) -> dict[Key, Partition]:
        return {key: self.partitions[key] for n in named if (key := (n.topic, n.partition)) in self.partitions}

    def _drop(self, states: Mapping[Key, Partition]) -> None:
        self._known.note(states)
        self._resume(states)
        for key in list(states):
            self.partitions.pop(key, None)
            self.commits.forget(key)
            self.out_of_range.discard(key)
            self.refused.pop(key, None)

    def _on_commit(self, error: KafkaError | None, offsets: Sequence[Placed]) -> None:
        if error is not None:
            self._commit_failed(error)
            return
        self.commits.confirmed([(o.topic, o.partition) for o in offsets if o.error is None], self.partitions)
        refusals = [o.error for o in offsets if o.error is not None]
        for refused in refusals:
            self._commit_failed(refused)
        if not refusals:
            self.unconfirmed_since, self.commit_refusal = 0.0, None

    def _commit_failed(self, error: KafkaError) -> None:
        """No insert follows; the same intent is sent again."""
        if is_fatal(error):
            self._fatal = error
        self.commit_refusal = error.code()
        self.commits.failed(time.monotonic())
        self._log("offset commit failed, inserts wait for it", error)

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.broker_up = False
            return  # each said why
        self.heard.note(error)
        self._log("Kafka client error", error)

    def _on_statistics(self, text: str | bytes) -> None:
        brokers = msgspec.json.decode(text, type=_Statistics).brokers
        self.broker_up = any(broker.state == "UP" for broker in brokers.values())
        if self.broker_up:
            self.heard.clear()

    def _on_message_error(self, error: KafkaError, topic: str | None, number: int | None) -> None:
        code = error.code()
        if code == KafkaError._AUTO_OFFSET_RESET and topic is not None and number is not None:
            if (topic, number) in self.partitions:
                self.out_of_range.add((topic, number))
            return
        if is_fatal(error):
            self._fatal = error
        elif code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self.topics_missing = True
        elif code in AUTHORIZATION:
            self.refused[topic or "", -1 if number is None else number] = code
        self._log("fetch error", error)

    def _check_alive(self) -> None:
        if self._fatal is not None:
            raise GroupFailed(f"the consumer group member failed: {error_text(self._fatal)}")

    def _log(self, event: str, error: KafkaError | Exception) -> None:
        """One line a kind of cause: the text of an error has addresses and milliseconds in it."""
        cause = error.args[0] if isinstance(error, KafkaException) else error
        kind = cause.code() if isinstance(cause, KafkaError) else getattr(cause, "reason", type(cause))
        if (kept_back := self._repeated((event, kind))) is not None:
            log.warning(event, reason=error_text(error), repeated=kept_back)


def _offsets(partitions: Mapping[Key, Partition], leaving: bool = False) -> list[TopicPartition]:
    offsets = []
    for key, partition in partitions.items():
        offset, metadata = partition.commit(leaving)
        offsets.append(TopicPartition(*key, offset, metadata=metadata))
    return offsets
