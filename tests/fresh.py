"""Names for what tests share: databases, topics and consumer groups of a broker and an engine of the whole run,
segments of the machine."""

import contextlib
import itertools
import os
import urllib.request

_numbers = itertools.count()


def fresh(stem: str) -> str:
    """A name that no other test of this run has: rows of two tests in one database would be each other's doubles."""
    return f"{stem}{os.getpid()}x{next(_numbers)}"


def drop_database(url: str, name: str) -> None:
    """What is left of a test in an engine of the whole run: the engine looks after every table, the used ones, too.

    Nothing where the engine is gone with its test."""
    for database in (f"{name}_inner", name):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, f"DROP DATABASE IF EXISTS {database}".encode(), timeout=30).close()
