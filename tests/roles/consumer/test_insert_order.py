"""Coverage, and gaps that are repaired, are inserted behind the rows that they say are there."""

from collections.abc import Mapping, Set
from math import inf
from typing import Any

import pytest
from messages import message_of
from samples import NS, full, trade

from wsadapter.events import Coverage, Event, Gap, Source
from wsadapter.events.gaps import GapCause, with_state
from wsadapter.events.streams import BY_EVENT, BY_STREAM
from wsadapter.kafka.messages import identify_as
from wsadapter.roles.consumer.batches import BatchState, Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.commits import Key
from wsadapter.roles.consumer.insert_order import LOOK_SECONDS, GroupOffsets, InsertOrder
from wsadapter.roles.consumer.insert_pool import InsertTask

STREAMS = {f"t.{name}": name for name in BY_STREAM}
GAP = next(event for event in full() if isinstance(event, Gap))


def coverage(*streams: str) -> list[Event]:
    return [
        Coverage("binance", "BTCUSDT", None, None, NS, Source.WEBSOCKET, "a", None, stream, "", NS, NS)
        for stream in streams
    ]


def gap(state: str, stream: str = "trade", cause: str = GapCause.DISCONNECT) -> Event:
    made = with_state(GAP, state)
    made.stream, made.cause = stream, cause
    return made


class Bench:
    """A member with these partitions; nothing has ended before it is `finished`."""

    def __init__(self, *names: str, alone: bool = True) -> None:
        self.partitions: dict[Key, Partition] = {}
        for name in names:  # a name again is another partition of the stream
            spec, number = BY_STREAM[name], sum(topic == f"t.{name}" for topic, _ in self.partitions)
            self.partitions[f"t.{name}", number] = Partition(
                spec, f"t.{name}", number, 0, CommitMetadata(1), b"INSERT\n", identify_as(spec)
            )
        self.order = InsertOrder(STREAMS, alone)
        self.ends: dict[Key, int] = dict.fromkeys(self.partitions, 0)
        self.tasks: list[InsertTask] = []
        self.group, self.blocked, self.now, self.gaps_at = GroupOffsets(), set[str](), 0.0, -inf

    def receive(self, events: list[Event], number: int = 0) -> None:
        for event in events:
            spec = BY_EVENT[type(event)]
            partition = self.partitions[f"t.{spec.name}", number]
            offset = partition.next_offset
            value = bytes(message_of(spec)(event, 1, 64 * offset).SerializeToString())
            partition.add(offset, value, 0.0)
            self.ends[partition.key] = offset + 1

    def begin(self, name: str, number: int = 0) -> InsertTask:
        """Its batch is ready to be inserted."""
        partition = self.partitions[f"t.{name}", number]
        batch = partition.cut_open()
        batch.advance(BatchState.INTENDED)
        batch.advance(BatchState.INSERTING)
        self.tasks.append(InsertTask(partition, batch))
        return self.tasks[-1]

    def finish(self, task: InsertTask) -> None:
        task.partition.finish()
        self.tasks.remove(task)

    def held(self) -> set[str]:
        return {STREAMS[topic] for topic, _ in self.held_partitions()}

    def held_partitions(self) -> Set[Key]:
        self.now += LOOK_SECONDS
        ends: Mapping[Key, int] = {key: end for key, end in self.ends.items() if end >= 0}
        return {
            *self.order.held(
                self.tasks, self.partitions, lambda: ends, self.group, self.blocked, self.now, self.gaps_at
            )
        }


def test_coverage_waits_until_what_it_names_is_in() -> None:
    bench = Bench("coverage", "gap", "trade", "ticker")
    bench.receive([trade(1), *coverage("trade")])
    bench.begin("coverage")
    assert bench.held() == {"coverage"}
    first = bench.begin("trade")
    bench.receive([trade(2)])
    assert bench.held() == {"coverage"}

    bench.finish(first)

    assert bench.held() == set(), "what comes later is not waited for"


