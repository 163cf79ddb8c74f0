"""Another order for a child that runs: the supervisor and the child each have an end of a socket pair.

A message is the descriptor of a memory file with the child's new arguments, whole or not there at all, whatever their
length; so neither side waits for the other. They name a stats page that the supervisor has made for the new order. The
child does what it is told. When it has, it gives its page's counts to the new one and puts that in the place of its
own, in one step (`wsadapter.supervision.child.Child.take`): that is the answer. Killed before, it leaves the old page,
killed after, the new one; either has every count. An order is taken back by unlinking its page.
"""

import contextlib
import os
import socket

import msgspec

from wsadapter.supervision.child import ChildArgs, arguments_fd


def pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the child's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def send(ours: socket.socket, args: ChildArgs) -> None:
    """OSError where it cannot be sent now."""
    fd = arguments_fd(args)
    try:
        socket.send_fds(ours, [b"\n"], [fd])
    finally:
        os.close(fd)


def receive(theirs: socket.socket) -> ChildArgs | None:
    """The newest of what has come; None: nothing has."""
    newest: ChildArgs | None = None
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while (received := socket.recv_fds(theirs, 1, 1))[0]:
            for fd in received[1]:
                with open(fd, "rb") as file:
                    file.seek(0)  # the position is shared with whoever wrote it
                    newest = msgspec.json.decode(file.read(), type=ChildArgs)
    return newest
