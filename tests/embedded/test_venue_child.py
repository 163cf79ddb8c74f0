"""The role ``exchange`` as the supervisor runs it: page, counters over a kill, market time that never runs back."""

import asyncio
import os
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from eventually import eventually
from role_process import RoleProcess
from venue_client import VenueClient, settled

from wsadapter.config.model import Config, ServiceConfig
from wsadapter.embedded.ports import free_ports
from wsadapter.metrics import EXCHANGE

STREAMS = "btcusdt@aggTrade/btcusdt@kline_1m"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


class Child:
    def __init__(self, state: Path, **options: Any) -> None:
        config = Config(ServiceConfig(f"venue{os.getpid()}", str(state)))
        self.port, rest_port = free_ports(2)
        given = {"ws_port": self.port, "rest_port": rest_port, **options}
        self.role = RoleProcess("wsadapter.embedded.exchange", "exchange", config, EXCHANGE, order=given)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def sent(self, word: str) -> int:
        return self.role.page[f'sent_total{{stream="{word}"}}']


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Child]:
    child = Child(tmp_path, rate=300, minute_ends_in=1)
    try:
        yield child
    finally:
        child.role.close()


def test_counters_and_a_clean_stop(venue: Child) -> None:
    venue.role.start()
    clients: list[VenueClient] = []

    async def scenario() -> None:
        client = await VenueClient.connect(f"{venue.url}/market/stream?streams={STREAMS}")
        clients.append(client)
        await settled(lambda: venue.role.page["clients"] == 1)
        client.ask("LIST_SUBSCRIPTIONS")
        await client.until(lambda: any(data["k"]["x"] for data in client.data("btcusdt@kline_1m")))
        await client.goodbye()

    run(scenario())
    read = clients[0].data()
    assert venue.sent("trade") == sum(data["e"] == "aggTrade" for data in read)
    assert venue.sent("kline") == sum(data["e"] == "kline" for data in read)
    assert venue.role.page["frames_sent_total"] == len(read)
    assert venue.role.page["acks_total"] == venue.role.page["requests_total"] == 1
    heartbeat = venue.role.page["heartbeat_ns"]
    eventually(lambda: venue.role.page["heartbeat_ns"] > heartbeat)
    assert venue.role.stop() == 0
    assert venue.role.page["clients"] == 0


def test_kill_nine_never_turns_time_or_ids_back(venue: Child, tmp_path: Path) -> None:
    last_time = last_id = counted = read = 0
    for _ in range(2):
        venue.role.start()
        clients: list[VenueClient] = []

        async def scenario(clients: list[VenueClient] = clients) -> None:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams={STREAMS}")
            clients.append(client)
            await client.until(lambda: len(client.data()) > 100)
            venue.role.kill()
            await client.until(lambda: client.gone)

        run(scenario())
        trades = clients[0].data("btcusdt@aggTrade")
        assert trades[0]["a"] > last_id
        assert trades[0]["T"] > last_time
        last_id, last_time = trades[-1]["a"], trades[-1]["T"]
        read += len(clients[0].data())
        assert venue.role.page["frames_sent_total"] >= max(read, counted)
        counted = venue.role.page["frames_sent_total"]
    assert [path.name for path in tmp_path.glob("*.json")] == ["exchange-0.json"]


@pytest.mark.parametrize(("options", "code"), [({"rat": 3}, 78), ({"ws_port": -1}, 70)])
def test_wrong_options_and_a_taken_port_are_said(tmp_path: Path, options: dict[str, int], code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {key: taken.getsockname()[1] if value < 0 else value for key, value in options.items()}
        child = Child(tmp_path, **given)
        try:
            child.role.start(until=None)
            assert eventually(lambda: child.role.returncode) == code
        finally:
            child.role.close()


def test_replay_done_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"e":"kline","s":"A"}\n' * 10)
    child = Child(tmp_path / "state", replay=str(path))
    child.role.start()

    async def scenario() -> None:
        client = await VenueClient.connect(f"{child.url}/market/ws/a@kline_1m")
        await client.until(lambda: len(client.texts) == 10)
        await asyncio.to_thread(eventually, lambda: child.role.page["replay_done"] == 1)
        await client.goodbye()

    try:
        run(scenario())
        assert child.sent("kline") == 10
        assert child.role.stop() == 0
    finally:
        child.role.close()
