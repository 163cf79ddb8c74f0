"""Consumer alone: full topics -> ClickHouse, beside a bare loop and beside decode + `client.insert`.

All three read the same topics into a database of their own. Ours joins its group while the topics are empty and is held
(SIGSTOP) while a serializer fills them, so that neither its start nor the join is in the figures; theirs begin at
their first message. CPU is the consumer process's up to the last insert, over the messages; the engine's is not in it.
Rows/s: theirs up to the last insert; ours up to 99 % of the rows, because a batch of a few rows waits some seconds for
more on purpose. The backlog is large enough for seconds of work: beside them the first second, in which ours gathers
its first batches, and the 30 inserts (of every partition at least one, theirs are one a topic) weigh little. Memory is
the peak while catching up. Open candles are messages without a row.
"""

import os
import signal
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.accounts import Stopwatch, memory
from bench.processes import PREFIX, BenchFailed, Program, Role
from bench.services import Services, config
from wsadapter import stats_fields
from wsadapter.config import ClickHouse, Config, Kafka
from wsadapter.streams import SPECS

NEARLY: Final = 0.99


def settings(services: Services, directory: Path, kafka: Kafka, mode: str) -> Config:
    database = f"{PREFIX}{mode}{time.monotonic_ns()}"
    return config("consumer", directory, kafka, clickhouse=ClickHouse(url=services.url, database=database))


def ours(
    directory: Path, services: Services, kafka: Kafka, prepare: Callable[[], object], deliver: Callable[[], int]
) -> dict[str, Any]:
    """``prepare`` is called while the consumer starts; ``deliver`` fills the topics and says with how many messages."""
    made = settings(services, directory, kafka, "ours")
    with closing(Role("wsadapter.consumer", made, stats_fields.consumer(4), directory, options={"number": 0})) as role:
        prepare()
        role.wait_for(lambda: role.page["rebalances_total"], 60, "group joined")
        os.kill(role.pid, signal.SIGSTOP)
        try:
            expected = deliver()
            watch = Stopwatch({"consumer": role.pid})
        finally:
            os.kill(role.pid, signal.SIGCONT)
        taken, peak = Taken(role, made.clickhouse), 0.0

        def nearly_all() -> bool:
            nonlocal peak
            peak = max(peak, memory(role.pid).anon)
            return taken.rows() >= NEARLY * expected

        role.wait_for(nearly_all, 120, f"{expected} rows")
        wall = watch.wall()
        role.wait_for(lambda: done(role, expected), 60, "the last insert")
        cpu = watch.cpu()["consumer"]
        if letters := role.total("dead_letters_total"):
            raise BenchFailed(f"consumer: {letters} dead letters")
        return {
            "rows": expected, "cpu_us": cpu / expected * 1e6, "per_s": NEARLY * expected / wall,
            "inserts": role.page["inserts_total"], "rss_anon_mb": peak,
        }  # fmt: skip


def done(role: Role, expected: int) -> bool:
    return role.total("consumed_total") >= expected and role.total("consumer_lag") == 0


class Taken:
    """Rows in the tables, and candles that were taken and have none."""

    def __init__(self, role: Role, clickhouse: ClickHouse) -> None:
        self._role, self._url, self._next = role, clickhouse.url, 0.0
        counts = (f"(SELECT count() FROM {clickhouse.database}.{spec.name})" for spec in SPECS)
        self._query = urllib.parse.urlencode({"query": f"SELECT {' + '.join(counts)}"})
        self._known = 0

    def rows(self) -> int:
        """The engine is asked ten times a second, when all was taken."""
        if time.monotonic() > self._next:
            self._next = time.monotonic() + 0.1
            with urllib.request.urlopen(f"{self._url}/?{self._query}", timeout=30) as answer:
                self._known = int(answer.read())
        return self._known + self._role.page['consumed_total{stream="kline"}']


def bare(mode: str, directory: Path, services: Services, kafka: Kafka, expected: int) -> dict[str, Any]:
    """``mode``: raw or insert, see `bench.bare_consumer`."""
    made = settings(services, directory, kafka, mode)
    argv = [sys.executable, "-m", "bench.bare_consumer", mode, msgspec.json.encode(made).decode(), expected]
    with Program(argv, directory / f"bare_{mode}.log") as program:
        return program.result(180)
