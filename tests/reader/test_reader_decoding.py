"""Messages become the events that they were made of, in C and in Python, and both stop at the same messages."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import full, random_event, sparse

from wsadapter.events import Event, Source, records
from wsadapter.events.streams import BY_EVENT, BY_STREAM, SPECS, StreamSpec
from wsadapter.kafka.messages import varint
from wsadapter.reader import decoding
from wsadapter.reader.decoding import Decode, in_python, parser
from wsadapter.reader.events import FROZEN

EPOCH = 1_790_771_371_858_000_001
MAKERS = [
    pytest.param(in_python, id="python"),
    pytest.param(lambda spec: decoding.decoder(spec.name), id="as built"),
]
Make = Callable[[StreamSpec], Decode]


def message(event: Event, position: int = 4096, epoch: int = EPOCH) -> bytes:
    spec = BY_EVENT[type(event)]
    made: list[dict[str, bytes]] = []
    records.messages([(position, spec.kind, records.encode(event))], epoch, {spec.kind: made})
    return made[0]["value"]


def spec_of(event: Event) -> StreamSpec:
    return BY_EVENT[type(event)]


def trade() -> Event:
    return next(event for event in full() if type(event).__name__ == "Trade")


def everything(decode: Decode, values: list[bytes | None]) -> tuple[int, list[Event], dict[int, int]]:
    out: list[Event] = []
    marks: dict[int, int] = {}
    return decode(values, 0, marks, {}, AllKnown(), out), out, marks


class AllKnown:
    """Every gap is known."""

    def __contains__(self, at_ns: object) -> bool:
        return True


def same(got: Event, expected: Event) -> bool:
    """Field by field: a list is a tuple now, and words are words."""
    for field in expected.__struct_fields__:
        value, before = getattr(got, field), getattr(expected, field)
        if (list(value) if isinstance(value, tuple) else value) != (list(before) if _many(before) else before):
            return False
        if not _many(before) and type(value) is not type(before):
            return False
    return True


def _many(value: object) -> bool:
    return not isinstance(value, str) and hasattr(value, "__len__")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("event", full() + sparse(), ids=lambda event: type(event).__name__)
def test_an_event_comes_out_as_it_went_in(event: Event, make: Make) -> None:
    index, out, marks = everything(make(spec_of(event)), [message(event)])
    assert (index, len(out), marks) == (1, 1, {EPOCH: 4096})
    assert same(out[0], event)
    assert type(out[0]) is FROZEN[type(event)]
    assert isinstance(out[0], type(event))
    assert isinstance(out[0].source, Source)
    with pytest.raises(AttributeError):
        out[0].symbol = "ETHUSDT"


@given(st.integers())
def test_both_make_the_same_events(seed: int) -> None:
    rng = random.Random(seed)
    event = random_event(rng)
    values: list[bytes | None] = [message(event, 1 + rng.randrange(9), 1 + rng.randrange(2)) for _ in range(8)]
    spec = spec_of(event)
    assert everything(in_python(spec), values) == everything(decoding.decoder(spec.name), values)


@pytest.mark.parametrize("make", MAKERS)
def test_what_was_delivered_before_is_dropped(make: Make) -> None:
    values: list[bytes | None] = [message(trade(), position) for position in (8, 16, 8, 16, 24)]
    values += [message(trade(), 8, EPOCH + 1), message(trade(), 24)]
    out: list[Event] = []
    marks = {EPOCH: 8}
    assert make(spec_of(trade()))(values, 0, marks, {}, AllKnown(), out) == 7
    assert len(out) == 3
    assert marks == {EPOCH: 24, EPOCH + 1: 8}


@pytest.mark.parametrize("make", MAKERS)
def test_it_stops_before_a_gap(make: Make) -> None:
    decode, event = make(spec_of(trade())), trade()
    gap_ns = event.last_gap_ns or 0
    values: list[bytes | None] = [message(event, position) for position in (8, 16, 24)]
    out: list[Event] = []
    marks: dict[int, int] = {}
    assert decode(values, 0, marks, {EPOCH: 16}, {gap_ns}, out) == 1, "a gap with position 16 comes first"
    assert decode(values, 1, marks, {}, {}, out) == 1, "its gap is not known"
    assert (len(out), marks) == (1, {EPOCH: 8})
    assert decode(values, 1, marks, {EPOCH + 1: 1}, {gap_ns: None}, out) == 3
    assert (len(out), marks) == (3, {EPOCH: 24})


@pytest.mark.parametrize("make", MAKERS)
def test_it_stops_at_what_is_no_message_of_its_topic(make: Make) -> None:
    decode, good = make(spec_of(trade())), message(trade())
    for value in (None, b"", b"x" * 40, good[18:], good[:18], good[:-1], good + b"\x0b"):
        index, out, _ = everything(decode, [value, good])
        assert (index, out) == (0, []), value
    assert everything(decode, [good])[0] == 1, "the next one is not spoilt"


@pytest.mark.parametrize("make", MAKERS)
def test_fields_of_a_later_version_are_passed_over(make: Make) -> None:
    later = b"".join(
        varint(number << 3 | wire) + content
        for number, wire, content in (
            (60, 0, varint(2**64 - 1)), (61, 1, b"8 bytes."), (200, 2, b"\x03abc"), (3000, 5, b"four"),
        )
    )  # fmt: skip
    _, out, _ = everything(make(spec_of(trade())), [message(trade()) + later])
    assert same(out[0], trade())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@settings(max_examples=40)
@given(st.integers())
def test_damaged_messages(spec: StreamSpec, seed: int) -> None:
    """Whatever C makes of bytes, protobuf makes of them, too; what C does not take is for protobuf to say."""
    rng = random.Random(seed)
    event = next((event for event in (random_event(rng) for _ in range(40)) if spec_of(event) is spec), None)
    if event is None:
        return
    octets = bytearray(message(event))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(18, len(octets))
        match rng.randrange(4):
            case 0:
                octets[at] ^= 1 << rng.randrange(8)
            case 1:
                del octets[at : at + rng.randrange(5)]
            case 2:
                octets[at:at] = rng.randbytes(rng.randrange(4))
            case _:
                octets += octets[at : at + rng.randrange(12)]
        if len(octets) <= 19:
            return
    value = bytes(octets)
    index, out, _ = everything(decoding.decoder(spec.name), [value])
    if index == 1:
        parsed, identity = parser(spec)(value)
        assert out == [parsed], value
        assert identity == (EPOCH, 4096)
        assert repr(out[0]) == repr(parsed)


def test_a_word_of_a_later_version_stays_a_number() -> None:
    value = bytes(message(trade())).replace(b"\x40\x01", b"\x40\x09", 1)
    for make in (in_python, lambda spec: decoding.decoder(spec.name)):
        _, out, _ = everything(make(BY_STREAM["trade"]), [value])
        assert out[0].source == 9
