"""What every venue must bear and do, against its counterpart; a venue takes part as soon as it has one.

Nothing here names a venue: what a venue does at a break, say, follows from its own tables, and what the counterpart
does with a wrong name from its.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest
from conformance.pair import MS, NO_SUCH, Line, Pair, Told
from msgspec import structs

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.events import Depth, Gap, MarketEvent, UpdateType
from wsadapter.exchanges import REGISTRY
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Bad, Channel, Checked, ClosesSoon, Follows, Reply, Subscription

EXCHANGES = [word for word in STAND_INS if word in REGISTRY]
SECONDS = 8.0


@pytest.fixture(params=EXCHANGES)
def exchange(request: pytest.FixtureRequest) -> str:
    word: str = request.param
    return word


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Connections of the stand-in want a running loop when they close."""

    async def never() -> None:
        return None

    running = asyncio.new_event_loop()
    asyncio.events._set_running_loop(running)
    yield
    asyncio.events._set_running_loop(None)
    running.close()


def channel_of(session: Any, name: str) -> Channel | None:
    """Of a subscription."""
    assert isinstance(session, VenueSession)
    for channel in session.venue.channels:
        pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(channel.name))
        if re.fullmatch(pattern, name):
            return channel
    return None


def streams_of(pair: Pair, numbering: type | tuple[type, ...]) -> list[tuple[Line, Subscription, Channel]]:
    """Those that are numbered so."""
    found = []
    for line in pair.lines:
        for name, subscription in line.session.subscriptions.items():  # type: ignore[attr-defined]
            channel = channel_of(line.session, name)
            if channel is not None and isinstance(channel.numbering, numbering):
                found.append((line, subscription, channel))
    return found


def essence(events: Iterable[MarketEvent]) -> list[dict[str, Any]]:
    """Without what depends on when and how they came."""
    told = []
    for event in events:
        fields = structs.asdict(event)
        for name in ("receive_time_ns", "last_gap_ns", "connection"):
            fields.pop(name, None)
        told.append({"": type(event).__name__, **fields})
    return told


def test_all_that_is_counted_as_sent_is_made_once(exchange: str) -> None:
    pair = Pair(exchange).open().run(SECONDS)
    for line in pair.lines:
        assert sorted(line.acked) == sorted(line.session.last_receive_ns), "each name is acknowledged once"
        assert line.refused == []
    assert pair.of(Bad) == []
    assert pair.gaps == []
    assert pair.made == pair.counts.sent
    polled = pair.rest.polled if pair.rest else frozenset()
    wanted = {"trade" if word == "raw_trade" else word for word in pair.feed.streams}
    assert wanted - polled == set(pair.made), "every stream of the feed has come"
    assert {event.symbol for event in pair.events} == set(pair.lines[0].plan.symbols)


def test_many_names_go_out_in_batches(exchange: str) -> None:
    (first, *_) = STAND_INS[exchange].feed.symbols
    letters = [f"C{one}{other}" for one in "ABCDEFGHIJ" for other in "KLMNOP"]
    pair = Pair(exchange, tuple(re.sub("BTC|XBT", coin, first) for coin in letters)).open().run(0.2)
    assert any(len(line.sent) > 1 for line in pair.lines)
    for line in pair.lines:
        assert line.refused == []
        assert sorted(line.acked) == sorted(line.session.last_receive_ns)


def wrong(pair: Pair, names: Iterable[Subscription], route: str = "") -> None:
    """One more subscription on the connection of ``route``."""
    line = pair.lines[-1]
    plan = structs.replace(line.plan, subscriptions=(*line.plan.subscriptions, *names))
    pair.lines[-1] = Line(pair, plan)


