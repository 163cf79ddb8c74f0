"""The gaps that last now, as the pages of ingests and the repairer hold them (`wsadapter.roles.open_gaps`)."""

from collections.abc import Iterator
from typing import Any, Final

from wsadapter.metrics import GAP_CAUSES, Labels
from wsadapter.roles.monitor.snapshot import Reading, Snapshot

MAX_GAPS: Final = 200
"""That are listed; more are counted."""
STALE: Final = "stale"


def open_gaps(snapshot: Snapshot) -> dict[str, Any]:
    """How many, and those that last for longest; a gap of a whole connection has no stream. ``to_repair``: gaps that
    have ended and are not worked off yet."""
    found = sorted(_found(snapshot), key=lambda gap: float(gap["since"]))
    return {
        "count": len(found),
        "to_repair": sum(reading.get("gaps_open") for reading in snapshot.of("repairer")),
        "gaps": found[:MAX_GAPS],
    }


def _found(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    for reading in snapshot.of("ingest"):
        yield from _of_cells(reading, "gap")
    for reading in snapshot.of("repairer"):
        yield from _of_cells(reading, "silence")


def _of_cells(reading: Reading, word: str) -> Iterator[dict[str, Any]]:
    started = {_key(labels): reading.cells[cell] for labels, cell in reading.layout.get(f"{word}_started_ns", ())}
    causes = {_key(labels): reading.cells[cell] for labels, cell in reading.layout.get(f"{word}_cause", ())}
    for labels, cell in reading.layout.get(f"{word}_position", ()):
        if not reading.cells[cell]:
            continue
        key = _key(labels)
        exchange, name = labels.get("exchange", reading.exchange), labels.get("stream", "")
        about = reading.streams.get((name, exchange))
        cause = causes.get(key)
        yield {
            "exchange": exchange,
            "connection": reading.name,
            "subscription": name,
            "stream": about.stream if about else "",
            "symbol": about.symbol if about else "",
            "cause": STALE if cause is None or not 0 <= cause < len(GAP_CAUSES) else GAP_CAUSES[cause],
            "since": started.get(key, 0) / 1e9,
        }


def _key(labels: Labels) -> tuple[str, str]:
    return labels.get("stream", ""), labels.get("exchange", "")
