"""`status` and `top` against a real monitor."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import run
from rich.console import Console
from roles.monitor.monitor_process import CONNECTION, Road, free_port, monitor, road

from wsadapter.cli import monitor_client, top
from wsadapter.errors import ExitCode


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("state")) as made, monitor(made):
        page = made.pages[CONNECTION]
        page["frames_total"] = 1000
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

    assert (tables.returncode, plain.returncode) == (ExitCode.OK, ExitCode.OK)
    assert CONNECTION in tables.stdout
    assert "1,234" in tables.stdout
    assert "paused trade" in tables.stdout
    assert json.loads(plain.stdout)["totals"]["events"] == {"trade": 1234}


def test_the_spool_is_shown_and_no_rate_of_one_moment(watched: Road) -> None:
    status = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    status["serializers"][0] |= {"spool_records": 5905, "spool_bytes": 3 << 20}
    output = io.StringIO()
    Console(file=output, width=200).print(top.view(status, None))

    assert "spool 5,905 records, 3.0 MiB" in output.getvalue()
    assert "/s" not in output.getvalue()


def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path, watched: Road) -> None:
    done = run(tmp_path, "status", "--config", config(tmp_path, watched.port), http_proxy="http://127.0.0.1:1")

    assert done.returncode == ExitCode.OK


@pytest.mark.parametrize("subcommand", ["status", "top"])
def test_no_monitor_is_69(tmp_path: Path, subcommand: str) -> None:
    done = run(tmp_path, subcommand, "--config", config(tmp_path, free_port()))

    assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
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
    before["totals"]["events"]["trade"] -= 100

    assert "  50/s" in top.line(found, before)
    before["totals"]["events"]["trade"] += 10_000
    assert "  0/s" in top.line(found, before)


def test_names_are_never_markup(watched: Road) -> None:
    found = monitor_client.fetch(f"http://127.0.0.1:{watched.port}")
    found["connections"][0]["connection"] = "[bold]x[/bold]"
    found["reasons"] = ["[red]reason[/red]"]
    output = io.StringIO()
    Console(file=output, width=200).print(top.view(found, None))

    assert "[bold]x[/bold]" in output.getvalue()
    assert "[red]reason[/red]" in output.getvalue()
