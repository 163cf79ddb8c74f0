"""How long a newcomer waits: from the command to the first row that a query shows, and what came before it.

    python -m bench.first_row --runs 3 [--cache empty] [--command PATH/bin/wsadapter-supervisor ...]

Each run has a new state directory and free ports; with ``--cache empty`` Kafka's jars are fetched, too. Several
commands (of several working trees) take turns, so that a load of the machine meets all of them. It is watched from
outside, every 50 ms: the monitor's /status, and a query for a row.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.processes import free_ports

STEP_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 180.0
STOP_SECONDS: Final = 60.0
MOMENTS: Final = ("monitor", "venue", "ring", "ClickHouse", "Kafka", "delivered", "row", "rows shown")


def measure(command: str, cache: Path) -> dict[str, float]:
    """Moment -> seconds after the start of the command."""
    with tempfile.TemporaryDirectory(prefix="first-row-") as directory:
        monitor, kafka, clickhouse = (free_ports() for _ in range(3))
        toml = Path(directory) / "c.toml"
        toml.write_text(
            f'[monitor]\nlisten = "127.0.0.1:{monitor}"\n[kafka]\nbootstrap_servers = "127.0.0.1:{kafka}"\n'
            f'[clickhouse]\nurl = "http://127.0.0.1:{clickhouse}"\n[service]\nstate_dir = "{directory}/state"\n'
        )
        environ = {**os.environ, "WSADAPTER_CACHE": str(cache)}
        began = time.monotonic()
        with open(Path(directory) / "output", "wb") as output:
            process = subprocess.Popen(
                [command, "--config", toml, "--embedded", "--demo"], env=environ, stdout=output, stderr=output
            )
            try:
                return _moments(began, process, f"http://127.0.0.1:{monitor}", f"http://127.0.0.1:{clickhouse}")
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_SECONDS)


def _moments(began: float, process: "subprocess.Popen[bytes]", monitor: str, clickhouse: str) -> dict[str, float]:
    seen: dict[str, float] = {}

    def note(moment: str, happened: object) -> None:
        if happened and moment not in seen:
            seen[moment] = time.monotonic() - began

    while len(seen) < len(MOMENTS) and process.poll() is None and time.monotonic() < began + PATIENCE_SECONDS:
        status = _status(monitor)
        if status:
            note("monitor", True)
            running = {child["role"] for child in status["children"] if child["state"] == "running"}
            for role, moment in (("exchange", "venue"), ("clickhouse", "ClickHouse"), ("kafka", "Kafka")):
                note(moment, role in running)
            totals = status["totals"]
            for name, moment in (("events", "ring"), ("delivered", "delivered")):
                note(moment, any(totals[name].values()))
            # earlier versions show what the server has confirmed
            shown = [row["rows"] for row in status.get("flow", ()) if not row["ours"]]
            note("rows shown", sum(shown or totals["accepted_rows"].values()))
        if "row" not in seen:
            note("row", int(_get(f"{clickhouse}/?query=SELECT+count()+FROM+market.trade") or 0))
        time.sleep(STEP_SECONDS)
    return seen


def _status(monitor: str) -> dict[str, Any]:
    answer = _get(f"{monitor}/status")
    status: dict[str, Any] = json.loads(answer) if answer else {}
    return status


def _get(url: str) -> bytes:
    """Empty where nothing answers, or with a refusal."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            content: bytes = answer.read()
            return content
    except OSError:  # URLError, and a connection that ends
        return b""


def main(say: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cache", choices=["empty", "full"], default="full")
    parser.add_argument("--command", nargs="+", default=[str(Path(sys.executable).with_name("wsadapter-supervisor"))])
    arguments = parser.parse_args()
    usual = Path(os.environ.get("WSADAPTER_CACHE") or Path.home() / ".cache" / "wsadapter")
    found: dict[str, list[dict[str, float]]] = {command: [] for command in arguments.command}
    for _ in range(arguments.runs):
        for command in arguments.command:
            load = os.getloadavg()[0]
            with tempfile.TemporaryDirectory(prefix="first-row-cache-") as empty:
                seen = measure(command, Path(empty) if arguments.cache == "empty" else usual)
            found[command].append(seen)
            words = "  ".join(f"{moment} {seen[moment]:.1f}" for moment in MOMENTS if moment in seen)
            say(f"{command}  cache {arguments.cache}  load {load:.1f}:  {words}")
    for command, runs in found.items():
        middle = {
            moment: statistics.median(times)
            for moment in MOMENTS
            if (times := [run[moment] for run in runs if moment in run])
        }
        say(f"median of {len(runs)}, {command}:  " + "  ".join(f"{m} {s:.1f}" for m, s in middle.items()))


if __name__ == "__main__":
    main()
