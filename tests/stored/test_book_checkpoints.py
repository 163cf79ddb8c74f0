"""Books that are kept beside their changes: a later book made of one is the book that is made of all changes."""

import random

import pytest
from clickhouse.table_bench import TableBench
from stored.book_recordings import STEP, Market
from stored.recordings import MINUTE, NOON, SECOND, coverage, gap, record

from wsadapter.events import Event, Source
from wsadapter.roles.repairer.book_checkpoints import make
from wsadapter.stored import Stored

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE
VENUES = [("okx", 40, True), ("kraken", 10, False), ("coinbase", 0, False), ("gate", 0, True)]


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def recorded(bench: TableBench, market: Market, exchange: str, limit: int, steps: int = 400) -> list[int]:
    """A snapshot, changes, a snapshot of a later subscription, changes; their times."""
    events: list[Event] = []
    for step in range(steps):
        if step in (0, 330):
            events.append(market.snapshot(limit))
        events.append(market.change())
    record(bench, [*events, coverage("depth", NOON - SECOND, market.now_ns + MINUTE, exchange=exchange)])
    return [NOON + step * STEP for step in range(1, steps)]


@pytest.mark.parametrize(("exchange", "limit", "numbered"), VENUES)
def test_a_book_made_of_a_checkpoint_is_the_one_that_is_made_of_all_changes(
    bench: TableBench, stored: Stored, rng: random.Random, exchange: str, limit: int, numbered: bool
) -> None:
    market = Market(rng, exchange, NOON, limit, numbered)
    times = recorded(bench, market, exchange, limit)
    asked = [at + rng.choice((0, STEP - 1)) for at in rng.sample(times, 4)]
    books = {at: stored.book_at(exchange, "BTCUSDT", at) for at in asked}
    told = [*stored.books(exchange, "BTCUSDT", times[150], times[220], levels=None)]
    assert all(book.complete for book in books.values())

    made = [make(bench.settings, exchange, "BTCUSDT", times[at]) for at in (60, 120, 122, 200, 390)]

    assert made == [True, True, False, True, True], "of two changes more none is worth it"
    assert {at: stored.book_at(exchange, "BTCUSDT", at) for at in asked} == books
    assert [*stored.books(exchange, "BTCUSDT", times[150], times[220], levels=None)] == told
    bench.command(
        f"ALTER TABLE {{db}}.depth DELETE WHERE time <= fromUnixTimestamp64Nano({times[200]}, 'UTC') "
        "SETTINGS mutations_sync = 1"
    )
    later = {at: book for at, book in books.items() if at >= times[200]}
    assert {at: stored.book_at(exchange, "BTCUSDT", at) for at in later} == later, "nothing before it is needed"


def test_none_is_made_of_what_is_not_proved_or_not_all_there(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "okx", NOON, 40)
    events = [market.snapshot(40), *(market.change() for _ in range(200))]
    del events[151]
    record(bench, [*events, coverage("depth", NOON - SECOND, market.now_ns + MINUTE, exchange="okx")])

    assert not make(bench.settings, "okx", "BTCUSDT", market.now_ns + STEP), "what is later may be on its way"
    assert not make(bench.settings, "okx", "BTCUSDT", NOON + 170 * STEP), "a change is missing"
    assert not make(bench.settings, "okx", "ETHUSDT", NOON + 100 * STEP)
    assert make(bench.settings, "okx", "BTCUSDT", NOON + 140 * STEP)
    assert not stored.book_at("okx", "BTCUSDT", NOON + 170 * STEP).complete
    assert bench.count("book_checkpoint") == 1


def test_of_venues_whose_answers_join_none_is_made(bench: TableBench, rng: random.Random) -> None:
    market = Market(rng, "binance", NOON)
    record(bench, [market.snapshot(1000, Source.REST), *(market.change() for _ in range(200))])

    assert not make(bench.settings, "binance", "BTCUSDT", NOON + 150 * STEP)


def test_a_gap_that_is_known_only_later_counts_though_a_checkpoint_was_made(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    """Of changes without numbers."""
    market = Market(rng, "kraken", NOON, 10, numbered=False)
    recorded(bench, market, "kraken", 10)
    at_ns = NOON + 250 * STEP
    assert make(bench.settings, "kraken", "BTCUSDT", NOON + 200 * STEP)
    assert stored.book_at("kraken", "BTCUSDT", at_ns).complete

    record(bench, [gap(NOON + 80 * STEP, NOON + 90 * STEP, stream="depth", exchange="kraken")])

    book = stored.book_at("kraken", "BTCUSDT", at_ns)
    assert (book.complete, book.missing_since_ns) == (False, NOON + 80 * STEP)
    assert not make(bench.settings, "kraken", "BTCUSDT", NOON + 300 * STEP)


def test_a_book_that_hardly_changes_is_kept_when_the_last_one_is_old(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "okx", NOON, 40)
    events: list[Event] = [market.snapshot(40)]
    for _ in range(7):
        market.now_ns += HOUR
        events.append(market.change())
    record(bench, [*events, coverage("depth", NOON - SECOND, market.now_ns + MINUTE, exchange="okx")])
    before = stored.book_at("okx", "BTCUSDT", market.now_ns)
    assert before.complete

    made = [make(bench.settings, "okx", "BTCUSDT", NOON + minutes * MINUTE) for minutes in (59, 359, 419, 419)]

    assert made == [False, False, True, False]
    assert stored.book_at("okx", "BTCUSDT", market.now_ns) == before
