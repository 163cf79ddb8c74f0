"""Damaged and random frames: nothing escapes, a lost frame is counted once, and no event holds what must not pass."""

import json
import os
import random
from pathlib import Path

import pytest
from exchanges import fuzzing
from exchanges.binance_oracle import RECEIVED, exchange, symbols_in
from exchanges.fuzzing import mutated
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.exchanges.venue import Bad, Item

FRAMES = int(os.environ.get("WSADAPTER_FUZZ_FRAMES", "20000"))
SAMPLES = (Path(__file__).resolve().parents[1] / "frames" / "binance" / "documented.jsonl").read_bytes().splitlines()
SYMBOLS = sorted(set().union(*(symbols_in(json.loads(sample)) for sample in SAMPLES)))


def check(items: list[Item]) -> None:
    fuzzing.check(items, SYMBOLS)


@pytest.mark.parametrize("sample", SAMPLES, ids=range(len(SAMPLES)))
def test_a_frame_cut_anywhere_is_one_error(sample: bytes) -> None:
    venue = exchange(*SYMBOLS)
    for end in range(len(sample)):
        items = venue.receive(sample[:end], RECEIVED)

        assert [type(item) for item in items] == [Bad], sample[:end]
        check(items)


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
