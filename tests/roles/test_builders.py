"""A ring record becomes a message with the same fields, and identity comes first."""

import msgspec
import pytest
from samples import full, sparse

from wsadapter.builders import BAD_RECORD, BUILDERS, renew
from wsadapter.events import Event, Gap
from wsadapter.pb import market_pb2
from wsadapter.streams import BY_EVENT

EPOCH, POSITION = 1_790_771_371_858_000_001, 4096


@pytest.mark.parametrize("event", full() + sparse(), ids=lambda e: type(e).__name__)
def test_message_has_the_fields_of_the_event(event: Event) -> None:
    spec = BY_EVENT[type(event)]
    key, value = BUILDERS[spec.kind](msgspec.msgpack.encode(event), EPOCH, POSITION)
    message = getattr(market_pb2, spec.message).FromString(value)

    assert key == f"{event.exchange}:{event.symbol}".encode()
    assert (message.epoch, message.position) == (EPOCH, POSITION)
    for field in event.__struct_fields__:
        expected, got = getattr(event, field), getattr(message, field)
        if isinstance(event, Gap) and field == "gap_id" and not expected:
            assert got == f"{EPOCH}:{POSITION}"
        elif expected is None:
            assert not message.HasField(field), field
        else:
            assert (list(got) if isinstance(expected, list) else got) == expected, field
            assert isinstance(expected, list) or type(got) in (type(expected), int), field


def test_identity_is_the_first_eighteen_bytes() -> None:
    event = full()[3]
    _, value = BUILDERS[BY_EVENT[type(event)].kind](msgspec.msgpack.encode(event), EPOCH, POSITION)

    expected = b"\x09" + EPOCH.to_bytes(8, "little") + b"\x11" + POSITION.to_bytes(8, "little")
    assert value[:18] == expected


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode(["x"] * 40), b"\xff" * 100])
@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_record_that_is_no_event_is_named_so(kind: int, payload: bytes) -> None:
    with pytest.raises(BAD_RECORD):
        BUILDERS[kind](payload, EPOCH, POSITION)


def test_nothing_of_one_event_is_left_in_the_next() -> None:
    for one, other in zip(full(), sparse(), strict=True):
        build = BUILDERS[BY_EVENT[type(one)].kind]
        expected = build(msgspec.msgpack.encode(other), EPOCH, POSITION)
        build(msgspec.msgpack.encode(one), EPOCH, 1)
        assert build(msgspec.msgpack.encode(other), EPOCH, POSITION) == expected


def test_a_bad_record_does_not_spoil_the_next() -> None:
    for event in full():
        build = BUILDERS[BY_EVENT[type(event)].kind]
        expected = build(msgspec.msgpack.encode(event), EPOCH, POSITION)
        with pytest.raises(BAD_RECORD):
            build(msgspec.msgpack.encode(["x"] * 40), EPOCH, 1)
        assert build(msgspec.msgpack.encode(event), EPOCH, POSITION) == expected


def test_memory_is_given_back() -> None:
    """A reused message keeps every string it ever held, until it is renewed."""
    events = [msgspec.msgpack.encode(msgspec.structs.replace(full()[3], trade_id="x" * 1000)) for _ in range(10)]
    build = BUILDERS[BY_EVENT[type(full()[3])].kind]

    def rss() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def run() -> None:
        for number in range(20_000):
            build(events[number % 10], EPOCH, number)
        renew()

    run()
    before = rss()
    for _ in range(5):
        run()
    assert rss() - before < 10_000_000, "100 MB went through"
