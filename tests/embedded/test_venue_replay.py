"""A recorded file through the venue: every frame verbatim, once, in order, to a connection of its class."""

import asyncio
import gzip
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from frames_path import frames
from venue_client import VenueClient, settled

from wsadapter.embedded.exchange.binance_recording import recognised
from wsadapter.embedded.exchange.replay import FrameFile, inventory
from wsadapter.embedded.exchange.server import LoopbackVenue, Options

MIXED = "binance_usdm/mixed_btcusdt_20240808.jsonl.gz"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


def lines_of(path: Path) -> list[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        return [line.strip() for line in lines if line.strip()]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


async def subscribed(venue: LoopbackVenue, route: str, *names: str) -> VenueClient:
    return await VenueClient.connect(f"{venue.url}/{route}/stream?streams={'/'.join(names)}")


def test_the_recorded_hour_comes_out_as_it_is() -> None:
    path = frames(MIXED)
    sent = [line for line in lines_of(path) if not line.startswith(b'{"lastUpdateId"')]

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path), connections=2)) as venue:
            public = await subscribed(venue, "public", "btcusdt@depth@0ms")
            market = await subscribed(venue, "market", "btcusdt@aggTrade")
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await public.goodbye()
            await market.goodbye()
            assert public.texts == sent
            assert market.texts == []
            assert dict(venue.sent) == {"book_ticker": 15_377, "trade": 3_024, "depth": 1_598}

    run(scenario())
    assert inventory(path, recognised)["skipped"] == 1


def test_every_recorded_file_plays_to_the_class_of_its_frames(tmp_path: Path) -> None:
    whole = tmp_path / "all.jsonl"
    files = [path for path in sorted(frames("binance_usdm").glob("*.jsonl")) if "rest_depth" not in path.name]
    whole.write_bytes(b"\n\n".join(path.read_bytes() for path in files))

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(whole), connections=2)) as venue:
            public = await subscribed(venue, "public", "btcusdt@depth")
            market = await subscribed(venue, "market", "btcusdt@aggTrade")
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await public.goodbye()
            await market.goodbye()
            received = public.texts + market.texts
            file = FrameFile(whole, recognised)
            assert len(received) == len(list(file))
            assert len(received) + file.skipped == len(lines_of(whole))
            assert set(received) <= set(lines_of(whole))
            events = {"public": {"depthUpdate", "bookTicker", "trade"}}
            for one in market.parsed:
                assert not (isinstance(one, dict) and one.get("data", one).__class__ is dict
                            and one.get("data", one).get("e") in events["public"])  # fmt: skip
            for one in public.parsed:
                name = one.get("data", one).get("e") if isinstance(one, dict) else None
                assert name in events["public"] or name is None

    run(scenario())


def test_what_is_a_frame_and_what_it_counts_as(tmp_path: Path) -> None:
    path = written(
        tmp_path / "odd.jsonl",
        '{"lastUpdateId":1,"bids":[],"asks":[]}',
        '{"symbol":"BTCUSDT","openInterest":"1","time":2}',
        '{"method":"SUBSCRIBE","params":[],"id":1}',
        "[[1,2],[3,4]]",
        "",
        '{"result":null,"id":1}',
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","p":"1"}}',
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","p":"1","a":7}}',
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","p":"1","a":null}}',
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade",',
        '[{"e":"markPriceUpdate","s":"A","r":"0.1","T":1},{"e":"markPriceUpdate","s":"B","r":"","T":0}]',
        '{"stream":"!ticker@arr","data":[{"e":"24hrTicker","s":"A","st":1},{"e":"24hrTicker","s":"B_PERP","st":2}]}',
        '{"e":"futureEvent","s":"A"}',
    )
    assert inventory(path, recognised) == {
        "frames": 8,
        "skipped": 4,
        "events": {"ticker": 1, "trade": 1, "mark_price": 2, "funding_rate": 1},
    }
    told = {("funding_rate", "A"): ("0.1", 1)}
    of_marks = [each.events.count(told, {}, False) for each in FrameFile(path, recognised) if each.events]
    assert Counter(word for words in of_marks for word in words) == {"ticker": 1, "trade": 1, "mark_price": 1}


def test_funding_counts_once_a_connection_until_it_changes(tmp_path: Path) -> None:
    def mark(rate: str) -> str:
        return f'{{"stream":"a@markPrice","data":{{"e":"markPriceUpdate","s":"A","r":"{rate}","T":5}}}}'

    path = written(tmp_path / "marks.jsonl", *(mark(rate) for rate in ("1", "1", "2", "2", "1")))

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path))) as venue:
            await subscribed(venue, "market", "a@markPrice")
            assert venue.replay
            await venue.replay.done.wait()
            assert dict(venue.sent) == {"mark_price": 5, "funding_rate": 3}

    run(scenario())


