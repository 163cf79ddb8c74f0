"""What was recorded and is in no table: dead letters, and messages that nobody has inserted yet.

Behind the last row of a series nothing in the tables shows them. A running instance counts both; for a range of time of
which it did not count the whole, or in which something may be, and where no instance runs, Kafka itself is asked. Owns
nothing.
"""

import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.audit.conservation import Live
from wsadapter.audit.rows import Scope
from wsadapter.config.model import KafkaConfig
from wsadapter.config.types import address
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import SPECS
from wsadapter.metrics import UNKNOWN

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0


class Tail(Struct, frozen=True):
    """Stream -> messages, of all its symbols."""

    dead_letters: Mapping[str, int]
    stuck: Mapping[str, int]

    def of(self, stream: str) -> "Tail":
        """That of one stream; empty: of all."""
        dead, stuck = ({s: n for s, n in c.items() if stream in ("", s)} for c in (self.dead_letters, self.stuck))
        return Tail(dead, stuck)


def find(kafka: KafkaConfig, scope: Scope, live: Live | None) -> Tail | None:
    """``live``: what the running instance counts, None when there is none. None when neither it nor Kafka tells."""
    counted = None if live is None else Tail(live.dead_letters, live.stuck)
    if live is not None and not live.dead_letters and _counted_all(live, scope):
        return Tail({}, live.stuck).of(scope.stream)
    try:
        if not any(map(_listens, kafka.bootstrap_servers.split(","))):
            raise ServiceUnavailable(f"nothing listens at {kafka.bootstrap_servers}")
        # the instance counts since its start, and this is about a range of time
        letters = dead_letters(kafka, scope.since_ns or 0, scope.now_ns if scope.until_ns is None else scope.until_ns)
        found = Tail(letters, _unread(kafka) if counted is None else counted.stuck)
    except ServiceUnavailable:
        if counted is None or not (counted.dead_letters or counted.stuck):
            return None  # that it counted none says nothing of the time before it
        found = counted
    return found.of(scope.stream)


def _counted_all(live: Live, scope: Scope) -> bool:
    """Whether the instance has counted since the range began: at a start its counters begin anew."""
    return live.began_ns is not None and scope.since_ns is not None and live.began_ns <= scope.since_ns


def dead_letters(kafka: KafkaConfig, since_ns: int, until_ns: int) -> dict[str, int]:
    """Stream -> messages set aside in this time; `ServiceUnavailable` when Kafka does not answer."""
    from wsadapter.kafka.dead_letters import dead_letter_topic
    from wsadapter.kafka.time_range_reader import TimeRangeReader
    from wsadapter.kafka.topics import topic

    words = {topic(kafka, spec): spec.name for spec in SPECS}
    counts: dict[str, int] = {}

    def count(letter: Any) -> None:
        if since_ns // 1_000_000 <= letter.timestamp()[1] <= until_ns // 1_000_000:
            headers = dict(letter.headers() or ())
            word = words.get((headers.get("topic") or b"").decode(errors="replace"), UNKNOWN)
            counts[word] = counts.get(word, 0) + 1

    reader = TimeRangeReader(kafka, [dead_letter_topic(kafka)], since_ns, until_ns, count)
    deadline = time.monotonic() + READ_SECONDS
    try:
        while not reader.step():
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"dead letters were not read within {READ_SECONDS:.0f} s")
    finally:
        reader.close()
    return counts


def _unread(kafka: KafkaConfig) -> dict[str, int]:
    from wsadapter.kafka.topics import unread

    return {stream: count for stream, count in unread(kafka, ANSWER_SECONDS).items() if count}


def _listens(server: str) -> bool:
    """The client would go on trying until its time is over."""
    try:
        with socket.create_connection(address(server.strip()), CONNECT_SECONDS):
            return True
    except OSError:
        return False
