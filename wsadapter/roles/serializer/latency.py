"""How late events are, of samples: the venue's time to receipt, and receipt to Kafka's acknowledgement.

A ring is looked at `EVERY_SECONDS` at most. Of each stream in its next batch the oldest event, which waited for
longest, is remembered; when the batch is acknowledged its times are counted. So it costs the same at any rate, and what
lay in a ring or on the spool shows. What was fetched over REST is no measure of a stream's latency and is left out.

An event that names no time of the venue counts in the second hop alone. A venue's clock that is ahead of ours would
make a time negative: that counts as 0, and the offset of the clocks (``venue_clock_offset_seconds``) says why.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.events import Source
from wsadapter.events.streams import BY_STREAM
from wsadapter.metrics import DELIVERED, LATENCIES, MEASURED_WORDS, RECEIVED, latency_labels, layout
from wsadapter.shm.stats_page import Histogram, StatsPage

EVERY_SECONDS: Final = 0.1
MOST_WAITING: Final = 1024
"""Samples that wait for their acknowledgement; of a broker that is away they are forgotten."""


class Sample(Struct, frozen=True):
    kind: int
    value: bytes


class LatencySamples:
    """``page``: the serializer's; of exchanges that it has no cells for nothing is counted."""

    def __init__(self, page: StatsPage) -> None:
        self._words = {BY_STREAM[word].kind: word for word in MEASURED_WORDS}
        self._histograms = {
            (exchange, word, hop): Histogram(page, "latency_seconds", latency_labels(word, hop, exchange), LATENCIES)
            for exchange in _exchanges(page)
            for word in MEASURED_WORDS
            for hop in (RECEIVED, DELIVERED)
        }
        self._due: dict[int, float] = {}
        """Epoch of a ring -> when it is looked at next."""
        self._waiting: list[Sample] = []

    def is_due(self, epoch: int) -> bool:
        """Whether it is this ring's turn: if so, the next one is later."""
        if not self._histograms or (now := time.monotonic()) < self._due.get(epoch, 0.0):
            return False
        self._due[epoch] = now + EVERY_SECONDS
        return True

    def remember(self, samples: Iterable[tuple[int, bytes]]) -> None:
        """The oldest messages of its batch: (kind, value)."""
        for kind, value in samples:
            if kind in self._words and len(self._waiting) < MOST_WAITING:
                self._waiting.append(Sample(kind, value))

    def arrived(self, now_ns: int) -> None:
        """All that was remembered is acknowledged."""
        for sample in self._waiting:
            self._observe(sample, now_ns)
        self._waiting.clear()

    def forget(self) -> None:
        """It will be sent again."""
        self._waiting.clear()

    def _observe(self, sample: Sample, now_ns: int) -> None:
        from wsadapter.pb import market_pb2

        word = self._words[sample.kind]
        try:
            event: Any = getattr(market_pb2, BY_STREAM[word].message).FromString(sample.value)
        except DecodeError:
            return
        if event.source != Source.WEBSOCKET or (event.exchange, word, DELIVERED) not in self._histograms:
            return
        received_ns = event.receive_time_ns
        self._histograms[event.exchange, word, DELIVERED].observe(max(0, now_ns - received_ns))
        if venue_ns := event.event_time_ns or event.transaction_time_ns:
            self._histograms[event.exchange, word, RECEIVED].observe(max(0, received_ns - venue_ns))


def _exchanges(page: StatsPage) -> list[str]:
    """Of which the page has cells."""
    cells = layout(page.fields).get("latency_seconds_count", ())
    return [*dict.fromkeys(labels["exchange"] for labels, _ in cells)]
