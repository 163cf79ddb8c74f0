"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE: Final = 4.0
"""A deadline is there to end a test that hangs, not to judge how fast the machine is: each one is so much longer than
what a quiet machine needs."""


def eventually(predicate: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = "") -> T:
    """The first truthy value of ``predicate()``; fails with ``message`` after `PATIENCE` times ``timeout`` seconds.

    A ``message`` that is called says how it was at the end."""
    deadline = time.monotonic() + PATIENCE * timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            said = message() if callable(message) else message
            raise AssertionError(f"not within {PATIENCE * timeout} s: {said or predicate} (last value {value!r})")
        time.sleep(0.02)
    return value
