"""When books are made of what was recorded: each symbol in its turn, one at a time, and however ClickHouse is."""

import random
import threading

import pytest
from eventually import eventually

from wsadapter.config.model import ClickHouseConfig
from wsadapter.roles.orders import Checkpoints
from wsadapter.roles.repairer import book_checkpoints
from wsadapter.roles.repairer.book_checkpoints import BookCheckpoints

SETTINGS = ClickHouseConfig(url="http://127.0.0.1:1")
NOW_NS = 10**18


def turns(*symbols: str, every: float = 300.0) -> BookCheckpoints:
    return BookCheckpoints(SETTINGS, [Checkpoints("okx", every, symbols)] if symbols else [], 0.0, lambda: 0.0)


def stepped(books: BookCheckpoints, now: float) -> BookCheckpoints:
    books.step(now, NOW_NS)
    return books


def test_each_has_its_turn_one_at_a_time_and_the_thread_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    goes_on = threading.Semaphore(0)

    def made(settings: ClickHouseConfig, exchange: str, symbol: str, until_ns: int) -> bool:
        asked.append((symbol, until_ns))
        goes_on.acquire()
        return symbol == "A"

    monkeypatch.setattr(book_checkpoints, "make", made)
    books = turns("A", "B")
    books.step(149.0, NOW_NS)
    assert not books._under_way
    books.step(150.0, NOW_NS)
    books.step(300.0, NOW_NS)
    eventually(lambda: len(asked) == 1, 10)
    assert asked == [("A", NOW_NS - 30 * 10**9)], "B is due, and A is not done"

    goes_on.release()
    eventually(lambda: stepped(books, 310.0).made == 1, 10)  # it took 160 s
    books.step(310.0 + 3 * 160.0 - 1.0, NOW_NS)
    assert len(asked) == 1
    books.step(310.0 + 3 * 160.0, NOW_NS)
    goes_on.release()
    eventually(lambda: len(asked) == 2, 10)
    assert asked[1][0] == "B"


def test_the_first_round_begins_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is begun anew before its round is over leaves no symbol out for ever."""
    asked: list[str] = []

    def made(settings: ClickHouseConfig, exchange: str, symbol: str, until_ns: int) -> bool:
        asked.append(symbol)
        return True

    monkeypatch.setattr(book_checkpoints, "make", made)
    dice = random.Random(7).random
    lives = [BookCheckpoints(SETTINGS, [Checkpoints("okx", 300.0, ("A", "B", "C"))], 0.0, dice) for _ in range(20)]
    for books in lives:
        books.step(100.0, NOW_NS)
    eventually(lambda: sum(stepped(books, 100.5).made for books in lives) == len(lives), 10)
    assert len(asked) == len(lives)
    assert {*asked} == {"A", "B", "C"}


def test_a_server_that_is_away_is_counted_and_asked_again_at_the_next_turn() -> None:
    books = turns("A", every=10.0)
    books.step(10.0, NOW_NS)
    eventually(lambda: stepped(books, 10.5).failures == 1, 30)
    books.step(19.0, NOW_NS)
    assert books._under_way is None
    books.step(20.0, NOW_NS)
    assert books._under_way is not None
    eventually(lambda: stepped(books, 21.0).failures == 2, 30)
    assert books.made == 0


def test_where_no_books_are_recorded_as_changes_nothing_is_done() -> None:
    books = turns()
    books.step(1e6, NOW_NS)
    assert books._under_way is None