@pytest.mark.parametrize("what", ["symbol", "class"])
def test_a_wrong_name_costs_only_itself(exchange: str, what: str) -> None:
    pair = Pair(exchange)
    some = pair.lines[-1].plan.subscriptions[0]
    if what == "class":
        last = pair.lines[-1]
        others = [each for each in pair.lines if each.route != last.route and type(each.session) is type(last.session)]
        if not others:
            pytest.skip("one class of connections, or each has a protocol of its own")
        bad = others[0].plan.subscriptions[0]
    else:
        bad = structs.replace(some, name=_renamed(some), symbol=NO_SUCH)
    wrong(pair, [bad])
    line = pair.lines[-1]
    pair.open().run(SECONDS)
    good = {name for name in line.session.last_receive_ns if name != bad.name}
    assert good <= set(line.acked)
    assert not good & set(line.refused)
    assert {event.symbol for event in line.events} == set(line.plan.symbols)
    is_refused = bad.name in line.refused
    assert is_refused or not line.session.last_receive_ns[bad.name], "refused, or silent"


def _renamed(subscription: Subscription) -> str:
    name = subscription.name
    for symbol in (subscription.symbol, subscription.symbol.lower()):
        if symbol and symbol in name:
            return name.replace(symbol, NO_SUCH)
    return name + NO_SUCH


def test_data_may_come_before_the_answer(exchange: str) -> None:
    pair = Pair(exchange)
    if any(by_connection(line) for line in pair.lines):
        pytest.skip("a message that is not in its place is a fault of the connection")
    held: dict[int, list[Told]] = {number: [] for number in range(len(pair.lines))}

    def data_first(number: int) -> Callable[[list[Told]], list[Told]]:
        def changed(told: list[Told]) -> list[Told]:
            held[number] += [one for one in told if not one.stream]
            return [one for one in told if one.stream]

        return changed

    for number, line in enumerate(pair.lines):
        line.changed = data_first(number)
    pair.open()
    for _ in range(4):
        pair.run(0.5)
        for number, line in enumerate(pair.lines):
            for told in held.pop(number, []):
                line.receive(told.text)
            held[number] = []
    for line in pair.lines:
        line.changed = list
    pair.run(1.0)
    for line in pair.lines:
        assert sorted(line.acked) == sorted(line.session.last_receive_ns)
    assert pair.of(Bad) == []
    assert pair.made == pair.counts.sent


def test_acknowledged_and_silent_is_found_and_mended(exchange: str) -> None:
    pair = Pair(exchange)
    line = pair.lines[0]
    name, subscription = next(iter(line.session.subscriptions.items()))  # type: ignore[attr-defined]
    pair.listeners.mute(name)
    pair.open().run(SECONDS / 2)
    assert line.session.last_receive_ns[name] == 0
    begun = line.session.silent(name, (pair.now_ms - 3000) * MS, pair.now_ms * MS)
    assert begun is not None
    assert (begun.cause, begun.ended_ns) == ("stale", None)
    acked = line.acked.count(name)
    for request in line.session.resubscribe((name,)):
        line.send(request)
    pair.run(SECONDS)
    assert line.acked.count(name) == acked + 1, "asked for anew, answered anew"
    assert line.session.last_receive_ns[name] > 0
    ended = [gap for gap in line.of(Gap) if gap.cause == "stale"]
    assert ended
    assert all(gap.ended_ns for gap in ended)
    assert begun.stream in {gap.stream for gap in ended} <= {begun.stream, *subscription.feeds}
    assert {gap.symbol for gap in pair.gaps} <= {subscription.symbol, begun.symbol}


def altering(line: Line, name: str, alter: Callable[[Told], list[Told]]) -> None:
    """The messages of one stream arrive changed."""
    line.changed = lambda told: [each for one in told for each in (alter(one) if one.stream == name else [one])]


def once(alter: Callable[[Told], list[Told]]) -> Callable[[Told], list[Told]]:
    left = [alter]
    return lambda told: left.pop()(told) if left else [told]


NUMBERED = (Follows, Checked)


