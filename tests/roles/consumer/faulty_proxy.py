"""Between the consumer and the engine: passes requests on and loses or delays answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

INSERT = b"INSERT INTO"
REASON = b"Code: 241. DB::Exception: (total) memory limit exceeded (MEMORY_LIMIT_EXCEEDED)"
OUT_OF_MEMORY = (
    b"HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: 241\r\nContent-Length: %d\r\n\r\n"
    % len(REASON)
    + REASON
)


class FaultyProxy:
    """``drop``: so many of the next answers to an insert are swallowed, and the connection is closed, when the engine
    has done it; ``delay``: seconds that each answer to an insert waits; ``limit``: bytes of a body beyond which it
    is refused for want of memory, ``refused`` counts these. ``bodies``: bytes of each insert's body, also of these."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname or "127.0.0.1", parts.port or 8123
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.drop = 0
        self.delay = 0.0
        self.limit = 0
        self.inserts = self.dropped = self.refused = 0
        self.bodies: list[int] = []
        self._over = threading.Event()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            self._sockets.append(server)
            while request := _message(client):
                if INSERT in request:
                    self.bodies.append(len(request.partition(b"\r\n\r\n")[2]))
                if self.limit and INSERT in request and self.bodies[-1] > self.limit:
                    self.refused += 1
                    client.sendall(OUT_OF_MEMORY)
                    continue
                server.sendall(request)
                if not (answer := _message(server)):
                    return  # the engine is gone
                if INSERT in request:
                    self.inserts += 1
                    if self.drop:
                        self.drop -= 1
                        self.dropped += 1
                        return
                    self._over.wait(self.delay)
                client.sendall(answer)


def _message(source: socket.socket) -> bytes:
    """One HTTP message, whole; empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := source.recv(65536)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"expect: 100-continue" in lower:
        source.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(source)
    else:
        length = next(
            (int(line.split(b":")[1]) for line in lower.split(b"\r\n") if line.startswith(b"content-length")), 0
        )
        while len(body) < length:
            body += _more(source)
    return head + b"\r\n\r\n" + body


def _more(source: socket.socket) -> bytes:
    chunk = source.recv(1 << 20)
    if not chunk:
        raise OSError("the connection ended in mid-message")
    return chunk


@contextmanager
def faulty(url: str) -> Iterator[FaultyProxy]:
    made = FaultyProxy(url)
    try:
        yield made
    finally:
        made.close()
