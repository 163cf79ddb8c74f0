"""An exchange whose connections speak several protocols: one word, a class for each."""

from typing import Any

import pytest
from exchanges.stub_venues import Plain
from msgspec import structs

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Heartbeat, Hosts

TRADE, BOOK, CANDLE = Plain.venue.channels


class First(VenueSession):
    venue = structs.replace(
        Plain.venue, hosts=Hosts("wss://first.invalid", "wss://test.invalid", {"": "/ws"}), channels=(TRADE,)
    )


class Second(First, beside=True):
    venue = structs.replace(
        Plain.venue,
        hosts=Hosts("wss://second.invalid", "", {"books": "/ws"}, shared={"books": "/books"}),
        channels=(structs.replace(BOOK, root="books"),),
        check=lambda feed: [("testnet", "books have none")] if feed.testnet and "depth" in feed.streams else [],
        heartbeat=Heartbeat(b"ping", begin=b"beat", last=True),
    )


class Other(First):
    """No connection of the first one."""

    venue = structs.replace(First.venue, word="other")


def feed(*streams: str, **settings: Any) -> Feed:
    return Feed("f", "stub", ("A",), streams, **settings)


def test_each_connection_has_the_class_of_its_root() -> None:
    first, second = First.plan(feed("trade", "depth"))

    assert (first.url, first.root) == ("wss://first.invalid/ws", "")
    assert (second.url, second.root, second.connection) == ("wss://second.invalid/ws", "books", "f-books-0")
    assert [type(First(plan)) for plan in (first, second)] == [First, Second]
    renamed = structs.replace(second, connection="anything")
    assert type(First(renamed)) is Second
    assert list(First(renamed).last_receive_ns) == ["book:A"]
    assert First(renamed).ping() == b"ping"
    assert (First.others, Second.others) == ((Second,), ())


def test_what_one_of_them_does_not_offer_the_other_may() -> None:
    assert [plan.root for plan in First.plan(feed("depth"))] == ["books"]
    with pytest.raises(ConfigError, match="ticker"):
        First.plan(feed("ticker"))
    with pytest.raises(ConfigError, match="books have none"):
        First.plan(feed("depth", testnet=True))
    assert [plan.url for plan in First.plan(feed("trade", testnet=True))] == ["wss://test.invalid/ws"]


def test_one_address_may_stand_for_all_hosts() -> None:
    plans = First.plan(feed("trade", "depth", ws_url="ws://127.0.0.1:1/"))

    assert [plan.url for plan in plans] == ["ws://127.0.0.1:1/ws", "ws://127.0.0.1:1/books"]


def test_the_request_for_heartbeats_may_be_the_last_one() -> None:
    _, plan = First.plan(feed("trade", "depth"))
    *asked, beat = First(plan).open()

    assert (len(asked), beat) == (1, b"beat")
