"""A venue whose streams are named symbol first, whose books say their first and last number, and which gives notice."""

import json
from typing import Any

import pytest
from exchanges.stub_venues import LIMITS
from msgspec import Raw, Struct

from wsadapter.config.model import Feed
from wsadapter.events import Depth, Event, Gap, UpdateType
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import applied, computed, constant, emit, ms_or_us, named
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import book
from wsadapter.exchanges.values import MOST, Id, TimeOrMicros, ns
from wsadapter.exchanges.venue import Answer, Bad, Channel, ClosesSoon, Follows, Hosts, Item, Requests, Venue


class Envelope(Struct):
    stream: str = ""
    data: Raw = Raw()


class ChangeWire(Struct):
    at: TimeOrMicros
    first: Id
    last: Id
    b: Raw
    a: Raw


class TopWire(Struct):
    last: Id
    bids: Raw
    asks: Raw


CHANGE = emit(
    Depth, event_time_ns=ms_or_us("at"), transaction_time_ns=applied(lambda at: ns(at) + 1, "at"),
    update_type=constant(UpdateType.DELTA), level_limit=constant(0), first_update_id="first", last_update_id="last",
    previous_update_id=computed(lambda d, e: d.first - 1), columns=book("b", "a"),
)  # fmt: skip
TOP = emit(
    Depth, update_type=constant(UpdateType.SNAPSHOT), level_limit=named(0), last_update_id="last",
    columns=book("bids", "asks"),
    absent=("event_time_ns", "transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip


def top_levels(stream: str) -> tuple[int] | None:
    levels = stream.rpartition("@book")[2]
    return (int(levels),) if levels else None


def control(payload: bytes) -> list[Answer | ClosesSoon] | None:
    return [ClosesSoon("soon")] if b"maintenance" in payload else None


class SymbolFirst(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(lambda begin, names, identity: b"", most=10, octets=1000),
        framing=ByKey(Envelope, lambda e: e.stream),
        channels=(
            Channel(("depth",), "{symbol}@book{levels}", TopWire, (TOP,), named=top_levels,
                    wanted=lambda feed: feed.depth_levels > 0),
            Channel(("depth",), "{symbol}@book", ChangeWire, (CHANGE,), Follows("last", first="first"),
                    wanted=lambda feed: feed.depth_levels == 0),
        ),
        control=control,
        cadences={},
        names=lambda feed: {"levels": str(feed.depth_levels)},
    )  # fmt: skip


def made(levels: int, *symbols: str) -> SymbolFirst:
    feed = Feed(name="f", exchange="stub", symbols=symbols, streams=("depth",), intervals=(), depth_levels=levels)
    (plan,) = SymbolFirst.plan(feed)
    return SymbolFirst(plan)


def push(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def change(first: int, last: int, at: int = 1_790_000_000_000, symbol: str = "A") -> bytes:
    return push(f"{symbol}@book", at=at, first=first, last=last, b=[["1.50", "2"]], a=[])


def shown(items: list[Item]) -> list[object]:
    return [item.last_update_id if isinstance(item, Depth) else type(item) for item in items]


def test_the_feed_says_which_of_two_channels_it_is() -> None:
    assert list(made(5, "A", "B").subscriptions) == ["A@book5", "B@book5"]
    assert list(made(0, "A").subscriptions) == ["A@book"]


def test_top_levels_have_the_symbol_and_depth_of_their_name() -> None:
    (event,) = made(5, "A").receive(push("A@book5", last=7, bids=[["1.50", "2"]], asks=[["2", "3"]]), 9)

    assert isinstance(event, Depth)
    assert (event.symbol, event.level_limit, event.update_type) == ("A", 5, UpdateType.SNAPSHOT)
    assert (event.bid_price, event.ask_quantity, event.event_time_ns) == (["1.50"], ["3"], None)


def test_changes_follow_by_their_first_number() -> None:
    venue = made(0, "A", "B")
    assert [shown(venue.receive(change(*ids), 1)) for ids in ((5, 7), (8, 8), (9, 12))] == [[7], [8], [12]]
    assert shown(venue.receive(change(1, 2, symbol="B"), 2)) == [2]

    gap, event = venue.receive(change(15, 16), 3)
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.first_missing, gap.last_missing, gap.missing_count) == ("A", 13, 14, None)
    assert isinstance(event, Depth)
    assert (event.previous_update_id, event.last_gap_ns) == (14, 3)

    assert shown(venue.receive(change(15, 16), 4)) == [16], "a repeat is published, and is no gap"
    assert venue.out_of_order == {"depth": 1}
    assert shown(venue.receive(change(17, 17), 5)) == [17]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (1_790_000_000_000, 1_790_000_000_000_000_000), (1_790_000_000_123_456, 1_790_000_000_123_456_000), (0, 0),
    ],
)  # fmt: skip
def test_times_tell_their_unit_by_their_size(at: int, expected: int) -> None:
    (event,) = made(0, "A").receive(change(1, 1, at=at), 9)

    assert isinstance(event, Event)
    assert (event.event_time_ns, event.transaction_time_ns) == (expected, expected + 1)


def test_a_time_beyond_either_unit_is_refused() -> None:
    (bad,) = made(0, "A").receive(change(1, 1, at=MOST), 9)

    assert isinstance(bad, Bad)
    assert bad.kind == "range"


def test_a_notice_comes_out() -> None:
    assert made(0, "A").receive(b'{"type":"maintenance"}', 1) == [ClosesSoon("soon")]
