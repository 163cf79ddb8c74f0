"""What the venue has handed to open sockets, counted as the product would count it.

A counter goes up before its bytes go to the socket: what was read is never more than what was counted. After a clean
CLOSE handshake both are equal. When a connection or the venue dies, the bytes of that connection still in this process
(at most its backlog) and in the kernel were counted and never read.
"""

from collections import Counter

from wsadapter.stats import StatsPage


class Tally:
    """``sent``: events by stream word, of this object's life; the page, if there is one, counts on over restarts."""

    def __init__(self, page: StatsPage | None = None) -> None:
        self.sent: Counter[str] = Counter()
        self.frames_sent = 0
        self._page = page

    def events(self, word: str, count: int = 1) -> None:
        self.sent[word] += count
        if self._page is not None:
            self._page.cells[self._page.index(f'sent_total{{stream="{word}"}}')] += count

    def frame(self) -> None:
        self.frames_sent += 1
        self.add("frames_sent_total")

    def add(self, field: str, count: int = 1) -> None:
        if self._page is not None:
            self._page.cells[self._page.index(field)] += count

    def show(self, field: str, value: int) -> None:
        if self._page is not None:
            self._page[field] = value
