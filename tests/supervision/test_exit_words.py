"""How a process ended is said in words: signal names, names of exit codes, last words."""

import signal

import pytest

from wsadapter.supervision.process import ExitStatus, ended


@pytest.mark.parametrize(
    ("code", "killed_as", "words", "expected"),
    [
        (0, "", "", ExitStatus("exit", "exit 0 (OK)", 0)),
        (1, "", "", ExitStatus("exit", "exit 1", 1)),
        (70, "", "ValueError: x", ExitStatus("exit", "exit 70 (INTERNAL): ValueError: x", 70)),
        (78, "", "feed: none", ExitStatus("config", "exit 78 (CONFIG): feed: none", 78)),
        (-signal.SIGSEGV, "", "", ExitStatus("signal", "SIGSEGV", -11)),
        (-signal.SIGKILL, "", "", ExitStatus("signal", "SIGKILL, perhaps out of memory", -9)),
        (-signal.SIGKILL, "hung", "", ExitStatus("hung", "killed, it hung", -9)),
        (-signal.SIGKILL, "deadline", "", ExitStatus("signal", "killed, it did not stop in time", -9)),
        (-signal.SIGKILL, "killed, second stop signal", "", ExitStatus("signal", "killed, second stop signal", -9)),
        (-(signal.SIGRTMIN + 3), "", "", ExitStatus("signal", f"signal {signal.SIGRTMIN + 3}", -(signal.SIGRTMIN + 3))),
    ],
)
def test_words(code: int, killed_as: str, words: str, expected: ExitStatus) -> None:
    assert ended(code, killed_as, words) == expected
