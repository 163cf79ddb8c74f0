"""Rows of an insert that was called done and that are nowhere: inserted again, under a token of their own.

For whoever inserts without a loop of its own (`wsadapter.archives`); the consumer, which must not wait, has the rule in
its insert pool. Where such rows come from, and how they are told, says `wsadapter.clickhouse.presence`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from wsadapter.clickhouse import endpoints
from wsadapter.clickhouse.inserts import Inserter, event_rows
from wsadapter.clickhouse.presence import Presence
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Event
from wsadapter.events.records import encode
from wsadapter.events.streams import StreamSpec

LACKING_SECONDS: Final = 2.0
"""Rows must lack for so long: an insert of which we heard no more may be about to end."""
AGAIN: Final = 3
"""So often lacking rows are inserted again: what is not there then, something takes away (a TTL set by hand)."""


def token_again(dedup_token: str, again: int) -> str:
    """Of the insert of lacking rows of an insert with this token; ``again`` counts from 1 (0: that insert itself). It
    is the same one after a restart."""
    return f"{dedup_token}:{again}" if again else dedup_token


class Found(NamedTuple):
    """How many rows were inserted again, and how many lack all the same: something takes them away."""

    again: int = 0
    lacking: int = 0


def make_sure(look: Callable[[], Sequence[int]], insert: Callable[[Sequence[int], int], object]) -> Found:
    """``look``: which rows lack; ``insert``: of those, under the token of this number."""
    if not look():
        return Found()
    time.sleep(LACKING_SECONDS)
    most = 0
    for again in range(1, AGAIN + 1):
        lacking = look()
        if not lacking:
            return Found(most)
        insert(lacking, again)
        most = max(most, len(lacking))
    return Found(most, len(look()))


def insert_events(
    inserter: Inserter, presence: Presence, settings: ClickHouseConfig, spec: StreamSpec, events: Sequence[Event],
    dedup_token: str, is_repeat: bool = False,
) -> Found:  # fmt: skip
    """A few, that come from no ring. ``is_repeat``: an earlier process may have sent them."""

    def insert(numbers: Sequence[int], again: int) -> None:
        head, body = event_rows(settings.database, spec, [events[number] for number in numbers])
        inserter.insert(head + body, len(numbers), token_again(dedup_token, again))

    unanswered = endpoints.unanswered()
    insert(range(len(events)), 0)
    if not is_repeat and endpoints.unanswered() == unanswered:
        return Found()
    messages = [payload[payload[0] + 1 :] for payload in map(encode, events)]  # behind the record's key
    return make_sure(lambda: presence.lacking(spec, messages), insert)
