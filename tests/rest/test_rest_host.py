"""Real HTTP on loopback: what a host may answer, and that a ban outlives whoever was banned."""

import errno
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

import pytest

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.exchanges.binance.usdm_rest import DEPTH, BinanceFuturesRest
from wsadapter.exchanges.bybit_rest import BybitLinearRest
from wsadapter.exchanges.rest_api import Hole, Request, RestExchange
from wsadapter.files import StateDirectory
from wsadapter.rest.budget import Outcome
from wsadapter.rest.client import MAX_BODY_BYTES, RestClient, RestResponse, Unreachable
from wsadapter.rest.host import RestHost, Result

REST = BinanceFuturesRest()
TIME = Request("/fapi/v1/time")


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(symbols=("BTCUSDT",)))) as thread:
        yield thread


def url(venue: VenueThread) -> str:
    return f"http://127.0.0.1:{venue.venue.rest_port}"


def ask(host: RestHost, request: Request = TIME) -> Result:
    assert host.wait(request) == 0
    return host.send(request).result(20)


def test_answers_come_with_the_weight(venue: VenueThread, tmp_path: Path) -> None:
    rung = threading.Event()
    host = RestHost(REST, url(venue), StateDirectory(tmp_path), tmp_path, rung.set)
    book = DEPTH.fetch(Hole("depth", "BTCUSDT", 0, 1), 20)
    result = ask(host, book.request)
    assert rung.wait(60)
    assert (result.outcome, host.used) == (Outcome.OK, 2)
    assert book.parse(result.body, result.received_ns).events[0].bid_price
    assert ask(host, Request("/fapi/v1/depth", (("symbol", "NONE"),))).outcome is Outcome.REFUSED
    assert (host.counts.requests, host.counts.refused, host.paused) == (2, 1, 0)


def test_a_ban_outlives_the_process(venue: VenueThread, tmp_path: Path) -> None:
    venue.call(lambda v: v.refuse(418, headers={"Retry-After": "600"}, on="rest"))
    host = RestHost(REST, url(venue), StateDirectory(tmp_path), tmp_path, lambda: None)
    assert ask(host).outcome is Outcome.AGAIN
    again = RestHost(REST, url(venue), StateDirectory(tmp_path), tmp_path, lambda: None)
    for one in (host, again):
        assert 590 < one.wait(TIME) <= 600
        assert 590 < one.paused <= 600
    assert host.counts.banned == 1


def test_a_ban_that_cannot_be_written_is_obeyed_all_the_same(
    venue: VenueThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wsadapter.files.replace", full)
    venue.call(lambda v: v.refuse(418, headers={"Retry-After": "600"}, on="rest"))
    host = RestHost(REST, url(venue), StateDirectory(tmp_path), tmp_path, lambda: None)
    assert ask(host).outcome is Outcome.AGAIN
    assert 590 < host.wait(TIME) <= 600


class Scripted:
    """Instead of the transport: one answer."""

    def __init__(self, status: int, body: bytes, retry_after: float | None = None) -> None:
        self.response = RestResponse(status, body, None, retry_after, 1, 1_795_000_000.0)

    def ask(self, request: Request) -> RestResponse:
        return self.response


def answered(tmp_path: Path, exchange: RestExchange, response: Scripted) -> tuple[RestHost, Result]:
    host = RestHost(exchange, "http://127.0.0.1:1", StateDirectory(tmp_path), tmp_path, lambda: None)
    host._client = response  # type: ignore[assignment]
    return host, ask(host)


BANNED_UNTIL = b'{"code":-1003,"msg":"Way too many requests; IP banned until 1795000600000."}'
TOO_MANY_VISITS = b'{"retCode":10006,"retMsg":"Too many visits!","result":{},"time":1795000000000}'


@pytest.mark.parametrize(
    ("exchange", "response", "seconds"),
    [
        (REST, Scripted(418, BANNED_UNTIL), 600),
        (REST, Scripted(429, BANNED_UNTIL), 600),
        (REST, Scripted(418, BANNED_UNTIL, 10.0), 600),
        (REST, Scripted(418, b"", 10.0), 10),
        (BybitLinearRest(), Scripted(403, b"403, access too frequent"), 600),
        (BybitLinearRest(), Scripted(200, TOO_MANY_VISITS), 60),
        (BybitLinearRest(), Scripted(200, TOO_MANY_VISITS, 2.0), 2),
    ],
)
def test_a_ban_lasts_as_long_as_the_venue_says(
    tmp_path: Path, exchange: RestExchange, response: Scripted, seconds: int
) -> None:
    host, result = answered(tmp_path, exchange, response)
    assert result.outcome is Outcome.AGAIN
    assert seconds - min(seconds, 30) < host.paused <= seconds
    assert host.counts.limited + host.counts.banned == 1


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b"<html><h1>400 ERROR</h1> The request could not be satisfied</html>", Outcome.UNANSWERED),
        (404, b"<html><title>404 Not Found</title></html>", Outcome.UNANSWERED),
        (403, b"<html>CloudFront</html>", Outcome.AGAIN),
        (451, b"<html>not in your country</html>", Outcome.AGAIN),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', Outcome.REFUSED),
        (502, b"<html>", Outcome.ABSENT),
        (500, b'{"code":-1121,"msg":"Invalid symbol."}', Outcome.ABSENT),
    ],
)
def test_only_the_api_itself_refuses_a_request(tmp_path: Path, status: int, body: bytes, outcome: Outcome) -> None:
    host, result = answered(tmp_path, REST, Scripted(status, body))
    assert result.outcome is outcome
    assert (host.wait(TIME) > 0) is (outcome is not Outcome.REFUSED)


