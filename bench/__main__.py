"""`python -m bench`: everything, or some sections; see --help. The results go to bench/results and docs."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import figures, hops, results
from bench.frames import ROOT
from bench.processes import clean_segments
from bench.report import show
from bench.services import Services
from bench.suite import FULL, NEED_KAFKA, QUICK, QUICK_SECTIONS, SECTIONS, Size, Suite
from bench.yardsticks import Yardsticks


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="What the road costs, beside the best hand-written loop."
    )
    parser.add_argument("--quick", action="store_true", help="under a minute; its figures say little")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, help="of each comparison")
    parser.add_argument("--envs", type=Path, help="environments of the peers, as for their run.py")
    parser.add_argument("--kafka", default="", help="a broker's address; without it one is started")
    parser.add_argument("--clickhouse", default="", help="a ClickHouse URL; without it an engine is started")
    parser.add_argument("--results", type=Path, default=results.DIRECTORY)
    parser.add_argument("--plots", type=Path, default=ROOT / "docs")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, interrupt)  # unwinds: what was started is stopped
    size = QUICK if options.quick else FULL
    if options.rounds:
        size = msgspec.structs.replace(size, rounds=options.rounds)
    console = Console(width=None if sys.stdout.isatty() else 140)
    run = results.circumstances(options.quick)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsadapter-bench-") as name:
        services = Services(Path(name), options.kafka, options.clickhouse)
        try:
            suite = measure(options, size, Path(name), services, console)
        finally:
            services.close()
            clean_segments()
    for section, found in suite.figures.items():
        results.append(options.results, section, run, found)
    results.append(options.results, "table", run, {"rows": [row.plain() for row in suite.rows], "notes": suite.notes})
    show(console, suite.rows, suite.notes, f"{run['date']}, {run['commit']}, {run['machine']}, Python {run['python']}")
    if not options.quick and not options.only:
        hops.write(options.plots / "performance.md", suite.figures, suite.rows, run)
    for path in figures.write(options.plots, suite.figures, run):
        console.print(f"plot: {path}", highlight=False)
    console.print(f"results: {options.results}, {time.monotonic() - began:.0f} s", highlight=False)
    return int(suite.failed)


def measure(options: argparse.Namespace, size: Size, directory: Path, services: Services, console: Console) -> Suite:
    """Run the sections with a progress line on a terminal, and a line for each measurement anywhere."""
    began = time.monotonic()
    sections = options.only or (QUICK_SECTIONS if options.quick else SECTIONS)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("services", total=len(sections))

        def say(line: str) -> None:
            if line.endswith("..."):
                progress.update(task, description=line.removesuffix(" ..."))
            else:
                console.print(f"[dim]{time.monotonic() - began:4.0f} s[/]  {escape(line)}", highlight=False)

        suite = Suite(size, directory, services, Yardsticks(options.envs), say)
        for section in sections:
            if section in NEED_KAFKA:
                services.start(say)
            suite.run(section)
            progress.advance(task)
    return suite


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
