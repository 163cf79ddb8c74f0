"""Which topics this member has read, by Kafka's id of them (KIP-516), and how far: kept in the state directory.

Kafka forgets committed offsets together with their topic. A topic that was deleted and made anew under a running group,
or while nobody ran, would look like a new one, and what the old one had beyond our position would be missing without a
word. Guarantees: a partition without a committed offset is begun without a gap only where no other topic of this name
was known; the new one is known from then on when the gap has been published. A file that the disk refuses costs this
knowledge alone.

Owns its file.
"""

import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from wsadapter.files import StateDirectory
from wsadapter.kafka.topics import TopicState
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.commits import Key

WRITE_SECONDS: Final = 10.0
"""A gap begins so much earlier at most than what is missing."""


class KnownTopic(Struct):
    """``seen_ms``: since when this is the topic (ms since the epoch). ``read``: partition -> (next offset, Kafka's time
    of the last message before it)."""

    topic_id: str
    seen_ms: int
    read: dict[int, tuple[int, int]] = {}


class KnownTopics:
    """``name``: of the consumer process."""

    def __init__(self, directory: StateDirectory, name: str) -> None:
        self._directory = directory
        self._file = directory.file(f"topics-{name}.json", dict[str, KnownTopic], {})
        self._topics = dict(self._file.read())
        self._next_write = 0.0
        self._changed = False

    def predecessor(self, key: Key, state: TopicState) -> tuple[int, CommitMetadata] | None:
        """How far the topic was read that had this name before; None: it is the one that is known, or none is."""
        known = self._topics.get(key[0])
        if known is None or not state.topic_id or known.topic_id == state.topic_id:
            return None
        offset, at_ms = known.read.get(key[1], (0, known.seen_ms))
        return offset, CommitMetadata(state.partitions, topic_id=known.topic_id, at_ms=at_ms or known.seen_ms)

    def see(self, topics: Mapping[str, TopicState]) -> None:
        """These are there; one whose predecessor is known stays unknown until `take`."""
        for name, state in topics.items():
            if state.topic_id and name not in self._topics:
                self._take(name, state.topic_id)

    def take(self, name: str, topic_id: str) -> None:
        """The gap between the topic that was known and this one has been published."""
        if topic_id and self._topics[name].topic_id != topic_id:
            self._take(name, topic_id)

    def note(self, partitions: Mapping[Key, Partition]) -> None:
        """How far these have been read."""
        for (name, number), partition in partitions.items():
            known, position = self._topics.get(name), (partition.done, partition.progress.at_ms)
            if known is not None and known.topic_id == partition.progress.topic_id:
                self._changed |= known.read.get(number) != position
                known.read[number] = position

    def write(self, now: float) -> None:
        """To be called often; writes now and then, without waiting for the disk."""
        self._directory.retry()
        if self._changed and now >= self._next_write:
            self._changed, self._next_write = False, now + WRITE_SECONDS
            self._file.write_soon(self._topics)

    def close(self) -> None:
        """The last ones; waits for the disk, if it answers."""
        self._next_write = 0.0
        self.write(0.0)
        self._directory.flush()

    def _take(self, name: str, topic_id: str) -> None:
        self._topics[name] = KnownTopic(topic_id, time.time_ns() // 1_000_000)
        self._changed, self._next_write = True, 0.0
