"""Holes that no id shows: runs of undecodable events and silent streams, each one gap with its end in order."""

import json

import pytest
from exchanges.test_binance_sequences import agg, best, frame

from wsadapter.events import Gap, StreamType, Trade
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.venue import Bad, ConnectionPlan, Item, Subscription

TRADES, BEST, MARK = "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@markPrice@1s"
PLAN = ConnectionPlan(
    "unit-market-0",
    "binance",
    "",
    (
        Subscription(TRADES, StreamType.TRADE, "BTCUSDT"),
        Subscription(BEST, StreamType.BOOK_TICKER, "BTCUSDT"),
        Subscription(MARK, StreamType.MARK_PRICE, "BTCUSDT"),
        Subscription("btcusdt@forceOrder", StreamType.LIQUIDATION, "BTCUSDT"),
    ),
    ("BTCUSDT",),
)


def mark(price: str = "1") -> bytes:
    return frame(MARK, e="markPriceUpdate", E=1, s="BTCUSDT", p=price, i="1", P="1", r="0.1", T=9)


class Feed:
    def __init__(self) -> None:
        self.venue = BinanceFutures(PLAN)
        self.venue.open()

    def __call__(self, payload: bytes, now: int) -> list[Item]:
        return self.venue.receive(memoryview(payload), now)


def test_a_run_of_bad_events_is_one_gap_before_the_next_good_one() -> None:
    feed = Feed()
    feed(mark(), 10)
    bad = [feed(mark("nan"), 20), feed(mark("1e5"), 30), feed(mark()[:-2] + b',"i":5}}', 35)]
    gap, event = feed(mark(), 40)

    assert [type(item) for items in bad for item in items] == [Bad, Bad, Bad]
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.symbol, gap.cause, gap.missing_count) == ("mark_price", "BTCUSDT", "decode", 3)
    assert (gap.started_ns, gap.ended_ns, gap.version) == (10, 40, 1)
    assert not isinstance(event, Bad)
    assert feed.venue.last_receive_ns[MARK] == 40
    assert [getattr(item, "last_gap_ns", 0) for item in (event, *feed(mark(), 50))] == [40, 40]


def test_bad_trades_are_one_gap_with_their_ids() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed(agg(2, price="nan"), 20)
    gap, event = feed(agg(3), 30)

    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing, gap.missing_count) == ("decode", 2, 2, 1)
    assert (gap.started_ns, gap.ended_ns) == (10, 30)
    assert isinstance(event, Trade)
    assert event.last_gap_ns == 30
    assert len(feed(agg(4), 40)) == 1


def test_a_hole_larger_than_what_was_bad_is_the_venues() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed(agg(2, price="nan"), 20)
    gap, _ = feed(agg(9), 30)

    assert isinstance(gap, Gap)
    assert (gap.cause, gap.missing_count) == ("sequence", 7)


def test_damage_of_other_streams_and_symbols_is_not_ours() -> None:
    feed = Feed()
    feed(mark("nan"), 10)
    assert [type(item) for item in feed(agg(1), 20)] == [Trade]
    feed(b'{"stream":"x","data":{', 30)
    feed(agg(5, "ETHUSDT", "nan"), 40)
    assert [type(item) for item in feed(agg(2), 50)] == [Trade]


def test_a_silence_is_open_until_the_first_event_after() -> None:
    feed = Feed()
    feed(best(1), 10)
    begun = feed.venue.silent(BEST, 5, 99)
    assert begun is not None
    assert (begun.cause, begun.stream, begun.started_ns, begun.ended_ns) == ("stale", "book_ticker", 10, None)
    assert feed.venue.silent(BEST, 5, 100) is None
    assert len(feed(agg(1), 110)) == 1
    feed.venue.open()  # a reconnect does not end it
    ended, event = feed(best(9), 120)

    assert isinstance(ended, Gap)
    assert (ended.cause, ended.started_ns, ended.ended_ns, ended.version) == ("stale", 10, 120, 2)
    assert (ended.missing_count, ended.repair_state) == (None, "open")
    assert getattr(event, "last_gap_ns", 0) == 120
    assert len(feed(best(10), 130)) == 1


def test_a_stream_that_never_spoke_is_silent_since_the_socket_is_up() -> None:
    begun = Feed().venue.silent(MARK, 5, 99)

    assert begun is not None
    assert begun.started_ns == 5


FORCED = "btcusdt@forceOrder"


