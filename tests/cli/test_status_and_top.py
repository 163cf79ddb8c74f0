"""`status` and `top` against a real monitor."""

import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import run
from rich.console import Console
from roles.monitor.monitor_process import CONNECTION, Road, monitor, road
from terminal import on_terminal

from wsadapter.audit import hops
from wsadapter.cli import monitor_client, top
from wsadapter.embedded.ports import free_port
from wsadapter.errors import ExitCode


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("state")) as made, monitor(made):
        page = made.pages[CONNECTION]
        page["frames_total"] = 1000
        for each in made.pages.values():
            each["heartbeat_ns"] = time.monotonic_ns() + 10**12  # however long the tests take
        page['events_total{stream="trade"}'] = 1234
        made.pages["consumer-0"]['accepted_rows_total{stream="trade"}'] = 1200
        made.pages["consumer-0"]['paused{stream="trade"}'] = 1
        yield made


def config(directory: Path, port: int) -> str:
    path = directory / "c.toml"
    path.write_text(f'[monitor]\nlisten = "127.0.0.1:{port}"\n')
    return str(path)


def test_status_as_tables_and_as_json(tmp_path: Path, watched: Road) -> None:
    path = config(tmp_path, watched.port)
    tables = run(tmp_path, "status", "--config", path)
    plain = run(tmp_path, "--config", path, "status", "--json")

    assert (tables.returncode, plain.returncode) == (0, 0)
    assert "events/s" in tables.stdout
    assert CONNECTION in tables.stdout
    assert "1,234" in tables.stdout
    assert "paused trade" in tables.stdout
    assert json.loads(plain.stdout)["totals"]["events"] == {"trade": 1234}


def test_the_spool_is_shown_and_no_rate_of_one_moment(watched: Road) -> None:
    status = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    status["serializers"][0] |= {"spool_records": 5905, "spool_bytes": 3 << 20}
    output = io.StringIO()
    status["spool"] |= {"records": 5905, "bytes": 3 << 20, "max_bytes": 10 << 30, "seconds_left": 7500.0}
    console = Console(file=output, width=200)
    console.print(top.view(status, None, console))

    assert "spool 5,905 records, 3.0 MiB" in output.getvalue()
    assert "spool 5,905 records, 3.0 of 10,240 MiB, full in 2 h 05 m at this rate" in top.line(status, None)
    status["spool"]["seconds_left"] = None
    assert "/s" not in output.getvalue()


def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path, watched: Road) -> None:
    done = run(tmp_path, "status", "--config", config(tmp_path, watched.port), http_proxy="http://127.0.0.1:1")

    assert done.returncode == 0


def test_not_ready_is_1(tmp_path: Path, watched: Road) -> None:
    page = watched.pages[CONNECTION]
    page["connection_up"] = 0
    try:
        done = run(tmp_path, "status", "--config", config(tmp_path, watched.port))
    finally:
        page["connection_up"] = 1

    assert done.returncode == 1
    assert done.stdout.startswith("not ready for ")
    assert f"{CONNECTION}: not connected" in done.stdout


@pytest.mark.parametrize(("subcommand", "code"), [("status", 2), ("top", ExitCode.UNAVAILABLE)])
def test_no_monitor_is_an_exit_code_of_its_own(tmp_path: Path, subcommand: str, code: int) -> None:
    done = run(tmp_path, subcommand, "--config", config(tmp_path, free_port()))

    assert (done.returncode, done.stdout) == (code, "")
    assert "no monitor answers" in done.stderr


def test_top_prints_lines_where_there_is_no_terminal(watched: Road) -> None:
    output = io.StringIO()
    looks = iter([False, True])
    top.watch(f"http://127.0.0.1:{watched.port}", lambda _: next(looks), 0.0, Console(file=output, width=300))
    lines = output.getvalue().splitlines()

    assert len(lines) == 2
    assert all("events 1,234" in line and "rows 1,200" in line for line in lines)


