"""The process that children are forked from: it has their imports, so that a child is there in milliseconds.

``python -m wsadapter.supervision.fork_server <fd> <package>...``: a socket pair to the supervisor, and the packages
whose ``__main__`` is imported before the first child. Each message on the socket is one `ForkRequest` with the child's
descriptors; the answer is a `ForkReply`. It ends with the supervisor, whose end of the socket is the only one.

* It has one thread, opens nothing and knows no secret; what it holds after a fork is its socket.
* A child is forked twice, so that it becomes a child of the supervisor (which is their subreaper) and not of this
  process: the supervisor collects its exit status, and this process may be gone by then.
* A child does nothing before the supervisor has written `GO` to its lifeline: one that the supervisor has never heard
  of, because this process died over its answer, ends unseen when the lifeline is closed.
* From there on a child is what ``python -P -m <package>`` makes of it: an own session, its lifeline as standard input,
  its descriptors under the supervisor's numbers.
"""

import fcntl
import gc
import importlib
import os
import runpy
import socket
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter.supervision.title import set_title

MOST_DESCRIPTORS: Final = 250
"""That one message carries; the kernel's SCM_MAX_FD is 253."""
MESSAGE_BYTES: Final = 64 * 1024
GO: Final = b"\n"
"""The first byte on a forked child's lifeline."""


class ForkRequest(Struct, frozen=True):
    """``package`` is run as ``python -m`` does, with ``argument``. ``numbers``: what each descriptor of the message is
    to be in the child; the first one is its lifeline."""

    package: str
    argument: str
    numbers: tuple[int, ...]


class ForkReply(Struct, frozen=True):
    """``pid`` of the child, or the ``errno`` with which the system refused. Neither: the server is ready."""

    pid: int = 0
    errno: int = 0


def main() -> int:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    set_title("fork server", "fork-server")
    for package in sys.argv[2:]:
        importlib.import_module(f"{package}.__main__")
        # what is run as __main__ must not be there already
        del sys.modules[f"{package}.__main__"]
    if (threads := len(os.listdir("/proc/self/task"))) != 1:
        sys.stderr.write(f"fork server: {threads} threads after the imports, children are started without it\n")
        return 1
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared with the children
    control.send(msgspec.json.encode(ForkReply()))
    requested = serve(control)
    if requested is None:
        return 0
    become(*requested)
    return 0


def serve(control: socket.socket) -> tuple[ForkRequest, Sequence[int]] | None:
    """Fork for each request. Returns in a child, with what it is to be; in the server, None, when its work is over."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not data:
            return None
        request = msgspec.json.decode(data, type=ForkRequest)
        reply = _fork()
        if reply is None:
            control.close()
            return request, descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            control.send(msgspec.json.encode(reply))
        except BrokenPipeError:
            return None


def _fork() -> ForkReply | None:
    """None in the child."""
    answer, told = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        os.close(answer)
        os.close(told)
        return ForkReply(errno=error.errno or 0)
    if between == 0:
        try:
            pid = os.fork()
        except OSError as error:
            os.write(told, msgspec.json.encode(ForkReply(errno=error.errno or 0)))
            os._exit(0)
        if pid:
            os.write(told, msgspec.json.encode(ForkReply(pid=pid)))
            os._exit(0)
        os.close(answer)
        os.close(told)
        return None
    os.close(told)
    os.waitpid(between, 0)  # from here on the supervisor is the parent
    text = os.read(answer, MESSAGE_BYTES)
    os.close(answer)
    return msgspec.json.decode(text, type=ForkReply)


def become(request: ForkRequest, descriptors: Sequence[int]) -> None:
    """Be the child: returns, or raises SystemExit, as the package's ``__main__`` does."""
    os.setsid()
    # numbers that are given may be those that others are to have: all of them out of the way first
    beyond = max(*request.numbers, *descriptors) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, beyond) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(moved, request.numbers, strict=True):
        os.dup2(descriptor, number, inheritable=False)
        os.close(descriptor)
    if os.read(request.numbers[0], len(GO)) != GO:
        os._exit(0)
    sys.argv = [request.package, request.argument]
    runpy.run_module(request.package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.exit(main())
