"""What a venue's functions raise of a frame costs that frame: it is counted, and the stream that lost it has a hole."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from exchanges.stub_venues import Chained, Envelope, Plain, argument, channel_key, element_key, plan
from exchanges.test_stub_venues import TRADES, trade, trades, types
from msgspec import structs

from wsadapter.events import StreamType
from wsadapter.exchanges import scanner
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import applied
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Bad

XY = plan(("trades:XY", StreamType.TRADE, "XY", ""))
ROW = {"tradeId": "7", "count": "1", "px": 1.5, "sz": 2, "side": "buy", "ts": "5"}
DEALS = json.dumps({"arg": {"channel": "trades", "instId": "XY"}, "data": [ROW]}).encode()
UNKNOWN = b'{"event":"x"}'


def without(*_: Any) -> Any:
    return None


def no_field(*_: Any) -> Any:
    return without().nothing


def by_zero(*_: Any) -> Any:
    return 1 // len("")


def none_next(*_: Any) -> Any:
    return next(iter(()))


def broken(*_: Any) -> Any:
    raise RuntimeError("x")


HOSTILE = [no_field, by_zero, none_next, broken]


@pytest.fixture(params=[True, False], ids=["c", "session"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(scanner, "_native", None)


def session(**changes: Any) -> VenueSession:
    class Hostile(Chained):
        venue = structs.replace(Chained.venue, **changes)

    made = Hostile(XY)
    made.open()
    return made


@pytest.mark.parametrize("hostile", HOSTILE)
def test_of_the_framing(hostile: Callable[..., Any]) -> None:
    error = ["AttributeError", "ZeroDivisionError", "StopIteration", "RuntimeError"][HOSTILE.index(hostile)]
    assert session(framing=ByKey(Envelope, hostile)).receive(DEALS, 1) == [Bad("other", error)]
    assert session(control=hostile).receive(UNKNOWN, 1) == [Bad("other", error)]
    made = session(framing=ByKey(Envelope, argument, elements=hostile))
    items = made.receive(DEALS, 1)
    assert Bad("other", error) in items
    assert made.outages.pending, "its stream has a hole"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_of_a_field(hostile: Callable[..., Any]) -> None:
    trades, *others = Chained.venue.channels
    (one,) = trades.emits
    step = structs.replace(applied(hostile, "side"), path="buyer_is_maker")
    changed = structs.replace(one, fields={**one.fields, "buyer_is_maker": step})
    made = session(channels=(structs.replace(trades, emits=(changed,)), *others))
    assert "Bad" in types(made.receive(DEALS, 1))
    assert made.outages.pending


@pytest.mark.parametrize("hostile", HOSTILE)
def test_of_elements_that_name_their_stream(hostile: Callable[..., Any]) -> None:
    for framing in (ByKey(Envelope, channel_key, hostile), ByKey(Envelope, channel_key, element_key, elements=hostile)):

        class Hostile(Plain):
            venue = structs.replace(Plain.venue, framing=framing)

        made = Hostile(TRADES)
        made.open()
        assert set(types(made.receive(trades(trade(1), trade(2)), 5))) == {"Bad"}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_of_a_name_that_nobody_asked_for(hostile: Callable[..., Any]) -> None:
    trades, *others = Chained.venue.channels
    named = structs.replace(trades, name="others:{symbol}", named=hostile)
    payload = DEALS.replace(b"trades", b"others")
    assert session(channels=(trades, named, *others)).receive(payload, 1) == [Bad("foreign_symbol", "others:XY")]
