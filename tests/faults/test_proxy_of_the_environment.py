"""One rule for all that leaves a process: a proxy of the environment is not used."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from picows import WSListener

from wsadapter.clickhouse.client import connect
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.dial import DialFailed, dial
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.exchanges.rest_api import Request
from wsadapter.rest.client import RestClient, Unreachable


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The environment names it; what connects to it stays in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.upper(), address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield listening


def to_clickhouse(address: str, secure: str) -> None:
    with suppress(ServiceUnavailable):
        connect(ClickHouseConfig(url=f"http{secure}://{address}"), answer_seconds=1)


def to_a_venue(address: str, secure: str) -> None:
    config = ConnectionConfig(["BTCUSDT"], connect_timeout=0.5)
    with suppress(DialFailed):
        asyncio.run(dial(f"ws{secure}://{address}", config, WSListener(), None))


def to_its_rest_side(address: str, secure: str) -> None:
    client = RestClient(f"http{secure}://{address}", "")
    with suppress(Unreachable):
        client.ask(Request("/", (), 1))
    client.close()


@pytest.mark.parametrize("secure", ["", "s"], ids=["plain", "TLS"])
@pytest.mark.parametrize("go", [to_clickhouse, to_a_venue, to_its_rest_side])
def test_no_connection_is_made_by_way_of_it(go: Callable[[str, str], None], secure: str, proxy: socket.socket) -> None:
    go("127.0.0.1:1", secure)

    with pytest.raises(BlockingIOError):
        proxy.accept()
