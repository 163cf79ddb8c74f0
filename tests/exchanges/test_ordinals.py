"""Events without an id of the venue: counted by their times, the same on every connection."""

import gzip
import json
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import pytest
from exchanges.binance_oracle import RECEIVED, exchange
from frames_path import frames
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.json import Decoder, encode

from wsadapter import native
from wsadapter.events import Depth, Event, FundingRate, MarkPrice, StreamType, Ticker, UpdateType
from wsadapter.events.sequence import dated
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.mapping import computed, emit, iso
from wsadapter.exchanges.ordinals import REMEMBERED, Ordinals
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import (
    AttemptLimit,
    Channel,
    ConnectionPlan,
    Hosts,
    Item,
    Limits,
    Receive,
    Requests,
    Subscription,
    Venue,
)

RECORDED = "coinbase_exchange/mixed_cf2021_first.jsonl.gz"


class Level2(Struct):
    """{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"]],"time":"2021-03-05T17:50:16.170567Z"}"""

    product_id: str
    type: str = ""
    time: str | None = None
    changes: list[tuple[str, str, str]] = []
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


def side(name: str, at: int) -> Any:
    which = "buy" if name == "bids" else "sell"
    return computed(lambda d, e: [c[1 + at] for c in d.changes if c[0] == which] or [c[at] for c in getattr(d, name)])


BOOK = emit(
    Depth, symbol="product_id", event_time_ns=iso("time"),
    update_type=computed(lambda d, e: UpdateType.SNAPSHOT if d.type == "snapshot" else UpdateType.DELTA),
    level_limit=computed(lambda d, e: 0), bid_price=side("bids", 0), bid_quantity=side("bids", 1),
    ask_price=side("asks", 0), ask_quantity=side("asks", 1),
    absent=("transaction_time_ns", "first_update_id", "last_update_id", "previous_update_id"),
)  # fmt: skip
LEVEL2 = Channel(("depth",), "level2:{symbol}", Level2, (BOOK,))


class Bare:
    """Every message is one element."""

    def receiver(self, session: Any) -> Receive:
        accept, decode = session.accept(LEVEL2), Decoder(Level2).decode

        def receive(payload: bytes | memoryview, received: int) -> list[Item]:
            d = decode(payload)
            items: list[Item] = accept(d, None, None, "", d.product_id, received)
            return items

        return receive


class Level2Session(VenueSession):
    venue = Venue(
        word="stub", hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=Limits(streams=100, message_interval=0.1, attempts=AttemptLimit(10, 10.0)),
        requests=Requests(lambda begin, names, identity: b"", most=10, octets=1000), framing=Bare(),
        channels=(LEVEL2,), control=lambda payload: None, cadences={},
    )  # fmt: skip


def level2(*symbols: str) -> Level2Session:
    asked = tuple(Subscription(f"level2:{symbol}", StreamType.DEPTH, symbol) for symbol in symbols)
    made = Level2Session(ConnectionPlan("stub-0", "stub", "", asked, symbols))
    made.open()
    return made


def recorded() -> list[bytes]:
    path = frames(RECORDED)
    lines = gzip.decompress(path.read_bytes()).splitlines() if path.exists() else []
    if not lines:
        pytest.skip(f"{RECORDED} is not here")
    return [line for line in lines if json.loads(line)["type"] in ("snapshot", "l2update")]


def books(session: Level2Session, lines: Iterable[bytes], begin: int = 0) -> list[Depth]:
    made = [item for n, line in enumerate(lines, begin) for item in session.receive(line, n)]
    assert all(type(item) is Depth for item in made)
    return made  # type: ignore[return-value]


KEY = attrgetter("symbol", "update_type", "level_limit", "event_time_ns", "last_update_id", "ordinal")
UPDATE = attrgetter("symbol", "event_time_ns", "ordinal", "bid_price", "bid_quantity", "ask_price", "ask_quantity")


def test_no_recorded_update_has_the_sorting_key_of_another() -> None:
    assert BY_EVENT[Depth].order_by[:2] == ("update_type", "level_limit")
    lines = recorded()
    changes = [one for one in books(level2(*symbols(lines)), lines) if one.update_type is UpdateType.DELTA]
    times = {KEY(one)[:-1] for one in changes}

    assert len(changes) > 4000
    assert len({KEY(one) for one in changes}) == len(changes)
    assert len(times) < len(changes) - 500, "what the venue says is not enough"


