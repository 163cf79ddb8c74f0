"""A cursor is read as one of the values that were stored, never as a mixture and never as 0."""

import time
from collections.abc import Collection

import pytest
from shm.ring_child import PATTERNS, WORD, end, start

from wsadapter.shm.segment import Segment


def values_seen(name: str, how: str, wanted: Collection[int], least: float, most: float) -> dict[int, int]:
    """What this process reads while another flips the two patterns: until it has seen ``wanted``, for seconds."""
    segment = Segment.create(name, 4096)
    child = start("flip", name, how)
    words = segment.buf.cast("Q")
    seen: dict[int, int] = {}
    begun = time.monotonic()
    try:
        while (elapsed := time.monotonic() - begun) < least or (elapsed < most and not seen.keys() >= set(wanted)):
            for _ in range(100_000):
                value = words[WORD]
                if value in seen:
                    seen[value] += 1
                else:
                    seen[value] = 1
    finally:
        end(child)
        words.release()
        segment.close()
    return seen


def test_aligned_cast_neither_tears_nor_shows_zero(segment_name: str) -> None:
    seen = values_seen(segment_name, "cast", PATTERNS, 1.0, 100.0)
    assert set(PATTERNS) == set(seen), {hex(value): count for value, count in seen.items()}


def test_the_test_would_see_it(segment_name: str) -> None:
    seen = values_seen(segment_name, "pack_into", (0,), 0.0, 5.0)
    if 0 not in seen:
        pytest.skip("this Python's struct.pack_into does not zero-fill, or one core runs both processes")
    assert set(seen) - set(PATTERNS) == {0}
