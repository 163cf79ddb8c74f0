"""The script of docs/client.md runs as it stands there; only its address is the test's."""

import asyncio
import re
import sys
from pathlib import Path

from client.loopback_ws import Loopback, Peer, run, trade

DOC = Path(__file__).resolve().parents[2] / "docs" / "client.md"


def script() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    return str(found)


def test_the_script_has_ten_lines() -> None:
    assert len([line for line in script().splitlines() if line]) <= 10


def test_the_script_prints_trades() -> None:
    async def feed(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(*map(trade, range(3)))
        await peer.serve()

    async def body() -> None:
        async with Loopback(feed) as venue:
            source, changes = re.subn(r"ws://127\.0\.0\.1:\d+", venue.url, script())
            assert changes == 1
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            try:
                lines = [await process.stdout.readline() for _ in range(3)]
            finally:
                process.kill()
                await process.communicate()
            assert lines == [b"BTCUSDT 0.001 100\n"] * 3
            assert venue.peers[0].path == "/market/stream"

    run(body())
