"""The order of events and gaps, whatever arrives when: a ring is dealt to partitions and read in random portions."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader.recorded import NS, gap, quote, trade
from reader.test_reader_decoding import message

from wsadapter.events import Event, Gap
from wsadapter.events.gaps import GapCause, ended
from wsadapter.kafka.runs import MessageList
from wsadapter.reader import ordering
from wsadapter.reader.ordering import GAP_SECONDS, Ordering, Partition, Scope

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
EPOCH = 7


class Message:
    """As confluent-kafka's."""

    def __init__(
        self, event: Event, position: int, partition: int, offset: int, at_ms: int, epoch: int = EPOCH
    ) -> None:
        self.event, self.at = event, position
        self._value, self._partition, self._offset, self._at_ms = (
            message(event, position, epoch), partition, offset, at_ms,
        )  # fmt: skip

    def key(self) -> bytes:
        return f"{self.event.exchange}:{self.event.symbol}".encode()

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at_ms


class Ring:
    """A connection's records in their order, as they lie in Kafka: partitions, and the topic of gaps."""

    def __init__(self, rng: random.Random, length: int) -> None:
        self.records: list[Event] = []
        self.partitions: dict[tuple[str, int], list[Message]] = {
            (stream, number): [] for stream in ("trade", "book_ticker") for number in range(2)
        }
        self.gaps: list[Message] = []
        last_gap: dict[tuple[str, str], int] = {}
        for number in range(1, length):
            at_ns, symbol, stream = NS + number, rng.choice(SYMBOLS), rng.choice(("trade", "book_ticker"))
            if rng.random() < 0.2:
                about = (rng.choice((stream, stream, "")), rng.choice((symbol, symbol, "")))
                event: Event = gap(at_ns, *about, GapCause.DISCONNECT if about == ("", "") else GapCause.SEQUENCE)
                for key in ((s, t) for s in ("trade", "book_ticker") for t in SYMBOLS):
                    if about[0] in ("", key[0]) and about[1] in ("", key[1]):
                        last_gap[key] = at_ns
            else:
                event = (trade if stream == "trade" else quote)(number, symbol, last_gap.get((stream, symbol)))
            self.records.append(event)
            log = self.gaps if isinstance(event, Gap) else self.partitions[stream, SYMBOLS.index(symbol) % 2]
            partition = 0 if isinstance(event, Gap) else SYMBOLS.index(symbol) % 2
            log.append(Message(event, number, partition, len(log), number // 3))
            if rng.random() < 0.05:  # the serializer begins again, some records back
                again = [sent for sent in log if sent.at > number - 6]
                log += [Message(s.event, s.at, partition, len(log) + i, number // 3) for i, s in enumerate(again)]


def read(ring: Ring, rng: random.Random, scope: Scope = Scope()) -> list[Event]:  # noqa: B008  # immutable
    """All of it, in portions of any size from any partition; gaps may be much later than events, or earlier."""
    streams = [*(scope.streams or ("trade", "book_ticker"))]
    order, now = Ordering(scope, streams, 0), 0.0
    order.partitions = {key: Partition(*key, 0) for key in ring.partitions if key[0] in streams}
    unread: dict[Any, list[Message]] = {key: [*ring.partitions[key]] for key in order.partitions}
    unread["gap"] = [*ring.gaps]
    out: list[Event] = []
    while any(unread.values()) or any(partition.messages for partition in order.partitions.values()):
        for key in unread:
            portion, unread[key] = unread[key][: (n := rng.randrange(6))], unread[key][n:]
            if key == "gap":
                for one in portion:
                    out += order.gap(one)
                continue
            partition = order.partitions[key]
            if portion:
                partition.offset, partition.at_ms = portion[-1].offset() + 1, portion[-1].timestamp()[1]
                put(partition, *(one for one in portion if scope.has_key(one.key())))
            partition.is_read = not unread[key] and rng.random() < 0.5
        out += advanced(order, now)
        now += 0.01
    for partition in order.partitions.values():
        partition.is_read = True
    out += advanced(order, now)
    assert order.first_gaps() == ({}, ())
    return out


def put(partition: Partition, *messages: Message) -> None:
    partition.add(MessageList(messages))


def advanced(order: Ordering, now: float) -> list[Event]:
    out: list[Event] = []
    order.advance(now, out)
    return out


def identity(event: Event) -> int:
    return event.receive_time_ns - NS


def of_key(events: list[Event], stream: str, symbol: str) -> list[int]:
    """The events of a key and the gaps about it."""
    return [
        identity(event)
        for event in events
        if (isinstance(event, Gap) and event.stream in ("", stream) and event.symbol in ("", symbol))
        or (event.stream_type == stream and event.symbol == symbol)
    ]


def is_wide(event: Event) -> bool:
    return isinstance(event, Gap) and not (event.stream and event.symbol)


@given(st.integers())
def test_every_gap_is_in_its_place_for_every_symbol(seed: int) -> None:
    rng = random.Random(seed)
    ring = Ring(rng, 60)
    got = read(ring, rng)
    assert len(got) == len(ring.records), "each record once"
    for stream in ("trade", "book_ticker"):
        for symbol in SYMBOLS:
            seen, expected = of_key(got, stream, symbol), of_key(ring.records, stream, symbol)
            gaps = {identity(event) for event in ring.records if isinstance(event, Gap)}
            assert [one for one in seen if one not in gaps] == [one for one in expected if one not in gaps]
            for index, one in enumerate(expected):
                if one in gaps:
                    before = [other for other in seen[: seen.index(one)] if other not in gaps]
                    later = [other for other in expected[index:] if other not in gaps]
                    assert not set(before) & set(later), f"gap {one} comes behind an event that it stands before"


@given(st.integers())
def test_of_some_symbols_and_streams(seed: int) -> None:
    rng = random.Random(seed)
    ring = Ring(rng, 60)
    scope = Scope(frozenset({"binance"}), frozenset(SYMBOLS[:1]), frozenset({"trade"}))
    assert sorted(map(identity, read(ring, rng, scope))) == of_key(ring.records, "trade", SYMBOLS[0])


def ready(order: Ordering, *keys: tuple[str, int]) -> list[Partition]:
    order.partitions = {key: Partition(*key, 0) for key in keys}
    return list(order.partitions.values())


def test_a_connections_gap_waits_for_what_other_partitions_have_before_it() -> None:
    order = Ordering(Scope(), ["trade", "book_ticker"], 0)
    trades, quotes = ready(order, ("trade", 0), ("book_ticker", 0))
    assert order.gap(Message(gap(NS + 3, "", ""), 3, 0, 0, 30)) == []
    put(trades, Message(trade(1), 1, 0, 0, 10), Message(trade(4, gap_ns=NS + 3), 4, 0, 1, 40))
    trades.at_ms = 40
    assert [identity(event) for event in advanced(order, 0)] == [1]
    put(quotes, Message(quote(2), 2, 0, 0, 20))
    quotes.at_ms = 20
    assert [identity(event) for event in advanced(order, 0)] == [2]
    quotes.is_read = True
    assert [identity(event) for event in advanced(order, 0)] == [3, 4]


def test_a_gap_is_waited_for_and_no_longer_than_that() -> None:
    order = Ordering(Scope(), ["trade"], NS)
    (trades,) = ready(order, ("trade", 0))
    put(trades, Message(trade(4, gap_ns=NS - 9), 4, 0, 0, 10), Message(trade(5, gap_ns=NS + 5), 5, 0, 1, 10))
    assert [identity(event) for event in advanced(order, 0)] == [4], (
        "what is older than what was read is not waited for"
    )
    assert advanced(order, GAP_SECONDS - 1) == []
    assert trades.next_offset == 1
    told = advanced(order, GAP_SECONDS)
    assert isinstance(told[0], Gap)
    assert (told[0].cause, told[0].symbol, told[0].ended_ns) == ("unknown", "BTCUSDT", NS + 5)
    assert [identity(event) for event in told] == [5, 5]
    put(trades, Message(trade(6, gap_ns=NS + 5), 6, 0, 2, 10))
    assert [identity(event) for event in advanced(order, GAP_SECONDS)] == [6], "told once"


def test_an_event_waits_its_own_time_whatever_another_one_waited_for() -> None:
    """The one before it went on because another partition gave the gap that it waited for."""
    order = Ordering(Scope(), ["trade", "book_ticker"], 0)
    quotes, trades = ready(order, ("book_ticker", 0), ("trade", 0))
    order.gap(Message(gap(NS + 3, "", "", GapCause.DISCONNECT), 3, 0, 0, 30))
    put(trades, Message(trade(4, gap_ns=NS + 3), 4, 0, 0, 40))
    trades.at_ms = 40
    assert advanced(order, 0) == [], "the other partition may have something that is before the gap"
    put(quotes, Message(quote(5, gap_ns=NS + 3), 5, 0, 0, 50))
    quotes.at_ms = 50
    assert sorted(identity(event) for event in advanced(order, 0)) == [3, 4, 5]
    put(trades, Message(trade(7, gap_ns=NS + 6), 7, 0, 1, 70))
    assert advanced(order, GAP_SECONDS) == [], "its gap is not late yet"
    order.gap(Message(gap(NS + 6), 6, 0, 1, 70))
    assert [identity(event) for event in advanced(order, GAP_SECONDS)] == [6, 7]


def test_states_of_a_gap_that_has_ended() -> None:
    order = Ordering(Scope(), ["trade"], NS)
    (trades,) = ready(order, ("trade", 0))
    trades.is_read = True
    began = gap(NS + 1, cause=GapCause.STALE)
    began.ended_ns = None
    assert order.gap(Message(began, 1, 0, 0, 10)) == []
    assert [getattr(event, "version", 0) for event in advanced(order, 0)] == [1]
    order.gap(Message(ended(began, NS + 2), 2, 0, 1, 10))
    assert [getattr(event, "version", 0) for event in advanced(order, 0)] == [2]


def test_where_reading_ends_the_gaps_behind_the_last_event_are_given() -> None:
    """Though nobody has said that the partition has nothing more: those up to the end of what is read, and once."""
    order = Ordering(Scope(), ["trade"], 0)
    (trades,) = ready(order, ("trade", 0))
    for number, at_ms in ((2, 20), (6, 60), (7, 70), (9, 90)):
        order.gap(Message(gap(NS + number, "", "", GapCause.DISCONNECT), number, 0, number, at_ms))
    put(trades, Message(trade(1), 1, 0, 0, 10), Message(trade(5, gap_ns=NS + 2), 5, 0, 1, 50))
    trades.at_ms = 50
    assert [identity(event) for event in advanced(order, 0)] == [1, 2, 5]
    assert [identity(event) for event in order.rest({0: 9})] == [6, 7]
    assert order.rest({0: 9}) == order.rest({}) == []
    assert order.first_gaps() == ({0: 9}, ()), "the last one came later"


def test_gaps_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "PENDING_MOST", 10)
    order = Ordering(Scope(), ["trade"], 0)
    ready(order, ("trade", 0))
    given_ = [event for n in range(1, 25) for event in order.gap(Message(gap(NS + n), n, 0, n, n))]
    assert [identity(event) for event in given_] == list(range(1, 15)), "the oldest first"
    first, others = order.first_gaps()
    assert (first, others) == ({0: 15}, ())