def test_a_connection_that_comes_back_continues(tmp_path: Path) -> None:
    lines = [f'{{"stream":"a@aggTrade","data":{{"e":"aggTrade","a":{n},"pad":"{"x" * 500}"}}}}' for n in range(20_000)]
    path = written(tmp_path / "long.jsonl", *lines)

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path))) as venue:
            first = await subscribed(venue, "market", "a@aggTrade")
            await first.until(lambda: len(first.texts) > 100)
            first.transport.disconnect(graceful=False)
            await settled(lambda: not venue.connections)
            handed = venue.counts.frames_sent
            second = await subscribed(venue, "market", "a@aggTrade")
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await second.goodbye()
            ids = [msgspec.json.decode(text)["data"]["a"] for text in second.texts]
            assert ids == list(range(handed, 20_000))
            assert venue.counts.frames_sent == 20_000

    run(scenario())


def test_a_reader_that_pauses_holds_the_replay_and_loses_nothing(tmp_path: Path) -> None:
    lines = [f'{{"stream":"a@depth","data":{{"e":"depthUpdate","u":{n},"pad":"{"x" * 4000}"}}}}' for n in range(5_000)]
    path = written(tmp_path / "long.jsonl", *lines)

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path))) as venue:
            client = await subscribed(venue, "public", "a@depth")
            await client.until(lambda: client.texts)
            client.transport.underlying_transport.pause_reading()
            await settled(lambda: not venue.connections[0].writable.is_set())
            held = venue.counts.frames_sent
            await asyncio.sleep(0.05)
            assert venue.counts.frames_sent == held < 5_000
            client.transport.underlying_transport.resume_reading()
            assert venue.replay
            await asyncio.wait_for(venue.replay.done.wait(), 100)
            await client.goodbye()
            assert client.texts == [line.encode() for line in lines]

    run(scenario())


def test_frames_of_a_class_that_never_connected_go_to_another(tmp_path: Path) -> None:
    path = written(
        tmp_path / "one.jsonl", '{"stream":"a@depth","data":{"e":"depthUpdate"}}', '{"e":"kline"}', "{broken"
    )

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path), repeat=2)) as venue:
            client = await subscribed(venue, "market", "a@aggTrade")
            assert venue.replay
            await venue.replay.done.wait()
            await client.goodbye()
            assert len(client.texts) == 6

    run(scenario())


def test_of_two_connections_the_one_that_asked_gets_the_frame(tmp_path: Path) -> None:
    names = ("a@aggTrade", "b@kline_1m", "c@aggTrade", "b@aggTrade")
    path = written(tmp_path / "two.jsonl", *(f'{{"stream":"{name}","data":{{"e":"x"}}}}' for name in names))

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path), connections=2)) as venue:
            left = await subscribed(venue, "market", "a@aggTrade", "b@kline_1m")
            right = await subscribed(venue, "market", "c@aggTrade")
            assert venue.replay
            await venue.replay.done.wait()
            await left.goodbye()
            await right.goodbye()
            assert [one["stream"] for one in left.parsed] == ["a@aggTrade", "b@kline_1m", "b@aggTrade"]
            assert [one["stream"] for one in right.parsed] == ["c@aggTrade"]

    run(scenario())


def test_recorded_speed_follows_the_receive_times(tmp_path: Path) -> None:
    path = written(tmp_path / "slow.jsonl", *(f'{{"e":"kline","E":{n}}}' for n in range(4)))
    start = 1_723_161_255_030_314_667
    with gzip.open(tmp_path / "slow.recv.txt.gz", "wt") as times:
        times.writelines(f"{start + n * 300_000_000}\n" for n in range(4))
    assert [recorded.at_ns - start for recorded in FrameFile(path, recognised)] == [
        0,
        300_000_000,
        600_000_000,
        900_000_000,
    ]

    async def scenario() -> None:
        async with LoopbackVenue(Options(quiet=0.1, replay=str(path), speed="recorded")) as venue:
            client = await subscribed(venue, "market", "a@kline_1m")
            await client.until(lambda: client.texts)
            begun = asyncio.get_running_loop().time()
            await client.until(lambda: len(client.texts) == 4)
            assert asyncio.get_running_loop().time() - begun > 0.85

    run(scenario())


def test_seconds_are_receive_times_too(tmp_path: Path) -> None:
    path = written(tmp_path / "s.jsonl", '{"e":"kline"}', "", '{"e":"kline"}')
    written(tmp_path / "s.recv.txt", "1626992741.25", "1626992741.75")
    assert [recorded.at_ns for recorded in FrameFile(path, recognised)] == [
        1_626_992_741_250_000_000,
        1_626_992_741_750_000_000,
    ]


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        LoopbackVenue(Options(quiet=0.1, replay=str(tmp_path / "nowhere.jsonl")))
