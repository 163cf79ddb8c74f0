"""Exit codes and the errors that callers tell apart by what they do next.

`ConfigError` -> say all of it and exit 78. `AlreadyRunning` -> exit 73: nothing is wrong, and it may be over later.
`SchemaMismatch` -> at start exit 78, later pause and alarm. `ServiceUnavailable` -> retry, or exit 69 where a command
needs the service. Any other error ends the process and the supervisor starts it again.
"""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit says (sysexits.h where it has a word for it)."""

    OK = 0
    USAGE = 64
    UNAVAILABLE = 69
    """A needed service is not there."""
    INTERNAL = 70
    CHILDREN = 71
    """Children would not stay up."""
    ALREADY_RUNNING = 73
    """Another supervisor has the state directory (EX_CANTCREAT)."""
    LOSS = 75
    """Stopped with loss, or the drain deadline was hit."""
    CONFIG = 78
    """Configuration, a schema mismatch at start included."""


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


class ServiceUnavailable(WsadapterError):
    """Kafka, ClickHouse or an embedded part is not there."""

    exit_code = ExitCode.UNAVAILABLE


class SegmentError(WsadapterError):
    """A shared memory segment cannot be created or must not be attached; the message names it and says why."""


class RecordTooLarge(WsadapterError):
    """A record does not fit a ring even when it is empty."""
