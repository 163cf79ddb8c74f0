"""What embedded services have in common: a data directory for one process at a time, and how long they stay.

The lock is an flock, so it ends with the last process that holds it, however that ended. Kafka's JVM inherits it: a
wrapper that comes back at once waits for the JVM of the one before. The lock file holds the pid of the holder.

In an ordinary stop the supervisor sees to the order. When the supervisor is gone all its children drain at the same
moment: a service then stays for those who drain into it, until there is just the time left that its own end takes.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision.child import Child

RETRY_SECONDS: Final = 0.05


class DataDirectory:
    """A locked directory (mode 0700, made when missing)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_lock(self) -> bool:
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def lock(self, child: Child, patience: float) -> bool:
        """Wait at most ``patience`` seconds, then refuse and name the holder; False when the child is to stop. An
        flock has no descriptor to wait on without a thread, hence the short waits."""
        deadline = time.monotonic() + patience
        while not self.try_lock():
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"{self.path} is in use by process {self.holder() or 'unknown'}")
            if child.stopping:
                return False
            child.beat()
            child.wait([], RETRY_SECONDS)
        return True

    def holder(self) -> str:
        return os.pread(self.lock_fd, 32, 0).decode(errors="replace").strip()

    def close(self) -> None:
        os.close(self.lock_fd)


def stays(child: Child, stop_seconds: float) -> bool:
    """Whether to go on serving; ``stop_seconds``: what the service's own end may take."""
    if not child.stopping:
        return True
    return child.orphaned and time.monotonic() < child.deadline - stop_seconds
