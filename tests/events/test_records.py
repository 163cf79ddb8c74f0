"""An event becomes a ring record and a record a message, with the same fields, in C and in Python."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ring_records import event_of
from samples import full, random_event, sparse

from wsadapter.events import Depth, Event, Gap, records
from wsadapter.events.decimals import split_book
from wsadapter.events.records import BAD_EVENT, field_numbers, in_python, messages_in_python
from wsadapter.events.streams import BY_EVENT, SPECS, columns
from wsadapter.pb import market_pb2

EPOCH, POSITION = 1_790_771_371_858_000_001, 4096
TWINS = [pytest.param(in_python(), id="python"), pytest.param(records.encode, id="as built")]
JOINERS = [pytest.param(messages_in_python, id="python"), pytest.param(records.messages, id="as built")]
Encode = Callable[[Event], bytes]
Join = Callable[..., Any]


def joined(event: Event, payload: bytes, join: Join = records.messages) -> tuple[bytes, bytes]:
    kind = BY_EVENT[type(event)].kind
    made: list[dict[str, bytes]] = []
    assert join([(POSITION, kind, payload)], EPOCH, {kind: made}) == []
    return made[0]["key"], made[0]["value"]


@pytest.mark.parametrize("join", JOINERS)
@pytest.mark.parametrize("encode", TWINS)
@pytest.mark.parametrize("event", full() + sparse(), ids=lambda e: type(e).__name__)
def test_message_has_the_fields_of_the_event(event: Event, encode: Encode, join: Join) -> None:
    spec = BY_EVENT[type(event)]
    key, value = joined(event, encode(event), join)
    message = getattr(market_pb2, spec.message).FromString(value)

    assert key == f"{event.exchange}:{event.symbol}".encode()
    assert value[:18] == b"\x09" + EPOCH.to_bytes(8, "little") + b"\x11" + POSITION.to_bytes(8, "little")
    assert (message.epoch, message.position) == (EPOCH, POSITION)
    for field in event.__struct_fields__:
        expected, got = getattr(event, field), getattr(message, field)
        if expected is None:
            assert not message.HasField(field), field
        else:
            assert (list(got) if isinstance(expected, list) else got) == expected, field
            assert isinstance(expected, list) or type(got) in (type(expected), int), field


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_field_numbers_and_presence_are_those_of_the_proto_file(spec: object) -> None:
    event = spec.event  # type: ignore[attr-defined]
    fields = getattr(market_pb2, event.__name__).DESCRIPTOR.fields_by_name
    assert field_numbers(event) == {name: fields[name].number for name in event.__struct_fields__}
    assert {c.field: (c.nullable or c.implied, c.repeated) for c in columns(event)} == {
        name: (fields[name].has_presence, fields[name].is_repeated) for name in event.__struct_fields__
    }


@given(st.integers())
def test_both_write_the_same_bytes(seed: int) -> None:
    event = random_event(random.Random(seed))
    payload = records.encode(event)

    assert payload == in_python()(event)
    assert event_of(BY_EVENT[type(event)].kind, payload) == event


@pytest.mark.parametrize("encode", TWINS)
def test_an_ordinal_of_zero_costs_nothing(encode: Encode) -> None:
    (book,) = (event for event in sparse() if type(event) is Depth)
    without = encode(book)
    assert b"\xc8\x01" not in without, "tag of field 25"
    book.ordinal = 1
    assert encode(book) == without + b"\xc8\x01\x01"


def test_a_book_that_is_still_text() -> None:
    (depth,) = (event for event in full() if type(event) is Depth)
    columns_of_text = split_book(b'[["61800.20","2.909"],["61800.1","0"]]', b"[]")
    lists = tuple(list(column) for column in columns_of_text)

    def book(sides: tuple[object, ...]) -> bytes:
        fields = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
        for field, side in zip(fields, sides, strict=True):
            setattr(depth, field, side)
        return records.encode(depth)

    assert lists == (["61800.20", "61800.1"], ["2.909", "0"], [], [])
    assert book(columns_of_text) == book(lists)


@pytest.mark.parametrize("encode", TWINS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("price", 1.5), ("price", None), ("trade_number", "7"), ("receive_time_ns", 2**63), ("buyer_is_maker", "yes"),
     ("symbol", "\ud800"), ("symbol", "x" * 300), ("source", None)],
)  # fmt: skip
def test_what_can_never_be_a_message_is_refused(encode: Encode, field: str, value: object) -> None:
    (event,) = (event for event in full() if type(event).__name__ == "Trade")
    good = encode(event)
    kept = getattr(event, field)
    setattr(event, field, value)
    with pytest.raises(BAD_EVENT):
        encode(event)
    setattr(event, field, kept)
    assert encode(event) == good, "the next one is not spoilt"


@pytest.mark.parametrize("encode", TWINS)
def test_only_events_have_records(encode: Encode) -> None:
    with pytest.raises(BAD_EVENT):
        encode("trade")  # type: ignore[arg-type]


@pytest.mark.parametrize("join", JOINERS)
def test_what_is_no_record_is_returned(join: Join) -> None:
    good = records.encode(full()[3])
    left = [(1, 4, b""), (2, 99, good), (3, 4, b"\x05abcde"), (4, 4, b"\xff"), (5, 4, b"\x00")]
    made: list[dict[str, bytes]] = []

    assert join([*left, (6, 4, good)], EPOCH, {4: made}) == left
    assert len(made) == 1


def test_a_gap_without_a_name_has_that_of_its_record() -> None:
    (gap,) = (event for event in full() if type(event) is Gap)
    gap.gap_id = ""
    message = records.message_of((POSITION, BY_EVENT[Gap].kind, records.encode(gap)), EPOCH)

    assert message.gap_id == f"{EPOCH}:{POSITION}"


def test_memory_is_given_back() -> None:
    """A reused message keeps every string it ever held, until it is renewed."""
    encode = in_python()
    (event,) = (event for event in full() if type(event).__name__ == "Trade")
    event.trade_id = "x" * 1000  # type: ignore[attr-defined]

    def rss() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def run() -> None:
        for _ in range(40_000):
            encode(event)

    run()
    before = rss()
    run()
    run()
    assert rss() - before < 10_000_000, "80 MB went through"
