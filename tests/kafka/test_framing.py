"""Messages become rows of an insert's body, and what was delivered before none: in C and in Python the same."""

import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter import native
from wsadapter.kafka.framing import FEW, NO_STOP, Frame, frame, frame_in_python
from wsadapter.kafka.messages import varint

U64 = 2**64 - 1
BOTH = pytest.mark.parametrize("make", [frame_in_python, frame], ids=["python", "as built"])
NOT_OURS = (None, b"", b"hello", b"\x09" * 17, b"\x09" * 40, b"\x11" * 18, b"\x09" + bytes(8) + b"\x12" + bytes(9))


def value(epoch: int, position: int, more: bytes = b"") -> bytes:
    return struct.pack("<BQBQ", 9, epoch, 17, position) + more


def framed(make: Frame, log: Sequence[tuple[int, bytes | None]], marks: dict[int, int], **said: int) -> Any:
    """What it answers, the offsets of the rows, the marks and the body behind what was there."""
    offsets, values, body = [offset for offset, _ in log], [content for _, content in log], bytearray(b"INSERT\n")
    after = dict(marks)
    index, next_offset, redelivered, rows = make(
        values, offsets, said.get("first", 0), said.get("next_offset", 0), said.get("stop", NO_STOP), after, body
    )
    assert body.startswith(b"INSERT\n")
    count = len(rows) // 8
    return index, next_offset, redelivered, struct.unpack(f"={count}q", rows), after, bytes(body[7:])


@BOTH
def test_rows_are_messages_behind_their_length(make: Frame) -> None:
    values = [value(1, n, b"x" * size) for n, size in enumerate((0, 1, 109, 110, 16_365, 16_366, 40_000, 2_100_000))]

    index, next_offset, redelivered, rows, marks, body = framed(make, [*enumerate(values, 5)], {})

    assert (index, next_offset, redelivered) == (len(values), 5 + len(values), 0)
    assert rows == tuple(range(5, 5 + len(values)))
    assert marks == {1: len(values) - 1}
    assert body == b"".join(varint(len(content)) + content for content in values)


@BOTH
def test_what_was_delivered_before_is_counted_and_no_row(make: Frame) -> None:
    identities = [(1, 5), (2, 1), (1, 6), (1, 6), (2, 1), (U64, U64), (U64, U64), (3, 0)]
    log = [(n, value(*identity)) for n, identity in enumerate(identities)]

    found = framed(make, log, {1: 5, 2: 0})

    assert found[:5] == (8, 8, 4, (1, 2, 5, 7), {1: 6, 2: 1, U64: U64, 3: 0})
    assert [*found[4]] == [1, 2, U64, 3], "those that moved are told apart by their order"


@BOTH
@pytest.mark.parametrize("spoilt", NOT_OURS)
@pytest.mark.parametrize("count", [2, FEW + 4])
def test_it_stops_at_what_does_not_begin_with_its_ring_identity(make: Frame, spoilt: bytes | None, count: int) -> None:
    log: list[tuple[int, bytes | None]] = [(n, value(1, n)) for n in range(count)]
    log[count - 1] = count - 1, spoilt

    assert framed(make, log, {})[:5] == (count - 1, count - 1, 0, tuple(range(count - 1)), {1: count - 2})
    assert framed(make, log, {}, first=count - 1)[:5] == (count - 1, 0, 0, (), {})


@BOTH
def test_it_takes_what_lies_between_the_next_offset_and_the_stop(make: Frame) -> None:
    log: list[tuple[int, bytes | None]] = [(n, value(1, n)) for n in (0, 1, 4, 5, 9, 10)]

    assert framed(make, log, {}, next_offset=2, stop=9)[:4] == (4, 6, 0, (4, 5))
    assert framed(make, log, {}, next_offset=11)[:4] == (6, 11, 0, ())
    assert framed(make, log, {}, stop=0)[:4] == (0, 0, 0, ())
    assert framed(make, [(0, b"not ours, and taken already"), *log], {}, next_offset=9)[:4] == (7, 11, 0, (9, 10))
    assert framed(make, [], {})[:4] == (0, 0, 0, ())


epochs = st.integers(0, 3) | st.just(U64)
contents = st.builds(value, epochs, st.integers(0, 40) | st.just(U64), st.sampled_from([b"", b"x" * 109, b"x" * 110]))


@given(
    st.lists(st.tuples(st.integers(0, 2), contents | st.sampled_from(NOT_OURS)), max_size=60)
    | st.integers(1, 60).map(lambda count: [(1, value(n % 3 // 2, n)) for n in range(count)]),
    st.dictionaries(epochs, st.integers(0, 20) | st.just(U64), max_size=3),
    st.integers(0, 20), st.integers(0, 90) | st.just(NO_STOP), st.integers(0, 3),
)  # fmt: skip
def test_c_and_python_frame_the_same(
    steps: list[tuple[int, bytes | None]], marks: dict[int, int], next_offset: int, stop: int, first: int
) -> None:
    log, offset = [], 0
    for further, content in steps:
        offset += further
        log.append((offset, content))
    said = {"first": min(first, len(log)), "next_offset": next_offset, "stop": stop}

    assert framed(frame, log, marks, **said) == framed(frame_in_python, log, marks, **said)


@pytest.mark.skipif(native.extension is None, reason="the C extension is not built, or not wanted")
def test_c_refuses_what_it_was_not_made_for() -> None:
    body, some = bytearray(b"before"), value(1, 1)
    for wrong in ((some, [0]), ([some], (0,)), ((some,), [0])):
        with pytest.raises(TypeError):
            frame(wrong[0], wrong[1], 0, 0, NO_STOP, {}, body)
    for values, offsets, first in (([some], [], 0), ([some], [0], 2), ([some], [0], -1)):
        with pytest.raises(ValueError, match="messages"):
            frame(values, offsets, first, 0, NO_STOP, {}, body)
    for offset in ("0", 2**63):
        with pytest.raises((TypeError, OverflowError)):
            frame([some, some], [0, offset], 0, 0, NO_STOP, {}, body)
    with pytest.raises(TypeError):
        frame([some], [0], 0, 0, NO_STOP, {1: "5"}, body)  # type: ignore[dict-item]
    with pytest.raises((TypeError, OverflowError)):
        frame([some], [0], 0, 0, NO_STOP, {1: -5}, body)
    assert body == b"before"
    with memoryview(body), pytest.raises(BufferError):
        frame([some], [0], 0, 0, NO_STOP, {}, body)


def test_a_body_that_grows_run_by_run_is_what_it_was_given() -> None:
    rng = random.Random(7)
    body, expected, position = bytearray(), b"", 0
    for _ in range(40):
        values = [value(1, position := position + 1, rng.randbytes(rng.randrange(300))) for _ in range(50)]
        frame(values, [*range(50)], 0, 0, NO_STOP, {}, body)
        expected += b"".join(varint(len(content)) + content for content in values)
    assert body == expected
