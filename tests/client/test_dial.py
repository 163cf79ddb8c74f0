"""Why a connection cannot be made, in one word, and within the deadline."""

import asyncio
import email.utils
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from client.loopback_ws import Loopback, Peer, Script, behave, run, trade, until
from client.recording import Recording, config
from picows import WSListener

from wsadapter.client.client import Client
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.dial import REREAD_SECONDS, DialFailed, TrustStore, dial, tls_context


def within(timeout: float = 5.0) -> ConnectionConfig:
    return ConnectionConfig(["BTCUSDT"], connect_timeout=timeout, max_message_size=1 << 20)


def failure(url: str = "", *scripts: Script, timeout: float = 5.0, tls: ssl.SSLContext | None = None) -> DialFailed:
    """How dialing ``url``, or a server with these scripts, fails."""
    found: list[DialFailed] = []

    async def body() -> None:
        async with Loopback(*scripts, tls=tls) as venue:
            with pytest.raises(DialFailed) as raised:
                await dial(url.replace("PORT", str(venue.port)) or venue.url, within(timeout), WSListener(), None)
            found.append(raised.value)

    run(body())
    return found[0]


def answers(status: str, *headers: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request_head()
        peer.respond(status, *headers, "Content-Length: 0")

    return script


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *(("403 Forbidden", "http_403"), ("418 I'm a teapot", "http_418"), ("429 Too Many Requests", "http_429")),
        *(("500 Internal Server Error", "http_5xx"), ("503 Service Unavailable", "http_5xx")),
        *(("404 Not Found", "http_other"), ("200 OK", "http_other")),
    ],
)
def test_http_answers(status: str, reason: str) -> None:
    assert failure("", answers(status)).reason == reason


def test_redirects_are_not_followed() -> None:
    visited: list[str] = []

    async def redirect(peer: Peer) -> None:
        visited.append(await peer.request_head())
        port = peer.writer.get_extra_info("sockname")[1]
        peer.respond("302 Found", f"Location: ws://127.0.0.1:{port}/elsewhere", "Content-Length: 0")

    assert failure("", redirect).reason == "http_other"
    assert len(visited) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999", 604_800),
        ("99999999999", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
    ],
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    assert failure("", answers("429 Too Many Requests", f"Retry-After: {header}")).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    wait = failure("", answers("429 Too Many Requests", f"Retry-After: {date}")).retry_after

    assert wait is not None
    assert 90 < wait <= 100


def test_the_end_of_a_ban_in_the_body() -> None:
    async def bans(peer: Peer) -> None:
        await peer.request_head()
        body = b'{"code":-1003,"msg":"Way too many requests; IP banned until %d000."}' % (time.time() + 300)
        head = f"HTTP/1.1 418 I'm a teapot\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.send(head.encode(), body)

    error = failure("", bans)
    assert error.reason == "http_418"
    assert error.retry_after is not None
    assert 250 < error.retry_after <= 300


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ws://127.0.0.1:1/", "connect"),
        # an interface that is not there: fails in the resolver, asks no server
        ("ws://[fe80::1%nosuchif]/", "dns"),
        (f"ws://{'a' * 64}.invalid/", "dns"),
        ("wss://127.0.0.1:PORT/", "tls"),
        ("http://127.0.0.1:PORT/", "handshake"),
    ],
)
def test_addresses_that_lead_nowhere(url: str, reason: str) -> None:
    async def plain(peer: Peer) -> None:
        peer.respond("400 Bad Request")

    assert failure(url, plain).reason == reason


async def hangs_up(peer: Peer) -> None:
    await peer.request_head()


async def says_nothing(peer: Peer) -> None:
    await asyncio.sleep(60)


async def never_ends_its_headers(peer: Peer) -> None:
    await peer.request_head()
    peer.respond("101 Switching Protocols")
    peer.writer.transport.set_write_buffer_limits(high=0)
    for _ in range(5 << 10):
        peer.send(b"X-Header: " + b"x" * 1000 + b"\r\n")
        await peer.writer.drain()


async def speaks_another_protocol(peer: Peer) -> None:
    peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await asyncio.sleep(60)


async def compresses(peer: Peer) -> None:
    await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
    peer.send(trade(1))
    await peer.serve()


