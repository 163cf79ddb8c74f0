"""What a person sees of a run with stand-ins: a line a service, then the live table, the account at its end.

Only such a run imports this: the libraries behind it cost a plain supervisor nothing. On a terminal everything goes
through one console: the log's lines, too (`wsadapter.cli.log_lines`).
"""

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from wsadapter.audit import account
from wsadapter.audit.hops import COUNTING_ROLES
from wsadapter.cli import monitor_client, top
from wsadapter.cli.log_lines import LogLines
from wsadapter.cli.startup import ROLES, Startup
from wsadapter.errors import SegmentError, ServiceUnavailable
from wsadapter.kafka import topics
from wsadapter.roles.supervisor.run import Run
from wsadapter.supervision.instance import start_ticks

KAFKA_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.2
"""Between two looks at the stats pages while services start."""
INSERTED: Final = ("accepted_rows_total{", "unsettled_rows{")
WIDTH: Final = 80
"""Where there is no terminal; what needs more takes it."""


class Reporter:
    """Counts from `start` on; to be entered before anything logs. ``lost``: events missing in its account."""

    def __init__(self, log_format: str) -> None:
        self.lost = 0
        self._log_format = log_format
        self._begun = (start_ticks(os.getpid()) or 0) / os.sysconf("SC_CLK_TCK")
        """Of the command, in seconds since the machine's start."""
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="top", daemon=True)
        self._console = Console(highlight=False)
        self._log_lines: LogLines | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and sys.stderr.isatty():
            self._log_lines = LogLines(self._console, self._log_format != "json")
        return self

    def __exit__(self, *_: object) -> None:
        if self._log_lines is not None:
            self._log_lines.close()

    def start(self, run: Run) -> None:
        self._run = run
        self._started_ns = time.time_ns()
        self._before = {role: _sums(run.counters(role)) for role in COUNTING_ROLES}
        self._startup = Startup([spec.role for spec in run.specs])
        self._watcher.start()

    def _watch(self) -> None:
        url = monitor_client.address(self._run.config)
        if not self._console.is_terminal:
            threading.Thread(target=self._await_rows, args=(self._say,), name="startup", daemon=True).start()
            top.watch(url, self._over.wait, None, self._console)
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            self._await_rows(lambda: live.update(self._startup.lines(), refresh=True))
            live.update("", refresh=True)
            self._console.print(self._startup.lines())
            top.tables(url, self._over.wait, None, live)

    def _await_rows(self, show: Callable[[], object]) -> None:
        """Look at the pages and show what is new, until there is a row or the table says more."""
        before = _rows([self._before["consumer"]])
        while not self._startup.is_over:
            with contextlib.suppress(SegmentError):  # a child is being replaced, or the run ends
                pages = {role: self._run.counters(role) for role in ROLES}
                rows = _rows(self._run.counters("consumer")) - before
                self._startup.observe(pages, rows, time.clock_gettime(time.CLOCK_BOOTTIME) - self._begun)
                show()
            if self._over.wait(LOOK_SECONDS):
                return

    def _say(self) -> None:
        for line in self._startup.news():
            self._console.print(Text(line), soft_wrap=True)

    def account(self, deadline: float) -> None:
        """Print what became of every event; called when the pipeline is drained and ClickHouse is still there."""
        self._over.set()
        self._watcher.join(max(0.0, min(2.0, deadline - time.monotonic())))
        since = {role: [_minus(_sums(self._run.counters(role)), before)] for role, before in self._before.items()}
        try:
            summary = account.collect(
                self._run.config.clickhouse,
                since,
                self._started_ns,
                self._run.rings.unread_by_stream(),
                self._in_kafka(),
                self._run.rings.adopted,
            )
        except ServiceUnavailable as error:
            self._console.print(Text(f"no summary: {error}", "red"))
            return
        self.lost = summary.lost
        account.show(summary, self._console if self._console.is_terminal else Console(width=WIDTH))
        if (seconds := self._startup.first_row_seconds) is not None:
            self._console.print(f"first row after {seconds:.1f} s")

    def _in_kafka(self) -> dict[str, int] | None:
        """Stream -> messages that wait there; None when that is not known, or when a spool holds some before it."""
        if any(page["spool_records"] for page in self._run.counters("serializer")):
            return None
        try:
            return topics.unread(self._run.config.kafka, KAFKA_SECONDS)
        except ServiceUnavailable:
            return None


def _sums(pages: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Cell -> what all of them have in it: a reload may change how many there are."""
    sums: Counter[str] = Counter()
    for page in pages:
        sums.update(page)
    return sums


def _minus(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {field: value - before.get(field, 0) for field, value in now.items()}


def _rows(pages: Sequence[Mapping[str, int]]) -> int:
    """Inserted, whether or not it is known yet how many of them the server rejected."""
    return sum(count for page in pages for cell, count in page.items() if cell.startswith(INSERTED))
