"""The newest keys of a dictionary: how many are kept, which go, and how often it is looked for the oldest."""

from collections.abc import Iterator
from typing import Any

import pytest

from wsadapter.oldest import forget_oldest, most_kept


class Watched(dict[int, None]):
    """Says how often somebody looked for its first keys."""

    looks = 0

    def __iter__(self) -> Iterator[int]:
        self.looks += 1
        return super().__iter__()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 200, 1_000])
def test_the_newest_are_kept_and_the_oldest_go_many_at_a_time(count: int) -> None:
    known, gone, most = Watched(), list[int](), 0
    for number in range(10 * count + 50):
        known[number] = None
        if len(known) > most_kept(count):
            gone += forget_oldest(known, count)
        most = max(most, len(known))
        assert len(known) >= min(count, number + 1)

    assert [*gone, *known] == [*range(10 * count + 50)]
    assert most == most_kept(count)
    assert known.looks - 1 <= len(gone) / max(1, count // 8)


def test_fewer_than_are_to_be_known() -> None:
    known: dict[str, Any] = {"a": 1}

    assert forget_oldest(known, 5) == []
    assert known == {"a": 1}
