"""The open connections of the endpoint: at most so many, each with a thread, and the way to end them in good order.

A connection is busy from the first byte of a request to the last of its answer. At the end idle ones are cut (clients
expect that of kept-alive connections) and busy ones get their answer first: a client that sees its connection die
after an INSERT was sent would send it again.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

MAX_CONNECTIONS: Final = 64

_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nX-ClickHouse-Exception-Code: 202\r\n"
    b"Connection: close\r\nContent-Length: 58\r\n\r\nCode: 202. DB::Exception: Too many simultaneous connections"
)

Handle = Callable[[socket.socket, object], object]


class Connections:
    def __init__(self) -> None:
        self.closing = False
        self.requests = 0
        self._changed = threading.Condition()
        self._open: dict[socket.socket, bool] = {}

    def serve(self, connection: socket.socket, peer: object, handle: Handle) -> None:
        """Handle ``connection`` in a thread of its own; refuse it when there are too many."""
        with self._changed:
            if len(self._open) >= MAX_CONNECTIONS:
                connection.setblocking(False)
                with connection:
                    connection.send(_REFUSAL)
                return
            self._open[connection] = False
        threading.Thread(target=self._run, args=(connection, peer, handle), daemon=True).start()

    def busy(self, connection: socket.socket) -> None:
        with self._changed:
            self._open[connection] = True

    def idle(self, connection: socket.socket) -> None:
        with self._changed:
            self._open[connection] = False
            self.requests += 1
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Cut the idle ones, wait for the busy ones; False when some were still busy."""
        self.closing = True
        with self._changed:
            for connection, busy in self._open.items():
                if not busy:
                    _end_input(connection)
            return self._changed.wait_for(lambda: not any(self._open.values()), max(0.0, timeout))

    def _run(self, connection: socket.socket, peer: object, handle: Handle) -> None:
        try:
            with contextlib.suppress(OSError):  # the client went away
                handle(connection, peer)
        finally:
            with self._changed:
                del self._open[connection]
                self._changed.notify_all()
            connection.close()


def _end_input(connection: socket.socket) -> None:
    # reading only: a request that was received already still gets its answer
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
