"""The page of watermarks: what is stored is there for the next process, and nothing is lost when it grows."""

import os
from collections.abc import Iterator

import pytest

from wsadapter.errors import SegmentError
from wsadapter.roles.serializer.arbitration import State
from wsadapter.shm import watermarks
from wsadapter.shm.segment import Segment
from wsadapter.shm.watermarks import Watermarks

BOOK = ("book_ticker", "\u5e01\u5b89\u4eba\u751fUSDT")
TICKER = ("ticker", "BTCUSDT")
CANDLE = ("kline", "BTCUSDT", "1m", True)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"wsadapter-marks-{os.getpid()}"
    yield made
    Segment.unlink(made)


def test_what_was_stored_is_there_for_the_next_process(name: str) -> None:
    watermarks.prepare(name, 3)
    page = Watermarks(name)
    page.store(BOOK, State(high=2**63 + 1))
    page.store(CANDLE, State(1, 2, 3, 4, 5, 6, 7))
    page.store(TICKER, State(2**80, 2**80 + 1, 0, 2**64, 5, 6, (2**61 << 20) + 3))
    page.store(BOOK, State(high=9))
    page.release()
    again = Watermarks(name)

    assert again.kept == {
        BOOK: State(high=9),
        CANDLE: State(1, 2, 3, 4, 5, 6, 7),
        TICKER: State(2**80, 2**80 + 1, 0, 2**64, 5, 6, (2**61 << 20) + 3),
    }
    again.release()


def test_a_page_that_is_too_small_grows_with_what_it_holds(name: str) -> None:
    watermarks.prepare(name, 1)
    page = Watermarks(name)
    page.store(BOOK, State(high=1))
    assert not page.store(CANDLE, State(high=2)), "and says when a line has no room"
    page.release()
    watermarks.prepare(name, 2)
    grown = Watermarks(name)
    assert (grown.slots, grown.kept) == (2, {BOOK: State(high=1)})
    assert grown.store(CANDLE, State(high=2))
    grown.release()
    watermarks.prepare(name, 1)
    kept = Watermarks(name)
    assert (kept.slots, len(kept.kept)) == (2, 2)
    kept.release()


@pytest.mark.parametrize("killed", [False, True])
def test_a_slot_that_is_given_back_is_another_lines(name: str, killed: bool) -> None:
    watermarks.prepare(name, 2)
    page = Watermarks(name)
    assert page.store(BOOK, State(high=1))
    assert page.store(CANDLE, State(high=2))
    page.forget(BOOK)
    if killed:
        page.release()
        page = Watermarks(name)
        assert page.kept == {CANDLE: State(high=2)}
    assert page.store(TICKER, State(high=3))
    assert not page.store(BOOK, State(high=4))
    page.release()
    again = Watermarks(name)
    assert again.kept == {TICKER: State(high=3), CANDLE: State(high=2)}
    again.release()


def test_a_slot_that_was_not_finished_does_not_count(name: str) -> None:
    """Killed before the count of slots moved on."""
    watermarks.prepare(name, 2)
    page = Watermarks(name)
    page.store(BOOK, State(high=1))
    page._words[2] = 0
    page.release()
    again = Watermarks(name)
    assert again.kept == {}
    again.store(CANDLE, State(high=2))
    again.release()
    assert Watermarks(name).kept == {CANDLE: State(high=2)}


def test_another_segment_is_refused_or_replaced(name: str) -> None:
    Segment.create(name, 4096, b"something").close()
    with pytest.raises(SegmentError, match="refused"):
        Watermarks(name)
    watermarks.prepare(name, 3)
    assert Watermarks(name).kept == {}