def test_a_message_that_is_lost_is_a_gap_of_its_stream_and_mended(exchange: str) -> None:
    """Every numbered stream in turn, of one symbol; books as changes where the venue has such."""
    first, *_ = Pair(exchange).lines[0].plan.symbols
    names = [one.name for _, one, _ in streams_of(Pair(exchange, changes=True), NUMBERED) if one.symbol == first]
    for name in names:
        pair = Pair(exchange, changes=True).open().run(2.0)
        ((line, subscription, channel),) = [each for each in streams_of(pair, NUMBERED) if each[1].name == name]
        assert pair.gaps == []
        if all(isinstance(e, Depth) and e.level_limit for e in line.events if e.stream_type is subscription.stream):
            continue  # whole books: each stands for itself
        before = len(line.events)
        altering(line, name, once(lambda told: []))
        pair.run(4.0)
        assert pair.gaps, f"{name}: a message that is missing is seen"
        if by_connection(line):
            assert subscription.stream.value in {gap.stream for gap in pair.gaps}, "and whatever else is on it"
        else:
            assert {gap.stream for gap in pair.gaps} == {subscription.stream.value}
            assert {gap.symbol for gap in pair.gaps} == {subscription.symbol}
        assert any(gap.ended_ns for gap in pair.gaps), "it has ended"
        after = [e for e in line.events[before:] if e.stream_type is subscription.stream]
        assert {event.symbol for event in after} == set(line.plan.symbols), "it goes on, and so do the others"
        if isinstance(channel.numbering, Checked) or channel.numbering.resubscribe:  # type: ignore[union-attr]
            snapshots = [e for e in after if isinstance(e, Depth) and e.update_type is UpdateType.SNAPSHOT]
            assert snapshots, "begun anew"


def by_connection(line: Line) -> bool:
    """Whether it is the connection that is numbered, and not its streams."""
    return line.pair.dialect.manners.numbered


def test_a_message_that_comes_twice_is_no_gap(exchange: str) -> None:
    pair = Pair(exchange)
    if any(by_connection(line) for line in pair.lines):
        pytest.skip("a number that comes twice is a fault of the connection")
    for line in pair.lines:
        line.changed = lambda told: [each for one in told for each in ([one, one] if one.stream else [one])]
    pair.open().run(2.5)
    assert pair.gaps == []
    assert pair.made.keys() == Pair(exchange).open().run(2.5).made.keys()


def test_messages_out_of_order_cost_their_stream_a_gap_at_most(exchange: str) -> None:
    pair = Pair(exchange).open().run(2.0)
    for line, subscription, _ in streams_of(pair, NUMBERED):
        if subscription.symbol != line.plan.symbols[0]:
            continue
        kept: list[Told] = []

        def swap(told: Told, kept: list[Told] = kept) -> list[Told]:
            kept.append(told)
            return [] if len(kept) == 1 else [told, kept[0]] if len(kept) == 2 else [told]

        altering(line, subscription.name, swap)
        before = len(line.events)
        pair.run(3.0)
        after = [e for e in line.events[before:] if e.stream_type is subscription.stream]
        assert {event.symbol for event in after} == set(line.plan.symbols)
        line.changed = list
    if not any(by_connection(line) for line in pair.lines):
        assert {gap.symbol for gap in pair.gaps} <= {pair.lines[0].plan.symbols[0]}


def test_unknown_fields_change_nothing(exchange: str) -> None:
    plain, more = Pair(exchange), Pair(exchange)
    for line in more.lines:
        line.changed = lambda told: [one._replace(text=widened(one.text)) for one in told]
    plain.open().run(3.0)
    more.open().run(3.0)
    assert more.of(Bad) == []
    assert essence(more.events) == essence(plain.events)


