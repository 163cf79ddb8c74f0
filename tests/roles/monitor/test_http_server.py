"""The small HTTP server's bounds: connections, time, bytes. Real sockets, one event loop, short limits."""

import asyncio
from collections.abc import Awaitable, Callable

from wsadapter.roles.monitor.http_server import MAX_HEAD_BYTES, PLAIN, HttpServer, Response

ROUTES = {
    "/livez": lambda: Response(200, PLAIN, b"ok"),
    "/": lambda: Response(200, PLAIN, b"here"),
    "/large": lambda: Response(200, PLAIN, b"x" * 50_000_000),
}
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Client = Callable[[HttpServer, int], Awaitable[None]]


def serve(client: Client, max_connections: int = 4, timeout: float = 2.0) -> HttpServer:
    """Run ``client`` against a server on a free port. ``timeout``: longer than a loaded machine holds one loop up."""

    async def both() -> HttpServer:
        server = HttpServer(ROUTES, max_connections, timeout)
        await server.start("127.0.0.1", 0)
        try:
            async with asyncio.timeout(120):
                await client(server, server.port)
        finally:
            await server.stop()
        return server

    return asyncio.run(both())


async def ask(port: int, request: bytes) -> bytes:
    """All that comes back until the server closes; empty when it cuts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_idle_connections_neither_stay_nor_keep_others_out() -> None:
    async def client(server: HttpServer, port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        while server.open < 4:
            await asyncio.sleep(0)
        assert b" 503 " in await ask(port, REQUEST)
        assert b" 200 " in await ask(port, REQUEST.replace(b"/", b"/livez", 1)), "a probe is answered"
        for reader, _ in idle:
            assert await reader.read() == b""  # cut at the deadline
        assert b" 200 " in await ask(port, REQUEST)
        for _, writer in idle:
            writer.close()

    server = serve(client)
    assert (server.requests, server.refused) == (2, 1)


def test_many_at_once_are_served_or_refused_and_forgotten() -> None:
    async def client(server: HttpServer, port: int) -> None:
        answers = await asyncio.gather(*(ask(port, REQUEST) for _ in range(200)))
        assert {answer[9:12] for answer in answers} <= {b"200", b"503", b""}
        assert any(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        while server.open:
            await asyncio.sleep(0)

    serve(client, max_connections=8, timeout=10)


def test_headers_without_end_are_cut() -> None:
    async def client(server: HttpServer, port: int) -> None:
        assert b" 431 " in await ask(port, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 6 + 10))
        assert await ask(port, b"GET / HTTP/1.1\r\na: ") == b""

    serve(client)


def test_a_reader_that_does_not_read_is_cut() -> None:
    async def client(server: HttpServer, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        while not server.open:
            await asyncio.sleep(0)
        while server.open:
            await asyncio.sleep(0)
        writer.transport.abort()
        del reader

    serve(client)


def test_what_is_no_request() -> None:
    async def client(server: HttpServer, port: int) -> None:
        for request in (
            b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"GET x HTTP/1.1\r\n\r\n",
            b"\xff\xfe / x\r\n\r\n",
        ):
            assert b" 400 " in await ask(port, request)
        assert (await ask(port, b"HEAD / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await ask(port, REQUEST)).endswith(b"\r\n\r\nhere")

    serve(client)
