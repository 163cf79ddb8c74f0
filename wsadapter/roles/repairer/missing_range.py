"""What the log says around a hole: the last of a series before it, the first after it, and what is there in between.

Pure: told the records of one series (numbers and receive times), in whatever order they come, it answers what is
missing. Numbers are trade ids, open times of candles, times of funding (ns). What an earlier repair has put there
(``source=REST``) counts as there, whenever it came: nothing is fetched twice.

Between the last before and the first after lies all that can be missing: so a repair begins and ends exactly where the
stream did, and rows of the two never meet. Where one side shows nothing (a quiet symbol, a first start) the hole is
open on that side, and time has to say it.
"""

from typing import Final

from wsadapter.exchanges.rest_api import Hole, Series

MOST_PRESENT: Final = 1_000_000
"""Numbers remembered; what comes beyond may be fetched though it is there, which costs rows until they merge."""
SKEW_NS: Final = 1_000_000_000
"""What our clock and the venue's may differ by: where time must say which trades are missing, rather one too many."""


class MissingRange:
    """Of one series and one hole (``started_ns`` to ``ended_ns``, by our clock)."""

    def __init__(self, series: Series, started_ns: int, ended_ns: int) -> None:
        self.series = series
        self._started_ns, self._ended_ns = started_ns, ended_ns
        self._before: int | None = None
        self._after: int | None = None
        self._present: dict[int, int] = {}
        """Number -> the one that follows it."""
        self._identities: set[str] = set()
        """Of events without a number."""

    def add(self, number: int, following: int, whole: bool, rest: bool, received_ns: int) -> None:
        """A record: its number and the next one's. ``whole``: nothing of it is to come (no open candle)."""
        if rest:
            self._remember(number, following)
        elif received_ns <= self._started_ns:
            expected = following if whole else number
            self._before = expected if self._before is None else max(self._before, expected)
        else:
            # the candle that is shown first after it was not missed, nor is any later one
            if received_ns >= self._ended_ns or self.series.stream == "kline":
                self._after = number if self._after is None else min(self._after, number)
            if whole and received_ns < self._ended_ns:
                self._remember(number, following)

    @property
    def ends(self) -> bool:
        """Whether something came after the hole."""
        return self._after is not None

    def is_present(self, number: int | None) -> bool:
        return number in self._present

    def add_identity(self, identity: str) -> None:
        """A record that has no number, only an id."""
        if len(self._identities) < MOST_PRESENT:
            self._identities.add(identity)

    def has_identity(self, identity: str) -> bool:
        return identity in self._identities

    def hole(self, first: int | None = None, last: int | None = None) -> Hole | None:
        """What is missing, None for nothing. ``first`` and ``last`` are known from elsewhere, where they are."""
        begin = first if first is not None else self._before
        stop = last + 1 if last is not None else self._after if first is None else None
        while begin is not None and begin in self._present:
            begin = self._present[begin]
        if self.series.stream != "kline":
            while stop is not None and stop - 1 in self._present:
                stop -= 1
        if begin is not None and stop is not None and begin >= stop:
            return None
        series = self.series
        skew = SKEW_NS if series.stream == "trade" else 0
        return Hole(
            stream=series.stream,
            symbol=series.symbol,
            started_ns=self._started_ns - skew,
            ended_ns=self._ended_ns + skew,
            first=begin,
            last=None if stop is None else stop - 1,
            interval=series.interval,
            levels=series.levels,
        )

    def _remember(self, number: int, following: int) -> None:
        if len(self._present) < MOST_PRESENT:
            self._present[number] = following
