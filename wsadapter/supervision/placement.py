"""Where and how a process runs: CPU affinity, niceness, locked memory, as configured for its role.

What the system refuses (a missing privilege, a limit) is said and borne: slower recording beats none.
"""

import ctypes
import os
from collections.abc import Callable
from typing import Final

from wsadapter import log
from wsadapter.config.load import ProcessConfig

_MCL_CURRENT_AND_FUTURE: Final = 3


def place(process: ProcessConfig) -> None:
    """Apply to this process."""
    if process.cpu:
        _attempt("cpu", lambda: os.sched_setaffinity(0, process.cpu))
    if process.nice:
        _attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, process.nice))
    if process.lock_memory:
        _attempt("lock_memory", _lock_memory)


def _attempt(setting: str, apply: Callable[[], object]) -> None:
    try:
        apply()
    except OSError as error:
        log.get_logger().warning("setting refused by the system, going on without", setting=setting, reason=str(error))


def _lock_memory() -> None:
    if ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT_AND_FUTURE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
