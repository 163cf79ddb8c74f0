"""The time at which a client receives: nanoseconds of the wall clock, and one process never goes back.

Where the wall clock is set back, ours runs on at half its pace until the other has caught up: five seconds take ten.
Where it is set forward ours follows at once. So what one process dates is in the order in which it came, and no gap
ends before it begins. Its two cells are memory that the reader in C (`wsadapter.client.reader`) dates from, too; one
thread uses them.
"""

import time
from array import array
from typing import Final


class ReceiveClock:
    """``cells``: the last time that was given, and the monotonic clock's at that moment."""

    def __init__(self) -> None:
        self.cells = memoryview(array("q", (0, 0)))

    def now_ns(self) -> int:
        cells, monotonic_ns = self.cells, time.monotonic_ns()
        now_ns = max(time.time_ns(), cells[0] + (monotonic_ns - cells[1]) // 2)
        cells[0], cells[1] = now_ns, monotonic_ns
        return now_ns


clock: Final = ReceiveClock()
"""Of this process: all of its connections agree."""