def test_single_trades_are_rows_of_trade() -> None:
    bench = Bench("coverage", "gap", "trade", "ticker")
    bench.receive([trade(1), *coverage("raw_trade")])
    bench.begin("coverage")
    assert bench.held() == {"coverage"}
    bench.finish(bench.begin("trade"))
    assert bench.held() == set()


def test_of_a_stream_that_it_does_not_name_nothing_is_waited_for() -> None:
    bench = Bench("coverage", "gap", "trade", "ticker")
    bench.receive([trade(1), *coverage("ticker")])
    bench.begin("coverage")

    assert bench.held() == set()


def test_what_is_in_the_log_and_was_not_read_yet_counts() -> None:
    bench = Bench("coverage", "gap", "trade")
    bench.receive(coverage("trade"))
    bench.ends["t.trade", 0] = 5
    bench.begin("coverage")

    assert bench.held() == {"coverage"}


def test_where_a_log_ends_must_be_known() -> None:
    bench = Bench("coverage", "gap", "trade")
    bench.receive(coverage("trade"))
    bench.ends["t.trade", 0] = -1
    bench.begin("coverage")
    assert bench.held() == {"coverage"}

    bench.group = GroupOffsets(bench.now, {("t.trade", 0): 0})

    assert bench.held() == set(), "somebody else knows it"


def test_of_a_table_that_takes_nothing_nobody_says_that_rows_are_there() -> None:
    bench = Bench("coverage", "gap", "trade", "ticker")
    bench.receive(coverage("trade"))
    bench.begin("coverage")
    bench.blocked = {"trade"}
    assert bench.held() == {"coverage"}, "its partitions are not read: that there is nothing says nothing"

    bench.blocked = {"ticker"}

    assert bench.held() == set()


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (gap("repaired"), {"gap"}),
        (gap("repaired", ""), {"gap"}),
        (gap("repaired", "ticker"), set()),
        (gap("open"), set()),
        (gap("partial"), set()),
        (gap("repaired", cause=GapCause.FILLER), set()),
    ],
    ids=["repaired", "a connection's", "another stream's", "open", "partial", "filler"],
)
def test_a_gap_is_repaired_when_what_was_fetched_is_in(one: Event, expected: set[str]) -> None:
    bench = Bench("coverage", "gap", "trade", "ticker")
    bench.receive([trade(1), one])
    bench.begin("gap")

    assert bench.held() == expected


def test_a_partition_does_not_wait_for_what_another_one_waits_for() -> None:
    bench = Bench("coverage", "coverage", "gap", "trade")
    bench.receive([trade(1), *coverage("trade")])
    bench.begin("coverage")
    first = bench.begin("trade")
    assert bench.held_partitions() == {("t.coverage", 0)}
    bench.receive([trade(2)])
    bench.receive(coverage("trade"), 1)
    bench.begin("coverage", 1)
    assert bench.held_partitions() == {("t.coverage", 0), ("t.coverage", 1)}

    bench.finish(first)

    assert bench.held_partitions() == {("t.coverage", 1)}, "while rows come without end each has its turn"


def test_coverage_comes_behind_the_gaps_too() -> None:
    bench = Bench("coverage", "gap", "trade")
    bench.receive([gap("open"), *coverage("trade")])
    bench.begin("coverage")
    assert bench.held() == {"coverage"}

    bench.finish(bench.begin("gap"))

    assert bench.held() == set()


def test_coverage_comes_behind_the_gap_of_a_row_that_is_refused_meanwhile() -> None:
    """It is published when the batch of events is done, later than the coverage was ready."""
    bench = Bench("coverage", "gap", "trade")
    bench.receive([trade(1), *coverage("trade")])
    bench.begin("coverage")
    assert bench.held() == {"coverage"}
    assert not bench.order.asks_group
    events = bench.begin("trade")
    bench.gaps_at = bench.now + LOOK_SECONDS / 2

    bench.finish(events)

    assert bench.held() == {"coverage"}, "the end that is known may be from before that gap"
    assert bench.order.asks_group
    bench.group = GroupOffsets(bench.now, {("t.gap", 0): 1})
    assert bench.held() == {"coverage"}
    assert not bench.order.asks_group
    bench.receive([gap("unrepairable"), gap("open")])
    bench.finish(bench.begin("gap"))
    assert bench.held() == set()


