"""Damaged and random frames: nothing escapes, a lost frame is counted once, and no event holds what must not pass."""

import json
import os
import random
import re
from pathlib import Path

import pytest
from exchanges.binance_oracle import RECEIVED, exchange, symbols_in
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.events import Event
from wsadapter.events.records import encode
from wsadapter.events.streams import columns
from wsadapter.exchanges.venue import Acked, Bad, Item, Refused, Reply
from wsadapter.metrics import DECODE_ERROR_KINDS

FRAMES = int(os.environ.get("WSADAPTER_FUZZ_FRAMES", "20000"))
SAMPLES = (Path(__file__).resolve().parents[1] / "frames" / "binance" / "documented.jsonl").read_bytes().splitlines()
SYMBOLS = sorted(set().union(*(symbols_in(json.loads(sample)) for sample in SAMPLES)))
PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
SIGNED = {"price_change", "price_change_percent", "funding_rate"}
SPICE = (
    b'"', b"[", b"]", b"{", b"}", b",", b":", b"-", b".", b"e", b"\\", b"\x00", b"\xff", b"9" * 30, b"null", b"nan",
    b"[[[[", b"\\u0030", b"true", b'"T":', b'"p":"1e5",', b" ",
)  # fmt: skip


def check(items: list[Item]) -> None:
    for item in items:
        if isinstance(item, Bad):
            assert item.kind in DECODE_ERROR_KINDS
            assert item.detail.isascii()
            assert len(item.detail) <= (256 if item.kind == "unknown_event" else 64)
        elif isinstance(item, Event):
            check_event(item)
        else:
            assert isinstance(item, Acked | Refused | Reply)


def check_event(event: Event) -> None:
    assert event.symbol in SYMBOLS
    for column in columns(type(event)):
        value = getattr(event, column.field)
        if value is None:
            assert column.nullable, column.field
        elif column.decimal:
            for text in value if column.repeated else (value,):
                assert PLAIN.fullmatch(text.removeprefix("-") if column.field in SIGNED else text), column.field
        elif isinstance(value, int):
            assert -(2**63) <= value < 2**63, column.field
        else:
            assert isinstance(value, str), column.field
    encode(event)


@pytest.mark.parametrize("sample", SAMPLES, ids=range(len(SAMPLES)))
def test_a_frame_cut_anywhere_is_one_error(sample: bytes) -> None:
    venue = exchange(*SYMBOLS)
    for end in range(len(sample)):
        items = venue.receive(sample[:end], RECEIVED)

        assert [type(item) for item in items] == [Bad], sample[:end]
        check(items)


def mutated(sample: bytes, dice: random.Random) -> bytes:
    frame = bytearray(sample)
    for _ in range(dice.randint(1, 4)):
        at, to = sorted((dice.randrange(len(frame) + 1), dice.randrange(len(frame) + 1)))
        match dice.randrange(5):
            case 0:
                frame[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                frame[at:at] = dice.choice(SPICE)
            case 2:
                frame[at : at + dice.randint(1, 8)] = dice.choice(SPICE)
            case 3:
                del frame[at : min(to, at + 40)]
            case _:
                frame[at:at] = frame[at : min(to, at + 40)]
    return bytes(frame)


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_damaged_frames(seed: int) -> None:
    dice, venue = random.Random(seed), exchange(*SYMBOLS, names=("btcusdt@aggTrade",))
    venue.open()
    for _ in range(20):
        check(venue.receive(memoryview(mutated(dice.choice(SAMPLES), dice)), RECEIVED))


def test_many_damaged_and_random_frames() -> None:
    """One connection's life of them: nothing escapes, whatever came before. How many is the environment's to say."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, venue = random.Random(seed), exchange(*SYMBOLS, names=("btcusdt@aggTrade",))
    venue.open()
    bad = 0
    for number in range(FRAMES):
        frame = dice.randbytes(dice.randrange(200)) if number % 4 == 0 else mutated(dice.choice(SAMPLES), dice)
        items = venue.receive(frame, RECEIVED + number)
        check(items)
        bad += any(isinstance(item, Bad) for item in items)
    assert bad > FRAMES // 2


@given(st.binary(max_size=200))
def test_random_bytes_are_one_error(payload: bytes) -> None:
    items = exchange(*SYMBOLS).receive(payload, RECEIVED)

    assert len(items) == 1
    check(items)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=60)
def test_any_value_in_place_of_any_other(sample: bytes, data: st.DataObject) -> None:
    document = json.loads(sample)
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(json_values)
            break
        place = place[key]

    check(exchange(*SYMBOLS).receive(json.dumps(document).encode(), RECEIVED))


@given(json_values)
@settings(max_examples=50)
def test_any_document(document: object) -> None:
    check(exchange(*SYMBOLS).receive(json.dumps(document).encode(), RECEIVED))
