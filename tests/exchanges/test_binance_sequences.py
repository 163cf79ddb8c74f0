"""Sequence rules: what is missing becomes a Gap before the event that showed it; repeats and old ids do not."""

import json
from typing import Any

import pytest
from exchanges.binance_oracle import exchange, symbols_in
from exchanges.test_binance_golden import lines
from frames_path import FRAMES
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.events import BookTicker, Event, Gap, Trade
from wsadapter.events.records import encode
from wsadapter.exchanges.continuity import RENUMBERED, RUN
from wsadapter.exchanges.venue import Bad, Item

MINUTE = 60_000
NS = 10**6


def frame(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def agg(number: int, symbol: str = "BTCUSDT", price: str = "1") -> bytes:
    return frame(
        f"{symbol.lower()}@aggTrade",
        e="aggTrade",
        E=1,
        s=symbol,
        a=number,
        p=price,
        q="1",
        f=1,
        l=2,
        T=1,
        m=True,
    )


def raw(number: int, kind: str = "MARKET") -> bytes:
    return frame(
        "btcusdt@trade", e="trade", E=1, T=1, s="BTCUSDT", t=number, p="1", q="1", X=kind, m=True
    )  # fmt: skip


def book(first: int, last: int, previous: int, stream: str = "btcusdt@depth@100ms") -> bytes:
    return frame(stream, e="depthUpdate", E=1, T=1, s="BTCUSDT", U=first, u=last, pu=previous, b=[["1", "2"]], a=[])


def best(number: int) -> bytes:
    return frame("btcusdt@bookTicker", e="bookTicker", u=number, s="BTCUSDT", b="1", B="1", a="2", A="1", T=1, E=1)


def candle(minute: int, closed: bool, interval: str = "1m", length: int = MINUTE, at: int | None = None) -> bytes:
    start = minute * length if at is None else at
    k = {"t": start, "T": start + length - 1, "s": "BTCUSDT", "i": interval, "f": 1, "L": 2, "o": "1", "c": "1"}
    rest = {"h": "1", "l": "1", "v": "1", "n": 1, "x": closed, "q": "1", "V": "1", "Q": "1"}
    return frame(f"btcusdt@kline_{interval}", e="kline", E=1, s="BTCUSDT", k=k | rest)


class Feed:
    """Frames one after the other, received at 1, 2, 3, ..."""

    def __init__(self) -> None:
        self.venue = exchange("BTCUSDT", "ETHUSDT")
        self.venue.open()
        self.now = 0
        self.items: list[Item] = []

    def __call__(self, *frames: bytes) -> "Feed":
        for payload in frames:
            self.now += 1
            self.items += self.venue.receive(memoryview(payload), self.now)
        return self

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def events(self) -> list[Event]:
        return [item for item in self.items if isinstance(item, Event) and not isinstance(item, Gap)]


def bounds(gap: Gap) -> tuple[int | None, int | None, int | None]:
    return gap.first_missing, gap.last_missing, gap.missing_count


@pytest.mark.parametrize("make", [agg, raw])
def test_missing_trades_are_a_gap_before_the_trade_that_showed_it(make: Any) -> None:
    feed = Feed()(make(7), make(8), make(12), make(13))
    (gap,) = feed.gaps

    assert feed.items.index(gap) == 2
    assert (gap.stream, gap.symbol, gap.cause, gap.repair_state) == ("trade", "BTCUSDT", "sequence", "open")
    assert (gap.started_ns, gap.ended_ns, gap.receive_time_ns) == (2, 3, 3)
    assert (gap.version, gap.gap_id, gap.connection) == (1, "", "unit-market-0")
    assert bounds(gap) == (9, 11, 3)
    assert [event.last_gap_ns for event in feed.events] == [None, None, 3, 3]


def test_a_gap_is_one_symbols_alone() -> None:
    feed = Feed()(agg(1), agg(50, "ETHUSDT"), agg(3), agg(51, "ETHUSDT"))

    assert [gap.symbol for gap in feed.gaps] == ["BTCUSDT"]
    assert feed.events[-1].last_gap_ns is None


def test_older_ids_are_counted_and_published_and_the_highest_stays() -> None:
    feed = Feed()(agg(5), agg(5), agg(3), agg(6), agg(4), agg(8))

    assert [bounds(gap) for gap in feed.gaps] == [(7, 7, 1)]
    assert len(feed.events) == 6
    assert feed.venue.out_of_order == {"trade": 3}


def test_a_venue_that_numbers_anew_is_followed_again() -> None:
    """Whether they follow each other or come with holes of their own, which then are too many to be late ones."""
    feed = Feed()(agg(10**9), *(agg(n) for n in range(1, RUN + 1)), agg(RUN + 1), agg(RUN + 3))
    assert [bounds(gap) for gap in feed.gaps] == [(None, None, None), (RUN + 2, RUN + 2, 1)]
    assert feed.gaps[0].started_ns == 1, "with the last event before them"

    feed = Feed()(agg(10**9), *(agg(2 * n) for n in range(1, RENUMBERED + 1)), agg(2 * RENUMBERED + 1))
    assert [bounds(gap) for gap in feed.gaps] == [(None, None, None)]


def test_late_trades_are_no_new_numbers() -> None:
    late = [agg(n) for n in range(100 - RUN, 100 - 1)]
    feed = Feed()(agg(99), agg(100), *late, agg(101), *late, agg(102))

    assert feed.gaps == []
    assert feed.venue.out_of_order == {"trade": 2 * len(late)}


def test_a_chain_that_begins_anew_is_a_gap_with_its_second_link() -> None:
    feed = Feed()(book(900, 910, 890), book(911, 920, 910), book(5, 9, 2), book(12, 15, 9), book(16, 18, 15))

    assert [bounds(gap) for gap in feed.gaps] == [(None, None, None)]
    assert feed.items.index(feed.gaps[0]) == 3
    assert feed.gaps[0].started_ns == 2

    repeats = Feed()(book(900, 910, 890), book(911, 920, 910), book(900, 910, 890), book(921, 930, 920))
    assert repeats.gaps == []


def test_a_new_socket_begins_without_a_past() -> None:
    feed = Feed()(agg(1), book(1, 2, 0), candle(1, True))
    feed.venue.open()
    feed(agg(100), book(90, 99, 80), candle(50, True))

    assert feed.gaps == []


def test_the_venues_filler_trades_are_not_missing() -> None:
    """What no event has is told with its number, so that whoever counts the numbers misses nothing."""
    feed = Feed()(raw(1), raw(2, "NA"), raw(3), raw(6, "NA"), raw(7))

    assert [(gap.cause, *bounds(gap), gap.repair_state) for gap in feed.gaps] == [
        ("filler", 2, 2, 0, "repaired"), ("sequence", 4, 5, 2, "open"), ("filler", 6, 6, 0, "repaired"),
    ]  # fmt: skip
    *before, last = feed.items[-4:]
    assert [type(item) for item in before] == [Gap, Gap, Bad]
    assert isinstance(last, Trade)
    assert last.last_gap_ns == feed.gaps[1].receive_time_ns, "a filler is no hole"


def test_the_highest_numbers_and_the_first_ones_after_them_fit_a_gap() -> None:
    """Also where the typed decoder is asked for nothing else: an id is 2^62 at most, the difference of two fits."""
    top = 2**62
    feed = Feed()(
        agg(1), agg(top - 1), agg(top), agg(top + 1), agg(2**63 - 1), *(agg(n) for n in range(5, RENUMBERED + 5))
    )
    feed(book(1, 2, 0), book(top, top, top), candle(1, True), candle(2**62 // NS // MINUTE - 1, True))

    assert [bounds(gap)[:2] for gap in feed.gaps][:2] == [(2, top - 2), (None, None)]
    assert sum(type(item) is Bad for item in feed.items) == 2
    for event in feed.items:
        if isinstance(event, Event):
            encode(event)


def test_a_diff_names_its_predecessor() -> None:
    feed = Feed()(book(1, 10, 0), book(15, 20, 10), book(41, 50, 35), book(55, 60, 50))
    (gap,) = feed.gaps

    assert (gap.stream, bounds(gap), gap.started_ns, gap.ended_ns) == ("depth", (21, 40, None), 2, 3)
    assert feed.items.index(gap) == 2


def test_a_diff_that_overlaps_breaks_the_chain_without_bounds() -> None:
    feed = Feed()(book(1, 10, 0), book(8, 20, 7), book(2, 9, 1), book(21, 30, 20))

    assert [bounds(gap) for gap in feed.gaps] == [(None, None, None)]
    assert feed.venue.out_of_order == {"depth": 1}


def test_partial_books_have_no_sequence_and_do_not_disturb_one() -> None:
    feed = Feed()(book(1, 10, 0), book(500, 600, 400, "btcusdt@depth20@100ms"), book(11, 20, 10))

    assert feed.gaps == []
    assert feed.venue.out_of_order == {}


def test_a_best_price_that_is_not_newer_is_counted_and_published() -> None:
    feed = Feed()(best(5), best(9), best(9), best(7), best(10))

    assert feed.gaps == []
    assert feed.venue.out_of_order == {"book_ticker": 2}
    assert [event.update_id for event in feed.events if isinstance(event, BookTicker)] == [5, 9, 9, 7, 10]


def test_a_closed_candle_whose_predecessors_never_closed() -> None:
    feed = Feed()(candle(10, True), candle(11, False), candle(13, True), candle(14, True), candle(14, True))
    (gap,) = feed.gaps

    assert (gap.stream, gap.interval, gap.started_ns, gap.ended_ns) == ("kline", "1m", 1, 3)
    assert bounds(gap) == (11 * MINUTE * NS, 12 * MINUTE * NS, 2)
    assert feed.venue.out_of_order == {"kline": 1}


def test_the_first_open_candle_must_close() -> None:
    feed = Feed()(candle(10, False), candle(10, False), candle(11, True))

    assert [bounds(gap) for gap in feed.gaps] == [(10 * MINUTE * NS, 10 * MINUTE * NS, 1)]


def test_each_interval_has_its_grid() -> None:
    feed = Feed()(
        candle(10, True), candle(2, True, "5m", 5 * MINUTE), candle(11, True), candle(3, True, "5m", 5 * MINUTE)
    )

    assert feed.gaps == []


def test_months_differ() -> None:
    day = 24 * 60 * MINUTE
    january, february, march = 0, 31 * day, 59 * day
    feed = Feed()(
        candle(0, True, "1M", 31 * day, january), candle(0, True, "1M", 28 * day, february),
        candle(0, True, "1M", 31 * day, march), candle(0, True, "1M", 31 * day, 120 * day),
    )  # fmt: skip

    assert [bounds(gap) for gap in feed.gaps] == [(90 * day * NS, None, None)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60))
def test_gaps_and_events_together_are_everything_up_to_the_highest(numbers: list[int]) -> None:
    feed = Feed()(*(agg(number) for number in numbers))
    missing = {n for gap in feed.gaps for n in range(gap.first_missing or 0, (gap.last_missing or 0) + 1)}
    late = missing & set(numbers)

    assert missing | set(numbers) >= set(range(numbers[0], max(numbers) + 1))
    assert sum(gap.missing_count or 0 for gap in feed.gaps) == len(missing)
    assert feed.venue.out_of_order["trade"] >= len(late)
    assert len(feed.events) == len(numbers)


def test_a_gap_of_the_connection_marks_every_stream() -> None:
    venue = exchange("BTCUSDT")
    venue.last_gap_ns = 77
    items = [*venue.receive(agg(1), 1), *venue.receive(best(1), 2), *venue.receive(candle(1, False), 3)]

    assert venue.last_gap_ns == 77
    assert [item.last_gap_ns for item in items if isinstance(item, Event)] == [77, 77, 77]


@pytest.mark.parametrize(
    "name", ["mixed_btcusdt_20240808.jsonl.gz", "aggTrade_cf2021.jsonl", "depth_diff_cf2021.jsonl"]
)
def test_real_recordings_have_no_holes(name: str) -> None:
    if FRAMES is None:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    frames = lines(FRAMES / "binance_usdm" / name)
    venue = exchange(*set().union(*(symbols_in(json.loads(frame)) for frame in frames)))
    items = [item for number, frame in enumerate(frames, 1) for item in venue.receive(frame, number)]

    assert len(items) >= len(frames)
    assert not [item for item in items if isinstance(item, Gap)]
    assert not venue.out_of_order