@pytest.mark.parametrize("event_ns", [0, 10])
@pytest.mark.parametrize("goes_on_as", ["the same", "after a rotation", "after a reload", "after both"])
def test_a_stream_that_was_taken_again_is_silent_since_then_at_most(goes_on_as: str, event_ns: int) -> None:
    """It was well, however long nobody was liquidated."""
    before = Feed()
    before.venue.last_receive_ns[FORCED] = event_ns
    assert before.venue.silent(FORCED, 5, 20) is not None
    (ended,) = before.venue.acknowledged(FORCED, 30)
    assert (ended.started_ns, ended.ended_ns) == (event_ns or 5, 30)
    after = before
    if goes_on_as in ("after a rotation", "after both"):
        after = Feed()
        after.venue.silent(FORCED, 5, 22)  # while the other one still went
        assert len(after.venue.acknowledged(FORCED, 25)) == 1
        after.venue.succeed(before.venue)
    if goes_on_as in ("after a reload", "after both"):
        (after, last) = Feed(), after
        after.venue.replace(last.venue)
    after.venue.open()

    begun = after.venue.silent(FORCED, 5, 90)
    assert begun is not None
    assert (begun.started_ns, begun.ended_ns) == (30, None)
    after.venue.acknowledged(FORCED, 100)
    after.venue.last_receive_ns[FORCED] = 110
    begun = after.venue.silent(FORCED, 5, 120)
    assert begun is not None
    assert begun.started_ns == 110, "its last event was later"


def test_a_quiet_market_is_proven_by_its_ids() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed.venue.silent(TRADES, 0, 99)
    ended, _ = feed(agg(2), 120)

    assert isinstance(ended, Gap)
    assert (ended.missing_count, ended.repair_state) == (0, "repaired")


def test_a_silence_that_hid_trades_is_one_gap_with_their_ids() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed.venue.silent(TRADES, 0, 99)
    ended, event = feed(agg(5), 120)

    assert isinstance(ended, Gap)
    assert (ended.cause, ended.first_missing, ended.last_missing, ended.missing_count) == ("stale", 2, 4, 3)
    assert (ended.started_ns, ended.repair_state) == (10, "open")
    assert isinstance(event, Trade)


def test_across_a_reconnect_ids_prove_nothing() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed.venue.silent(TRADES, 0, 99)
    feed.venue.open()
    ended, _ = feed(agg(2), 120)

    assert isinstance(ended, Gap)
    assert (ended.missing_count, ended.repair_state) == (None, "open")


def test_a_socket_that_goes_on_proves_a_quiet_market_and_names_what_is_missing() -> None:
    for number, missing in ((2, 0), (5, 3)):
        before, after = Feed(), Feed()
        before(agg(1), 10)
        after.venue.follow(before.venue)
        after.venue.open()
        begun = before.venue.silent(TRADES, 0, 99)
        after.venue.succeed(before.venue)
        ended, event = after(agg(number), 120)

        assert begun is not None
        assert isinstance(ended, Gap)
        assert (ended.cause, ended.version, ended.missing_count) == ("stale", 2, missing)
        assert (ended.started_ns, ended.ended_ns) == (begun.started_ns, 120)
        assert ended.repair_state == ("open" if missing else "repaired")
        assert getattr(event, "last_gap_ns", 0) == 120
        assert after.venue.close(130) == []


def test_what_lasts_ends_with_the_connection() -> None:
    feed = Feed()
    feed(agg(1), 10)
    feed.venue.silent(BEST, 5, 20)
    feed(agg(2, price="nan"), 30)
    found = feed.venue.close(40)

    assert [(gap.cause, gap.started_ns, gap.ended_ns) for gap in found] == [("stale", 5, 40), ("decode", 10, 40)]
    assert feed.venue.close(50) == []


def test_a_stream_is_asked_for_anew() -> None:
    feed = Feed()
    requests = [json.loads(request) for request in feed.venue.resubscribe((BEST, MARK))]

    assert [(r["method"], r["params"]) for r in requests] == [
        ("UNSUBSCRIBE", [BEST, MARK]), ("SUBSCRIBE", [BEST, MARK]),
    ]  # fmt: skip
    assert feed(json.dumps({"result": None, "id": requests[0]["id"]}).encode(), 1) == []
    (acked,) = feed(json.dumps({"result": None, "id": requests[1]["id"]}).encode(), 1)
    assert getattr(acked, "names", None) == (BEST, MARK)
    assert feed.venue.resubscribe(()) == []


def test_liquidations_may_be_quiet_for_ever() -> None:
    assert set(Feed().venue.cadences) == {TRADES, BEST, MARK}
