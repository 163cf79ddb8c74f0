"""`backfill`: what its arguments mean, and that nothing is requested where nobody would fetch it."""

import json
from pathlib import Path

import click
import pytest
from cli.command import run

from wsadapter.cli import backfill
from wsadapter.cli.backfill import requests_of
from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode
from wsadapter.events.gaps import RepairState
from wsadapter.kafka.backfill import BackfillProgress, BackfillRequest

FEEDS = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT"]
streams = ["kline", "trade", "ticker"]
intervals = ["1m", "1h"]
[[feed]]
name = "more"
exchange = "binance"
symbols = ["BTCUSDT"]
streams = ["trade", "funding_rate"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "wsadapter.toml"
    path.write_text(FEEDS)
    return configuration.load(str(path), {}, dotenv=None)


def requested(config: Config, **changes: object) -> list[BackfillRequest]:
    arguments = {
        "exchange": "", "feed": "", "symbols": (), "streams": (), "intervals": (), "since_ns": 1_000, "until_ns": 2_000,
    }  # fmt: skip
    return requests_of(config, **{**arguments, **changes})  # type: ignore[arg-type]


def series(found: list[BackfillRequest]) -> list[str]:
    return [" ".join(filter(None, (w.feed, w.symbol, w.stream, w.interval))) for w in found]


def test_what_is_not_named_is_what_is_recorded(config: Config) -> None:
    found = requested(config)
    assert series(found) == [
        "fut BTCUSDT kline 1m", "fut BTCUSDT kline 1h", "fut BTCUSDT trade",
        "fut ETHUSDT kline 1m", "fut ETHUSDT kline 1h", "fut ETHUSDT trade",
        "more BTCUSDT funding_rate",
    ]  # fmt: skip
    assert {(w.exchange, w.since_ns, w.until_ns) for w in found} == {("binance", 1_000, 2_000)}


def test_what_is_named_need_not_be_recorded(config: Config) -> None:
    found = requested(config, feed="more", symbols=("solusdt",), streams=("kline",), intervals=("5m",))
    assert series(found) == ["more SOLUSDT kline 5m"]


@pytest.mark.parametrize(
    ("exchange", "written", "symbol"),
    [
        ("binance", "btcusdt", "BTCUSDT"), ("binance", "币安人生usdt", "币安人生USDT"),
        ("kraken", "BTC/USD", "BTC/USD"),
        ("hyperliquid", "xyz:TSLA", "xyz:TSLA"), ("hyperliquid", "kPEPE", "kPEPE"),
    ],
)  # fmt: skip
def test_a_symbol_is_any_text_that_a_venue_may_have(tmp_path: Path, exchange: str, written: str, symbol: str) -> None:
    path = tmp_path / "wsadapter.toml"
    path.write_text(f'[[feed]]\nexchange = "{exchange}"\nsymbols = ["A"]\nstreams = ["trade"]\n')
    config = configuration.load(str(path), {}, dotenv=None)
    assert series(requested(config, symbols=(written,))) == [f"{exchange} {symbol} trade"]


@pytest.mark.parametrize(
    "changes",
    [
        {"since_ns": None},
        {"since_ns": 2_000},
        {"since_ns": 2**62, "until_ns": None},
        {"streams": ("ticker",)},
        {"streams": ("trade",), "intervals": ("1m",)},
        {"streams": ("kline",), "intervals": ("7m",)},
        {"symbols": ("BTC USDT",)},
        {"symbols": ("",)},
        {"symbols": ("*USDT",)},
        {"symbols": ("top:5",)},
        {"feed": "other"},
        {"exchange": "okx"},
        {"symbols": tuple(f"S{n}USDT" for n in range(1001)), "streams": ("trade",), "feed": "fut"},
    ],
)
def test_what_cannot_be_meant(config: Config, changes: dict[str, object]) -> None:
    with pytest.raises(click.UsageError):
        requested(config, **changes)


def test_exit_codes(tmp_path: Path) -> None:
    path = tmp_path / "wsadapter.toml"
    path.write_text(FEEDS + '[monitor]\nlisten = "127.0.0.1:1"\n')
    assert run(tmp_path, "backfill", "--config", str(path)).returncode == ExitCode.USAGE
    assert run(tmp_path, "backfill", "--config", str(path), "--since", "soon").returncode == ExitCode.USAGE
    nobody = run(tmp_path, "backfill", "--config", str(path), "--since", "1h")
    assert (nobody.returncode, nobody.stdout) == (ExitCode.UNAVAILABLE, "")


def test_a_symbol_written_otherwise_is_refused_with_the_near_ones(tmp_path: Path) -> None:
    path = tmp_path / "wsadapter.toml"
    path.write_text(FEEDS + '[monitor]\nlisten = "127.0.0.1:1"\n[clickhouse]\nurl = "http://127.0.0.1:1"\n')

    refused = run(tmp_path, "backfill", "--config", str(path), "--since", "1h", "--symbol", "btc-usdt")
    assert (refused.returncode, refused.stdout) == (ExitCode.USAGE, "")
    assert "near: BTCUSDT" in refused.stderr
    # nobody can say what the venue trades: it will
    asked = run(tmp_path, "backfill", "--config", str(path), "--since", "1h", "--symbol", "SOLUSDT")
    assert asked.returncode == ExitCode.UNAVAILABLE


class Interrupted:
    """A watch that somebody leaves: ``states`` are those that its requests have by then."""

    states: tuple[str, ...]

    def __init__(self, kafka: object, requests: list[BackfillRequest]) -> None:
        self.progress = {str(n): BackfillProgress(each) for n, each in enumerate(requests)}

    @property
    def done(self) -> bool:
        return all(progress.state for progress in self.progress.values())

    def publish(self) -> None: ...

    def poll(self, seconds: float) -> None:
        for progress, state in zip(self.progress.values(), self.states, strict=True):
            progress.state = state
        if not self.done:
            raise KeyboardInterrupt

    def poll_to_the_end(self, seconds: float) -> None:
        raise KeyboardInterrupt

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (("", ""), ExitCode.INTERRUPTED),
        ((RepairState.REPAIRED, ""), ExitCode.INTERRUPTED),
        ((RepairState.PARTIAL, ""), ExitCode.INTERRUPTED),
        ((RepairState.REPAIRED, RepairState.REPAIRED), ExitCode.OK),
        ((RepairState.REPAIRED, RepairState.UNREPAIRABLE), ExitCode.LOSS),
    ],
)
def test_who_leaves_while_something_is_open_is_told_so(
    config: Config, states: tuple[str, ...], code: ExitCode, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(backfill, "BackfillWatch", type("Left", (Interrupted,), {"states": states}))
    monkeypatch.setattr(backfill, "_repairer_runs", lambda address, required: True)
    requests = requested(config, feed="fut", streams=("trade",))

    assert backfill._backfill(config, requests, as_json=True) == code
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == [state or "open" for state in states]
