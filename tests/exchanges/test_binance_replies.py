"""Requests and their answers, matched by id."""

import json

from exchanges.binance_oracle import exchange

from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Acked, ClosesSoon, Item, Refused, Reply

NAMES = ("btcusdt@aggTrade", "ethusdt@aggTrade", "xrpusdt@aggTrade")


def ids(requests: list[bytes]) -> list[int]:
    return [json.loads(request)["id"] for request in requests]


def answer(venue: VenueSession, document: object) -> list[Item]:
    return venue.receive(json.dumps(document).encode(), 1)


def test_an_ack_names_its_subscriptions_once() -> None:
    venue = exchange(names=NAMES)
    (number,) = ids(venue.open())

    assert answer(venue, {"result": None, "id": number}) == [Acked(NAMES)]
    assert answer(venue, {"result": None, "id": number}) == []


def test_ids_go_on_after_a_reconnect_and_old_acks_mean_nothing() -> None:
    venue = exchange(names=NAMES)
    (first,) = ids(venue.open())
    (second,) = ids(venue.open())

    assert second > first
    assert answer(venue, {"result": None, "id": first}) == []
    assert answer(venue, {"result": None, "id": second}) == [Acked(NAMES)]


def test_answers_to_nobody_are_nothing() -> None:
    venue = exchange(names=NAMES)

    assert answer(venue, {"result": None, "id": 1}) == []
    assert answer(venue, {"result": ["btcusdt@aggTrade"], "id": 3}) == []


def test_one_refused_name_costs_only_itself() -> None:
    venue = exchange(names=NAMES)
    outbox = venue.open()
    acked: list[str] = []
    refused: list[Item] = []
    while outbox:
        request = json.loads(outbox.pop())
        bad = "ethusdt@aggTrade" in request["params"]
        error = {"error": {"code": 2, "msg": "Invalid request"}, "id": request["id"]}
        for item in answer(venue, error if bad else {"result": None, "id": request["id"]}):
            if isinstance(item, Reply):
                outbox.append(item.payload)
            elif isinstance(item, Acked):
                acked += item.names
            else:
                refused.append(item)

    assert sorted(acked) == ["btcusdt@aggTrade", "xrpusdt@aggTrade"]
    assert refused == [Refused(("ethusdt@aggTrade",), "2", "Invalid request")]


def test_an_error_without_an_id_belongs_to_the_oldest_request() -> None:
    venue = exchange(names=("btcusdt@aggTrade",))
    venue.open()

    assert answer(venue, {"code": 3, "msg": "Invalid JSON:\n\x1b[31m"}) == [
        Refused(("btcusdt@aggTrade",), "3", r"Invalid JSON:\n\x1b[31m")
    ]


def test_an_error_that_belongs_to_nothing_is_still_told() -> None:
    assert answer(exchange(), {"code": 0, "msg": "Unknown property"}) == [Refused((), "0", "Unknown property")]
    assert answer(exchange(), {"error": 5, "id": 77}) == [Refused((), "None", "")]


def test_an_announced_shutdown_is_said_and_is_no_event() -> None:
    venue = exchange(names=NAMES)

    for frame in (b'{"e":"serverShutdown","E":1770123456789}', b'{"data":{"e":"serverShutdown","E":1770123456789}}'):
        assert venue.receive(frame, 1) == [ClosesSoon("serverShutdown")]
