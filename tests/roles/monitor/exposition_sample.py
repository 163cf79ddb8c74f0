"""A snapshot in which every cell of every role has a value of its own, and no process behind it.

Prints its exposition: ``python tests/roles/monitor/exposition_sample.py`` makes `exposition.txt` anew."""

from zlib import crc32

from wsadapter import metrics
from wsadapter.config.model import Config, Feed, ServiceConfig
from wsadapter.roles.monitor.exposition import exposition
from wsadapter.roles.monitor.rings import RingReading
from wsadapter.roles.monitor.snapshot import ProcessUse, Reading, Snapshot
from wsadapter.roles.orders import WatchedStream
from wsadapter.supervision.counters import fields
from wsadapter.supervision.process import ChildSpec

MACHINE = ("wsadapter_build_info{", "wsadapter_free_bytes{")
ROLES = (
    ("ingest", "binance-market-0", metrics.ingest(("btcusdt@aggTrade", "btcusdt@kline_1m"))),
    ("serializer", "serializer-0", metrics.serializer(["binance"])),
    ("consumer", "consumer-0", metrics.consumer(2)),
    ("repairer", "repairer", metrics.repairer(("fapi.binance.com",), (("binance", "BTCUSDT"),), ("binance",))),
    ("exchange", "exchange", metrics.EXCHANGE),
    ("kafka", "kafka", metrics.SERVICE),
    ("monitor", "monitor", metrics.MONITOR),
)
STREAMS = (
    WatchedStream("btcusdt@aggTrade", "trade", "BTCUSDT", "binance"),
    WatchedStream("btcusdt@kline_1m", "kline", "BTCUSDT", "binance"),
    WatchedStream("btcusdt@openInterest", "open_interest", "BTCUSDT", "binance"),
)

_SPECS = tuple(ChildSpec(name, role, f"wsadapter.roles.{role}", cells, 0) for role, name, cells in ROLES)


def value(cell: str) -> int:
    """Of its own, and the same when other cells come or go. Nothing is old."""
    return 0 if cell.startswith("lag_measured_ns") else crc32(cell.encode())


def reading(role: str, name: str, cells: tuple[str, ...]) -> Reading:
    return Reading(
        role,
        name,
        {cell: value(cell) for cell in cells},
        ProcessUse(1 << 20, 1.5, (0,), 0, 0, 0, 1 << 20),
        _exchange(role),
        {(one.name, one.exchange): one for one in STREAMS},
    )


def _exchange(role: str) -> str:
    return "binance" if role == "ingest" else ""


def sample() -> Snapshot:
    return Snapshot(
        config=Config(service=ServiceConfig("sample", "/nowhere"), feed=(Feed("binance", "binance", ("BTCUSDT",)),)),
        wall_ns=1_700_000_000 * 10**9,
        monotonic_ns=1 << 40,
        supervisor_pid=0,
        supervisor=reading("supervisor", "supervisor", fields(_SPECS)),
        children=tuple(reading(*one) for one in ROLES),
        rings=(RingReading("binance-market-0", "ring", 65_536, 1234, 5, 7),),
    )


def text() -> str:
    """Without what depends on the version and the machine."""
    lines = exposition(sample)().decode().splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith(MACHINE))


if __name__ == "__main__":
    print(text(), end="")
