"""A start that failed, under a service manager: it is held for a moment before the process ends.

supervisord has no pause between two starts of a program with ``startsecs = 0``, which it needs to look at exit codes
from the first moment on; the unit starts again without an end. So what fails at once holds on here: an ordinary
failure until the process is `FAILED_SECONDS` old; another supervisor in the state directory until that one is gone (its
recording goes on meanwhile, and the next start replaces it), `RUNNING_SECONDS` at most.

What a restart cannot mend (usage, configuration) is not held, and nothing is when a person waits for the answer.
"""

import contextlib
import os
import select
import time
from collections.abc import Iterator, Mapping
from typing import Final

import click

from wsadapter.errors import AlreadyRunning, ConfigError, SchemaMismatch, StaleBuild

FAILED_SECONDS: Final = 5.0
RUNNING_SECONDS: Final = 60.0
MANAGERS: Final = ("SUPERVISOR_ENABLED", "NOTIFY_SOCKET")
"""What supervisord and systemd (Type=notify) set in the environment of what they start."""


@contextlib.contextmanager
def held_when_failed(environ: Mapping[str, str]) -> Iterator[None]:
    """For the whole of a run. The error goes on to the caller."""
    managed = any(environ.get(name) for name in MANAGERS)
    begun = time.monotonic()
    try:
        yield
    except (ConfigError, SchemaMismatch, StaleBuild):
        raise
    except AlreadyRunning as error:
        if managed:
            click.echo(f"{error}. Waiting {RUNNING_SECONDS:.0f} s for it to end", err=True)
            _wait_gone(error.pid, RUNNING_SECONDS)
        raise
    except Exception:
        if managed:
            _wait_gone(0, max(0.0, begun + FAILED_SECONDS - time.monotonic()))
        raise


def _wait_gone(pid: int, seconds: float) -> None:
    """Until this process is gone, ``seconds`` at most; 0 or one that cannot be seen: so many seconds."""
    poll = select.poll()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if pid:
                fd = os.pidfd_open(pid)
                stack.callback(os.close, fd)
                poll.register(fd, select.POLLIN)
        poll.poll(seconds * 1000)
