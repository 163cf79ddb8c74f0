"""A backlog of any size is caught up within the configured memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
from eventually import eventually
from msgspec import structs
from roles.consumer.consumer_rig import Rig, message
from samples import full, trade

from wsadapter.events import BookTicker
from wsadapter.roles.consumer.group import CHUNK

pytestmark = pytest.mark.integration

BYTES = 1 << 20
COUNT = 60_000
PARTITIONS = 2
ONE_POLL = CHUNK * 200
"""More than so many trades and book tickers have."""


@pytest.fixture
def peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    path = tmp_path / "peak"
    monkeypatch.setenv("WSADAPTER_TEST_PEAK", str(path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return lambda: int(path.read_text()) if path.exists() else 0


@pytest.fixture
def backlog(make_rig: Callable[..., Rig]) -> Rig:
    """Many times what may be held."""
    rig = make_rig(batch_bytes=BYTES, batch_seconds=1.0, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        first = partition * COUNT
        rig.send("trade", [message(trade(n), 1, n) for n in range(first, first + COUNT)], partition)
    return rig


def test_what_is_held_never_exceeds_the_configured_bytes_by_more_than_one_poll(
    backlog: Rig, peak: Callable[[], int]
) -> None:
    process = backlog.another("consumer-1", "roles.consumer.measured_consumer").start()
    try:
        backlog.wait_rows("trade", PARTITIONS * COUNT, 120)
        assert process.stop() == 0
    finally:
        process.close()

    assert BYTES // 2 < peak() < BYTES + ONE_POLL, "it filled up, and no further"
    assert backlog.count("trade") == backlog.count("trade", final=True) == PARTITIONS * COUNT


def test_a_table_that_waits_fills_its_share_and_the_others_go_on(backlog: Rig, peak: Callable[[], int]) -> None:
    process = backlog.another("consumer-1", "roles.consumer.measured_consumer").start()
    try:
        backlog.wait_rows("trade", PARTITIONS * COUNT, 120)
        backlog.command("DROP VIEW {db}_inner.trade_rejected_mv")
        eventually(lambda: process.page['paused{stream="trade"}'] == 1, 30, "the alarm")
        backlog.send("trade", [message(trade(n), 2, n) for n in range(COUNT)])
        book = next(event for event in full() if isinstance(event, BookTicker))
        books = (structs.replace(book, update_id=n) for n in range(COUNT))
        backlog.send("book_ticker", [message(made, 1, n) for n, made in enumerate(books)])
        backlog.wait_rows("book_ticker", COUNT, 120)
        waiting = backlog.count("trade")
    finally:
        process.close()

    assert waiting == PARTITIONS * COUNT
    assert peak() < 2 * BYTES + ONE_POLL
