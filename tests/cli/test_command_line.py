"""The command line: what is a usage error, what runs with which options, what goes to which stream."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click
import pytest
from cli.command import call, run

from wsadapter.cli import main as cli
from wsadapter.cli import options
from wsadapter.embedded.demo import StandIns
from wsadapter.errors import ExitCode
from wsadapter.roles.supervisor import run as composition
from wsadapter.roles.supervisor.run import RunOptions

FEED = '[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nonsense",),
        ("nonsense",),
        ("tap",),
        ("tap", "trade", "-n", "0"),
        ("replay", "/nonexistent"),
        ("replay", "/"),
        ("replay", "/etc/hostname", "--speed", "fast"),
        ("replay", "/etc/hostname", "--exchange", "mtgox"),
        ("demo-exchange", "--exchange", "mtgox"),
        ("demo-exchange", "--port", "70000"),
        ("--for", "soon"),
        ("--for", "0s"),
        ("--for", "-5"),
        ("--demo", "validate"),
        ("--for", "5s", "status"),
        ("--embedded", "ddl"),
        ("--brokers", "3"),
        ("--embedded", "--brokers", "2"),
        ("--brokers", "3", "status"),
        ("check", "--brokers", "3"),
        ("--config",),
        ("gaps", "--since", "soon"),
        ("gaps", "--cause", "nonsense"),
        ("audit", "--stream", "nonsense"),
        ("audit", "--since", "1h", "--until", "2h"),
        ("backfill",),
    ],
)
def test_usage_errors(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = call(tmp_path, *arguments, WEBSOCKET_SYMBOLS="BTCUSDT")

    assert done.returncode == ExitCode.USAGE
    assert done.stdout == ""
    assert "Error:" in done.stderr


@pytest.mark.parametrize("arguments", [("tap", "trade", "-n", "0"), ("tap", "--help")])
def test_a_process_of_its_own_ends_as_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done, called = run(tmp_path, *arguments), call(tmp_path, *arguments)

    assert (called.returncode, called.stdout, called.stderr) == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("tap", "--help"), ("--version",)])
def test_help(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = call(tmp_path, *arguments)

    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert "wsadapter-supervisor" in done.stdout


def test_help_names_the_subcommands_there_are(tmp_path: Path) -> None:
    listed, _, codes = run(tmp_path, "--help").stdout.partition("Commands:\n")[2].partition("Exit codes:\n")

    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "audit", "backfill", "check", "config", "ddl", "demo-exchange", "export", "gaps", "generate", "import", "mcp",
        "plan", "record", "reload", "replay", "segments", "status", "tap", "top", "validate",
    ]  # fmt: skip
    assert {int(line.split()[0]) for line in codes.splitlines() if line[2:3].isdigit()} == set(ExitCode)


def test_the_command_itself_imports_little() -> None:
    heavy = {"msgspec", "rich", "confluent_kafka", "clickhouse_connect", "prometheus_client", "google", "asyncio"}
    code = f"import sys, wsadapter.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_disabled_is_a_clean_end_in_one_line(tmp_path: Path) -> None:
    for environ in ({"WEBSOCKET_ENABLED": "false"}, {"WEBSOCKET_ENABLED": "0", "WEBSOCKET_SYMBOLS": "BTCUSDT"}):
        done = call(tmp_path, **environ)

        assert (done.returncode, done.stdout) == (ExitCode.OK, "")
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_options_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "c.toml").write_text(FEED)
    (tmp_path / "frames.jsonl").write_text("{}\n")
    asked: list[RunOptions] = []

    def stub(options: RunOptions, _report: object) -> int:
        asked.append(options)
        return ExitCode.LOSS

    monkeypatch.setattr(composition, "run", stub)

    assert cli.run_command(["--config", "c.toml"]) == ExitCode.LOSS
    assert cli.run_command(["--demo", "--embedded", "--for", "20s"]) == ExitCode.LOSS
    assert cli.run_command(["--config", "c.toml", "replay", "frames.jsonl"]) == ExitCode.LOSS
    assert cli.run_command(["--embedded", "replay", "frames.jsonl", "--speed", "recorded"]) == ExitCode.LOSS
    assert cli.run_command(["--embedded", "--brokers", "3", "--config", "c.toml"]) == ExitCode.LOSS
    plain, demo, replay, recorded, several = asked
    assert several.stand_ins == StandIns(embedded=True, brokers=3)
    assert (several.config.kafka.bootstrap_servers, several.config.kafka.replication_factor) == (
        "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094",
        3,
    )
    assert several.reload() == several.config
    assert (plain.stand_ins, plain.duration) == (StandIns(), None)
    assert plain.config.feed[0].symbols == ("BTCUSDT",)
    assert plain.reload() == plain.config
    assert (demo.stand_ins, demo.duration, demo.config.feed) == (StandIns(embedded=True, demo=True), 20.0, ())
    frames = str(tmp_path / "frames.jsonl")
    assert replay.stand_ins == StandIns(demo=True, replay=frames)
    assert recorded.stand_ins == StandIns(embedded=True, demo=True, replay=frames, speed="recorded")


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20.0), ("1m", 60.0), ("2.5", 2.5), ("90", 90.0), ("500ms", 0.5)])
def test_durations_of_a_run(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    asked: list[float | None] = []

    def stub(options: RunOptions, _report: object) -> int:
        asked.append(options.duration)
        return ExitCode.OK

    monkeypatch.setattr(composition, "run", stub)

    assert cli.run_command(["--demo", "--for", text]) == ExitCode.OK
    assert asked == [seconds]


def test_validate_prints_the_plan(tmp_path: Path) -> None:
    done = call(tmp_path, "validate", "-v", WEBSOCKET_SYMBOLS="BTCUSDT", WEBSOCKET_INTERVALS="1m,1h")
    lines = done.stdout.splitlines()

    assert done.returncode == ExitCode.OK
    assert lines[0].split() == ["connection", "exchange", "symbols", "subscriptions", "url"]
    assert any(line.split()[:3] == ["binance-market-0", "binance", "1"] for line in lines)
    assert any(line.endswith("btcusdt@kline_1h") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_ddl_needs_no_feed_and_no_service(tmp_path: Path) -> None:
    done = run(tmp_path, "ddl")

    assert done.returncode == ExitCode.OK
    assert "CREATE TABLE IF NOT EXISTS `market`.`trade`" in done.stdout


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "wsadapter.cli.main", "ddl"], stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path
    )
    os.close(writing)
    _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (ExitCode.OK, b"")


@pytest.mark.parametrize("arguments", [("audit", "--since", "1h"), ("ddl", "--migrate"), ("gaps",)])
def test_what_was_interrupted_does_not_end_as_if_it_were_through(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "c.toml").write_text(f'[clickhouse]\nurl = "{url}"\n[monitor]\nlisten = "127.0.0.1:1"\n{FEED}')
        silent.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", "wsadapter.cli.main", "--config", "c.toml", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
            env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")},
        )  # fmt: skip
        asked, _ = silent.accept()
        with asked:
            asked.settimeout(60)
            assert asked.recv(1)  # it waits for the answer now
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=60)

    assert (process.returncode, told) == (ExitCode.INTERRUPTED, b"")


@pytest.mark.parametrize("ended", [KeyboardInterrupt, SystemExit(1), BrokenPipeError(errno.EPIPE, "gone")])
@pytest.mark.parametrize(("name", "has_an_end"), [("top", False), ("tap", False), ("audit", True), ("import", True)])
def test_ctrl_c_and_a_reader_that_has_enough_end_only_what_has_no_end_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    has_an_end: bool,
    ended: BaseException | type[BaseException],
) -> None:
    def load(*_arguments: object, **_named: object) -> NoReturn:
        raise ended

    monkeypatch.setattr(options, "load", load)
    (tmp_path / "BTCUSDT-1m-2026-01-01.csv").write_text("")
    more = {"tap": ("trade",), "import": ("--exchange", "binance", "BTCUSDT-1m-2026-01-01.csv")}
    done = call(tmp_path, name, *more.get(name, ()))

    unfinished = ExitCode.INTERRUPTED if ended is KeyboardInterrupt else ExitCode.PIPE
    assert done.returncode == (unfinished if has_an_end else ExitCode.OK)


def test_a_verdict_stays_what_it_was_when_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told last may wait in a buffer until the process ends."""
    reading, writing = os.pipe()
    os.close(reading)

    def run_command() -> int:
        print("what is missing")
        return ExitCode.LOSS

    monkeypatch.setattr(cli, "run_command", run_command)
    monkeypatch.setattr(sys, "argv", ["wsadapter-supervisor", "--help"])
    with open(writing, "w") as nobody, monkeypatch.context() as here:
        here.setattr(sys, "stdout", nobody)
        with pytest.raises(SystemExit) as ended:
            cli.main()

    assert ended.value.code == ExitCode.LOSS


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_line_of_help_is_what_the_command_says_of_itself(name: str) -> None:
    subcommand = cli.command.get_command(click.Context(cli.command), name)

    assert subcommand is not None
    assert subcommand.name == name
    assert " ".join((subcommand.help or "").split()) == cli.COMMANDS[name][1]
