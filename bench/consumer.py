"""Consumer alone: full topics -> ClickHouse, beside a bare loop and beside decode + `client.insert`.

All three read the same topics into a database of their own; a fourth one reads and frames them and inserts nothing.
Ours joins its group while the topics are empty and is held (SIGSTOP) while a serializer fills them, so that neither its
start nor the join is in the figures; theirs begin at their first message. CPU is the consumer process's up to the last
insert, over the messages; the engine's is not in it.
Rows/s: from the end of the first insert on, without its rows; theirs up to the last, ours up to 90 % of the rows,
because when no more comes a batch waits on purpose, for a second, or five with a few rows. The backlog is large enough
for seconds of work: beside them the 30 inserts (of every partition at least one, theirs are one a topic) weigh little.
Memory is the peak while catching up. A batch counts as consumed when it is inserted; the engine is not asked until the
end: to count its tables ten times a second cost it rows/s. Open candles are messages without a row.
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
from bench.processes import PREFIX, BenchFailed, Program, Role, wait_until
from bench.services import Services, config
from wsadapter import metrics as stats_fields
from wsadapter.config.model import ClickHouseConfig, Config, KafkaConfig
from wsadapter.events.streams import SPECS

NEARLY: Final = 0.99
MOSTLY: Final = 0.9
LOOK_SECONDS: Final = 0.02


def settings(services: Services, directory: Path, kafka: KafkaConfig, mode: str) -> Config:
    database = f"{PREFIX}{mode}{time.monotonic_ns()}"
    return config("consumer", directory, kafka, clickhouse=ClickHouseConfig(url=services.url, database=database))


def ours(
    directory: Path, services: Services, kafka: KafkaConfig, prepare: Callable[[], object], deliver: Callable[[], int]
) -> dict[str, Any]:
    """``prepare`` is called while the consumer starts; ``deliver`` fills the topics and says with how many messages."""
    made = settings(services, directory, kafka, "ours")
    fields = stats_fields.consumer(4, [made.clickhouse.url])
    with closing(Role("wsadapter.roles.consumer", made, fields, directory)) as role:
        prepare()
        role.wait_for(lambda: role.page["rebalances_total"], 60, "group joined")
        os.kill(role.pid, signal.SIGSTOP)
        try:
            expected = deliver()
            watch = Stopwatch({"consumer": role.pid})
        finally:
            os.kill(role.pid, signal.SIGCONT)
        peak, begun = 0.0, (0.0, 0)

        def mostly() -> bool:
            nonlocal peak, begun
            peak = max(peak, memory(role.pid).anon)
            taken = role.total("consumed_total")
            if taken and not begun[1]:
                begun = watch.wall(), taken
            return taken >= MOSTLY * expected

        wait_until(mostly, 120, f"{MOSTLY * expected:.0f} rows", LOOK_SECONDS)
        per_s = (role.total("consumed_total") - begun[1]) / (watch.wall() - begun[0])
        wait_until(lambda: role.total("consumed_total") >= expected, 60, "the last insert", LOOK_SECONDS)
        cpu = watch.cpu()["consumer"]
        if (stored := rows(made.clickhouse) + role.total("filtered_rows_total")) < NEARLY * expected:
            raise BenchFailed(f"consumer: {stored} rows of {expected} in the tables")
        if letters := role.total("dead_letters_total"):
            raise BenchFailed(f"consumer: {letters} dead letters")
        return {
            "rows": expected, "cpu_us": cpu / expected * 1e6, "per_s": per_s,
            "inserts": role.page["inserts_total"], "rss_anon_mb": peak,
        }  # fmt: skip


def rows(clickhouse: ClickHouseConfig) -> int:
    """In the tables; some of the generated ones have the same natural key, and become one when they are merged."""
    counts = (f"(SELECT count() FROM {clickhouse.database}.{spec.name})" for spec in SPECS)
    query = urllib.parse.urlencode({"query": f"SELECT {' + '.join(counts)}"})
    with urllib.request.urlopen(f"{clickhouse.url}/?{query}", timeout=30) as answer:
        return int(answer.read())


def bare(mode: str, directory: Path, services: Services, kafka: KafkaConfig, expected: int) -> dict[str, Any]:
    """``mode``: raw or insert, see `bench.bare_consumer`; framing, see `bench.bare_framing`."""
    made = settings(services, directory, kafka, mode)
    loop = ["bench.bare_framing"] if mode == "framing" else ["bench.bare_consumer", mode]
    argv = [sys.executable, "-m", *loop, msgspec.json.encode(made).decode(), expected]
    with Program(argv, directory / f"bare_{mode}.log") as program:
        return program.result(180)
