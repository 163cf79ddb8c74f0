"""Foreign programs (java, mvn) as children of a wrapper that must not leave them behind.

Guarantee: such a program is killed by the kernel when the wrapper is gone, however it went (PR_SET_PDEATHSIG SIGKILL,
set by a trampoline between fork and exec: a `preexec_fn` may deadlock, since the wrapper's logger has a thread).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from wsadapter.supervision.child import Child

BEAT_SECONDS: Final = 0.5

_TRAMPOLINE: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)  # the wrapper died before the line above
os.execv(sys.argv[2], sys.argv[2:])
"""


class Program:
    """One running program and a descriptor that becomes readable when it ends."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid
        self.fd = os.pidfd_open(process.pid)

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        cwd: Path,
        output: IO[bytes] | int | None = None,
        pass_fds: Sequence[int] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> "Program":
        """``argv[0]`` is a path. Output goes to ``output``, by default to standard error: standard output is for data.
        A process group of its own keeps the terminal's Ctrl-C from it: the wrapper decides when it ends."""
        return cls(
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, str(os.getpid()), *argv],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if output is None else output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                process_group=0,
                env=environ,
            )
        )

    def watch(self, child: Child, meanwhile: Callable[[], object] = lambda: None) -> int | None:
        """Wait for the end, beating; None when the child is to stop first (the program is killed then). ``meanwhile``:
        called twice a second."""
        while True:
            child.beat()
            meanwhile()
            if self.fd in child.wait([self.fd], BEAT_SECONDS):
                return self.returncode
            if child.stopping:
                self.stop(child, 0.0)
                return None

    def stop(self, child: Child, grace: float) -> int:
        """SIGTERM, at most ``grace`` seconds, SIGKILL."""
        deadline = time.monotonic() + grace
        if grace > 0:
            self._process.terminate()
            while (remaining := deadline - time.monotonic()) > 0:
                child.beat()
                if child.wait([self.fd], min(remaining, BEAT_SECONDS)):
                    break
        if self._process.poll() is None:
            self._process.kill()
        return self.returncode

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Tell it to end, and do not wait for that."""
        self._process.terminate()

    @property
    def returncode(self) -> int:
        """To be asked when it has ended or will at once."""
        code = self._process.wait()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        return code

    def describe(self) -> str:
        code = self.returncode
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