@pytest.mark.parametrize("script", [hangs_up, never_ends_its_headers, speaks_another_protocol, compresses])
def test_a_broken_handshake(script: Script) -> None:
    assert failure("", script).reason == "handshake"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_one_deadline_over_everything(scheme: str) -> None:
    error = failure(f"{scheme}://127.0.0.1:PORT/", says_nothing, timeout=3.0)  # a loaded machine connects meanwhile

    assert error.reason == ("handshake" if scheme == "ws" else "connect")
    assert error.detail == "timed out"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_dead_address_is_not_waited_for_while_there_is_another(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose host is down or behind a wall: it answers nothing."""

    async def body(resources: ExitStack) -> None:
        async with Loopback(behave) as venue:
            dead = resources.enter_context(socket.create_server(("127.0.0.2", venue.port), backlog=0))
            for _ in range(3):  # more than its backlog takes
                waiting = resources.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(dead.getsockname())

            async def resolved(*_: Any, **__: Any) -> list[Any]:
                found = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
                return [(*found, (host, venue.port)) for host in ("127.0.0.2", "127.0.0.1")]

            monkeypatch.setattr("aiofastnet.api_create_connection._ensure_resolved", resolved)
            transport = await dial(venue.url, within(), WSListener(), None)
            assert transport.underlying_transport.get_extra_info("peername")[0] == "127.0.0.1"
            transport.disconnect()
            await transport.wait_disconnected()

    with ExitStack() as resources:
        run(body(resources), loop)


def test_the_venues_headers_are_in_the_handshake() -> None:
    heads: list[str] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.request_head())
        peer.respond("403 Forbidden", "Content-Length: 0")

    async def body() -> None:
        async with Loopback(script) as venue:
            with pytest.raises(DialFailed):
                await dial(venue.url, within(), WSListener(), None, (("X-Size-Decimal", "1"),))

    run(body())
    assert "\r\nX-Size-Decimal: 1\r\n" in heads[0]


def test_an_answer_after_the_deadline_connects_nobody() -> None:
    """picows listens on after we gave up; the late session must not deliver into a client that has moved on."""
    asked, go, late = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(peer: Peer) -> None:
        head = await peer.request_head()
        asked.set()
        await go.wait()
        peer.accept(head)
        peer.send(trade(1))
        try:
            await peer.serve()
        finally:
            late.set()

    class Counting(WSListener):
        connected = 0

        def on_ws_connected(self, transport: object) -> None:
            self.connected += 1

    async def body() -> None:
        async with Loopback(slow) as venue:
            listener = Counting()
            dialing = asyncio.create_task(dial(venue.url, within(), listener, None))
            await asked.wait()
            dialing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialing
            go.set()
            await late.wait()
            assert listener.connected == 0

    run(body())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signed itself, with its key in the same file."""
    if which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def server_tls(certificate: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = min(version, ssl.TLSVersion.TLSv1_2), version
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_nobody_signed_is_refused(certificate: Path) -> None:
    error = failure("wss://localhost:PORT/", behave, tls=server_tls(certificate))

    assert error.reason == "tls"
    assert "self-signed" in error.detail


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_trusted_certificate_works_and_only_for_its_host(
    loop: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")

    async def feed(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(5))
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        async with Loopback(feed, tls=server_tls(certificate)) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            (connection,) = client.connections
            days = (connection.dialer.certificate_expiry_ns / 1e9 - time.time()) / 86_400
            assert 1.9 < days <= 2.0
            await client.stop()
            with pytest.raises(DialFailed, match=r"tls.*IP address mismatch"):
                await dial(f"wss://127.0.0.1:{venue.port}/", within(), WSListener(), tls_context())
        assert handler.numbers == [5]
        assert handler.lost == ["stopped"]

    run(body(), loop)


@pytest.mark.parametrize("is_time", [True, False])
def test_authorities_that_are_exchanged_are_read_again_when_a_dial_fails(
    is_time: bool, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in a while: a host that shows a wrong certificate costs a client no CPU for ever."""
    trusted, read = tmp_path / "authorities.pem", []
    trusted.write_bytes(b"")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    if is_time:
        monkeypatch.setattr("wsadapter.client.dial.REREAD_SECONDS", 0.0)

    def counted() -> ssl.SSLContext:
        read.append(trusted.stat().st_size)
        return tls_context()

    monkeypatch.setattr("wsadapter.client.dial.tls_context", counted)

    async def body() -> None:
        async with Loopback(behave, tls=server_tls(certificate)) as venue:
            client = Client(config(venue), Recording())
            (connection,) = client.connections
            running = asyncio.ensure_future(client.start())
            await until(lambda: connection.reconnects["tls"] >= 3)
            assert (len(read) > 1) is is_time
            trusted.write_bytes(Path(f"{certificate}.crt").read_bytes())
            if is_time:
                await until(connection.subscribed.is_set, timeout=10.0)
            await client.stop()
            await running
        assert (read[0], bool(read[-1])) == (0, is_time)

    run(body())


@pytest.mark.parametrize("broken", ["gone", "empty", "half written", "no thread"])
def test_authorities_that_cannot_be_read_anew_are_kept(
    broken: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read again with the next failure; OpenSSL says nothing of a file that is gone."""
    trusted, written = tmp_path / "authorities.pem", Path(f"{certificate}.crt").read_bytes()
    trusted.write_bytes(written)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    now = [0.0]
    monkeypatch.setattr("wsadapter.client.dial.time", SimpleNamespace(monotonic=lambda: now[0]))
    trust = TrustStore()
    before = trust.context

    def threadless(*_: Any) -> Any:
        raise RuntimeError("can't start new thread")

    async def body() -> None:
        now[0] = REREAD_SECONDS
        with monkeypatch.context() as patched:
            if broken == "gone":
                trusted.unlink()
            elif broken == "no thread":
                patched.setattr("wsadapter.client.dial.asyncio.to_thread", threadless)
            else:
                trusted.write_bytes(b"" if broken == "empty" else written[:60])
            await trust.doubt()
        assert trust.context is before
        trusted.write_bytes(written)
        await trust.doubt()
        assert trust.context is not before, "no time has passed since"
        assert trust.context.cert_store_stats()["x509_ca"] == 1

    run(body())


@pytest.mark.filterwarnings("ignore:.*TLSv1.*is deprecated")
def test_old_tls_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")

    old = server_tls(certificate, ssl.TLSVersion.TLSv1_1)

    assert failure("wss://localhost:PORT/", behave, tls=old).reason == "tls"
    assert tls_context().minimum_version >= ssl.TLSVersion.TLSv1_2
