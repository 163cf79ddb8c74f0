"""`mcp`: the SDK's own client, over stdio, asks for candles with a hole in them and is told of the hole."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cli.command import run
from clickhouse.table_bench import TableBench
from mcp import Client, StdioServerParameters
from stored.recordings import MINUTE, NOON, candle, coverage, gap, record, trade

pytestmark = pytest.mark.integration
Ask = Callable[..., Awaitable[Any]]


def asked(directory: Path, url: str, database: str, question: Callable[[Client], Awaitable[None]]) -> None:
    config = directory / "c.toml"
    config.write_text(f'[service]\nstate_dir = "{directory}"\n[clickhouse]\nurl = "{url}"\ndatabase = "{database}"\n')
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "wsadapter.cli.main", "--config", str(config), "mcp"],
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
    )  # fmt: skip

    async def session() -> None:
        async with Client(server) as client:
            await question(client)

    asyncio.run(asyncio.wait_for(session(), 120))


@pytest.fixture
def bench(clickhouse: str) -> Any:
    made = TableBench(clickhouse).create()
    yield made
    made.close()


def test_an_agent_is_told_of_the_hole_in_its_candles(tmp_path: Path, bench: TableBench) -> None:
    record(bench, [candle(NOON + minute * MINUTE, f"{61800 + minute}.10") for minute in (0, 1, 2, 5, 6)])
    record(bench, [trade(1, NOON)])
    record(bench, [coverage("kline", NOON, NOON + 3 * MINUTE, "1m"), coverage("trade", NOON, NOON + 10 * MINUTE)])
    record(bench, [coverage("kline", NOON + 5 * MINUTE, NOON + 10 * MINUTE, "1m")])
    record(bench, [gap(NOON + 3 * MINUTE, NOON + 5 * MINUTE, "unrepairable", "kline")])
    series = {
        "exchange": "binance", "symbol": "BTCUSDT", "start": "2026-09-21T14:14:00Z", "end": "2026-09-21T14:24:00Z",
    }  # fmt: skip

    async def question(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == {
            "recorded", "candles", "trades", "quotes", "book", "funding", "events", "completeness", "gaps",
        }  # fmt: skip
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        assert all(tool.description for tool in tools.values())

        answer = (await client.call_tool("candles", series)).structured_content
        assert answer is not None
        assert [row[0][11:16] for row in answer["rows"]] == ["14:14", "14:15", "14:16", "14:19", "14:20"]
        assert [row[4] for row in answer["rows"]] == ["61800.1", "61801.1", "61802.1", "61805.1", "61806.1"]
        assert answer["completeness"]["verdict"] == "incomplete"
        (hole,) = answer["completeness"]["missing"]
        assert (hole["start"], hole["end"], hole["cause"]) == (
            "2026-09-21T14:17:00Z", "2026-09-21T14:19:00Z", "disconnect",
        )  # fmt: skip

        whole = (await client.call_tool("trades", series)).structured_content
        assert whole is not None
        assert (len(whole["rows"]), whole["completeness"]["complete"]) == (1, True)
        known = (await client.call_tool("recorded", {})).structured_content
        assert known is not None
        assert len(known["rows"]) == 2
        told = (await client.call_tool("gaps", {"stream": "kline", "interval": "1m", **series})).structured_content
        assert told is not None
        assert len(told["gaps"]) == 1

        at = {"exchange": "binance", "symbol": "BTCUSDT", "time": "2026-09-21T14:20:00Z"}
        book = (await client.call_tool("book", at)).structured_content
        assert book is not None
        assert (book["bids"], book["completeness"]["verdict"]) == ([], "missing")

        wrong = await client.call_tool("candles", {**series, "start": "2030-01-01"})
        assert wrong.is_error
        assert "ends before it begins" in str(wrong.content)

    asked(tmp_path, bench.settings.url, bench.settings.database, question)


def test_without_clickhouse_each_call_says_so(tmp_path: Path) -> None:
    async def question(client: Client) -> None:
        for _ in range(2):
            answer = await client.call_tool("recorded", {})
            assert answer.is_error
            assert "ClickHouse at http://127.0.0.1:9" in str(answer.content)

    asked(tmp_path, "http://127.0.0.1:9", "market", question)


def test_a_wrong_configuration_is_said_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[clickhouse]\nurl = 1\n")
    done = run(tmp_path, "--config", "c.toml", "mcp")
    assert (done.returncode, done.stdout) == (78, "")
