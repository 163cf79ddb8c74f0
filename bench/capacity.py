"""The capacity model against an instance that runs: `plan --capacity`'s costs for the load that really comes.

    python -m bench.capacity --config wsadapter.toml [--seconds 60] [--kafka-log DIR]

CPU of each role over these seconds, what the tables have on disk, what the topics have in their logs (where the broker
is of this machine), each beside what the model says for the same events. The error is measured : predicted.
"""

import argparse
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.accounts import cpu_ns
from wsadapter.cli import capacity, monitor_client
from wsadapter.cli import capacity_figures as figures
from wsadapter.cli import options as options_of
from wsadapter.clickhouse.client import connect
from wsadapter.config.model import Config

SAME = {"supervisor": "serializer", "monitor": "serializer"}
"""The model counts them with it."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--config", required=True)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--kafka-log", type=Path)
    told = options.parse_args()
    config = options_of.load(told.config, demo=True)
    before = snapshot(config)
    time.sleep(told.seconds)
    after = snapshot(config)
    seconds = after["time"] - before["time"]
    rates = {word: (count - before["events"].get(word, 0)) / seconds for word, count in after["events"].items()
             if word in figures.SIZES}  # fmt: skip
    events = sum(rates.values())
    print(f"{events:,.0f} events/s over {seconds:.0f} s")
    used: dict[str, float] = defaultdict(float)
    for pid, (role, spent) in after["cpu"].items():
        used[SAME.get(role, role)] += (spent - before["cpu"].get(pid, (role, spent))[1]) / 1e9 / seconds
    ingest = sum(
        capacity.cores(max(0.0, frames - before["frames"].get(name, 0)) / seconds, figures.INGEST_US)
        for name, frames in after["frames"].items()
    )
    serializer, consumer = (capacity.cores(events, each) for each in (figures.SERIALIZER_US, figures.CONSUMER_US))
    said("cores: ingest", used["ingest"], ingest)
    said("cores: serializer", used["serializer"], serializer)
    said("cores: consumer", used["consumer"], consumer)
    said("cores: all", sum(used.values()), ingest + serializer + consumer + figures.IDLE_CORES)
    rows, octets = tables(config)
    said("ClickHouse, bytes a row", octets / rows, capacity.clickhouse_bytes(rates) / events)
    if told.kafka_log:
        stored = sum(after["events"].get(word, 0) for word in figures.SIZES)
        predicted = sum(capacity.kafka_bytes(word, rate, config) for word, rate in rates.items()) / events
        said("Kafka, bytes an event", logs(told.kafka_log, config.kafka.topic_prefix) / stored, predicted)


def said(what: str, measured: float, predicted: float) -> None:
    print(f"{what:<26} measured {measured:9.3f}  predicted {predicted:9.3f}  {measured / predicted:5.2f} x")


def snapshot(config: Config) -> dict[str, Any]:
    status = monitor_client.fetch(monitor_client.address(config))
    return {
        "time": time.monotonic(),
        "events": status["totals"]["events"],
        "frames": {each["connection"]: each["frames"] for each in status["connections"]},
        "cpu": {child["pid"]: (child["role"], cpu_ns(child["pid"])) for child in status["children"]
                if child["pid"] and child["role"] in figures.MEMORY_MB},
    }  # fmt: skip


def tables(config: Config) -> tuple[int, int]:
    names = ", ".join(f"'{word}'" for word in figures.SIZES)
    sql = (f"SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table IN ({names}) "
           f"AND database = '{config.clickhouse.database}'")  # fmt: skip
    rows, octets = connect(config.clickhouse).query(sql).result_rows[0]
    return int(rows), int(octets)


def logs(directory: Path, prefix: str) -> int:
    topics = {f"{prefix}{word}" for word in figures.SIZES}
    return sum(
        each.stat().st_size
        for each in directory.rglob("*.log")
        if re.sub(r"-\d+$", "", each.parent.name) in topics
    )  # fmt: skip


if __name__ == "__main__":
    main()
