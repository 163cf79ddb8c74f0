"""The column ``sequence``: the same place for a Struct and its message, and for every venue's way to number."""

from typing import Any

import msgspec
import pytest
from samples import full, trade

from wsadapter.events import (
    BookTicker,
    Depth,
    Event,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.events.records import encode, message_of
from wsadapter.events.sequence import NUMBERINGS, PLACES_BY_KIND, Sequenced, numbering, place
from wsadapter.events.streams import BY_EVENT, Chained, Contiguous, Timed


def as_message(event: Event) -> Any:
    return message_of((0, BY_EVENT[type(event)].kind, encode(event)), 1)


def sample(kind: type[Event], **changes: Any) -> Event:
    return msgspec.structs.replace(next(one for one in full() if type(one) is kind), **changes)


@pytest.mark.parametrize("event", full(), ids=lambda event: type(event).__name__)
def test_a_struct_and_its_message_have_one_place(event: Event) -> None:
    read = PLACES_BY_KIND.get(BY_EVENT[type(event)].kind)

    assert (read is None) == (not BY_EVENT[type(event)].sequence)
    assert place(event) == (None if read is None else read(as_message(event)))


def diff(**changes: Any) -> Event:
    ids = {"first_update_id": 91, "last_update_id": 100, "previous_update_id": 85} | changes
    return sample(Depth, symbol="S", update_type=UpdateType.DELTA, level_limit=0, **ids)


def test_each_rule_says_what_comes_before() -> None:
    snapshot = sample(Depth, symbol="S", update_type=UpdateType.SNAPSHOT, level_limit=20, last_update_id=100)
    assert place(trade(7, "S")) == Sequenced(("trade", "S", True), 7, 6)
    assert place(diff()) == Sequenced(("depth", "S", 0), 100, 85)
    assert place(diff(previous_update_id=None)) == Sequenced(("depth", "S", 0), 100, 90), "one below its first id"
    assert place(diff(previous_update_id=None, first_update_id=None)) == Sequenced(("depth", "S", 0), 100, 0)
    assert place(snapshot) == Sequenced(("depth", "S", 20), 100)


def test_a_candle_is_numbered_by_its_opening_once_it_is_closed() -> None:
    candle = {"symbol": "S", "interval": "1m", "open_time_ns": 60, "event_time_ns": 99}
    assert place(sample(Kline, closed=True, **candle)) == Sequenced(("kline", "S", "1m", True), 60)
    last = place(sample(Kline, closed=False, **candle))
    first = place(sample(Kline, closed=False, **{**candle, "open_time_ns": 120}))
    assert last == Sequenced(("kline", "S", "1m", False), 99 << 64 | 60)
    assert first == Sequenced(("kline", "S", "1m", False), 99 << 64 | 120), "of the next one, told in one message"


def test_an_event_without_a_number_is_known_by_its_id() -> None:
    bybit = sample(Trade, symbol="S", trade_id="2ee8-4f", trade_number=None, aggregated=False)
    other = msgspec.structs.replace(bybit, trade_id="2ee8-50")
    without = msgspec.structs.replace(bybit, trade_id="")
    first, second = place(bybit), place(other)

    assert first is not None
    assert second is not None
    assert first.key == second.key == ("trade", "S", False)
    assert first.identity == ("2ee8-4f",) != second.identity
    assert place(without) is None, "nothing tells it from others"
    liquidation = place(sample(Liquidation, symbol="S"))
    assert liquidation is not None
    assert liquidation.key == ("liquidation", "S")


def test_without_an_id_the_time_numbers_and_the_ordinal_tells_apart() -> None:
    def number(event: Event) -> int:
        found = place(event)
        assert found is not None
        assert (found.previous, found.identity) == (None, None)
        return found.number

    for kind in (Ticker, MarkPrice, FundingRate, OpenInterest, BookTicker, Depth):
        ids = {BookTicker: {"update_id": None}, Depth: {"last_update_id": None}}.get(kind, {})
        one, two, later = (
            sample(kind, symbol="S", transaction_time_ns=at, event_time_ns=99, ordinal=n, **ids)
            for at, n in ((7, 0), (7, 1), (8, 0))
        )
        assert number(one) < number(two) < number(later), kind
        assert number(sample(kind, transaction_time_ns=None, event_time_ns=7, ordinal=1, **ids)) == number(two)
        assert number(sample(kind, transaction_time_ns=7, ordinal=2**30, **ids)) < number(later), "however many"
        assert place(sample(kind, transaction_time_ns=None, event_time_ns=None, **ids)) is None, "the time is ours"
    change = place(diff(last_update_id=None))
    snapshot = place(sample(Depth, symbol="S", update_type=UpdateType.SNAPSHOT, level_limit=0, last_update_id=None))
    assert snapshot is not None
    assert change is not None
    assert snapshot.key != change.key


def test_what_is_missing_between_a_number_and_an_event() -> None:
    trades, books = numbering(Trade), numbering(Depth)
    assert trades.missing(trade(9), 5) == (6, 8, 3)
    assert trades.missing(trade(6), 5) == trades.missing(trade(3), 5) == (None, None, None)
    assert books.missing(diff(), 80) == (81, 90, None)
    assert books.missing(diff(), 90) == books.missing(diff(first_update_id=None), 80) == (None, None, None)
    assert books.missing(as_message(diff()), 80) == (81, 90, None)


def test_the_extent_of_an_event_ends_where_the_next_begins() -> None:
    minute = sample(Kline, open_time_ns=60_000_000_000, close_time_ns=119_999_000_000)
    assert numbering(Kline).extent(minute) == (60_000_000_000, 120_000_000_000)
    assert numbering(Trade).extent(trade(9)) == (9, 10)
    assert numbering(Depth).extent(diff()) is None


def test_an_aggregated_trade_without_a_number_takes_those_of_its_single_trades() -> None:
    several = msgspec.structs.replace(trade(0), trade_id="12", trade_number=None, first_trade_id=10, last_trade_id=12)
    rule = numbering(Trade)

    assert rule.extent(several) == (10, 13)
    assert rule.missing(several, 9) == (None, None, None)
    assert rule.missing(several, 7) == (8, 9, 2)
    assert rule.extent(msgspec.structs.replace(several, first_trade_id=None)) is None
    found = place(several)
    assert found is not None
    assert found.identity == ("12",), "they are not what it is known by"


def test_what_follows_from_the_column() -> None:
    assert {word: type(n.checked) for word, n in NUMBERINGS.items() if n.checked is not None} == {
        "kline": Timed, "depth": Chained, "trade": Contiguous,
    }  # fmt: skip
    assert [word for word, n in NUMBERINGS.items() if n.is_numbered] == ["kline", "depth", "trade", "book_ticker"]
    assert [word for word, n in NUMBERINGS.items() if not n.awaited] == ["funding_rate"]
    assert [word for word, n in NUMBERINGS.items() if n.only_by_id] == ["liquidation"]
    assert NUMBERINGS["trade"].chained_keys("S") == (("trade", "S", True), ("trade", "S", False))
    assert NUMBERINGS["depth"].chained_keys("S") == (("depth", "S", 0),)
    assert NUMBERINGS["kline"].chained_keys("S") == NUMBERINGS["ticker"].chained_keys("S") == ()
