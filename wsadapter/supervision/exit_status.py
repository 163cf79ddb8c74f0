"""What the end of a process means, in words: signal names, names of exit codes, the child's own last words."""

import signal
from typing import Final

from msgspec import Struct

from wsadapter.errors import ExitCode

_HINTS: Final = {
    signal.SIGKILL: "SIGKILL, perhaps out of memory",
    signal.SIGBUS: "SIGBUS, perhaps /dev/shm is full or a segment was cut",
    signal.SIGALRM: "SIGALRM, it outlived its supervisor",
}


class ExitStatus(Struct, frozen=True):
    """How a run ended. ``reason``: a value of the label of ``child_restarts_total``."""

    reason: str
    text: str
    code: int
    """As `subprocess` gives it: negative = signal."""


def ended(code: int, killed_as: str = "", words: str = "") -> ExitStatus:
    """What an exit status means, in words."""
    if killed_as:
        text = {"hung": "killed, it hung", "deadline": "killed, it did not stop in time"}.get(killed_as, killed_as)
        return ExitStatus("hung" if killed_as == "hung" else "signal", text, code)
    if code < 0:
        number = signal.Signals(-code) if -code in set(signal.Signals) else None
        name = number.name if number is not None else f"signal {-code}"
        return ExitStatus("signal", _HINTS.get(number, name) if number is not None else name, code)
    name = f"exit {code} ({ExitCode(code).name})" if code in set(ExitCode) else f"exit {code}"
    return ExitStatus("config" if code == ExitCode.CONFIG else "exit", f"{name}: {words}" if words else name, code)
