"""The book of any moment, on the real engine, against a market that knows it: right, or said to be incomplete."""

import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from stored.book_recordings import STEP, Market, Sides
from stored.recordings import MINUTE, NOON, SECOND, coverage, gap, record

from wsadapter.events import Depth, Event, Source
from wsadapter.stored import Book, Stored
from wsadapter.stored.stored import BadQuestion

pytestmark = pytest.mark.integration


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def sides(book: Book) -> Sides:
    return [(*level,) for level in book.bids], [(*level,) for level in book.asks]


def covered(exchange: str, until_ns: int) -> Event:
    return coverage("depth", NOON - SECOND, until_ns, exchange=exchange)


def recorded(
    market: Market, steps: int, begins: Any = (), snapshot: Any = None
) -> tuple[list[Depth], dict[int, Sides]]:
    """Changes, with a snapshot before those that it ``begins``; the market's book at each time."""
    events, books = [], {}
    for step in range(steps):
        if step in begins:
            events.append(snapshot(market))
        books[market.now_ns] = market.book()
        events.append(market.change())
    books[market.now_ns] = market.book()
    return events, books


@pytest.mark.parametrize(
    ("exchange", "levels", "numbered", "limit", "source"),
    [
        ("binance", 0, True, 1000, Source.REST),
        ("deribit", 0, True, 0, Source.WEBSOCKET),
        ("okx", 40, True, 40, Source.WEBSOCKET),
        ("kraken", 10, False, 10, Source.WEBSOCKET),
        ("coinbase", 0, False, 0, Source.WEBSOCKET),
    ],
)
def test_the_book_of_any_moment(
    bench: TableBench,
    stored: Stored,
    rng: random.Random,
    exchange: str,
    levels: int,
    numbered: bool,
    limit: int,
    source: Source,
) -> None:
    market = Market(rng, exchange, NOON, levels, numbered)
    events, books = recorded(market, 300, (0, 120, 121, 240), lambda m: m.snapshot(limit, source))
    record(bench, [*events, covered(exchange, market.now_ns + MINUTE)])

    for at_ns in rng.sample(sorted(books), 6):
        book = stored.book_at(exchange, "BTCUSDT", at_ns + rng.choice((0, STEP - 1)))
        assert (book.complete, book.reason) == (True, "")
        assert sides(book) == books[at_ns]
    best = stored.book_at(exchange, "BTCUSDT", at_ns, levels=3)
    assert sides(best) == (books[at_ns][0][:3], books[at_ns][1][:3])

    told = [*stored.books(exchange, "BTCUSDT", NOON, market.now_ns + 1, levels=None)]
    assert {book.time_ns: sides(book) for book in told} == {**books, NOON: sides(told[0])}
    assert all(book.complete for book in told)


@pytest.mark.parametrize("place", ["inside", "at its end", "behind"])
def test_a_snapshot_that_was_asked_for_joins_by_number_wherever_its_time_is(
    bench: TableBench, stored: Stored, rng: random.Random, place: str
) -> None:
    """Its number lies within a change's, is a change's last, or its time is that of changes it does not have."""
    market = Market(rng, "binance_spot", NOON)
    events, _ = recorded(market, 5)
    snapshot = market.snapshot(5000, Source.REST)
    snapshot.event_time_ns = snapshot.transaction_time_ns = None
    rest = [market.change()]
    if place == "inside":  # of a change that the snapshot has a part of
        assert snapshot.last_update_id is not None
        rest[0].previous_update_id = events[-1].last_update_id = snapshot.last_update_id - 1
        rest[0].first_update_id = snapshot.last_update_id
    if place == "behind":
        snapshot.receive_time_ns += 20 * SECOND
    later, more = recorded(market, 300)
    record(bench, [*events, snapshot, *rest, *later])

    for at_ns in rng.sample(sorted(more)[210:-1], 3):
        book = stored.book_at("binance_spot", "BTCUSDT", at_ns)
        assert (book.complete, sides(book)) == (True, more[at_ns])


def test_a_missing_change_makes_it_incomplete_until_the_next_snapshot(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "okx", NOON, 40)
    events, books = recorded(market, 100, (0, 60), lambda m: m.snapshot(40))
    lost = events.pop(31)  # behind the snapshot
    record(bench, [*events, covered("okx", market.now_ns + MINUTE)])
    assert lost.transaction_time_ns is not None

    before = stored.book_at("okx", "BTCUSDT", lost.transaction_time_ns - STEP - 1)
    inside = stored.book_at("okx", "BTCUSDT", lost.transaction_time_ns)
    later = stored.book_at("okx", "BTCUSDT", lost.transaction_time_ns + SECOND)
    mended = stored.book_at("okx", "BTCUSDT", market.now_ns)

    assert (before.complete, mended.complete) == (True, True)
    assert sides(mended) == books[market.now_ns]
    assert (inside.complete, later.complete) == (False, False), "the change after a moment tells, too"
    assert later.missing_since_ns == lost.transaction_time_ns - STEP, "the last one that is in it"
    assert "does not go on from" in later.reason
    told = [book.complete for book in stored.books("okx", "BTCUSDT", NOON, market.now_ns + 1)]
    assert [*dict.fromkeys(a for a, b in pairwise(told) if a != b)] == [True, False]
    assert sides(later) != books[later.time_ns]


