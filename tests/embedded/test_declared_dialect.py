"""A dialect that is declared: what the tables promise, on a venue that only this test knows."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
import uvloop
from picows import WSMsgType
from venue_client import VenueClient, settled

from wsadapter.embedded.exchange.connection import NUMBER, Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import declared
from wsadapter.embedded.exchange.requests import Ask, DeclaredSubscriptions, Requests, Say, Unknown
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.channels import (
    BestPrices,
    Books,
    Candles,
    Channel,
    DeclaredStream,
    Liquidations,
    States,
    Trades,
    offering,
    order_side,
)
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest_tables import Desk, RestPaths, raw, reply

START_MS = 1_790_771_371_000


def told(s: DeclaredStream, **fields: Any) -> str:
    return msgspec.json.encode(
        {"stream": s.name, "symbol": s.symbol, "number": msgspec.Raw(NUMBER.encode()), **fields}
    ).decode()


CHANNELS: tuple[Channel, ...] = (
    Trades(
        name="trades:{symbol}", frame=lambda s, prints, now_ms: told(s, ids=[p.number for p in prints]),
        first=lambda s, prints, now_ms: told(s, first=[p.number for p in prints]), recent=3,
    ),
    Trades(name="deals:{symbol}", frame=lambda s, prints, now_ms: told(s, id=prints[0].number, fills=prints[0].fills),
           aggregated=True, route="other"),
    Candles(name="candles:{symbol}:{interval}", frame=lambda s, c, is_closed, now_ms: told(s, start=c.open_ms),
            codes={"60": "1m"}, says_closed=False, by_successor=True),
    Books(name="book:{symbol}", levels=20, frame=lambda s, c, now_ms: told(
        s, id=c.update_id, previous=c.previous_id, full=c.is_snapshot, sides=[c.bids, c.asks])),
    Books(name="top:{symbol}:{levels}", frame=lambda s, c, now_ms: told(s, full=c.is_snapshot, bids=c.bids),
          speeds={5: 100}, whole=True),
    Books(name="best:{symbol}", levels=1, every_ms=10, word="book_ticker",
          frame=lambda s, c, now_ms: told(s, full=c.is_snapshot, sides=[c.bids, c.asks])),
    BestPrices(name="bbo:{symbol}", frame=lambda s, top, at_ms, now_ms: told(s, top=top)),
    States(name="funding:{symbol}", frame=lambda s, now_ms: told(s, rate=s.market.rate(now_ms)), begins=True,
           once={"funding_rate": lambda market, now_ms: market.rate(now_ms)}),
    Liquidations(name="liquidations:ALL", frame=lambda s, order, now_ms: told(s, side=order_side(order))),
)  # fmt: skip
SYMBOL = "[A-Z]+-USD"
OFFERED = offering(CHANNELS, SYMBOL)


def read(document: Any, connection_id: str) -> Ask | Say:
    if document["op"] == "test":
        return Say(["tested"], beat_every=document["every"])
    return Ask(tuple(document["args"]), document["op"] == "subscribe", document.get("id"))


def replies(ask: Ask, taken: Any, bad: Any, standing: Any, connection_id: str) -> list[str]:
    return [msgspec.json.encode([ask.id, taken, bad, standing]).decode()]


def rules(unknown: Unknown, **more: Any) -> Requests:
    return Requests(
        read=read, replies=replies, malformed=lambda connection_id: Say(["what?"]), texts={b"ping": b"pong"},
        unknown=unknown, **more,
    )  # fmt: skip


def price(desk: Desk) -> Any:
    return raw(desk.market().instrument.price_text(desk.market().deals[-1].price)) if desk.market().deals else None


STUB = declared(
    routes={"/ws": "", "/other": "other"},
    symbol=SYMBOL,
    channels=CHANNELS,
    requests=rules(Unknown.ALONE),
    rest=RestPaths(paths={"/price/{symbol}": price}, error=lambda e, now_ms: reply([e.kind, e.message], 400)),
    limits=VenueLimits(ping_interval=0, life=0, messages=0),
    manners=Manners(
        hello=lambda now_ms: [f'{{"hello":{NUMBER}}}'],
        heartbeat=lambda now_ms: f'{{"beat":{NUMBER}}}',
        notice=lambda now_ms: f'{{"bye":{NUMBER}}}',
        numbered=True,
    ),
)


def moved(*names: str, seconds: float = 70) -> dict[str, list[Any]]:
    """What a market's streams push, each with what a new subscriber gets first."""
    now_ms = START_MS
    floor = Markets(("BTC-USD",), 300, 5, MarketState(), lambda: now_ms)
    floor.open("BTC-USD").advance(START_MS + 500)
    now_ms += 500
    pushed: dict[str, list[Any]] = {name: [] for name in names}
    for name in names:
        stream = OFFERED(name)
        assert stream is not None
        floor.subscribe(stream)
        if first := floor.snapshot(stream):
            pushed[name].append(first)
    for _ in range(round(seconds * 50)):
        now_ms += 20
        for push in floor.advance(now_ms):
            pushed[push.stream].append(push)
    return pushed


