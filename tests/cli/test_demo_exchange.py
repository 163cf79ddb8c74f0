"""`demo-exchange`: what it prints is enough for a client that knows nothing of us."""

import asyncio
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest
import uvloop
from picows import WSMsgType
from venue_client import VenueClient


@pytest.fixture
def served(exchange: str) -> Iterator["subprocess.Popen[str]"]:
    command = Path(sys.executable).with_name("wsadapter-supervisor")
    process = subprocess.Popen(
        [str(command), "demo-exchange", "--exchange", exchange, "--symbol", "BTCUSDT", "--rate", "200"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def told(stdout: IO[str]) -> list[tuple[str, str]]:
    """Up to the line of REST, which is the last."""
    lines: list[tuple[str, str]] = []
    while not lines or lines[-1][0] != "rest":
        word, _, value = stdout.readline().partition(" ")
        assert word, "it has ended"
        lines.append((word, value.strip()))
    return lines


@pytest.mark.parametrize(("exchange", "time_path"), [("binance", "/fapi/v1/time"), ("bybit", "/v5/market/time")])
def test_a_client_subscribes_with_what_it_is_told(served: "subprocess.Popen[str]", time_path: str) -> None:
    assert served.stdout is not None
    (_, url), (_, request), *others = told(served.stdout)
    assert others[-1][0] == "rest"

    async def scenario() -> None:
        client = await VenueClient.connect(url)
        client.transport.send(WSMsgType.TEXT, request.encode())
        await client.until(lambda: len(client.texts) > 5)
        assert any(b"BTCUSDT" in text for text in client.texts)
        await client.goodbye()

    uvloop.run(asyncio.wait_for(scenario(), 120))
    with urllib.request.urlopen(others[-1][1] + time_path, timeout=60) as answer:
        assert msgspec.json.decode(answer.read())
    served.send_signal(signal.SIGINT)
    _, said = served.communicate(timeout=60)
    assert (served.returncode, "sent " in said) == (0, True), said
