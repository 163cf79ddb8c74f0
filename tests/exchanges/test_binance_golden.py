"""Every recorded frame gives exactly the events that an independent reading of it gives: text by text, id by id."""

import gzip
import json
from pathlib import Path

import pytest
from exchanges.binance_oracle import RECEIVED, Oracle, exchange, shown, symbols_in
from frames_path import FRAMES

from wsadapter.events import Gap
from wsadapter.exchanges.venue import Bad, Item, Refused

OURS = Path(__file__).resolve().parents[1] / "frames" / "binance"
RECORDED = FRAMES / "binance_usdm" if FRAMES else None
FILES = sorted((*OURS.glob("*.jsonl"), *(RECORDED.glob("*.jsonl*") if RECORDED else ())))


def lines(path: Path) -> list[bytes]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.splitlines()


def test_the_recorded_frames_are_read() -> None:
    if RECORDED is None:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_events_are_those_of_an_independent_reading(path: Path) -> None:
    frames = lines(path)
    decoder = exchange(*set().union(*(symbols_in(json.loads(frame)) for frame in frames)))
    oracle = Oracle()
    for frame in frames:
        found = decoder.receive(memoryview(frame), RECEIVED)
        items: list[Item] = [item for item in found if not isinstance(item, Gap)]
        events = [shown(item) for item in items if not isinstance(item, Bad | Refused)]

        assert events == oracle.events(frame), frame
        if len(events) < len(items):
            check_not_market_data(frame, items)


def check_not_market_data(frame: bytes, items: list[Item]) -> None:
    """Some files hold what never was a frame of a market stream: answers of REST, requests, error replies."""
    document = json.loads(frame)
    (item,) = items
    if isinstance(item, Refused):
        assert "msg" in document
    else:
        assert isinstance(item, Bad)
        assert item.kind == "unknown_event"
        assert {"lastUpdateId", "openInterest", "method"} & document.keys()
