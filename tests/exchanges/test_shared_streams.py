"""One stream that feeds several words: which event is whose, whose the numbers are, what comes once; a venue that is
asked for its heartbeats; channels that only some feeds have."""

import json
from collections.abc import Iterable
from typing import Any

from exchanges.stub_venues import LIMITS, SIDES
from msgspec import Raw, Struct

from wsadapter.config.model import Feed
from wsadapter.events import FundingRate, Gap, Liquidation, OpenInterest, Side, Trade
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import as_text, computed_for, constant, emit, mapped, number, signed_number_or_none
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.values import Id
from wsadapter.exchanges.venue import (
    Answer,
    Channel,
    Follows,
    Heartbeat,
    Hosts,
    Item,
    Requests,
    Subscription,
    Venue,
)


class Envelope(Struct):
    channel: str = ""
    data: Raw = Raw()


class TradeWire(Struct):
    number: Id
    price: Raw
    side: str
    forced: str = ""


class StateWire(Struct):
    rate: Raw = Raw()
    interest: Raw = Raw()


TRADE = emit(
    Trade, trade_id=as_text("number"), trade_number="number", price=number("price"), quantity=number("price"),
    buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "transaction_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
FORCED = emit(
    Liquidation, side=mapped("side", {"buy": Side.BUY, "sell": Side.SELL}), price=number("price"),
    quantity=number("price"), ordinal=constant(0), when=lambda d: "T" in d.forced,
    absent=("event_time_ns", "transaction_time_ns", "order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip
INTEREST = emit(
    OpenInterest, open_interest=number("interest"), needs=("interest",),
    absent=("event_time_ns", "transaction_time_ns", "open_interest_value"),
)  # fmt: skip
RATE = emit(
    FundingRate, funding_rate=signed_number_or_none("rate"), once=("rate",),
    mark_price=computed_for(lambda d, sub: str(len(sub.name))),
    absent=("event_time_ns", "transaction_time_ns", "next_funding_time_ns"),
)  # fmt: skip


class Shared(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(lambda begin, names, identity: json.dumps(names).encode(), most=10, octets=1000),
        framing=ByKey(Envelope, lambda e: e.channel),
        channels=(
            Channel(("trade", "liquidation"), "trades.{symbol}", TradeWire, (TRADE, FORCED), Follows("number"),
                    many=True, wanted=lambda feed: feed.depth_levels == 0),
            Channel(("trade",), "top.{symbol}", TradeWire, (TRADE,), wanted=lambda feed: feed.depth_levels > 0),
            Channel(("open_interest", "funding_rate"), "state.{symbol}", StateWire, (INTEREST, RATE)),
        ),
        control=lambda payload: [Answer(None)],
        cadences={},
        heartbeat=Heartbeat(b"ping", begin=b"begin"),
    )  # fmt: skip


def opened(*words: str) -> Shared:
    (plan,) = Shared.plan(Feed("f", "stub", ("A",), words, depth_levels=0))
    made = Shared(plan)
    made.open()
    return made


def trades(*elements: tuple[int, str, str]) -> bytes:
    data = [{"number": number, "price": 5, "side": side, "forced": forced} for number, side, forced in elements]
    return json.dumps({"channel": "trades.A", "data": data}).encode()


def state(**fields: Any) -> bytes:
    return json.dumps({"channel": "state.A", "data": fields}).encode()


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def test_an_element_is_two_events_where_it_says_so_and_the_numbers_are_of_the_first() -> None:
    made = opened("trade", "liquidation")

    assert types(made.receive(trades((1, "buy", ""), (2, "buy", "T"), (3, "sell", "M"), (9, "sell", "MT")), 1)) == [
        "Trade", "Trade", "Liquidation", "Trade", "Gap", "Trade", "Liquidation",
    ]  # fmt: skip


def test_only_the_wanted_words_are_fed() -> None:
    made = opened("liquidation")
    (event,) = made.receive(trades((1, "buy", ""), (2, "sell", "T")), 1)

    assert isinstance(event, Liquidation)
    assert event.side is Side.SELL
    assert types(opened("trade").receive(trades((1, "buy", "T")), 1)) == ["Trade"]


def test_a_rate_comes_once_and_anew_with_a_socket_and_what_is_not_there_is_no_event() -> None:
    made = opened("open_interest", "funding_rate")
    buffer = bytearray(state(rate=0.0, interest=7))
    interest, rate = made.receive(memoryview(buffer), 1)
    buffer[:] = b" " * len(buffer)  # the message was only borrowed

    assert isinstance(interest, OpenInterest)
    assert isinstance(rate, FundingRate)
    assert (rate.funding_rate, rate.mark_price) == ("0.0", "7")
    assert types(made.receive(state(rate=0.0, interest=None), 2)) == []
    assert types(made.receive(state(rate=-1e-5), 3)) == ["FundingRate"]
    assert types(made.receive(state(rate=None, interest=1), 4)) == ["OpenInterest"]
    made.open()
    assert types(made.receive(state(rate=-1e-5), 5)) == ["FundingRate"]


def test_a_lost_element_is_a_hole_of_every_word_that_it_would_have_fed() -> None:
    made = opened("open_interest", "funding_rate")
    made.receive(state(rate=1, interest=1), 1)
    assert types(made.receive(state(rate=1, interest="x"), 2)) == ["Bad"]
    items = made.receive(state(rate=2, interest=1), 3)

    assert types(items) == ["Gap", "Gap", "OpenInterest", "FundingRate"]
    found = [(item.stream, item.cause, item.started_ns, item.ended_ns) for item in items if isinstance(item, Gap)]
    assert found == [("open_interest", "decode", 1, 3), ("funding_rate", "decode", 1, 3)]
    assert [item.last_gap_ns for item in items if isinstance(item, OpenInterest | FundingRate)] == [3, 3]
    assert not made.outages.pending


def test_a_silence_and_a_lost_element_end_for_every_word_with_the_next_good_element() -> None:
    """A rate that is as it was is no event, and yet it is known."""
    made = opened("open_interest", "funding_rate")
    made.receive(state(rate=1, interest=1), 1)
    begun = made.silent("state.A", 1, 5)
    assert begun is not None
    assert (begun.stream, begun.cause, begun.ended_ns) == ("open_interest", "stale", None)
    items = made.receive(state(rate=1, interest=2), 9)
    assert types(items) == ["Gap", "Gap", "OpenInterest"]
    assert [(gap.stream, gap.cause, gap.started_ns, gap.ended_ns) for gap in items if isinstance(gap, Gap)] == [
        ("open_interest", "stale", 1, 9), ("funding_rate", "stale", 1, 9),
    ]  # fmt: skip
    assert types(made.receive(state(rate=1, interest="x"), 10)) == ["Bad"]
    assert types(made.receive(state(rate=1, interest=3), 11)) == ["Gap", "Gap", "OpenInterest"]
    assert not made.outages.pending
    only = opened("funding_rate")
    only.receive(state(rate=1), 1)
    only.receive(state(rate="x"), 2)
    assert types(only.receive(state(rate=1), 3)) == ["Gap"]
    assert not only.outages.pending
    made.silent("state.A", 1, 20)
    assert [gap.stream for gap in made.close(30)] == ["open_interest", "funding_rate"]


def test_the_venue_is_asked_for_heartbeats_first() -> None:
    made = opened("trade")

    assert made.open() == [b"begin", b'["trades.A"]']


def test_a_channel_may_be_for_some_feeds_only() -> None:
    words = ("trade", "open_interest", "funding_rate")
    (plan,) = Shared.plan(Feed("f", "stub", ("A",), words, depth_levels=5))

    assert plan.subscriptions == (
        Subscription("top.A", Trade.stream_type, "A"),
        Subscription("state.A", OpenInterest.stream_type, "A", "", ("open_interest", "funding_rate")),
    )
