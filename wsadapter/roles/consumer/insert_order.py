"""Which batches wait for others, so that the tables never say that rows are there before they are.

A row of `coverage` says that a series was recorded, and one of `gap` in state ``repaired`` that what was missing has
been fetched. In a ring both stand behind the events that they are about; in Kafka they are in topics of their own,
which are read beside the others and are short: while a table waits, or a backlog is worked off, they would be in
ClickHouse long before. So their batches are inserted when all is inserted that the topics of the streams that they name
held when the batch was ready; of coverage, behind those, also the gaps: what a consumer gives up as a dead letter is a
gap that it publishes before the batch is done.

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
    """Of the partitions of our topics, asked at ``at`` (monotonic): how far those that another member reads are
    committed, or begin, and after that where their logs end."""

    at: float = -inf
    ends: Mapping[Key, int] = {}
    committed: Mapping[Key, int] = {}


class _Stage(Struct):
    """``streams``: whose rows must be in, up to the offsets ``ends``, which are to be asked for at ``asked_from`` or
    later; None: not known yet."""

    streams: frozenset[str]
    asked_from: float | None = None
    ends: dict[Key, int] | None = None


class _Waiting(Struct):
    """``stages``: where one ends is known when the one before is over."""

    since: float
    stages: tuple[_Stage, ...]
    told: bool = False


class InsertOrder:
    """``streams``: topic -> stream. ``alone``: the group has no other member."""

    def __init__(self, streams: Mapping[str, str], alone: bool) -> None:
        self._streams, self._alone = streams, alone
        self._waiting: dict[InsertTask, _Waiting] = {}
        self._held: set[Key] = set()
        self._look_at = 0.0
        self.asks_group = False
        """Whether something waits that the next `GroupOffsets` may end."""

    def held(
        self, tasks: Iterable[InsertTask], partitions: Mapping[Key, Partition], ends: Callable[[], Mapping[Key, int]],
        group: GroupOffsets, blocked: Set[str], now: float, gaps_at: float,
    ) -> Set[Key]:  # fmt: skip
        """Partitions whose batch is not to be begun now. ``ends`` says where the logs of ``partitions`` end, as far as
        it is known; ``blocked``: streams of which nothing can be inserted; ``gaps_at``: when this member last published
        a gap (monotonic)."""
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
        known = ends() if any(one.stages for one in self._waiting.values()) else {}
        logs = {key: max(known.get(key, -1), group.ends.get(key, -1)) for key in partitions}
        self._held = set()
        for task, one in self._waiting.items():
            if not all(self._is_over(stage, one, partitions, logs, group, blocked, gaps_at) for stage in one.stages):
                self._held.add(task.partition.key)
                self._tell(one, task.partition.spec.name, now)
        self.asks_group = bool(self._held) and (not self._alone or group.at < gaps_at)
        return self._held

    def _is_over(
        self, stage: _Stage, one: _Waiting, partitions: Mapping[Key, Partition], logs: Mapping[Key, int],
        group: GroupOffsets, blocked: Set[str], gaps_at: float,
    ) -> bool:  # fmt: skip
        mine = {key: each for key, each in partitions.items() if each.spec.name in stage.streams}
        if stage.streams & blocked or any(logs[key] < 0 for key in mine):
            return False
        if stage.asked_from is None:  # not later: gaps of other rows may go on and on
            stage.asked_from = max(-inf if self._alone else one.since, gaps_at if "gap" in stage.streams else -inf)
        if stage.ends is None:
            if group.at < stage.asked_from:
                return False
            stage.ends = {key: end for key, end in group.ends.items() if self._streams.get(key[0]) in stage.streams}
            stage.ends |= {key: max(logs[key], each.next_offset) for key, each in mine.items()}
        # a log that was made anew may end earlier
        return all(
            mine[key].done >= min(end, logs[key])
            if key in mine
            else group.committed.get(key, 0) >= min(end, group.ends.get(key, 0))
            for key, end in stage.ends.items()
        )

    def _tell(self, one: _Waiting, name: str, now: float) -> None:
        if not one.told and now - one.since > TOLD_SECONDS:
            one.told = True
            log.warning(
                "rows wait until what they are about is in its table", stream=name,
                waits_for=sorted(frozenset().union(*(stage.streams for stage in one.stages))),
            )  # fmt: skip


def _named(name: str, batch: Batch) -> tuple[_Stage, ...]:
    """The streams of which a batch of this stream says that their rows are there."""
    rows = [_parsed(name, batch.message(row)) for row in range(batch.rows)]
    if name == "gap":
        repaired = [row for row in rows if row is not None and row.repair_state == RepairState.REPAIRED]
        told = frozenset(row.stream for row in repaired if row.cause != GapCause.FILLER)
        return (_Stage(EVENTS if "" in told else told),) if told else ()
    return _Stage(frozenset(stream_of(row.stream) for row in rows if row is not None)), _Stage(frozenset(("gap",)))


def _parsed(name: str, message: bytes) -> Any:
    try:
        return (market_pb2.Gap if name == "gap" else market_pb2.Coverage).FromString(message)
    except DecodeError:
        return None  # for whoever inserts it
