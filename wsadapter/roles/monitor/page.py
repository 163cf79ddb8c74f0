"""What the status page asks for: /status in pieces, so that hundreds of symbols cost little a second.

* /status/now, once a second: /status without its streams; of each subscription its state alone, a digit each, and its
  age where that is unusual. ``layout`` names the list that the digits belong to.
* /status/subscriptions, when ``layout`` is another one than before: that list.
* /status/hour, a few times a minute: `wsadapter.roles.monitor.last_hour`.

No state for any client; equal snapshots give equal answers.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec

from wsadapter.metrics import Labels
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.roles.monitor.status import STREAM_STATES, age_of, summary

USUAL_AGE_SECONDS: Final = 10.0
"""Less is not sent: it changes with each frame."""


def now(snapshot: Snapshot, history: History) -> dict[str, Any]:
    states, ages = [], {}
    for row, (reading, _, cell) in enumerate(_cells(snapshot)):
        value = reading.cells[cell]
        states.append(str(value) if 0 <= value < len(STREAM_STATES) else "?")
        at_ns = reading.cells.get(cell.replace("stream_state", "stream_last_ns", 1), 0)
        age = age_of(snapshot, at_ns)
        if age is None or age >= USUAL_AGE_SECONDS:
            ages[str(row)] = None if age is None else round(age)
    return {
        **summary(snapshot, history),
        "layout": subscriptions(snapshot)["layout"],
        "states": "".join(states),
        "ages": ages,
    }


def subscriptions(snapshot: Snapshot) -> dict[str, Any]:
    """Connection, exchange, subscription, stream and symbol of each digit of ``states``."""
    found = []
    for reading, labels, _ in _cells(snapshot):
        exchange, name = labels.get("exchange", reading.exchange), labels["stream"]
        about = reading.streams.get((name, exchange))
        found.append([reading.name, exchange, name, about.stream if about else "", about.symbol if about else ""])
    return {"layout": blake2b(msgspec.json.encode(found), digest_size=8).hexdigest(), "subscriptions": found}


def _cells(snapshot: Snapshot) -> Iterator[tuple[Reading, Labels, str]]:
    for role in ("ingest", "repairer"):
        for reading in snapshot.of(role):
            for labels, cell in reading.layout.get("stream_state", ()):
                yield reading, labels, cell
