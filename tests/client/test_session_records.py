"""A session whose events go into a ring makes records at once, and events while somebody looks at its messages."""

from typing import Any

import pytest
from exchanges.scanning import Recording, built
from exchanges.test_binance_scanner import PLAN
from exchanges.test_scanner_records import next_tickers
from msgspec import Struct

from wsadapter.client.config import ConnectionConfig
from wsadapter.client.reader import TEXT, ReceiveCount
from wsadapter.client.session import Session
from wsadapter.client.tap import FrameTap
from wsadapter.events import BookTicker
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Item


class Frame(Struct):
    """A whole text message, as picows hands it over."""

    payload: bytes
    msg_type: Any = TEXT
    fin: int = 1
    rsv1: int = 0
    rsv2: int = 0
    rsv3: int = 0
    last_in_buffer: bool = True

    @property
    def payload_size(self) -> int:
        return len(self.payload)

    def get_payload_as_bytes(self) -> bytes:
        return self.payload

    def get_payload_as_memoryview(self) -> memoryview:
        return memoryview(self.payload)


@built
@pytest.mark.parametrize("tapped", [False, True], ids=["plain", "recorded"])
def test_events_are_made_only_while_somebody_looks(tapped: bool) -> None:
    exchange: Any = load("binance")(PLAN)
    recording, tap = Recording(exchange), FrameTap(1 << 20)
    recording_tap = tap.of("c-0") if tapped else None
    session = Session(exchange, ConnectionConfig(("BTCUSDT",)), ReceiveCount(), list, list, recording_tap)
    made: list[BookTicker] = []

    def seen(event: BookTicker) -> None:
        made.append(event)
        recording.publisher(event)

    def read(payload: bytes) -> tuple[int, int]:
        """(events that were made, records)"""
        before = len(made)
        session.on_ws_frame(None, Frame(payload))  # type: ignore[arg-type]
        return len(made) - before, len(recording.read())

    looked_at: list[list[Item]] = []
    tickers = next_tickers(9)
    try:
        session.redirect({BookTicker: seen})
        assert read(tickers[0]) == (1, 1), "another handler than a publisher"
        session.redirect(dict.fromkeys(BY_EVENT, recording.publisher))
        assert read(tickers[1]) == (0, 1)
        session.inspect(2, lambda message, items: looked_at.append([*items]))
        assert [read(each) for each in tickers[2:5]] == [(0, 1)] * 3
        assert [[type(item) for item in items] for items in looked_at] == [[BookTicker], [BookTicker]]
        session.redirect({BookTicker: seen})
        assert read(tickers[5]) == (1, 1)
        assert recording.counts["decoded_total"] == 6
        assert len(tap.take()[0]) == (6 if tapped else 0)
    finally:
        recording.release()
