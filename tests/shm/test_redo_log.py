"""One entry of counters and a deed: all of it has happened, or nothing, whatever store was the last."""

import os
from collections.abc import Iterator

import pytest

from wsadapter.shm import redo_log
from wsadapter.shm.redo_log import RedoLog
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

NAME = f"wsadapter-redo{os.getpid()}-page"


@pytest.fixture
def page() -> Iterator[StatsPage]:
    made = StatsPage.create(NAME, ("a_total", "b_total", *redo_log.fields(3)))
    yield made
    made.release()
    Segment.unlink(NAME)


def test_a_decision_is_found_with_its_deed_by_another_life(page: StatsPage) -> None:
    log = RedoLog(page)
    log.begin({page.index("a_total"): 5}, {page.index("b_total"): 7}, 2, {1 << 60: 64, 12: 8})
    found = RedoLog(page)
    assert (found.pending, found.deed, found.targets) == (True, 2, {1 << 60: 64, 12: 8})
    assert page["a_total"] == page["b_total"] == 0, "nothing counts before its end"
    for _ in range(2):
        found.end()
        assert (page["a_total"], page["b_total"]) == (5, 7)
        assert not RedoLog(page).pending


def test_a_deed_alone_is_an_entry(page: StatsPage) -> None:
    RedoLog(page).begin({}, deed=1, targets={3: 16})
    found = RedoLog(page)
    assert (found.pending, found.deed, found.targets) == (True, 1, {3: 16})


def test_an_entry_without_a_deed_has_none_of_an_entry_that_was_not_finished(page: StatsPage) -> None:
    """Killed before the length was stored: that entry never was, its deed must not be found with the next one."""
    log = RedoLog(page)
    log.begin({page.index("a_total"): 1}, deed=1, targets={3: 16})
    page["journal_length"] = 0
    log.begin({page.index("a_total"): 1})
    assert (log.pending, log.deed) == (True, 0)


def test_more_than_there_is_room_for_is_refused(page: StatsPage) -> None:
    with pytest.raises(ValueError, match="room for 3"):
        RedoLog(page).begin({}, deed=1, targets=dict.fromkeys(range(4), 8))
    with pytest.raises(ValueError, match="room for 48"):
        RedoLog(page).begin(dict.fromkeys(range(49), 1))
    assert not RedoLog(page).pending


def test_a_deed_goes_on_in_a_page_with_other_cells(page: StatsPage) -> None:
    RedoLog(page).begin({page.index("a_total"): 5}, deed=2, targets={7: 8, 9: 16})
    name = NAME + ".other"
    other = StatsPage.create(name, ("new", "b_total", *redo_log.fields(4), "a_total"))
    try:
        redo_log.carry(page, other)
        found = RedoLog(other)
        assert (found.pending, found.deed, found.targets) == (True, 2, {7: 8, 9: 16})
        found.end()
        assert (other["a_total"], found.deed) == (5, 0)
    finally:
        other.release()
        Segment.unlink(name)
