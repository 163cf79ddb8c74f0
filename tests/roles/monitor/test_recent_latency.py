"""How late events are now, from the pages' histograms: the last minute, and the venue's clock beside it."""

from pathlib import Path
from typing import Any

from wsadapter import metrics
from wsadapter.config.model import Config, ServiceConfig
from wsadapter.metrics import INSERTED, LATENCIES, RECEIVED, latency_labels
from wsadapter.roles.monitor.exposition import exposition
from wsadapter.roles.monitor.latency import BOUNDS, RecentLatency, quantile
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.times import SECOND


def buckets(stream: str, hop: str, le: str, count: int, exchange: str = "") -> dict[str, int]:
    """``count`` samples that were at most ``le``, and more than the bound before."""
    labels = latency_labels(stream, hop, exchange)
    return {
        f'latency_seconds_bucket{{{labels},le="{bound}"}}': count if n >= LATENCIES.index(le) else 0
        for n, bound in enumerate(LATENCIES)
    }


def look(directory: Path, second: int, *children: Reading) -> Snapshot:
    config = Config(ServiceConfig("i", str(directory)))
    return Snapshot(config, 0, second * SECOND, 0, Reading("supervisor", "supervisor", {}), children, ())


def serializer(**streams: tuple[str, int]) -> Reading:
    cells: dict[str, int] = {}
    for stream, (le, count) in streams.items():
        cells |= buckets(stream, RECEIVED, le, count, "binance")
    return Reading("serializer", "serializer-0", cells)


def test_streams_of_a_venue_are_one_row_and_the_hops_in_order(tmp_path: Path) -> None:
    consumer = Reading("consumer", "consumer-0", buckets("trade", INSERTED, "1", 10))
    repairer = Reading(
        "repairer",
        "repairer",
        {
            'venue_clock_offset_ns{exchange="binance"}': -3_000_000,
            'venue_clock_error_ns{exchange="binance"}': 12_000_000,
        },
    )
    children = (consumer, serializer(trade=("0.005", 50), kline=("0.1", 50)), repairer)
    first, last = RecentLatency().told(look(tmp_path, 1, *children))

    assert (first["hop"], first["exchange"], first["samples"]) == (RECEIVED, "binance", 100)
    assert first["p50_seconds"] == 0.005
    assert 0.05 < first["p99_seconds"] < 0.1
    assert (first["clock_offset_seconds"], first["clock_error_seconds"]) == (-0.003, 0.012)
    assert (last["hop"], last["exchange"], last["clock_error_seconds"]) == (INSERTED, "", None)


def told(recent: RecentLatency, snapshot: Snapshot) -> list[dict[str, Any]]:
    recent.observe(snapshot)
    return recent.told(snapshot)


def test_only_the_last_minute_counts(tmp_path: Path) -> None:
    recent = RecentLatency()
    for second in range(0, 120, 5):
        told(recent, look(tmp_path, second, serializer(trade=("30", 100))))
    assert told(recent, look(tmp_path, 120, serializer(trade=("30", 100)))) == []
    (row,) = told(recent, look(tmp_path, 125, serializer(trade=("30", 104))))
    assert row["samples"] == 4


def test_a_page_that_was_made_anew_counts_from_its_beginning(tmp_path: Path) -> None:
    recent = RecentLatency()
    for second in (0, 5):
        told(recent, look(tmp_path, second, serializer(trade=("30", 100))))
    (row,) = told(recent, look(tmp_path, 10, serializer(trade=("30", 7))))
    assert row["samples"] == 7


def test_beyond_the_last_bound_nothing_is_said() -> None:
    assert quantile([0] * (len(BOUNDS) - 1) + [5], 0.5) is None


def test_the_cells_of_a_page_are_those_that_the_monitor_reads(tmp_path: Path) -> None:
    cells = {cell: 1 for page in (metrics.serializer(["okx"]), metrics.consumer(1)) for cell in page}
    children = (Reading("serializer", "s", cells), Reading("consumer", "c", cells))
    rows = RecentLatency().told(look(tmp_path, 1, *children))
    assert {(row["hop"], row["exchange"]) for row in rows} == {
        (metrics.RECEIVED, "okx"), (metrics.DELIVERED, "okx"), (INSERTED, ""),
    }  # fmt: skip


def test_a_clock_that_is_not_known_is_nan(tmp_path: Path) -> None:
    cells = dict.fromkeys(metrics.repairer((), (), ("okx", "kraken")), 0)
    cells |= {'venue_clock_offset_ns{exchange="okx"}': -(10**6), 'venue_clock_error_ns{exchange="okx"}': 2 * 10**6}
    text = exposition(lambda: look(tmp_path, 1, Reading("repairer", "repairer", cells)))().decode()

    for exchange, offset, error in (("okx", "-0.001", "0.002"), ("kraken", "NaN", "NaN")):
        labels = f'{{exchange="{exchange}",name="repairer",role="repairer"}}'
        assert f"wsadapter_venue_clock_offset_seconds{labels} {offset}\n" in text
        assert f"wsadapter_venue_clock_error_seconds{labels} {error}\n" in text
