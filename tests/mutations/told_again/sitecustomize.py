"""The monitor is told to stop once more when it has ended its work, and the interpreter no longer has its handlers."""

import os
import signal
import sys
from collections.abc import Callable


class _Told:
    def __del__(
        self, kill: Callable[[int, int], None] = os.kill, pid: int = os.getpid(), number: int = signal.SIGTERM
    ) -> None:
        kill(pid, number)


if "wsadapter.roles.monitor" in sys.orig_argv:
    told = _Told()
