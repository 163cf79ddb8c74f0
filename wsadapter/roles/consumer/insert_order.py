"""Which batches wait for others, so that the tables never say that rows are there before they are.

A row of `coverage` says that a series was recorded, and one of `gap` in state ``repaired`` that what was missing has
been fetched. In a ring both stand behind the events that they are about; in Kafka they are in topics of their own,
which are read beside the others and are short: while a table waits, or a backlog is worked off, they would be in
ClickHouse long before. So their batches are inserted when all is inserted that the topics of the streams that they name
held when the batch was ready; of coverage also the gaps.

Pure: told offsets and the time. What another member of the group reads is known by its commits.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from math import inf
from typing import Any, Final

from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.events.streams import OURS, SPECS, stream_of
from wsadapter.log import get_logger
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer.batches import Batch, Partition
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.insert_pool import InsertTask

LOOK_SECONDS: Final = 0.2
TOLD_SECONDS: Final = 60.0
"""A batch that has waited for so long is told of."""
EVENTS: Final = frozenset(spec.name for spec in SPECS if not spec.ours)

log = get_logger()


class GroupOffsets(Struct, frozen=True):
    """Of the partitions of our topics, as of ``at`` (monotonic): where their logs end, and how far those that another
    member reads are committed, or begin."""

    at: float = -inf
    ends: Mapping[Key, int] = {}
    committed: Mapping[Key, int] = {}


class _Waiting(Struct):
    """``streams``: whose rows must be in first. ``mine``, ``others``: up to which offsets; None: not known yet."""

    since: float
    streams: frozenset[str]
    mine: dict[Key, int] | None = None
    others: dict[Key, int] | None = None
    told: bool = False


class InsertOrder:
    """``streams``: topic -> stream. ``alone``: the group has no other member."""

    def __init__(self, streams: Mapping[str, str], alone: bool) -> None:
        self._streams, self._alone = streams, alone
        self._waiting: dict[InsertTask, _Waiting] = {}
        self._held: set[Key] = set()
        self._look_at = 0.0

    @property
    def asks_others(self) -> bool:
        """Whether something waits that what the other members commit may end."""
        return bool(self._held) and not self._alone

    def held(
        self, tasks: Iterable[InsertTask], partitions: Mapping[Key, Partition], ends: Callable[[], Mapping[Key, int]],
        group: GroupOffsets, blocked: Set[str], now: float,
    ) -> Set[Key]:  # fmt: skip
        """Partitions whose batch is not to be begun now. ``ends`` says where the logs of ``partitions`` end, as far as
        it is known; ``blocked``: streams of which nothing can be inserted."""
        ours = [
            task for task in tasks if task.partition.spec.name in OURS and task.future is None and not task.attempts
        ]
        if not (ours or self._waiting):
            return self._held
        if now < self._look_at and self._waiting.keys() >= {*ours}:
            return self._held
        self._look_at = now + LOOK_SECONDS
        self._waiting = {
            task: self._waiting.get(task) or _Waiting(now, _named(task.partition.spec.name, task.batch))
            for task in ours
        }
        known = ends() if any(one.streams for one in self._waiting.values()) else {}
        logs = {key: max(known.get(key, -1), group.ends.get(key, -1)) for key in partitions}
        self._held = set()
        for task, one in self._waiting.items():
            if not self._is_over(one, partitions, logs, group, blocked):
                self._held.add(task.partition.key)
                self._tell(one, task.partition.spec.name, now)
        return self._held

    def _is_over(
        self, one: _Waiting, partitions: Mapping[Key, Partition], logs: Mapping[Key, int], group: GroupOffsets,
        blocked: Set[str],
    ) -> bool:  # fmt: skip
        if not one.streams:
            return True
        mine = {key: each for key, each in partitions.items() if each.spec.name in one.streams}
        if one.streams & blocked or any(logs[key] < 0 for key in mine):
            return False
        if one.mine is None:
            one.mine = {key: max(logs[key], each.next_offset) for key, each in mine.items()}
        if not self._alone and group.at < one.since:
            return False
        others = {
            key: end
            for key, end in group.ends.items()
            if key not in partitions and self._streams.get(key[0]) in one.streams
        }
        if one.others is None:
            one.others = others
        # a log that was made anew may end earlier
        return all(mine[key].done >= min(end, logs[key]) for key, end in one.mine.items() if key in mine) and all(
            group.committed.get(key, 0) >= min(end, others[key]) for key, end in one.others.items() if key in others
        )

    def _tell(self, one: _Waiting, name: str, now: float) -> None:
        if not one.told and now - one.since > TOLD_SECONDS:
            one.told = True
            log.warning(
                "rows wait until what they are about is in its table", stream=name, waits_for=sorted(one.streams)
            )


def _named(name: str, batch: Batch) -> frozenset[str]:
    """The streams of which a batch of this stream says that their rows are there."""
    rows = [_parsed(name, batch.message(row)) for row in range(batch.rows)]
    if name == "gap":
        repaired = [row for row in rows if row is not None and row.repair_state == RepairState.REPAIRED]
        told = frozenset(row.stream for row in repaired if row.cause != GapCause.FILLER)
        return EVENTS if "" in told else told
    return frozenset((*(stream_of(row.stream) for row in rows if row is not None), "gap"))


def _parsed(name: str, message: bytes) -> Any:
    try:
        return (market_pb2.Gap if name == "gap" else market_pb2.Coverage).FromString(message)
    except DecodeError:
        return None  # for whoever inserts it
