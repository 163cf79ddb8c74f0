"""Segments for the tests, none of which is left in /dev/shm."""

import itertools
import os
from collections.abc import Iterator

import pytest

from wsadapter.shm import segment as shm

_numbers = itertools.count()


@pytest.fixture
def segment_name() -> Iterator[str]:
    """A name nobody uses; whatever is under it at the end is removed."""
    name = f"wsadapter-test{os.getpid()}-{next(_numbers)}"
    yield name
    shm.Segment.unlink(name)
