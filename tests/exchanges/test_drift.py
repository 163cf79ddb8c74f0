"""Fields that this version does not know are found; those of recorded and documented frames are known."""

import gzip
from pathlib import Path

import msgspec
import pytest
from frames_path import frames
from msgspec import structs

from wsadapter.errors import ConfigError
from wsadapter.exchanges import OURS, load
from wsadapter.exchanges.drift import known_fields, known_of, unknown_fields
from wsadapter.exchanges.venue import ConnectionPlan, Exchange
from wsadapter.roles.supervisor.replayed import feeds

FOLDERS = {
    "binance": "binance_usdm", "bybit": "bybit_linear", "gate": "gateio_futures", "coinbase": "coinbase_exchange",
}  # fmt: skip
MOST = 500
"""Lines of a file."""


def sessions(exchange: str, path: Path) -> list[Exchange]:
    """All subscriptions of what the file names, one session a protocol."""
    made: dict[type, list[ConnectionPlan]] = {}
    try:
        for feed in feeds(exchange, path):
            for plan in load(exchange).plan(feed):
                made.setdefault(type(load(exchange)(plan)), []).append(plan)
    except ConfigError:
        return []
    return [
        load(exchange)(structs.replace(plans[0], subscriptions=tuple(s for plan in plans for s in plan.subscriptions)))
        for plans in made.values()
    ]


def lines(path: Path) -> list[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return [line.strip() for _, line in zip(range(MOST), file, strict=False) if line.strip()]


@pytest.mark.parametrize("exchange", OURS)
def test_nothing_of_the_recorded_frames_is_unknown_and_what_is_added_is(exchange: str) -> None:
    known = known_of(load(exchange))
    assert known is not None
    folder = frames(FOLDERS.get(exchange, exchange))
    looked = 0
    for path in sorted(folder.glob("*.jsonl*")):
        if "rest" in path.name:
            continue
        for session in sessions(exchange, path):
            session.open()
            for number, line in enumerate(lines(path), 1):
                word, fields = unknown_fields(line, items := session.receive(line, number), known)
                assert not fields, (path.name, word, line[:200])
                if word:
                    looked += 1
                    other = msgspec.json.encode({"zz_new": [{"zz_inner": 1}], "was": msgspec.Raw(line)})
                    assert unknown_fields(other, items, known)[1] >= {"zz_new", "zz_inner"}
    assert looked


def test_a_venue_of_which_less_is_known_is_not_judged() -> None:
    venue = structs.replace(load("kraken").venue, unread=None)  # type: ignore[attr-defined]
    assert known_fields([venue]) is None
    assert known_of(object) is None


def test_what_is_no_event_or_no_json_is_not_looked_at() -> None:
    known = known_of(load("binance"))
    assert known is not None
    assert unknown_fields(b'{"id":1,"zz":2}', [], known) == ("", frozenset())
