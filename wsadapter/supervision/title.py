"""How a process is called in ps, top and `systemctl status`: two ingests are otherwise the same line.

The kernel shows as the command line what stands where the arguments of the program were, and nothing else can be told
to it without a privilege; the interpreter has copies of its own. Where the place is not known nothing is changed.
"""

import ctypes
from typing import Final

_PR_SET_NAME: Final = 15
_MOST_NAME: Final = 15
"""Bytes that the kernel keeps of a thread's name."""
_ARG_START, _ARG_END = 45, 46
"""In /proc/PID/stat, counted from behind the name (proc(5): fields 48 and 49)."""


def title(role: str, name: str) -> str:
    """``wsadapter: ingest binance-0``; of a role that has one process the role alone."""
    return f"wsadapter: {role}" + (f" {name}" if name != role else "")


def set_title(role: str, name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:_MOST_NAME], 0, 0, 0)
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    except (OSError, IndexError, ValueError):
        return
    if room := max(0, end - start) if start else 0:
        ctypes.memmove(start, title(role, name).encode()[: room - 1].ljust(room, b"\0"), room)