@pytest.mark.parametrize("missed", [1, 500, 2345])
def test_a_connection_that_begins_later_counts_alike(missed: int) -> None:
    """But for the one time in whose midst it came: nobody can tell it what it has not seen."""
    lines = recorded()
    first, second = (level2(*symbols(lines)) for _ in range(2))
    all_of_them = books(first, lines)
    later = books(second, lines[missed:], missed)
    begun = {(one.symbol, one.event_time_ns) for one in all_of_them[:missed]}
    known = {UPDATE(one): None for one in map(frozen, all_of_them)}

    assert [
        one for one in later if UPDATE(frozen(one)) not in known and (one.symbol, one.event_time_ns) not in begun
    ] == []
    assert [KEY(one) for one in all_of_them[missed:] if (one.symbol, one.event_time_ns) not in begun] == [
        KEY(one) for one in later if (one.symbol, one.event_time_ns) not in begun
    ]


def frozen(one: Depth) -> Depth:
    for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity"):
        setattr(one, name, tuple(getattr(one, name)))
    return one


def symbols(lines: Iterable[bytes]) -> set[str]:
    return {json.loads(line)["product_id"] for line in lines}


def update(time: str | None, kind: str = "l2update", symbol: str = "A") -> bytes:
    return encode({"type": kind, "product_id": symbol, "changes": [["buy", "1", "2"]], "time": time})


T1, T2 = "2026-10-06T08:00:00.000001Z", "2026-10-06T08:00:00.000002Z"


def test_symbols_and_snapshots_are_counted_apart() -> None:
    made = level2("A", "B")
    lines = [update(T1), update(T1, symbol="B"), update(T1, "snapshot"), update(T1), update(T2), update(T1)]

    assert [one.ordinal for one in books(made, lines)] == [0, 0, 0, 1, 0, 2]
    made.open()
    assert [one.ordinal for one in books(made, lines[:1])] == [0], "a socket begins anew"


def test_without_a_time_of_the_venue_those_of_one_read_are_told_apart() -> None:
    made = level2("A")
    items = [item for at in (7, 7, 8) for item in made.receive(update(None), at)]

    assert [(item.receive_time_ns, item.ordinal) for item in items if isinstance(item, Depth)] == [
        (7, 0),
        (7, 1),
        (8, 0),
    ]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, REMEMBERED // 2 - 1)), max_size=400))
def test_any_order_of_a_few_times_is_counted(times: list[tuple[str, int]]) -> None:
    ordinals, seen = Ordinals(Ticker), set()
    for symbol, at in times:
        event = ticker(symbol, at)
        ordinals.count(event)
        assert (symbol, at, event.ordinal) not in seen
        assert event.ordinal == 0 or (symbol, at, event.ordinal - 1) in seen
        seen.add((symbol, at, event.ordinal))


def test_the_times_that_are_known_are_few() -> None:
    ordinals = Ordinals(Ticker)
    for at in range(10 * REMEMBERED):
        ordinals.count(ticker("A", at))
    (known,) = ordinals.times.values()

    assert REMEMBERED // 2 <= len(known) <= REMEMBERED
    assert max(known) == 10 * REMEMBERED - 1


def ticker(symbol: str, at: int) -> Ticker:
    from samples import full

    (found,) = (one for one in full() if type(one) is Ticker)
    found.symbol, found.transaction_time_ns, found.ordinal = symbol, at, 0
    return found


def test_channels_with_ids_are_not_counted() -> None:
    session = exchange("BTCUSDT")
    emits = [one for channel in BinanceFutures.venue.channels for one in channel.emits]

    assert {one.event for one in emits if session.counting(one) is not None} == {Ticker, MarkPrice, FundingRate}
    (tickers,) = (one for one in emits if one.event is Ticker)
    assert session.counting(tickers) == session.counting(tickers), "one count for all of a type"


def test_what_a_socket_tells_again_has_the_ordinal_that_it_had() -> None:
    """Else it would be the row of the first event of that time, not of the last one."""
    made = level2("A", "B")
    assert [one.ordinal for one in books(made, [update(T1), update(T2), update(T2), update(T2)])] == [0, 0, 1, 2]
    for _ in range(2):  # the second socket of the two brings nothing
        made.open()
    assert made.ordinals[Depth].reached(books(level2("A"), [update(T2)])[0]) is None, "nothing yet"
    assert [one.ordinal for one in books(made, [update(T2), update(T2), update(T2, symbol="B")])] == [2, 3, 0]
    made.open()
    assert [one.ordinal for one in books(made, [update(T2), update(T2, symbol="B"), update(T1)])] == [3, 0, 0]

    other = level2("A")
    other.replace(made)
    other.open()
    assert [one.ordinal for one in books(other, [update(T2)])] == [3], "with other subscriptions, too"


