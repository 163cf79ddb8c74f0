"""Messages that are an element themselves, lists that begin with the newest, what is told again after subscribing."""

from typing import Any

from exchanges.stub_venues import LIMITS, SIDES, chained_request, plan
from msgspec import Raw, Struct
from msgspec.json import encode

from wsadapter.events import Gap, StreamType, Trade
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import as_text, constant, emit, mapped, ms, number
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.values import Id
from wsadapter.exchanges.venue import Bad, Channel, Follows, Hosts, Item, Requests, Venue


class Envelope(Struct):
    feed: str = ""
    pair: str = ""
    trades: Raw = Raw()


class TradeWire(Struct):
    id: Id
    side: str
    price: Raw
    at: Id


TRADE = emit(
    Trade, transaction_time_ns=ms("at"), trade_id=as_text("id"), trade_number="id", price=number("price"),
    quantity=number("price"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip


class Flat(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(chained_request, most=10, octets=1000),
        framing=ByKey(
            Envelope, lambda e: f"{e.feed}:{e.pair}", elements=lambda e: e.trades if bytes(e.trades) else None
        ),
        channels=(
            Channel(("trade",), "trade:{symbol}", TradeWire, (TRADE,),
                    Follows("id", repeats=lambda e: bool(bytes(e.trades))), many=True, newest_first=True),
        ),
        control=lambda payload: None,
        cadences={},
    )  # fmt: skip


def trade(identity: int, **changes: Any) -> dict[str, Any]:
    return {"feed": "trade", "pair": "A", "id": identity, "side": "buy", "price": 1.5, "at": 7, **changes}


def session() -> Flat:
    made = Flat(plan(("trade:A", StreamType.TRADE, "A", "")))
    made.open()
    return made


def newest(*trades: dict[str, Any]) -> bytes:
    return encode({"feed": "trade", "pair": "A", "trades": trades})


def told(items: list[Item]) -> list[Any]:
    return [item.trade_number if isinstance(item, Trade) else type(item).__name__ for item in items]


def test_a_message_may_be_its_own_element() -> None:
    made = session()

    assert told(made.receive(memoryview(encode(trade(5))), 1)) == [5]
    assert told(made.receive(encode(trade(7)), 2)) == ["Gap", 7]
    assert made.last_receive_ns == {"trade:A": 2}
    assert [item.kind for item in made.receive(encode(trade(8, side=5)), 3) if isinstance(item, Bad)] == ["type"]
    gap, _ = made.receive(encode(trade(9)), 4)
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing, gap.cause) == (8, 8, "decode")


def test_a_list_that_begins_with_the_newest_is_told_in_order() -> None:
    assert told(session().receive(newest(trade(7), trade(6), trade(5)), 1)) == [5, 6, 7]
    assert told(session().receive(newest(trade(7), trade(6, at=-1), trade(5)), 1)) == [5, "Bad", "Gap", 7]


def test_what_is_told_again_is_passed_over() -> None:
    """However much of it there is: it is neither out of order nor a new numbering."""
    made = session()
    made.receive(newest(*(trade(number) for number in range(40, 0, -1))), 1)

    assert told(made.receive(encode(trade(41)), 2)) == [41]
    assert told(made.receive(newest(*(trade(number) for number in range(43, 3, -1))), 3)) == [42, 43]
    assert told(made.receive(newest(trade(43)), 4)) == []
    assert made.last_receive_ns == {"trade:A": 4}, "a sign of life"
    assert made.out_of_order["trade"] == 0
    assert told(made.receive(encode(trade(43)), 5)) == [43], "what is no repetition is published and counted"
    assert made.out_of_order["trade"] == 1
    assert told(made.receive(newest(trade(46), trade(45)), 6)) == ["Gap", 45, 46]
