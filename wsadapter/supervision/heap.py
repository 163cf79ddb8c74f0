"""What the C library keeps of a child's memory: few arenas for all threads, and nothing for long that is free.

An arena gives back what is free at its end only: one small block behind a large batch keeps all of it. Of another C
library than glibc nothing is asked.
"""

import contextlib
import ctypes
import os
from typing import Final

ARENAS: Final = 2
"""A few threads of each process allocate, most of the time one of them."""
_M_ARENA_MAX: Final = -8
_LIBRARY: Final = ctypes.CDLL(None)


def share_arenas() -> None:
    """Each arena keeps what a large batch has needed once, and by default there are up to eight a core.
    ``MALLOC_ARENA_MAX`` in the environment has the word. Before the process has threads."""
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(AttributeError):
            _LIBRARY.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """All whole pages that are free, to the system. A tenth of a millisecond for some tens of megabytes, in which no
    other thread of the process allocates."""
    with contextlib.suppress(AttributeError):
        _LIBRARY.malloc_trim(0)
