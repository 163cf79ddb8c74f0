"""What a person sees of a run with stand-ins: the live table while it runs, the account at its end.

Only such a run imports this: the libraries behind it cost a plain supervisor nothing.
"""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from rich.console import Console

from wsadapter.audit import account
from wsadapter.audit.hops import COUNTING_ROLES
from wsadapter.cli import monitor_client, top
from wsadapter.errors import ServiceUnavailable
from wsadapter.kafka import topics
from wsadapter.roles.supervisor.run import Run

KAFKA_SECONDS: Final = 5.0
WIDTH: Final = 80
"""Where there is no terminal; what needs more takes it."""


class Reporter:
    """Counts from `start` on. ``lost``: events missing in its account."""

    def __init__(self) -> None:
        self.lost = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="top", daemon=True)

    def start(self, run: Run) -> None:
        self._run = run
        self._started_ns = time.time_ns()
        self._before = {role: run.counters(role) for role in COUNTING_ROLES}
        self._watcher.start()

    def _watch(self) -> None:
        top.watch(monitor_client.address(self._run.config), self._over.wait, None)

    def account(self, deadline: float) -> None:
        """Print what became of every event; called when the pipeline is drained and ClickHouse is still there."""
        self._over.set()
        self._watcher.join(max(0.0, min(2.0, deadline - time.monotonic())))
        since = {
            role: [_minus(now, then) for now, then in zip(self._run.counters(role), before, strict=True)]
            for role, before in self._before.items()
        }
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
            print(f"no summary: {error}", file=sys.stderr)
            return
        self.lost = summary.lost
        console = Console()
        account.show(summary, console if console.is_terminal else Console(width=WIDTH))

    def _in_kafka(self) -> dict[str, int] | None:
        """Stream -> messages that wait there; None when that is not known, or when a spool holds some before it."""
        if any(page["spool_records"] for page in self._run.counters("serializer")):
            return None
        try:
            return topics.unread(self._run.config.kafka, KAFKA_SECONDS)
        except ServiceUnavailable:
            return None


def _minus(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {field: value - before.get(field, 0) for field, value in now.items()}
