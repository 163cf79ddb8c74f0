"""A WebSocket server for tests, by hand over asyncio streams: it can break every rule that a library would keep.

`Loopback(script)` runs ``await script(peer)`` for each TCP connection, in order of arrival; when a script ends its
socket is closed. `Peer` has the handshake, single frames with any bits, and `serve` for a peer that behaves.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
AGG = (
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1790771371858,"s":"BTCUSDT","a":%d,"p":"0.001",'
    '"q":"100","f":100,"l":105,"T":1790771371700,"m":true}}'
)


def run(body: Coroutine[Any, Any, None], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    """One test's body on a loop of its own; a hang is a failure with a stack, not a stuck run."""

    async def bounded() -> None:
        async with asyncio.timeout(240):
            await body

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(bounded())


async def until(predicate: Callable[[], object], message: str = "", timeout: float = 60.0) -> None:
    """`eventually` for the loop that the code under test runs on."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {message or predicate}"
        await asyncio.sleep(0.005)


def frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, size: int | None = None) -> bytes:
    """A server's frame; ``size``: the length it claims."""
    length = len(payload) if size is None else size
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return struct.pack(">BBH", first, 126, length) + payload
    return struct.pack(">BBQ", first, 127, length) + payload


def trade(number: int) -> bytes:
    return frame(TEXT, (AGG % number).encode())


class Peer:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.path = ""
        self.requests: list[dict[str, Any]] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close_code = 0
        """What the client's CLOSE said, 0 = none came."""
        self.closed = asyncio.Event()

    @property
    def names(self) -> list[str]:
        return [name for request in self.requests for name in request["params"]]

    async def request_head(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        self.path = head.split(" ")[1]
        return head

    async def upgrade(self, *headers: str) -> None:
        self.accept(await self.request_head(), *headers)

    def accept(self, head: str, *headers: str) -> None:
        key = next(line[19:] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key: "))
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}"
        self.respond("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", accept, *headers)

    def respond(self, status: str, *headers: str) -> None:
        self.send("\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode())

    def send(self, *octets: bytes) -> None:
        """In one write, so that the client has it in one read."""
        self.writer.write(b"".join(octets))

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        self.send(frame(CLOSE, struct.pack(">H", code) + reason.encode()))

    def ack(self, request: dict[str, Any]) -> None:
        self.send(frame(TEXT, json.dumps({"result": None, "id": request["id"]}).encode()))

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def read_frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(size)
        return first & 15, bytes(octet ^ mask[i & 3] for i, octet in enumerate(masked))

    async def serve(
        self,
        answer: Callable[[dict[str, Any]], object] | None = None,
        pong: bool = True,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        """Read until the client's CLOSE (answered after ``on_close``) or the end. ``answer`` replaces the acks."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                opcode, payload = await self.read_frame()
                if opcode == TEXT:
                    self.requests.append(json.loads(payload))
                    (answer or self.ack)(self.requests[-1])
                elif opcode == PING:
                    self.pings.append(payload)
                    if pong:
                        self.send(frame(PONG, payload))
                elif opcode == PONG:
                    self.pongs.append(payload)
                elif opcode == CLOSE:
                    self.close_code = int.from_bytes(payload[:2], "big")
                    self.closed.set()
                    if on_close:
                        on_close()
                    self.send(frame(CLOSE, payload))
                    await self.writer.drain()
                    return


Script = Callable[[Peer], Awaitable[None]]


async def behave(peer: Peer) -> None:
    await peer.upgrade()
    await peer.serve()


class Loopback:
    """``scripts`` in order of arrival, the last one again for all that come after."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts or (behave,)
        self._tls = tls
        self._running: set[asyncio.Task[None]] = set()
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        assert not self.failures, self.failures

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
        self.peers.append(peer)
        task = asyncio.get_running_loop().create_task(self._run(script, peer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, which is its right
        except Exception as error:  # a broken script must fail its test, not vanish in a task
            self.failures.append(error)
        finally:
            peer.writer.close()