def test_coverage_does_not_wait_for_gaps_of_later_rows_however_many_come() -> None:
    """What the group's offsets are is known a second later, and until then the next row is refused."""
    bench = Bench("coverage", "gap", "trade")
    bench.receive([trade(1), *coverage("trade")])
    bench.begin("coverage")
    bench.held()
    bench.finish(bench.begin("trade"))
    bench.gaps_at = bench.now
    bench.held()
    for _ in range(3):
        asked_at = bench.now
        bench.gaps_at = bench.now + LOOK_SECONDS
        held = bench.held()
        bench.group = GroupOffsets(asked_at)

    assert held == set()


def test_coverage_comes_behind_the_gap_of_a_row_that_another_member_was_refused() -> None:
    bench, other = Bench("coverage", "gap", alone=False), ("t.trade", 3)
    bench.receive(coverage("trade"))
    bench.begin("coverage")
    bench.held()
    bench.group = GroupOffsets(bench.now, {other: 9, ("t.gap", 0): 0}, {other: 5})
    assert bench.held() == {"coverage"}

    bench.group = GroupOffsets(bench.now, {other: 9, ("t.gap", 0): 1}, {other: 9})

    assert bench.held() == {"coverage"}
    bench.receive([gap("unrepairable")])
    bench.finish(bench.begin("gap"))
    assert bench.held() == set()


def test_a_partition_that_goes_to_another_member_is_waited_for_there() -> None:
    bench, moved = Bench("coverage", "gap", "trade", alone=False), ("t.trade", 0)
    bench.receive([trade(1), *coverage("trade")])
    bench.begin("coverage")
    bench.held()
    bench.group = GroupOffsets(bench.now, {moved: 1})
    assert bench.held() == {"coverage"}
    taken = bench.partitions.pop(moved)
    bench.group = GroupOffsets(bench.now, {moved: 1}, {moved: 0})
    assert bench.held() == {"coverage"}

    bench.group = GroupOffsets(bench.now, {moved: 1}, {moved: 1})

    assert bench.held() == set()
    assert taken.done == 0


def test_a_log_that_was_made_anew_is_not_waited_for_to_be_as_long_as_the_old_one() -> None:
    bench = Bench("coverage", "gap", "trade")
    bench.receive([trade(1), trade(2), *coverage("trade")])
    bench.begin("coverage")
    assert bench.held() == {"coverage"}
    partition = bench.partitions["t.trade", 0]
    while partition.batches:
        partition.batches.pop()
    partition.seek(0, "another")
    bench.ends["t.trade", 0] = 0

    assert bench.held() == set()


def test_what_another_member_reads_is_known_by_its_commits() -> None:
    bench, other = Bench("coverage", "gap", alone=False), ("t.trade", 3)
    bench.receive(coverage("trade"))
    bench.group = GroupOffsets(-1.0, {other: 5}, {other: 5})
    bench.begin("coverage")
    assert bench.held() == {"coverage"}, "that was before"
    assert bench.order.asks_group
    bench.group = GroupOffsets(bench.now, {other: 9}, {other: 5})
    assert bench.held() == {"coverage"}
    bench.group = GroupOffsets(bench.now, {other: 12}, {other: 8})
    assert bench.held() == {"coverage"}

    bench.group = GroupOffsets(bench.now, {other: 20}, {other: 9})

    assert bench.held() == set()
    assert not bench.order.asks_group


def test_what_was_begun_is_repeated_without_a_turn_of_its_own() -> None:
    """It may be in, and under its token a repeat adds nothing."""
    bench = Bench("coverage", "gap", "trade")
    bench.receive([trade(1), *coverage("trade")])
    task: Any = bench.begin("coverage")
    task.attempts = 1

    assert bench.held() == set()
