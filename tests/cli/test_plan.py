"""`plan`: every stream has its one way, in eighty columns, and it is the way that it takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli.command import run
from msgspec import structs
from rich.cells import cell_len

from wsadapter.cli.placement import Measured, Placed, measured, placed, serializers_of
from wsadapter.cli.plan import WIDTH, lines
from wsadapter.config.model import Config, Feed, KafkaConfig, ProcessConfig, ServiceConfig
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.errors import ExitCode
from wsadapter.exchanges import load_rest
from wsadapter.files import StateDirectory
from wsadapter.roles.serializer.partitioning import partition_of
from wsadapter.roles.supervisor.rings import Rings
from wsadapter.roles.supervisor.topology import Assembly, assemble

CHINESE = "币安人生USDT"


def assembly(*feeds: Feed, serializers: int = 2, partitions: int = 8) -> Assembly:
    process = {"serializer": ProcessConfig(count=serializers)}
    service = ServiceConfig(instance="unit", state_dir="/nowhere")
    return assemble(Config(service, feeds, kafka=KafkaConfig(partitions=partitions), process=process))


def feed(name: str, exchange: str, **changes: Any) -> Feed:
    return Feed(**{"name": name, "exchange": exchange, "symbols": ("BTCUSDT",), "streams": ("trade",), **changes})


def many() -> list[Placed]:
    symbols = tuple(f"S{n}USDT" for n in range(300))
    streams = ("trade", "depth", "kline", "book_ticker", "ticker")
    return placed(assembly(feed("many", "binance_spot", symbols=symbols, streams=streams)))


def test_each_stream_of_each_symbol_has_one_way() -> None:
    first, second = many()

    assert (first.connection, second.connection) == ("many-all-0", "many-all-1")
    ways = [(one.symbol, one.stream) for each in (first, second) for one in each.streams]
    assert len(ways) == len(set(ways)) == 1500
    assert (first.used.streams, second.used.streams) == (1024, 476) if first.used and second.used else False
    assert first.why[0] == "1 of 2: one connection does not take all streams"
    assert (first.process, first.ring) == ("ingest many-all-0", "wsadapter-unit-many-all-0")


def test_a_partition_is_that_of_the_key() -> None:
    for one in many()[0].streams:
        assert one.partition == partition_of(f"binance_spot:{one.symbol}".encode(), 8)
        assert one.topic == f"websocket.{one.stream}"
    (other,) = placed(assembly(feed("raw", "binance", streams=("raw_trade",)), partitions=1))[:1]
    assert [(one.stream, one.topic, one.partition) for one in other.streams] == [("raw_trade", "websocket.trade", 0)]


def test_a_subscription_that_feeds_two_words_is_two_lines() -> None:
    streams = ("mark_price", "funding_rate", "open_interest")
    connection, repairer = placed(assembly(feed("um", "binance", streams=streams)))

    assert [(one.stream, one.name) for one in connection.streams] == [
        ("mark_price", "btcusdt@markPrice@1s"), ("funding_rate", "btcusdt@markPrice@1s"),
    ]  # fmt: skip
    assert (repairer.connection, repairer.process, repairer.used) == ("repair", "repairer", None)
    assert [(one.symbol, one.stream) for one in repairer.streams] == [("BTCUSDT", "open_interest")]


def test_serializers_are_those_of_the_rings(tmp_path: Path) -> None:
    wanted = assembly(
        feed("a", "binance_spot", redundancy=3), feed("b", "binance", streams=("trade", "depth")), feed("c", "bybit"),
        serializers=3,
    )  # fmt: skip
    state = StateDirectory(str(tmp_path))
    epochs = iter(range(1, 100))
    rings = Rings(f"plan{tmp_path.name[-6:]}", 65_536, lambda: next(epochs), 3, state)
    try:
        rings.open(wanted.rings, wanted.redundant)
        found = {ref.connection: number for number in range(3) for ref in rings.of_serializer(number)}
        assert serializers_of(wanted) == found
        assert len(set(found.values())) == 3
        assert found["a-all-0"] == found["a-all-0-r2"] == found["a-all-0-r3"]
    finally:
        rings.close()


def test_eighty_columns_hold_everything() -> None:
    wide = feed("c", "binance_spot", symbols=(CHINESE, "A" * 30 + "USDT"), streams=("depth", "kline"), redundancy=2,
                intervals=("1m", "12h"), ws_url="ws://127.0.0.1:8080/" + "x" * 90)  # fmt: skip
    for one in placed(assembly(wide)):
        shown = list(lines(one))
        assert max(map(cell_len, shown)) <= WIDTH
        text = "".join(line.strip() for line in shown)
        for each in one.streams:
            for value in (each.symbol, each.name, f"{each.topic}/{each.partition}"):
                assert value.replace(" ", "") in text.replace(" ", "")
        assert one.url in text


@pytest.mark.parametrize("exchange", STAND_INS)
def test_every_venue(exchange: str) -> None:
    """Each word of each symbol goes one way, and nothing else does."""
    wanted = STAND_INS[exchange].feed
    rest = load_rest(exchange)
    connections = placed(assembly(wanted))
    ways = {(one.symbol, one.stream) for each in connections for one in each.streams}
    symbols = {one.symbol for each in connections for one in each.streams}
    assert len(symbols) == len(wanted.symbols)
    assert ways == {(symbol, word) for symbol in symbols for word in wanted.streams}
    polled = rest.polled if rest else frozenset()
    assert {one.stream for each in connections if each.used is None for one in each.streams} <= polled
    for each in connections:
        assert max(map(cell_len, lines(each))) <= WIDTH
        assert each.why
        assert each.used is None or each.used.streams <= each.used.most_streams


def answer(at: float, frames: int, octets: int, states: tuple[str, ...] = ()) -> dict[str, Any]:
    """Of /status, as far as it is looked at."""
    streams = [{"connection": "many-all-0", "stream": f"s{n}", "state": state} for n, state in enumerate(states)]
    connection = {"connection": "many-all-0", "frames": frames, "bytes": octets}
    return {"time": at, "connections": [connection], "streams": [*streams, {"connection": "x", "state": "live"}]}


def test_what_an_instance_measures() -> None:
    before, after = answer(10.0, 100, 5000), answer(14.0, 500, 45_000, ("live", "live", "stale"))
    found = measured(before, after)
    assert found == {"many-all-0": Measured(100.0, 10_000.0, {"live": 2, "stale": 1})}
    first, second = many()
    text = list(lines(structs.replace(first, measured=found["many-all-0"], streams=first.streams[:1])))
    assert "  measured    100 frames/s, 10000 bytes/s; 2 live, 1 stale" in text
    assert not [line for line in lines(second) if "measured" in line]


def test_a_connection_that_began_anew_is_not_measured() -> None:
    assert measured(answer(1.0, 100, 5), answer(2.0, 3, 6)) == {}
    assert measured({**answer(1.0, 1, 1), "connections": []}, answer(2.0, 3, 6)) == {}


def test_no_instance_to_ask(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        '[monitor]\nlisten="127.0.0.1:1"\n[[feed]]\nname="s"\nexchange="binance_spot"\nsymbols=["BTCUSDT"]\n'
        'streams=["trade"]\n'
    )
    done = run(tmp_path, "plan", "--config", "w.toml", "--live")
    assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "no monitor answers" in done.stderr


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        f'[[feed]]\nname="s"\nexchange="binance_spot"\nsymbols=["BTCUSDT","{CHINESE}"]\nstreams=["trade","ticker"]\n'
    )
    done = run(tmp_path, "--config", "w.toml", "plan", "--symbol", CHINESE, "--json")
    assert done.returncode == ExitCode.OK
    (connection,) = json.loads(done.stdout)
    assert [(one["symbol"], one["stream"]) for one in connection["streams"]] == [
        (CHINESE, "trade"),
        (CHINESE, "ticker"),
    ]
    assert connection["used"]["most_streams"] == 1024
    assert done.stderr == ""

    done = run(tmp_path, "plan", "--config", "w.toml", "--stream", "ticker")
    assert "ticker  websocket.ticker/" in done.stdout
    assert "aggTrade" not in done.stdout
    assert run(tmp_path, "plan", "--config", "w.toml", "--stream", "nothing").returncode == ExitCode.USAGE


def test_of_several_instances_each_says_what_is_recorded_where(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[service]\nshard = "1/3"\n[[feed]]\nexchange = "binance"\nstreams = ["trade"]\n'
        'symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]\n'
    )
    done = run(tmp_path, "plan", "--config", str(path))
    assert done.returncode == ExitCode.OK
    assert done.stdout.splitlines()[:6] == [
        "shard 1 of 3",
        "  binance     1/3, here: BTCUSDT",
        "  binance     2/3: SOLUSDT",
        "  binance     3/3: ETHUSDT XRPUSDT",
        "",
        "binance-s1-market-0",
    ]
