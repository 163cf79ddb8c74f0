"""What the venue has handed to open sockets, counted as the product would count it.

A counter goes up before its bytes go to the socket: what was read is never more than what was counted. After a clean
CLOSE handshake both are equal. When a connection or the venue dies, the bytes of that connection still in this process
(at most its backlog) and in the kernel were counted and never read.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from wsadapter.metrics import STREAM_WORDS
from wsadapter.shm.stats_page import StatsPage

_SENT: Final = {word: f'sent_total{{stream="{word}"}}' for word in STREAM_WORDS}


class VenueCounts:
    """``sent``: events by stream word, of this object's life; the page, if there is one, counts on over restarts."""

    def __init__(self, page: StatsPage | None = None) -> None:
        self.sent: Counter[str] = Counter()
        self.frames_sent = 0
        self._last: dict[str, int] = {}
        self._page = page
        self._slots = {} if page is None else {field: page.index(field) for field in page.fields}

    def events(self, word: str, count: int = 1) -> None:
        self.sent[word] += count
        self.add(_SENT[word], count)

    def trades(self, stream: str, numbers: Sequence[int], also: Sequence[tuple[str, int]] = ()) -> None:
        """Those of a stream that were not told before."""
        last = self._last.get(stream, 0)
        for word, number in also:
            self.events(word, number > last)
        self.events("trade", sum(number > last for number in numbers))
        self._last[stream] = max(last, *numbers)

    def frame(self) -> None:
        self.frames_sent += 1
        self.add("frames_sent_total")

    def add(self, field: str, count: int = 1) -> None:
        if self._page is not None:
            self._page.cells[self._slots[field]] += count

    def set(self, field: str, value: int) -> None:
        if self._page is not None:
            self._page[field] = value
