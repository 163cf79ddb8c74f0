"""Names for what tests share: databases, topics and consumer groups of a broker and an engine of the whole run,
segments of the machine."""

import itertools
import os

_numbers = itertools.count()


def fresh(stem: str) -> str:
    """A name that no other test of this run has: rows of two tests in one database would be each other's doubles."""
    return f"{stem}{os.getpid()}x{next(_numbers)}"