@pytest.mark.parametrize(
    ("body", "is_too_old"),
    [
        (b'{"code":-4166,"msg":"Search window is restricted to recent 2 days only."}', True),
        (b'{"code":-1121,"msg":"Invalid symbol."}', False),
    ],
)
def test_what_is_refused_for_its_age_alone_is_told(tmp_path: Path, body: bytes, is_too_old: bool) -> None:
    host, result = answered(tmp_path, REST, Scripted(400, body))
    assert (result.outcome, result.is_too_old) == (Outcome.REFUSED, is_too_old)
    assert host.wait(TIME) == 0


def test_a_limit_is_obeyed(venue: VenueThread, tmp_path: Path) -> None:
    venue.call(lambda v: v.refuse(429, headers={"Retry-After": "7"}, on="rest"))
    host = RestHost(REST, url(venue), StateDirectory(tmp_path), tmp_path, lambda: None)
    assert ask(host).outcome is Outcome.AGAIN
    assert 6 < host.wait(TIME) <= 7
    assert host.counts.limited == 1


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host = RestHost(REST, f"http://127.0.0.1:{port}", StateDirectory(tmp_path), tmp_path, lambda: None)
    assert ask(host).outcome is Outcome.ABSENT
    assert host.counts.failed == 1
    assert host.wait(TIME) > 0


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[RestClient]:
    """A host that does with a connection what ``serve`` does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with suppress(OSError):  # the client was quicker
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    client = RestClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "x-mbx-used-weight-1m")
    yield client
    client.close()
    listener.close()
    thread.join(60)


@pytest.mark.parametrize("is_testnet", [False, True])
def test_a_request_has_the_headers_of_its_venue(is_testnet: bool, tmp_path: Path) -> None:
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"

    class Other(BinanceFuturesRest):
        headers: Mapping[str, str] = {"X-Unit": "us"}
        testnet_headers: Mapping[str, str] = {"X-Demo": "1"}

        def base(self, testnet: bool) -> str:
            return base if testnet is is_testnet else "http://other.invalid"

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ask(RestHost(Other(), base, StateDirectory(tmp_path), tmp_path, lambda: None)).outcome is Outcome.OK
    listener.close()
    thread.join(60)
    assert b"\r\nX-Unit: us\r\n" in heard[0]
    assert (b"\r\nX-Demo: 1\r\n" in heard[0]) is is_testnet
    assert b"\r\nUser-Agent: wsadapter/" in heard[0]


@pytest.mark.parametrize(
    ("header", "dated_ns"), [(b"Date: Sat, 28 Nov 2026 10:46:26 GMT\r\n", 1_795_862_786 * 10**9), (b"", 0)]
)
def test_an_answer_is_dated_by_its_host(header: bytes, dated_ns: int) -> None:
    """However far its clock is from ours."""
    with server(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + header + b"\r\n{}")) as client:
        assert client.ask(TIME).dated_ns == dated_ns


def test_a_redirect_is_not_followed() -> None:
    with server(
        lambda c: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    ) as c:
        assert c.ask(TIME).status == 302


def test_a_body_without_an_end_is_cut() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        for _ in range(MAX_BODY_BYTES // 65536 + 64):
            connection.sendall(b"x" * 65536)

    with server(flood) as client, pytest.raises(Unreachable, match="more than"):
        client.ask(TIME)


@pytest.mark.parametrize(
    ("head", "drop"), [(b"Transfer-Encoding: chunked", b"1\r\nx\r\n"), (b"Content-Length: 99999", b"x")]
)
def test_a_body_that_trickles_is_cut(monkeypatch: pytest.MonkeyPatch, head: bytes, drop: bytes) -> None:
    monkeypatch.setattr("wsadapter.rest.client.TOTAL_SECONDS", 0.2)

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        waiting = threading.Event()
        while True:
            connection.sendall(drop)
            waiting.wait(0.05)

    with server(trickle) as client, pytest.raises(Unreachable, match="not all there"):
        client.ask(TIME)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"garbage\r\n\r\n", b"\x00" * 999]
)
def test_what_is_no_answer(said: bytes) -> None:
    with server(lambda connection: connection.sendall(said)) as client, pytest.raises(Unreachable):
        client.ask(TIME)


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    if which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    both = tmp_path / "both.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*made, "-subj", "/CN=localhost", "-keyout", both, "-out", both], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as inside:
            inside.recv(1)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    client = RestClient(f"https://localhost:{listener.getsockname()[1]}", "")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        client.ask(TIME)
    listener.close()
    thread.join(60)


@pytest.mark.parametrize("header", [b"-1", b"x", b"1e3", b"\xd9\xa1", b"9" * 99, b""])
def test_headers_that_say_nothing(header: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-MBX-USED-WEIGHT-1M: " + header + b"\r\nRetry-After: " + header
    with server(lambda connection: connection.sendall(head + b"\r\nContent-Length: 0\r\n\r\n")) as client:
        answer = client.ask(TIME)
    assert (answer.used, answer.retry_after) == (None, None)
