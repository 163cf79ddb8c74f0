"""Two instances on one address dial one venue: together they stay inside its limit of attempts, and so do requests."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client.loopback_ws import Loopback, Peer, run, until
from eventually import eventually
from role_process import RoleProcess

from wsadapter import metrics
from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.connect_limit import LocalLimiter
from wsadapter.config import load as configuration
from wsadapter.exchanges.okx import Okx
from wsadapter.exchanges.venue import AttemptLimit
from wsadapter.roles.orders import IngestOrder
from wsadapter.roles.supervisor import topology
from wsadapter.shm import doorbell, ring
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import RingRef

EPOCH = 1


class Unfriendly:
    """A venue that hangs up on everybody: each connection that it sees is an attempt."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.seen.append(time.monotonic())
            peer.close()

    def close(self) -> None:
        self._socket.close()


class Instance:
    """One ingest with an instance name and a state directory of its own."""

    def __init__(self, directory: Path, number: int, port: int) -> None:
        name = f"sl{os.getpid()}-{number}"
        path = directory / f"{number}.toml"
        path.write_text(
            f'[service]\ninstance = "{name}"\nstate_dir = "{directory}/{number}"\n'
            f'[[feed]]\nname = "o"\nexchange = "okx"\nsymbols = ["BTC-USDT-SWAP"]\nstreams = ["trade"]\n'
            f'ws_url = "ws://127.0.0.1:{port}"\nreconnect_backoff = "10ms"\n'
        )
        config = configuration.load(str(path), {}, dotenv=None)
        (plan,) = topology.assemble(config).plans
        self.ring = f"wsadapter-{name}-{plan.connection}"
        ring.create(self.ring, 1 << 20, EPOCH)
        self.bell = doorbell.create()
        order = IngestOrder(topology._socket(config.feed[0]), plan)
        self.role = RoleProcess(
            "wsadapter.roles.ingest", "ingest", config, metrics.ingest(each.name for each in plan.subscriptions),
            ring=RingRef(plan.connection, self.ring, EPOCH, self.bell), order=order,
        )  # fmt: skip

    def close(self) -> None:
        self.role.close()
        os.close(self.bell)
        Segment.unlink(self.ring)


@pytest.fixture
def venue() -> Iterator[Unfriendly]:
    made = Unfriendly()
    yield made
    made.close()


@pytest.fixture
def instances(venue: Unfriendly, tmp_path: Path) -> Iterator[list[Instance]]:
    made = [Instance(tmp_path, number, venue.port) for number in range(2)]
    yield made
    for each in made:
        each.close()


def test_two_instances_share_a_limit_of_attempts(
    venue: Unfriendly, instances: list[Instance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSADAPTER_HOST_DIR", str(tmp_path / "host"))
    limit = Okx.attempt_limit
    for each in instances:
        each.role.start()
    wanted = 4 * limit.attempts
    for number, each in enumerate(instances):
        eventually(lambda n=number: len(venue.seen) >= (n + 1) * wanted // 2, 60, "attempts")  # type: ignore[misc]
        each.role.kill()  # what it had is remembered
        each.role.start()
    eventually(lambda: len(venue.seen) >= wanted + limit.attempts, 60, "attempts")
    dials = [each.role.page["connection_attempts_total"] for each in instances]
    assert min(dials) > 0
    spans = [late - early for early, late in zip(venue.seen, venue.seen[limit.attempts :], strict=False)]
    assert min(spans) >= limit.seconds, f"more than {limit.attempts} in {limit.seconds} s: {spans}"
    assert [each.name for each in (tmp_path / "host" / "attempts").iterdir()] == [f"127.0.0.1_{venue.port}"]


def test_requests_of_all_sockets_wait_for_the_venues_limit() -> None:
    """And no answer is missed meanwhile: what waits was not asked yet."""
    asked: list[float] = []

    async def scripted(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            asked.append(time.monotonic())
            peer.ack(request)

        await peer.serve(answer)

    async def body() -> None:
        async with Loopback(scripted, scripted) as server:
            limiter, handler = LocalLimiter(AttemptLimit(2, 0.4)), object()
            clients = [
                Client(
                    ConnectionConfig(
                        [f"S{n:05}USDT" for n in range(900)], "binance", ["trade"], ws_url=server.url, ack_timeout=1.0
                    ),
                    handler,
                )
                for _ in range(2)
            ]
            for each in clients:
                each.connections[0].dialer.requests = limiter
                each.connections[0].exchange.message_interval = 0.001
            tasks = [asyncio.create_task(each.start()) for each in clients]
            await until(lambda: all(each.connections[0].subscribed.is_set() for each in clients))
            losses = [each.connections[0].losses for each in clients]
            for each in clients:
                await each.stop()
            await asyncio.gather(*tasks)
        assert losses == [0, 0]
        assert len(asked) > 4
        spans = [late - early for early, late in zip(asked, asked[2:], strict=False)]
        # by when the server has read them, which may be late for the earlier one: without a limit it is milliseconds
        assert min(spans) >= 0.2
        assert asked[-1] - asked[0] >= 0.4 * (len(asked) // 2 - 1) - 0.2

    run(body())


def test_which_venues_count_requests_by_address() -> None:
    from wsadapter.exchanges import OURS, load

    counting = {word: limit for word in OURS if (limit := load(word).message_limit) is not None}
    assert {word: (one.attempts, one.seconds) for word, one in counting.items()} == {
        "coinbase": (100, 1.0), "deribit": (10, 3.0), "hyperliquid": (2000, 60.0),
    }  # fmt: skip