def data(pushes: list[Any]) -> list[Any]:
    return [msgspec.json.decode(push.data.replace(NUMBER, "0")) for push in pushes]


def test_trades_singly_and_together() -> None:
    pushed = moved("trades:BTC-USD", "deals:BTC-USD", seconds=5)
    first, *others = data(pushed["trades:BTC-USD"])
    assert len(first["first"]) == 3
    ids = [number for frame in others for number in frame["ids"]]
    assert ids == list(range(first["first"][-1] + 1, ids[-1] + 1))
    assert [push.events for push in pushed["trades:BTC-USD"][1:]] == [(("trade", len(one["ids"])),) for one in others]
    deals = data(pushed["deals:BTC-USD"])
    assert sum(deal["fills"] for deal in deals) == len(ids)
    assert deals[-1]["id"] == ids[-1]
    assert {push.events for push in pushed["deals:BTC-USD"]} == {(("trade", 1),)}


def test_candles_that_their_successors_close() -> None:
    pushes = moved("candles:BTC-USD:60", seconds=130)["candles:BTC-USD:60"]
    starts = [frame["start"] for frame in data(pushes)]
    assert starts == sorted(starts)
    assert len(set(starts)) == 3
    assert [push.on_change[0].value for push in pushes] == starts
    assert not any(push.on_change[0].at_first for push in pushes)


def test_books_follow_and_add_up() -> None:
    pushed = moved("book:BTC-USD", "top:BTC-USD:5", seconds=10)
    first, *others = data(pushed["book:BTC-USD"])
    assert (first["full"], first["previous"]) == (True, None)
    assert not any(one["full"] for one in others)
    assert [one["previous"] for one in others] == [one["id"] for one in (first, *others[:-1])]
    bids = dict(map(tuple, first["sides"][0]))
    for one in others:
        for level, quantity in one["sides"][0]:
            if quantity:
                bids[level] = quantity
            else:
                del bids[level]
    assert len(bids) == 20
    assert all(one["full"] and len(one["bids"]) == 5 for one in data(pushed["top:BTC-USD:5"]))


def test_a_book_of_one_level_is_always_whole() -> None:
    """Whether its name says the level, or its row alone."""
    told_of = data(moved("best:BTC-USD", seconds=3)["best:BTC-USD"])
    assert len(told_of) > 10
    assert {one["full"] for one in told_of} == {True}
    assert {tuple(map(len, one["sides"])) for one in told_of} == {(1, 1)}


def test_states_best_prices_and_liquidations_of_all_markets() -> None:
    pushed = moved("funding:BTC-USD", "bbo:BTC-USD", "liquidations:ALL", seconds=30)
    assert {push.events for push in pushed["funding:BTC-USD"]} == {()}
    rates = [push.on_change[0].value for push in pushed["funding:BTC-USD"]]
    assert rates == [frame["rate"] for frame in data(pushed["funding:BTC-USD"])]
    assert len(set(rates)) > 2
    tops = [frame["top"] for frame in data(pushed["bbo:BTC-USD"])]
    assert all(bid < ask for bid, _, ask, _ in tops)
    assert {(one["symbol"], one["stream"]) for one in data(pushed["liquidations:ALL"])} == {
        ("BTC-USD", "liquidations:ALL")
    }


