"""The small HTTP server's bounds: connections, time, bytes, names. Real sockets, one event loop, short limits."""

import asyncio
import gzip
import resource
from collections.abc import Awaitable, Callable, Mapping

import pytest

from wsadapter.roles.monitor.http_server import MAX_HEAD_BYTES, PLAIN, HttpServer, Response

ROUTES = {
    "/livez": lambda: Response(200, PLAIN, b"ok"),
    "/text": lambda: Response(200, PLAIN, b"a" * 5000),
    "/": lambda: Response(200, PLAIN, b"here"),
    "/large": lambda: Response(200, PLAIN, b"x" * 50_000_000),
}
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PROBE = REQUEST.replace(b"/", b"/livez", 1)
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


def test_a_question_gets_its_parameters_and_holds_up_no_probe() -> None:
    async def body() -> None:
        asked, go_on = [], asyncio.Event()

        async def question(query: Mapping[str, str]) -> Response:
            asked.append(query)
            await go_on.wait()
            return Response(200, PLAIN, b"answer")

        server = HttpServer(ROUTES, 4, 60.0, questions={"/ask": question})
        await server.start("127.0.0.1", 0)
        waiting = asyncio.ensure_future(ask(server.port, REQUEST.replace(b"/", b"/ask?a=b%20c&d=", 1)))
        while not asked:
            await asyncio.sleep(0)
        assert b" 200 " in await ask(server.port, PROBE)
        go_on.set()
        assert (await waiting).endswith(b"answer")
        assert asked == [{"a": "b c"}]
        too_many = b"/ask?" + b"&".join(b"a=b" for _ in range(100))
        assert b" 400 " in await ask(server.port, REQUEST.replace(b"/", too_many, 1))
        await server.stop()

    asyncio.run(body())


def test_idle_connections_neither_stay_nor_keep_others_out() -> None:
    async def client(server: HttpServer, port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        while server.open < 40:
            await asyncio.sleep(0)
        assert b" 200 " in await ask(port, REQUEST)
        for reader, _ in idle:
            assert await reader.read() == b""  # cut at the deadline
        for _, writer in idle:
            writer.close()

    assert serve(client).refused == 0


def test_a_thousand_slow_clients_leave_a_probe_its_answer() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2048:
        pytest.skip(f"both ends of a thousand sockets need more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096) if hard < 0 else min(max(soft, 4096), hard), hard))

    async def client(server: HttpServer, port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nHost: ")
        for _ in range(20):
            assert b" 200 " in await ask(port, PROBE)
            assert b" 200 " in await ask(port, REQUEST)
        assert server.open <= 16 * 32
        for _, writer in slow:
            writer.transport.abort()

    try:
        # no deadline to help it
        assert serve(client, max_connections=32, timeout=600).refused == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_do_not_read_take_the_slots_and_a_probe_is_answered() -> None:
    async def client(server: HttpServer, port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port, limit=1024) for _ in range(4)]
        for _, writer in slow:
            writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        while server.requests < 4:
            await asyncio.sleep(0)
        assert b" 503 " in await ask(port, REQUEST)
        assert b" 200 " in await ask(port, PROBE)
        for _, writer in slow:
            writer.transport.abort()

    server = serve(client, timeout=600)
    assert (server.requests, server.refused) == (5, 1)


def test_one_connection_asks_again_and_again() -> None:
    async def client(server: HttpServer, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)  # the second one does not wait
            for _ in range(2):
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"Connection: keep-alive" in head
                assert await reader.readexactly(4) == b"here"
        # a body is not read, so nothing can follow it
        writer.write(b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /")
        assert (await reader.read()).endswith(b"here")
        writer.close()

    assert serve(client).requests == 7


def test_who_takes_gzip_gets_it() -> None:
    async def client(server: HttpServer, port: int) -> None:
        asked = REQUEST.replace(b"/", b"/text", 1)
        plain = await ask(port, asked)
        assert plain.endswith(b"a" * 5000)
        assert b"Content-Encoding" not in plain
        packed = await ask(port, asked.replace(b"Host", b"Accept-Encoding: br, gzip\r\nHost"))
        head, _, body = packed.partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert f"Content-Length: {len(body)}".encode() in head
        assert gzip.decompress(body) == b"a" * 5000

    serve(client)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("Host: localhost:9464", 200),
        ("Host: 127.0.0.1", 200),
        ("Host: 127.1.2.3:1", 200),
        ("Host: [::1]:9464", 200),
        ("Host: LOCALHOST.", 200),
        ("X: no host", 200),
        ("Host: evil.example", 403),
        ("Host: evil.example:9464", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: 192.168.0.1", 403),
        ("Host: ", 200),
        ("Host: localhost:1\r\nOrigin: http://localhost:1", 200),
        ("Host: localhost:1\r\nOrigin: https://evil.example", 403),
        ("Host: localhost:1\r\nOrigin: http://localhost:2", 403),
        ("Host: localhost:1\r\nOrigin: null", 403),
    ],
)
def test_a_page_of_another_name_or_origin_learns_nothing(headers: str, expected: int) -> None:
    async def client(server: HttpServer, port: int) -> None:
        asked = f"GET / HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n".encode()
        answer = await ask(port, asked)
        assert answer.startswith(b"HTTP/1.1 %d " % expected)
        assert (b"here" in answer) == (expected == 200)
        assert b" 200 " in await ask(port, asked.replace(b"/", b"/livez", 1)), "a probe may come by any name"

    serve(client)


def test_bound_to_all_addresses_it_has_any_name() -> None:
    async def both() -> None:
        server = HttpServer(ROUTES)
        await server.start("0.0.0.0", 0)
        try:
            named = REQUEST.replace(b"localhost", b"recorder.internal:9464")
            assert b" 200 " in await ask(server.port, named)
            assert b" 403 " in await ask(server.port, named.replace(b"Conn", b"Origin: http://evil.example\r\nConn"))
        finally:
            await server.stop()

    asyncio.run(both())


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
            b"GET ftp://localhost/ HTTP/1.1\r\n\r\n",
            b"\xff\xfe / x\r\n\r\n",
        ):
            assert b" 400 " in await ask(port, request)
        assert (await ask(port, b"HEAD / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await ask(port, REQUEST)).endswith(b"\r\n\r\nhere")
        absolute = b"GET http://%s/?x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert (await ask(port, absolute % b"127.0.0.1:1")).endswith(b"\r\n\r\nhere")
        assert b" 403 " in await ask(port, absolute % b"evil.example")

    serve(client)
