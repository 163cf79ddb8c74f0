"""How a child gets a process of its own: forked from one that has its imports already, else executed anew.

Executed: an interpreter starts and imports for some 0.3 s of CPU. Forked (`ForkServer`): 5 ms, and the imports share
their memory. Whoever is forked cannot tell, and nothing depends on the fork server: while it is not ready, has ended,
or the child has more descriptors than a message carries, children are executed.

Owned here: the fork server's process, and each child's end of the lifeline that the supervisor keeps.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from wsadapter import log
from wsadapter.config import environment
from wsadapter.supervision import sdnotify
from wsadapter.supervision.fork_server import GO, MESSAGE_BYTES, MOST_DESCRIPTORS, ForkReply, ForkRequest

_NOT_INHERITED: Final = (*sdnotify.ENVIRONMENT, *environment.SECRETS)
_PR_SET_CHILD_SUBREAPER: Final = 36
START_SECONDS: Final = 20.0
"""For the fork server to import."""
ANSWER_SECONDS: Final = 2.0
"""For the fork server to fork. One that takes longer is killed."""
AGAIN_SECONDS: Final = 10.0
"""From the end of a fork server to the start of the next one."""


class Spawned:
    """A started process, not waited for yet. ``lifeline``: what is written there the child reads."""

    def __init__(self, pid: int, lifeline: int, executed: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._lifeline = lifeline
        self._executed = executed

    def write(self, line: bytes) -> None:
        """BrokenPipeError when it is gone or listens to nothing."""
        os.write(self._lifeline, line)

    def wait(self) -> int:
        """Its exit code, or the negative number of a signal; the lifeline is closed."""
        if self._executed is not None:
            code = self._executed.wait()
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._lifeline)
        return code


def execute(package: str, arguments: int, descriptors: Collection[int]) -> Spawned:
    """Start ``python -m package arguments``, with these descriptors under their own numbers. OSError when the system
    refuses."""
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    try:
        process = subprocess.Popen(
            [*_python(package), str(arguments)],
            stdin=theirs,
            stdout=2,  # standard output is for the command's data
            pass_fds=(*descriptors, arguments),
            start_new_session=True,
            umask=0o077,
            env=_environ(),
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Spawned(process.pid, ours, process)


class ForkServer:
    """``packages``: whose ``__main__`` is imported there. Only for a process that is the parent of all of its children
    through this module, and collects strangers (`collect`)."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_ready = False
        self._start_at = 0.0

    def start(self) -> None:
        """Start it, if it is time to. What the system refuses is tried again later."""
        if self._process is not None or time.monotonic() < self._start_at:
            return
        self._start_at = time.monotonic() + AGAIN_SECONDS
        if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [*_python("wsadapter.supervision.fork_server"), str(theirs.fileno()), *self._packages],
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    umask=0o077,
                    env=_environ(),
                )
            except OSError as error:
                ours.close()
                log.get_logger().warning("fork server could not be started", reason=str(error))
                return
        self._control = ours

    @property
    def pid(self) -> int:
        """0: there is none."""
        return self._process.pid if self._process is not None else 0

    def fork(self, package: str, arguments: int, descriptors: Collection[int]) -> Spawned | None:
        """As `execute`; None: it cannot be done here and now. A first child waits for the imports."""
        if len(descriptors) + 2 > MOST_DESCRIPTORS:
            return None
        self.start()
        if self._control is None or not self._ready():
            return None
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        given = (theirs, arguments, *descriptors)
        request = msgspec.json.encode(ForkRequest(package, str(arguments), (0, *given[1:])))
        try:
            socket.send_fds(self._control, [request], given)
            reply = self._receive(ANSWER_SECONDS)
        except OSError as error:
            # a child that was forked all the same ends with its lifeline, before it has done anything
            os.close(ours)
            self._give_up(str(error) or type(error).__name__)
            return None
        finally:
            os.close(theirs)
        if reply.errno:
            os.close(ours)
            raise OSError(reply.errno, os.strerror(reply.errno))
        child = Spawned(reply.pid, ours)
        with contextlib.suppress(BrokenPipeError):  # it is gone already: its exit status says how
            child.write(GO)
        return child

    def close(self) -> None:
        """End it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._is_ready = False

    def _ready(self) -> bool:
        if not self._is_ready:
            try:
                self._receive(START_SECONDS)
                self._is_ready = True
            except OSError as error:
                self._give_up(str(error) or type(error).__name__)
        return self._is_ready

    def _receive(self, seconds: float) -> ForkReply:
        assert self._control is not None, "it was started"
        self._control.settimeout(seconds)
        answer = self._control.recv(MESSAGE_BYTES)
        if not answer:
            raise ConnectionResetError("it has ended")
        return msgspec.json.decode(answer, type=ForkReply)

    def _give_up(self, reason: str) -> None:
        log.get_logger().warning("children are started without the fork server", reason=reason, seconds=AGAIN_SECONDS)
        self.close()
        self._start_at = time.monotonic() + AGAIN_SECONDS


def collect(known: Collection[int]) -> None:
    """Collect the exit status of ended processes that children left behind: a subreaper has them as its own. Those
    that are ``known`` are collected by others."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in known:
            os.waitpid(ended.si_pid, 0)


def _python(package: str) -> list[str]:
    # -P: a file in the working directory must not be taken for a module
    return [sys.executable, "-P", "-m", package]


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