def test_top_draws_tables_on_a_terminal(watched: Road) -> None:
    output = io.StringIO()
    looks = iter([False, True])
    console = Console(file=output, width=200, height=60, force_terminal=True)
    top.watch(f"http://127.0.0.1:{watched.port}", lambda _: next(looks), 0.0, console)

    assert CONNECTION in output.getvalue()


def test_top_waits_for_a_monitor_that_is_not_there_yet() -> None:
    output = io.StringIO()
    looks = iter([False, True])
    top.watch(f"http://127.0.0.1:{free_port()}", lambda _: next(looks), 0.0, Console(file=output))

    assert output.getvalue() == ""


def test_rates_are_per_second_and_never_negative(watched: Road) -> None:
    found = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    before = json.loads(json.dumps(found))
    before["time"] -= 2.0
    (trade,) = (row for row in before["flow"] if row["stream"] == "trade")
    trade["events"] -= 100

    assert "  50/s" in top.line(found, before)
    trade["events"] += 10_000
    assert "  0/s" in top.line(found, before)


def test_names_are_never_markup(watched: Road) -> None:
    found = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    found["connections"][0]["connection"] = "[bold]x[/bold]"
    found |= {"ready": False, "reasons": ["[red]reason[/red]"]}
    output = io.StringIO()
    console = Console(file=output, width=200)
    console.print(top.view(found, None, console))

    assert "[bold]x[/bold]" in output.getvalue()
    assert "[red]reason[/red]" in output.getvalue()


@pytest.mark.parametrize("columns", [80, 100])
def test_an_ordinary_terminal_cuts_nothing(tmp_path: Path, watched: Road, columns: int) -> None:
    command = [sys.executable, "-m", "wsadapter.cli.main", "status", "--config", config(tmp_path, watched.port)]
    code, text = on_terminal(command, columns, environ={"HOME": str(tmp_path)})
    lines = [line.rstrip() for line in text.splitlines()]

    assert code == 0
    assert [line for line in lines if len(line) > columns] == []
    assert "…" not in text
    assert "1,234" in text
    assert "paused trade" in " ".join(text.split())


def test_where_there_are_few_lines_what_is_as_usual_is_summed_up(watched: Road) -> None:
    status = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    console = Console(file=io.StringIO(), width=80, height=10, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(top.view(status, None, console))
    few = captured.get()
    console.height = 200
    with console.capture() as captured:
        console.print(top.view(status, None, console))

    assert CONNECTION not in few
    assert "connections 1 of" in few
    assert CONNECTION in captured.get()


def test_columns_of_one_line_count_the_same_events(watched: Road) -> None:
    """What is repaired and polled is in the first column, too, and a row counts when it is inserted."""
    totals = {
        "events": {"trade": 100, "kline": 50}, "repair_records": {"trade": 7, "open_interest": 3, "gap": 1},
        "repaired": {"trade": 7}, "delivered": {"trade": 107, "kline": 50, "open_interest": 3, "gap": 1},
        "accepted_rows": {"trade": 90, "kline": 2}, "unsettled_rows": {"trade": 17, "open_interest": 3},
        "filtered_rows": {"kline": 48},
    }  # fmt: skip
    flow = {row["stream"]: row for row in hops.flow(totals)}

    assert list(flow) == ["kline", "open_interest", "trade", "gap"], "the recorder's own behind the venues'"
    assert [row["ours"] for row in flow.values()] == [False, False, False, True]
    assert flow["trade"] | {"events": 107, "in_kafka": 107, "rows": 107, "repaired": 7} == flow["trade"]
    assert flow["open_interest"] | {"events": 3, "in_kafka": 3, "rows": 3} == flow["open_interest"]
    assert flow["kline"] | {"events": 50, "rows": 2, "open_candles": 48} == flow["kline"]


def test_times_are_utc_whatever_the_terminals_zone(watched: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    found = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    found["time"] = 1_795_800_000.0
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert top.line(found, None).startswith("17:20:00 UTC")
    finally:
        monkeypatch.undo()
        time.tzset()
