"""What a person sees before there is something to see, told by pages and times; and the log's lines above a table."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from terminal import on_terminal

from wsadapter.cli.run import _adjusted
from wsadapter.cli.startup import ROW_SECONDS, SERVICE_SECONDS, Startup
from wsadapter.config.load import load_with_origins
from wsadapter.embedded.demo import StandIns
from wsadapter.metrics import SERVICE_STAGES
from wsadapter.supervision.child import ChildState

STARTING = {"state": ChildState.STARTING, "stage": 0, "stage_percent": 0}
RUNNING = STARTING | {"state": ChildState.RUNNING}
ROLES = ("exchange", "exchange", "kafka", "clickhouse", "ingest", "serializer")


def doing(stage: str, percent: int = 0) -> dict[str, int]:
    return STARTING | {"stage": SERVICE_STAGES.index(stage), "stage_percent": percent}


def shown(startup: Startup, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(startup.lines())
    return [
        " ".join(line.replace("━", "").replace("╸", "").replace("╺", "").split())
        for line in captured.get().splitlines()
    ]


def test_a_line_a_service_from_nothing_to_the_first_row() -> None:
    startup = Startup(ROLES)
    startup.observe(
        {"exchange": [RUNNING, STARTING], "kafka": [doing("fetching", 40)], "clickhouse": [STARTING]}, 0, 0.4
    )
    assert shown(startup) == ["venues starting, 1 of 2 ready", "ClickHouse starting", "Kafka fetching once 40 %"]
    startup.observe({"exchange": [RUNNING] * 2, "kafka": [doing("starting")], "clickhouse": [RUNNING]}, 0, 0.9)
    assert shown(startup) == ["venues ready 0.9 s", "ClickHouse ready 0.9 s", "Kafka starting"]
    startup.observe({"exchange": [RUNNING] * 2, "kafka": [RUNNING], "clickhouse": [RUNNING]}, 0, 4.2)
    assert shown(startup)[2:] == ["Kafka ready 4.2 s", "first row on its way"]
    assert not startup.is_over
    startup.observe({"exchange": [RUNNING] * 2, "kafka": [RUNNING], "clickhouse": [RUNNING]}, 3, 5.7)
    assert shown(startup)[3:] == ["first row after 5.7 s"]
    assert startup.is_over
    assert startup.first_row_seconds == 5.7


@pytest.mark.parametrize("width", [80, 100])
def test_the_progress_fits_the_terminal(width: int) -> None:
    startup = Startup(ROLES)
    startup.observe({"exchange": [STARTING] * 2, "kafka": [doing("fetching", 99)], "clickhouse": [STARTING]}, 0, 0.4)

    assert all(len(line) <= width for line in shown(startup, width))


def test_each_service_is_news_once() -> None:
    startup = Startup(("kafka",))
    startup.observe({"kafka": [STARTING]}, 0, 1.0)
    assert startup.news() == []
    for second in (2.0, 3.0):
        startup.observe({"kafka": [RUNNING]}, 0, second)
    assert startup.news() == ["Kafka ready 2.0 s"]
    startup.observe({"kafka": [RUNNING]}, 1, 4.0)
    assert startup.news() == ["first row after 4.0 s"]
    assert startup.news() == []


def test_what_is_late_is_the_tables_to_explain_but_not_a_fetch() -> None:
    startup = Startup(("kafka",))
    startup.observe({"kafka": [doing("fetching", 3)]}, 0, SERVICE_SECONDS + 1)
    assert not startup.is_over
    startup.observe({"kafka": [doing("starting")]}, 0, SERVICE_SECONDS + 2)
    assert startup.is_over

    without_rows = Startup(("kafka",))
    without_rows.observe({"kafka": [RUNNING]}, 0, 2.0)
    without_rows.observe({"kafka": [RUNNING]}, 0, 3.0)
    assert not without_rows.is_over
    without_rows.observe({"kafka": [RUNNING]}, 0, 3.0 + ROW_SECONDS)
    assert without_rows.is_over


RECORD = {"timestamp": "2026-11-22T10:00:00.123Z", "level": "warning", "role": "ingest", "name": "a", "event": "slow"}
SCRIPT = f"""
import os, subprocess, sys
from rich.console import Console
from rich.live import Live
from wsadapter.cli.log_lines import LogLines

console = Console()
with Live("table", console=console, auto_refresh=False, transient=True) as live:
    lines = LogLines(console, as_text=AS_TEXT)
    child = "import os, sys; os.write(2, sys.argv[1].encode() + bytes([10]))"
    subprocess.run([sys.executable, "-c", child, {json.dumps(RECORD)!r}])
    os.write(2, b"JVM \\x1b[2Jsays\\n{{broken\\nno end of line")
    lines.close()
os.write(2, b"afterwards\\n")
"""


@pytest.mark.parametrize("as_text", [True, False])
def test_what_is_logged_comes_above_the_table_as_lines(as_text: bool) -> None:
    code, text = on_terminal([sys.executable, "-c", SCRIPT.replace("AS_TEXT", str(as_text))], 100)
    record = "10:00:00.123 warning  ingest/a                 slow" if as_text else json.dumps(RECORD)

    assert code == 0
    assert record in text.replace("\n", "") or record in text
    for line in ("JVM \\x1b[2Jsays", "{broken", "no end of line", "afterwards"):
        assert line in text.splitlines(), f"{line}: a line of its own"


@pytest.mark.parametrize(
    ("service", "level", "log_format"),
    [("", "warning", "auto"), ("log_level = 'info'", "info", "auto"), ("log_format = 'json'", "warning", "json")],
)
def test_a_demo_logs_as_the_file_says_and_else_warnings(
    tmp_path: Path, service: str, level: str, log_format: str
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[service]\nstate_dir = '{tmp_path}'\n{service}\n")
    loaded = load_with_origins(str(path), {}, dotenv=None, demo=True)
    config = _adjusted(loaded, StandIns(embedded=True, demo=True))
    adapted = StandIns(embedded=True, demo=True).adapt(config)

    assert (adapted.service.log_level, adapted.service.log_format) == (level, log_format)


@pytest.mark.parametrize(
    ("kafka", "stand_ins", "partitions"),
    [
        ("", StandIns(embedded=True, demo=True), 1),
        ("[kafka]\npartitions = 3", StandIns(embedded=True, demo=True), 3),
        ("", StandIns(demo=True), 4),  # a Kafka that is not ours
        ("", StandIns(embedded=True), 4),  # what may be kept for longer
        ("", StandIns(embedded=True, demo=True, brokers=3), 4),
    ],
)
def test_a_demo_with_its_own_broker_makes_one_partition_a_topic(
    tmp_path: Path, kafka: str, stand_ins: StandIns, partitions: int
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[service]\nstate_dir = '{tmp_path}'\n{kafka}\n")
    loaded = load_with_origins(str(path), {}, dotenv=None, demo=True)

    assert _adjusted(loaded, stand_ins).kafka.partitions == partitions