@pytest.mark.parametrize(
    ("unknown", "taken", "bad", "close"),
    [
        (Unknown.VOIDS, [], ["book:nosuch", "deals:BTC-USD"], 0),
        (Unknown.ALONE, ["book:BTC-USD"], ["book:nosuch", "deals:BTC-USD"], 0),
        (Unknown.SILENT, ["book:BTC-USD", "book:nosuch", "deals:BTC-USD"], [], 0),
        (Unknown.CLOSES, [], ["book:nosuch", "deals:BTC-USD"], 1008),
    ],
)
def test_names_that_do_not_exist_here(unknown: Unknown, taken: list[str], bad: list[str], close: int) -> None:
    connection = DeclaredSubscriptions(rules(unknown), OFFERED, "", 100)
    request = {"op": "subscribe", "id": 7, "args": ["book:BTC-USD", "book:nosuch", "deals:BTC-USD"]}
    answer = connection.answer(msgspec.json.encode(request))
    assert [msgspec.json.decode(one) for one in answer.replies] == [[7, taken, bad, taken]]
    assert (answer.close, answer.acked, list(answer.added)) == (close, bool(taken), taken)


def test_limits_of_a_request_and_of_a_connection() -> None:
    names = [f"book:{letter * 3}-USD" for letter in "ABCDEF"]

    def asked(most_streams: int, **more: Any) -> list[str]:
        connection = DeclaredSubscriptions(rules(Unknown.VOIDS, **more), OFFERED, "", most_streams)
        connection.answer(msgspec.json.encode({"op": "subscribe", "args": names[:2]}))
        connection.answer(msgspec.json.encode({"op": "subscribe", "args": names[2:]}))
        return list(connection.names)

    assert asked(100) == names
    assert asked(5) == names[:2]
    assert asked(100, most=3) == names[:2]
    assert asked(100, characters=40) == names[:2]


@pytest.mark.parametrize("request_bytes", [b"\xff", b"[]", b"7", b'{"op":1}', b'{"op":"subscribe","args":[[]]}'])
def test_what_is_no_request(request_bytes: bytes) -> None:
    answer = DeclaredSubscriptions(rules(Unknown.ALONE), OFFERED, "", 100).answer(request_bytes)
    assert (answer.added, len(answer.replies)) == ((), 1)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


def test_every_message_of_a_connection_has_its_number() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(symbols=("BTC-USD",)), spoken=STUB) as venue:
            venue.mute("bbo:BTC-USD")
            client = await VenueClient.connect(f"{venue.url}/ws")

            def ask(**document: Any) -> None:
                client.transport.send(WSMsgType.TEXT, msgspec.json.encode(document))

            ask(op="subscribe", args=["trades:BTC-USD", "bbo:BTC-USD", "book:BTC-USD"])
            await client.until(lambda: venue.sent["depth"] > 3)
            ask(op="test", every=0.1)
            await client.until(lambda: any(b'"beat"' in text for text in client.texts))
            assert venue.notify() == 1
            venue.say("{broken")
            await client.until(lambda: any(b'"bye"' in text for text in client.texts))
            assert not venue.sent["book_ticker"], "acknowledged, and nothing comes"
            ask(op="unsubscribe", args=["bbo:BTC-USD"])
            ask(op="subscribe", args=["bbo:BTC-USD"])
            await client.until(lambda: venue.sent["book_ticker"])
            await client.goodbye()
            assert client.texts[0] == b'{"hello":0}'
            frames = {
                place: msgspec.json.decode(text)
                for place, text in enumerate(client.texts)
                if text.startswith(b"{") and text != b"{broken"
            }
            assert sum("sides" in frame for frame in frames.values()) == venue.sent["depth"]
            numbers = [
                frame[key] for frame in frames.values() for key in ("hello", "beat", "bye", "number") if key in frame
            ]
            assert numbers == list(frames)

    run(scenario())


def test_paths_of_rest_and_their_errors() -> None:
    floor = Markets(("BTC-USD",), 300, 5, MarketState(), lambda: START_MS)
    rest = STUB.rest(floor, lambda: START_MS)
    assert (rest.answer("/price/BTC-USD", {}).status, rest.answer("/price", {}).status) == (200, 404)
    refused = rest.answer("/price/NOSUCH", {})
    assert (refused.status, refused.body) == (400, b'["symbol","NOSUCH"]')
    assert [rest.answer("/price/BTC-USD", {}).status for _ in range(700)][-1] == 429


def test_a_connection_without_a_listener_of_the_other_class() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(symbols=("BTC-USD",)), spoken=STUB) as venue:
            other = await VenueClient.connect(f"{venue.url}/other")
            request = {"op": "subscribe", "args": ["deals:BTC-USD", "book:BTC-USD"]}
            other.transport.send(WSMsgType.TEXT, msgspec.json.encode(request))
            await settled(lambda: venue.sent["trade"] > 3)
            assert not venue.sent["depth"]

    run(scenario())
