"""Exit codes and the errors that callers tell apart by what they do next.

`ConfigError` -> say all of it and exit 78. `AlreadyRunning` -> exit 73: nothing is wrong, and it may be over later.
`SchemaMismatch` -> at start exit 78, later pause and alarm. `ServiceUnavailable` -> retry, or exit 69 where a command
needs the service. Any other error ends the process and the supervisor starts it again.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """What the command's exit says (sysexits.h where it has a word for it; what a signal ended, as a shell says it)."""

    OK = 0
    USAGE = 64
    UNAVAILABLE = 69
    INTERNAL = 70
    CHILDREN = 71
    ALREADY_RUNNING = 73
    LOSS = 75
    CONFIG = 78
    INTERRUPTED = 130
    PIPE = 141


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "clean; a stop that drained all",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.UNAVAILABLE: "a service that is needed is not there",
    ExitCode.INTERNAL: "an error of ours; the log has it",
    ExitCode.CHILDREN: "no essential child process would stay up",
    ExitCode.ALREADY_RUNNING: "another supervisor has the state directory, or a process the shared memory",
    ExitCode.LOSS: "stopped with loss or at the deadline of the drain; something is missing, or was not done",
    ExitCode.CONFIG: "the configuration, or tables that do not match it",
    ExitCode.INTERRUPTED: "Ctrl-C before the end, of a command that has one",
    ExitCode.PIPE: "the reader of the output was gone before the end, of a command that has one",
}
"""What an operator reads of each."""


class WsadapterError(Exception):
    """Base of all our own errors; ``exit_code`` is what the process ends with when nobody handles it."""

    exit_code = ExitCode.INTERNAL


class ConfigError(WsadapterError):
    """Everything that is wrong with the configuration: (key path, what is wrong with it)."""

    exit_code = ExitCode.CONFIG

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(f"{path}: {message}" for path, message in self.errors))


class AlreadyRunning(WsadapterError):
    """A live supervisor has the state directory; ``pid`` is its process, 0 when it is not known."""

    exit_code = ExitCode.ALREADY_RUNNING

    def __init__(self, state_dir: str, pid: int) -> None:
        self.pid = pid
        who, end = (f"pid {pid}", f"kill -TERM {pid}") if pid else ("an unknown pid", "send it SIGTERM")
        super().__init__(
            f"service.state_dir: {state_dir} is in use by the supervisor with {who}, which records. To replace it: "
            f"{end}, then start again. To run a second instance: give it a service.state_dir of its own"
        )


class SchemaMismatch(WsadapterError):
    """A table, view or topic exists and is not what we would create; the message names it."""

    exit_code = ExitCode.CONFIG


class StaleBuild(WsadapterError, ImportError):
    """The C extension is there and is not of this version."""

    exit_code = ExitCode.CONFIG

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: build it again with `make setup`, or set WSADAPTER_PURE=1 to run without it")


class Reason(IntEnum):
    """Why a service does not do what it is asked, as far as is known. The number stands in cells of stats pages."""

    UNKNOWN = 0
    REFUSED = 1
    NAME = 2
    TLS = 3
    AUTHENTICATION = 4
    AUTHORIZATION = 5
    MISSING = 6
    SLOW = 7
    NOT_ASKED = 8
    """Something else is waited for first."""
    FOREIGN = 9
    """Of several endpoints one whose tables are not those of the others."""
    NOT_READY = 10
    """It answers: somebody has just become responsible for it (a start, a broker that went), and will do it soon."""

    @classmethod
    def _missing_(cls, value: object) -> "Reason":
        """What the page of another version says."""
        return cls.UNKNOWN

    def sentence(self, service: str, detail: str = "") -> str:
        """What is said of it wherever it is said: `check`, log, /readyz, `status`."""
        text = service + _SENTENCES[self]
        return f"{text}: {detail}" if detail and self not in _SAYING_ALL else text


_SENTENCES: Final = {
    Reason.UNKNOWN: " does not answer",
    Reason.REFUSED: " does not answer: connection refused",
    Reason.NAME: " does not answer: name not known",
    Reason.TLS: ": TLS failed",
    Reason.AUTHENTICATION: " refuses: authentication failed",
    Reason.AUTHORIZATION: " refuses: not authorized",
    Reason.MISSING: ": not there",
    Reason.SLOW: " does not answer in time",
    Reason.NOT_ASKED: " is not asked yet",
    Reason.FOREIGN: " is not used, it does not share the tables of the other endpoints",
    Reason.NOT_READY: " is not ready yet",
}
_SAYING_ALL: Final = (Reason.REFUSED, Reason.NAME, Reason.NOT_ASKED)
"""A detail only says the same again."""


class ServiceUnavailable(WsadapterError):
    """Kafka, ClickHouse or an embedded part is not there; ``reason``: the kind of cause, where it is known."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, text: str, reason: Reason = Reason.UNKNOWN) -> None:
        super().__init__(text)
        self.reason = reason


class SegmentError(WsadapterError):
    """A shared memory segment cannot be created or must not be attached; the message names it and says why."""


class RecordTooLarge(WsadapterError):
    """A record does not fit a ring even when it is empty."""