def test_books_without_numbers_are_proved_by_the_recorder_alone(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "kraken", NOON, 10, numbered=False)
    events, _ = recorded(market, 100, (0, 60), lambda m: m.snapshot(10))
    hole = NOON + 3 * SECOND
    record(
        bench,
        [
            *events,
            covered("kraken", NOON + 8 * SECOND),
            gap(hole, hole + SECOND, "partial", "depth", exchange="kraken"),
        ],
    )

    def asked(seconds: float) -> Book:
        return stored.book_at("kraken", "BTCUSDT", NOON + round(seconds * SECOND))

    assert asked(2.9).complete
    assert (asked(5).complete, asked(5).missing_since_ns, asked(5).reason) == (False, hole, "disconnect")
    assert asked(6.5).complete, "behind the next snapshot"
    assert (asked(9).complete, asked(9).reason) == (False, "unrecorded"), "nobody was there"


def test_the_end_of_a_recording_is_not_for_ever(bench: TableBench, stored: Stored, rng: random.Random) -> None:
    market = Market(rng, "deribit", NOON)
    events, books = recorded(market, 20, (0,), lambda m: m.snapshot(0))
    record(bench, [*events, covered("deribit", market.now_ns + MINUTE)])

    quiet = stored.book_at("deribit", "BTCUSDT", market.now_ns + 30 * SECOND)
    dead = stored.book_at("deribit", "BTCUSDT", market.now_ns + 3600 * SECOND)

    assert (quiet.complete, sides(quiet)) == (True, books[market.now_ns])
    assert (dead.complete, dead.reason) == (False, "unrecorded")


def test_a_short_snapshot_tells_nothing_beyond_its_levels(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "binance", NOON)
    events, books = recorded(market, 50, (0,), lambda m: m.snapshot(15, Source.REST))
    record(bench, [*events, covered("binance", market.now_ns + MINUTE)])

    book = stored.book_at("binance", "BTCUSDT", market.now_ns - STEP)

    bids, asks = books[market.now_ns - STEP]
    assert book.complete
    assert sides(book) == (bids[: len(book.bids)], asks[: len(book.asks)])
    assert 0 < len(book.bids) < len(bids)


def test_streams_whose_books_come_whole(bench: TableBench, stored: Stored, rng: random.Random) -> None:
    market = Market(rng, "binance", NOON)
    events, books = [], {}
    for _ in range(50):
        market.change()
        events.append(market.top(20))
        books[market.now_ns] = market.book(20)
    record(
        bench,
        [*events, covered("binance", NOON + 4 * SECOND), gap(NOON + 4 * SECOND, NOON + 4 * SECOND + 1, stream="depth")],
    )

    book = stored.book_at("binance", "BTCUSDT", NOON + 2 * SECOND + 1)
    assert (book.complete, sides(book)) == (True, books[NOON + 2 * SECOND])
    assert not stored.book_at("binance", "BTCUSDT", NOON + 30 * SECOND).complete
    told = [*stored.books("binance", "BTCUSDT", NOON + SECOND, NOON + 2 * SECOND)]
    assert [sides(one) for one in told] == [books[NOON + SECOND + n * STEP] for n in range(10)]


def test_changes_are_never_put_on_top_of_a_short_book_of_another_stream(
    bench: TableBench, stored: Stored, rng: random.Random
) -> None:
    market = Market(rng, "binance", NOON)
    events: list[Event] = []
    books: dict[int, Sides] = {}
    for _ in range(30):
        events += [market.change(), market.top(20)]
        books[market.now_ns] = market.book(20)
    record(bench, [*events, covered("binance", market.now_ns + MINUTE)])

    book = stored.book_at("binance", "BTCUSDT", market.now_ns, levels=20)

    assert (book.complete, sides(book)) == (True, books[market.now_ns]), "the whole one, while nothing begins changes"


def test_without_a_snapshot_there_is_no_book(bench: TableBench, stored: Stored, rng: random.Random) -> None:
    market = Market(rng, "okx", NOON, 40)
    record(bench, recorded(market, 20)[0])

    book = stored.book_at("okx", "BTCUSDT", market.now_ns)

    assert (book.complete, book.bids, book.reason) == (False, (), "no snapshot was recorded before it")
    assert not any(one.complete for one in stored.books("okx", "BTCUSDT", NOON, market.now_ns))
    with pytest.raises(BadQuestion, match="levels"):
        stored.book_at("okx", "BTCUSDT", 1, levels=0)


def test_books_as_a_table(bench: TableBench, stored: Stored, rng: random.Random) -> None:
    market = Market(rng, "okx", NOON, 40)
    events, books = recorded(market, 40, (0,), lambda m: m.snapshot(40))
    record(bench, [*events, covered("okx", NOON + 2 * SECOND)])
    asked: Any = ("okx", "BTCUSDT", NOON, NOON + 3 * SECOND)

    each = stored.book_table(*asked, levels=3)
    seconds = stored.book_table(*asked, levels=3, every="500ms", exact=True)

    assert len(each) == 30
    assert seconds.arrow["time"].cast("int64").to_pylist() == [NOON + n * SECOND // 2 for n in range(6)]
    at = NOON + 2 * SECOND
    for rows, number in ((each, float), (seconds, Decimal)):
        (row,) = (one for one in rows.arrow.to_pylist() if one["time"].value == at)
        bids, asks = books[at]
        assert row["bid_price"] == [number(price) for price, _ in bids[:3]]
        assert row["ask_quantity"] == [number(quantity) for _, quantity in asks[:3]]
    assert all(each.arrow["complete"].to_pylist()), "proved by their numbers"
    assert (each.complete, each.missing[0].cause) == (False, "unrecorded"), "though nobody says that he was there"
    assert [*each.pandas()["last_update_id"]] == each.polars()["last_update_id"].to_list()
    with pytest.raises(BadQuestion, match="every"):
        stored.book_table(*asked, every="often")
