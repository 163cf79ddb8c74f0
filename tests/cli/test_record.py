"""`record`: what a venue sends ends up in a file, byte for byte, and the venue plays it back."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cli.command import run as command
from picows import WSMsgType
from venue_client import VenueClient

from wsadapter.config.types import INTERVALS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.recordings import NOTE, Header, Recording, RecordingWriter
from wsadapter.recordings import Frame as RecordedFrame
from wsadapter.roles.supervisor.replayed import feeds

PROGRAM = Path(sys.executable).with_name("wsadapter-supervisor")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


async def recorded(venue: LoopbackVenue, path: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), "record", "--out", str(path), "--ws-url", venue.url, *arguments, stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def test_a_sample_of_a_venue_comes_back_from_it(tmp_path: Path) -> None:
    path = tmp_path / "sample.frames.zst"
    asked = ("--exchange", "binance", "--symbol", "BTCUSDT", "--stream", "trade", "--stream", "book_ticker")

    async def record() -> None:
        async with LoopbackVenue(Options(rate=300)) as venue:
            code, said = await recorded(venue, path, *asked, "--for", "2s")
            assert code == 0, said
            assert "frames in" in said

    run(record())
    header = Recording(path).header
    assert (header.exchange, header.symbols, header.streams) == ("binance", ("BTCUSDT",), ("trade", "book_ticker"))
    (feed,) = feeds("binance", path)
    assert (feed.symbols, feed.streams, feed.intervals) == (("BTCUSDT",), ("trade", "book_ticker"), ("1m",))
    frames = [frame for frame in Recording(path) if frame.socket != NOTE]
    data = [frame.payload for frame in frames if b'"data"' in frame.payload]
    assert data
    assert [frame.at_ns for frame in frames] == sorted(frame.at_ns for frame in frames)

    async def replay() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path), connections=2)) as venue:
            public = await VenueClient.connect(f"{venue.url}/public/stream?streams=btcusdt@bookTicker")
            market = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await public.goodbye()
            await market.goodbye()
            played = [text for text in public.texts + market.texts if b'"data"' in text]
            assert sorted(played) == sorted(data)

    run(replay())


def test_the_default_is_what_the_venue_offers_of_it(tmp_path: Path) -> None:
    path = tmp_path / "sample.frames.zst"

    async def record() -> None:
        async with LoopbackVenue(Options(exchange="binance_spot", rate=300)) as venue:
            code, said = await recorded(
                venue, path, "--exchange", "binance_spot", "--symbol", "BTCUSDT", "--max-bytes", "3000"
            )
            assert code == 0, said

    run(record())
    assert Recording(path).header.streams == ("kline", "ticker", "depth", "trade")


def test_nothing_came(tmp_path: Path) -> None:
    path = tmp_path / "sample.frames.zst"
    asked = ("--exchange", "binance", "--symbol", "BTCUSDT", "--out", str(path), "--for", "300ms")
    done = command(tmp_path, "record", *asked, "--ws-url", "ws://127.0.0.1:9")
    assert done.returncode == 69
    assert "no frame came" in done.stderr
    assert list(Recording(path)) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--exchange", "binance", "--symbol", "BTCUSDT", "--out", "{there}"), 70, "cannot be written: File exists"),
        (("--exchange", "binance", "--out", "x"), 64, "--symbol"),
        (("--exchange", "kraken", "--symbol", "BTC/USD", "--stream", "liquidation", "--out", "x"), 78, "liquidation"),
        (("--exchange", "binance", "--symbol", "BTCUSDT", "--interval", "7m", "--out", "x"), 64, INTERVALS[0]),
    ],
)
def test_what_cannot_be_recorded_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    there = tmp_path / "there"
    there.touch()
    done = command(tmp_path, "record", *(word.format(there=there) for word in arguments))
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert not (tmp_path / "x").exists()


def test_replay_knows_whose_recording_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.zst"
    RecordingWriter(path, Header(exchange="okx")).close()
    done = command(tmp_path, "replay", str(path), "--exchange", "binance")
    assert done.returncode == 64
    assert "is a recording of okx" in done.stderr
    for speed in ("0x", "fast", "-1x"):
        assert command(tmp_path, "replay", str(path), "--speed", speed).returncode == 64


def test_of_two_sockets_that_overlap_one_is_played(tmp_path: Path) -> None:
    """While one takes over from the other the venue says everything on both."""
    path = tmp_path / "a.frames.zst"
    writer = RecordingWriter(path, Header(exchange="bybit", symbols=("BTCUSDT",), streams=("trade",)))

    def trade(number: int) -> bytes:
        element = {"i": str(number), "T": 1, "p": "1", "v": "1", "S": "Buy", "s": "BTCUSDT", "L": "PlusTick",
                   "BT": False}  # fmt: skip
        return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [element]}).encode()

    on_first, on_second = [(1, 1), (2, 2), (3, 3)], [(2, 2), (3, 3), (4, 4), (5, 5)]
    sockets = [*((at, "1.1", number) for at, number in on_first), *((at, "1.2", number) for at, number in on_second)]
    writer.write(RecordedFrame(at, socket, trade(number)) for at, socket, number in sorted(sockets))
    writer.close()

    async def replay() -> None:
        async with LoopbackVenue(Options(exchange="bybit", quiet=0.1, replay=str(path))) as venue:
            client = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            request = {"req_id": "1", "op": "subscribe", "args": ["publicTrade.BTCUSDT"]}
            client.transport.send(WSMsgType.TEXT, json.dumps(request).encode())
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await client.goodbye()
            numbers = [one["data"][0]["i"] for one in client.parsed if "topic" in one]
            assert numbers == ["1", "2", "3", "4", "5"]

    run(replay())
