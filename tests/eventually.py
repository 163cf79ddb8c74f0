"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE: Final = 4.0
"""A deadline is there to end a test that hangs, not to judge how fast the machine is: each one is so much longer than
what a quiet machine needs."""

SOONEST, LATEST = 0.02, 0.2
"""Seconds between two looks."""


def eventually(predicate: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = "") -> T:
    """The first truthy value of ``predicate()``; fails with ``message`` after `PATIENCE` times ``timeout`` seconds.

    It looks often at first and ever more rarely, and rests at least as long as a look took: asking a monitor or a
    database all the time is a load that what it waits for does not need. A ``message`` that is called says how it was
    at the end."""
    begun = time.monotonic()
    looked = begun
    while not (value := predicate()):
        now = time.monotonic()
        if now > begun + PATIENCE * timeout:
            said = message() if callable(message) else message
            raise AssertionError(f"not within {PATIENCE * timeout} s: {said or predicate} (last value {value!r})")
        time.sleep(min(max(SOONEST, (now - begun) / 20, now - looked), LATEST))
        looked = time.monotonic()
    return value