def widened(text: bytes) -> bytes:
    """Unknown fields in each object, without touching a number's text."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return re.sub(rb'\{(?=")', b'{"zz_new":{"a":[1,null]},', text)


@pytest.mark.parametrize(
    "text",
    [b'{"zz":"future event"}', b'{"event":"zz","channel":"zz","type":"zz","topic":"zz","e":"zz","data":[{"a":1}]}',
     b"{broken", b"", b"\xff\xfe", b"[]", b"null", b"7", b'"zz"', b"[" * 5000, b'{"a":' * 5000],
)  # fmt: skip
def test_what_is_no_message_of_the_venue_costs_only_itself(exchange: str, text: bytes) -> None:
    pair = Pair(exchange).open().run(1.0)
    gaps, sent = len(pair.gaps), pair.counts.sent.copy()
    for line in pair.lines:
        items = line.receive(text)
        assert all(isinstance(item, Bad) for item in items)
        assert len(items) <= 1
    pair.run(1.5)
    assert len(pair.gaps) == gaps
    assert pair.made == pair.counts.sent
    assert sum(pair.counts.sent.values()) > sum(sent.values())


def test_spoiled_messages_never_raise_and_their_streams_go_on(exchange: str) -> None:
    """One message in seven is cut, or an octet of it is another one."""
    rng = random.Random(exchange)
    pair = Pair(exchange).open().run(1.0)

    def spoil(told: list[Told]) -> list[Told]:
        return [
            one._replace(text=spoiled(one.text, rng)) if one.stream and rng.random() < 0.15 else one for one in told
        ]

    for line in pair.lines:
        line.changed = spoil
    pair.run(4.0)
    bad = pair.of(Bad)
    assert bad
    known = {"json", "utf8", "depth", "type", "decimal", "range", "unknown_event", "foreign_symbol", "other"}
    assert {one.kind for one in bad} <= known
    for line in pair.lines:
        line.changed = list
        line.seen.clear()
    pair.run(6.0)
    assert {event.symbol for event in pair.events} == set(pair.lines[0].plan.symbols)
    assert pair.of(Bad) == [] or all(one.detail == "change before its snapshot" for one in pair.of(Bad))


def spoiled(text: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(text))
    if rng.random() < 0.5:
        return text[:place]
    return text[:place] + bytes((rng.randrange(32, 127),)) + text[place + 1 :]


def test_a_notice_is_heard(exchange: str) -> None:
    pair = Pair(exchange).open().run(0.5)
    notice = pair.dialect.manners.notice
    if notice is None:
        pytest.skip("the venue gives none")
    for line in pair.lines:
        items = line.receive(notice(pair.now_ms).encode())
        assert [type(item) for item in items] == [ClosesSoon]


def test_pings_and_heartbeats_are_no_events_and_no_errors(exchange: str) -> None:
    pair = Pair(exchange).open().run(0.5)
    for line in pair.lines:
        ping, silence = line.session.ping(), pair.dialect.limits.silence
        if ping is not None:
            before = len(line.texts)
            line.send(ping)
            line.read()
            assert len(line.texts) > before, "the counterpart answers"
        if silence:
            assert ping is not None
            assert 0 < line.session.ping_every < silence, "the venue hears from us in time"
        manners, own = pair.dialect.manners, line.session.venue.heartbeat  # type: ignore[attr-defined]
        is_asked = manners.heartbeat_every or (own is not None and own.begin)
        if (heartbeat := manners.heartbeat) is not None and is_asked:
            items = line.receive(heartbeat(pair.now_ms).replace("\0", "0").encode())
            assert not [item for item in items if not isinstance(item, (Gap, Reply))]
            answers = [item for item in items if isinstance(item, Reply) and not item.is_request]
            assert len(answers) == bool(manners.answered_within), "what it asks is answered, and that is no request"
    assert pair.of(Bad) == []


def test_a_heartbeat_is_answered_or_the_connection_ends(exchange: str) -> None:
    within = Pair(exchange).dialect.manners.answered_within
    if not within:
        pytest.skip("its heartbeats want no answer")
    for is_lost in (False, True):
        pair = Pair(exchange).open().run(0.5)
        for line in pair.lines:
            if is_lost:
                line.changed = lambda told: []
            beaten = time.monotonic() + 3600.0
            for now in (beaten, beaten + within):
                line.connection.check(now, pair.now_ms)
                line.read()
            assert (line.closed is not None) is is_lost


def test_after_a_cut_all_is_asked_for_again(exchange: str) -> None:
    pair = Pair(exchange).open().run(2.0)
    for line in pair.lines:
        line.connection.close(1001)
        line.read()
        assert line.closed == 1001
    before = pair.counts.sent.copy()
    acked = {id(line): len(line.acked) for line in pair.lines}
    pair.run(SECONDS)
    for line in pair.lines:
        again = line.acked[acked[id(line)] :]
        assert sorted(again) == sorted(line.session.last_receive_ns)
    assert pair.of(Bad) == []
    assert pair.made == pair.counts.sent
    assert all(pair.counts.sent[word] > before[word] for word in {"trade", "depth"} & before.keys())
