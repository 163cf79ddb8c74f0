"""A strategy that keeps a book of a redundant feed, as docs/reading-kafka.md says: its book is the venue's whenever it
trades on it, and it trades again."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from roles.serializer.redundant_bench import MS, Bench, event

from wsadapter.events import UpdateType

SECOND = 1000 * MS


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def book(bench: Bench, ring: int, *which: int, whole: bool = False) -> None:
    """Change n of the venue brings level n; its whole book at n has all of them from 1 on."""
    for number in which:
        one = event("diff", "BTCUSDT", 1, bench.now_ns)
        levels = [str(each) for each in (range(1, number + 1) if whole else (number,))]
        changed = msgspec.structs.replace(
            one, level_limit=400 if whole else 0, update_type=UpdateType.SNAPSHOT if whole else UpdateType.DELTA,
            first_update_id=None, last_update_id=number, previous_update_id=None if whole else number - 1,
            bid_price=levels, bid_quantity=["1"] * len(levels), ask_price=[], ask_quantity=[],
        )  # fmt: skip
        bench.connections[ring].write(changed)


class Strategy:
    """Its book, and the gaps that last: while there is one it does not trade."""

    def __init__(self) -> None:
        self.levels: set[int] | None = None
        self.book_ns = 0
        """When the whole book came that it began with."""
        self.aside: set[str] = set()
        self.since: list[Any] = []
        """Changes since the first of the gaps."""
        self.books: list[set[int]] = []
        """What it traded on."""

    def read(self, messages: list[Any]) -> None:
        for message in messages:
            (self._gap if type(message).__name__ == "Gap" else self._depth)(message)
            if self.levels is not None and not self.aside:
                self.books.append(set(self.levels))

    def _gap(self, gap: Any) -> None:
        name = gap.gap_id or f"{gap.epoch}:{gap.position}"
        if gap.version == 1:
            if self.levels is not None and not self.aside:
                self.since = []
            self.aside.add(name)
        if name in self.aside and gap.HasField("ended_ns"):
            self.aside.discard(name)
            if gap.repair_state != "repaired" and gap.ended_ns > self.book_ns:
                self.levels = None

    def _depth(self, depth: Any) -> None:
        prices = {int(level) for level in depth.bid_price}
        if depth.update_type == UpdateType.SNAPSHOT:
            newer = (one for one in self.since if one.last_update_id > depth.last_update_id)
            self.levels = prices.union(*({int(level) for level in one.bid_price} for one in newer))
            self.book_ns = depth.receive_time_ns
            return
        self.since.append(depth)
        if self.levels is not None:
            self.levels |= prices


def begun(bench: Bench) -> None:
    book(bench, 0, 10, whole=True)
    for ring in (0, 1):
        book(bench, ring, 11, 12)
    bench.drain()


def is_whole(levels: set[int]) -> bool:
    return levels == set(range(1, max(levels) + 1))


def test_behind_a_gap_that_the_other_connection_covered_it_goes_on_with_its_book(bench: Bench) -> None:
    begun(bench)
    bench.connections[1].lose(bench.now_ns)
    bench.drain()
    bench.now_ns += SECOND
    book(bench, 0, 13, 14)
    bench.drain()
    bench.connections[1].return_(bench.now_ns)
    bench.now_ns += MS
    book(bench, 0, 15)
    book(bench, 1, 14, whole=True)
    book(bench, 1, 15, 16)
    bench.drain()
    strategy = Strategy()
    strategy.read(bench.accepted)

    assert [one.repair_state for one in bench.gaps()] == ["open", "repaired"]
    assert all(map(is_whole, strategy.books))
    assert [max(levels) for levels in strategy.books] == [10, 11, 12, 15, 16], "13 and 14 came while it lasted"


@pytest.mark.parametrize("later", [0, 3])
@pytest.mark.parametrize("first", [12, 14])
def test_behind_a_gap_that_none_covered_it_begins_anew(bench: Bench, first: int, later: int) -> None:
    """Both were dead, and one notices later. ``first``: what the book is then; nothing happened meanwhile, or what
    nobody has. ``later``: so many changes the other one has brought when this one is back, that its book has not."""
    begun(bench)
    dead_ns = bench.now_ns
    for ring in (0, 1):
        bench.now_ns += 10 * SECOND
        bench.connections[ring].lose(dead_ns)
        bench.drain()
        if ring == 1:
            book(bench, 0, *range(first + 1, first + later + 1))
        bench.now_ns += SECOND
        bench.drain()
        bench.connections[ring].return_(bench.now_ns)
        bench.now_ns += MS
        book(bench, ring, first, whole=True)
        bench.drain()
    bench.now_ns += MS
    book(bench, 1, *range(first + 1, first + later + 2))
    book(bench, 0, first + later + 1)
    bench.drain()
    strategy = Strategy()
    strategy.read(bench.accepted)

    assert {one.repair_state for one in bench.gaps()} == {"open"}
    assert all(map(is_whole, strategy.books))
    assert not strategy.aside
    assert max(strategy.books[-1]) == first + later + 1