@pytest.mark.parametrize("told", [1, 3])
def test_a_socket_that_is_behind_does_not_count_the_last_time_down(told: int) -> None:
    made = level2("A")
    books(made, [update(T2)] * told)
    for _ in range(3):
        made.open()
        assert [one.ordinal for one in books(made, [update(T1)])] == [0], "a node that has not reached the last one"
        (again,) = books(level2("A"), [update(T1)])
        assert made.ordinals[Depth].reached(again) == (dated(again.event_time_ns or 0, 0), 0), "so far came this socket"
    made.open()
    assert [one.ordinal for one in books(made, [update(T2), update(T2)])] == [told - 1, told]


@pytest.mark.parametrize("told", [(), (T2,), (T1,), (T1, T2), (T1, T2, T2)])
@pytest.mark.parametrize("is_again", [False, True])
def test_over_a_hand_over_what_a_socket_tells_again_has_the_ordinal_that_it_had(
    told: tuple[str, ...], is_again: bool
) -> None:
    """``told``: by the socket that takes over, meanwhile; ``is_again``: what the last one told it had told before."""
    old = level2("A")
    books(old, [update(T2)] * 3)
    if is_again:
        old.open()
    new = level2("A", "B")
    books(new, map(update, told))
    known = new.ordinals[Depth].times
    new.succeed(old)
    assert new.ordinals[Depth].times is known, "C has it, too"
    new.open()
    assert [one.ordinal for one in books(new, [update(T2), update(T2), update(T2, symbol="B")])] == [2, 3, 0]


@pytest.mark.parametrize(("told", "following"), [((), [2, 3]), ((T2,), [3, 4]), ((T1,), [0, 1]), ((T1, T2), [1, 2])])
def test_who_takes_over_in_the_midst_of_a_time_counts_on(told: tuple[str, ...], following: list[int]) -> None:
    """One that came before that time counts it itself: it may lag, and then tells what was told."""
    old, new = level2("A"), level2("A")
    books(old, [update(T2)] * 3)
    books(new, map(update, told))
    new.succeed(old)
    assert [one.ordinal for one in books(new, [update(T2), update(T2)])] == following


def test_of_symbols_that_it_does_not_have_who_takes_over_knows_nothing() -> None:
    old, new = level2("A", "B"), level2("B")
    books(old, [update(T2), update(T2, symbol="B")])
    new.succeed(old)
    assert {series[0] for series in new.ordinals[Depth].times} == {"B"}


MARK = (
    b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1617308820003,"s":"BTCUSDT",'
    b'"p":"58940.14924532","P":"58905.14663658","i":"58857.26693664","r":"0.00058455","T":1617321600000}}'
)


@pytest.mark.parametrize("extension", [None, native.extension], ids=["python", "as built"])
def test_the_scanner_counts_like_the_session(extension: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.exchanges.scanner._native", extension)
    asked = Subscription("btcusdt@markPrice@1s", StreamType.MARK_PRICE, "BTCUSDT")
    session = BinanceFutures(ConnectionPlan("unit-market-0", "binance", "", (asked,), ("BTCUSDT",)))
    session.open()
    bare = json.dumps([json.loads(MARK)["data"]] * 2).encode()
    payloads = [
        MARK,
        MARK,
        bare,
        MARK,
        MARK.replace(b"820003", b"820004"),
        MARK.replace(b'"r":"0.0', b'"r":"x.0'),
        MARK,
    ]
    items: list[Event] = [i for payload in payloads for i in session.receive(payload, RECEIVED)]  # type: ignore[misc]

    assert [one.ordinal for one in items if type(one) is MarkPrice] == [0, 1, 2, 3, 4, 0, 5]
    for again in ([0, 1], [1, 2]):
        session.open()
        told = MARK.replace(b"820003", b"820004")
        items = [i for payload in (told, told) for i in session.receive(payload, RECEIVED)]  # type: ignore[misc]
        assert [one.ordinal for one in items if type(one) is MarkPrice] == again
