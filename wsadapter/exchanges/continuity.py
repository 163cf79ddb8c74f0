"""Sequence rules: is an event the next one of its stream and symbol, and if not, what is missing.

Pure and for every venue: told ids and receive times, it answers with the `Gap`. One `Sequences` belongs to one
connection. What it knows of each series begins empty with every socket (`reset`): across a reconnect the connection's
own gap speaks.

Rules: `jumped` (ids without holes), `unchained` (each event names its predecessor), `candle` (a full grid of open
times). An id that goes backwards is no gap: it is counted in `out_of_order`, published like any other, and the
highest id stays the measure, until so many come in a row that the venue must have begun to number anew: that is a gap.

Hot decoders compare with `SeriesState.next` themselves and call a rule only when it differs: one lookup and one
comparison an event. `SeriesState.gap_ns`, the ``last_gap_ns`` of an event to come, is kept here for every stream,
numbered or not.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from wsadapter.events import BookTicker, Depth, Event, Gap, Kline, MarketEvent, Trade
from wsadapter.events.gaps import UNKNOWN, GapCause, Missing, begin, filler
from wsadapter.events.sequence import NUMBERINGS, numbering
from wsadapter.events.streams import Contiguous

NONE: Final = -1
"""No id yet."""
RENUMBERED: Final = 1000
"""So many older ids and not a single new one: the venue counts from somewhere else now."""
RUN: Final = 10
"""So do so many older ids that follow each other without a hole, and not a single new one between them;"""
CHAIN: Final = 2
"""or so many older events of which each names the one before it: another chain goes on."""
MS: Final = 1_000_000


class SeriesState:
    """One stream of one symbol. ``next``: the id that continues it (of a chain: that the next one must name);
    ``at_ns``: receive time of the last event that moved it on; ``gap_ns``: of the last gap. ``grid``, of candles:
    interval -> open time (ms) of the candle that must close next, and receive time of the last one that did.
    ``waiting``, of a book: its chain broke, and only a snapshot mends it. ``begun``: number of the snapshot that it
    began with, until a change follows. ``top``: number of the last snapshot of its
    top levels, which are no part of the chain."""

    __slots__ = (
        "at_ns",
        "begun",
        "behind",
        "behind_next",
        "gap_ns",
        "grid",
        "next",
        "run",
        "run_next",
        "symbol",
        "top",
        "waiting",
        "word",
    )

    def __init__(self, word: str, symbol: str) -> None:
        self.word, self.symbol = word, symbol
        self.next = NONE
        self.at_ns = 0
        self.gap_ns: int | None = None
        self.grid: dict[str, tuple[int, int]] = {}
        self.behind, self.behind_next = 0, NONE
        self.run, self.run_next = 0, NONE
        self.waiting = False
        self.begun = NONE
        self.top = NONE


class MessageCount:
    """The number of a socket's last message, where the venue numbers all of them; None: there was none."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: int | None = None


class Sequences:
    """The series of a connection: a dict of symbols for every numbering, filled for ``symbols``."""

    def __init__(self, exchange: str, connection: str, symbols: Iterable[str]) -> None:
        self._exchange, self._connection = exchange, connection
        self._symbols = tuple(symbols)
        self._of: dict[str, list[dict[str, SeriesState]]] = {}
        self.out_of_order: Counter[str] = Counter()
        """Stream word -> events whose id was not above the highest one."""
        self.agg_trades, self.raw_trades = self._series("trade"), self._series("trade")
        self.books, self.book_tickers = self._series("depth"), self._series("book_ticker")
        self.klines, self.tickers = self._series("kline"), self._series("ticker")
        self.mark_prices, self.funding_rates = self._series("mark_price"), self._series("funding_rate")
        self.liquidations, self.open_interests = self._series("liquidation"), self._series("open_interest")
        self.whole_books = self._series("depth")

    def of(self, event: type[Event], aggregated: bool, whole: bool) -> dict[str, SeriesState]:
        """The series of this type of event, by symbol. ``whole``: of books that come whole each time, whose numbers
        leave out what changes of the same book have."""
        if event is Trade:
            return self.agg_trades if aggregated else self.raw_trades
        if whole:
            return self.whole_books
        return self._of[event.stream_type.value][0]

    def reset(self) -> None:
        """A new socket."""
        for by_symbol in self._all():
            for series in by_symbol.values():
                series.next = NONE
                series.waiting = False
                series.begun = NONE
                series.top = NONE
                series.grid.clear()

    def follow(self, before: "Sequences") -> None:
        """Another socket of the same symbols goes on beside this one."""
        self._take_marks(before)

    def succeed(self, before: "Sequences") -> None:
        """The socket of ``before`` has ended. Series that are empty here go on where they stood there; the others have
        overlapped. Events name the gaps that were published: those that were found here are not, yet."""
        self.out_of_order.update(before.out_of_order)
        self._take_marks(before)
        for series, other in self._shared(before):
            if series.next == NONE and other.next != NONE:  # of what nothing numbers, each socket has its own state
                series.next, series.at_ns, series.waiting = other.next, other.at_ns, other.waiting
            if series.top == NONE:
                series.top = other.top
            series.grid = other.grid | series.grid

    def _take_marks(self, before: "Sequences") -> None:
        for mine, theirs in zip(self._all(), before._all(), strict=True):
            for symbol, series in mine.items():
                series.gap_ns = theirs[symbol].gap_ns if symbol in theirs else None

    def _shared(self, before: "Sequences") -> Iterable[tuple[SeriesState, SeriesState]]:
        """The series that both have: one may have other symbols."""
        for mine, theirs in zip(self._all(), before._all(), strict=True):
            yield from ((series, theirs[symbol]) for symbol, series in mine.items() if symbol in theirs)

    def mark(self, word: str, symbol: str, at_ns: int) -> None:
        """Events of this stream and symbol come after a gap; an empty word or symbol means all."""
        for by_symbol in self._of.get(word, ()) if word else self._all():
            if not symbol:
                for series in by_symbol.values():
                    series.gap_ns = at_ns
            elif symbol in by_symbol:  # a socket that is to follow may be without it
                by_symbol[symbol].gap_ns = at_ns

    def marked(self, word: str, symbol: str) -> int | None:
        """What the next event of this stream and symbol names."""
        series = self._of[word][0].get(symbol)
        return None if series is None else series.gap_ns

    def numbered(self, word: str, symbol: str) -> bool:
        """Whether the next event of a stream without holes in its ids will be compared with one from before."""
        has_no_holes = isinstance(NUMBERINGS[word].checked, Contiguous)
        return has_no_holes and any(by_symbol[symbol].next != NONE for by_symbol in self._of[word])

    def gap(
        self,
        word: str,
        symbol: str,
        cause: GapCause,
        started_ns: int,
        at_ns: int,
        ended_ns: int | None,
        missing: Missing = UNKNOWN,
        interval: str = "",
    ) -> Gap:
        """``missing``: first, last, count. What follows is marked."""
        self.mark(word, symbol, at_ns)
        return begin(
            cause, started_ns, at_ns, exchange=self._exchange, connection=self._connection,
            stream=word, symbol=symbol, interval=interval, ended_ns=ended_ns, missing=missing,
        )  # fmt: skip

    def filler(self, series: SeriesState, number: int, received: int) -> Gap:
        """The venue gave this number to no event. What follows is not marked: nothing is missing."""
        return filler(
            number, received, exchange=self._exchange, connection=self._connection, stream=series.word,
            symbol=series.symbol,
        )  # fmt: skip

    def reached(self, event: MarketEvent) -> tuple[int, int] | None:
        """Number and receive time of the last event of this one's series, of closed candles a time before the next one;
        None for series that are not numbered."""
        if type(event) is Trade:
            by_symbol, ahead = self.agg_trades if event.aggregated else self.raw_trades, 1
        elif type(event) is Gap:
            by_symbol, ahead = self.raw_trades, 1  # a filler
        elif type(event) is Depth:
            whole, book = self.whole_books.get(event.symbol), self.books.get(event.symbol)
            if event.level_limit and book is not None and book.top != NONE:
                return book.top, 0  # each stands for itself: no hole begins there
            is_whole = event.level_limit and whole is not None and whole.next != NONE
            by_symbol, ahead = self.whole_books if is_whole else self.books, 0
        elif type(event) is BookTicker:
            by_symbol, ahead = self.book_tickers, 0
        elif type(event) is Kline and event.closed:
            expected = self.klines[event.symbol].grid.get(event.interval) if event.symbol in self.klines else None
            return None if expected is None else (expected[0] * MS - 1, expected[1])
        else:
            return None
        series = by_symbol.get(event.symbol)  # of another connection plan
        return None if series is None or series.next == NONE else (series.next - ahead, series.at_ns)

    def skipped(self, event: MarketEvent, before: int, since_ns: int) -> Gap:
        """Of two sockets that should have overlapped one ended with ``before``, the other goes on with ``event``."""
        word, received = event.stream_type.value, event.receive_time_ns
        missing = numbering(type(event)).missing(event, before)
        return self.gap(word, event.symbol, GapCause.SEQUENCE, since_ns, received, received, missing)

    def jumped(self, series: SeriesState, number: int, received: int, first: int | None = None) -> Gap | None:
        """Contiguous ids, and ``number`` is not ``series.next``; with ``first`` those from there to ``number``."""
        expected = series.next
        first = number if first is None else first
        if expected != NONE and number < expected:
            is_renumbered = self._is_renumbered(series, number == expected - 1)
            if not (self._runs(series, first, number + 1) >= RUN or is_renumbered):
                return None
            missing: Missing = UNKNOWN
        else:
            missing = (expected, first - 1, first - expected) if first > expected else UNKNOWN
        started, series.next, series.at_ns = series.at_ns, number + 1, received
        if expected == NONE:
            return None
        return self.gap(series.word, series.symbol, GapCause.SEQUENCE, started, received, received, missing)

    def unchained(self, series: SeriesState, first: int, last: int, previous: int, received: int) -> Gap | None:
        """Each event names its predecessor's last id, and ``previous`` is not ``series.next``."""
        before = series.next
        if before != NONE and last <= before:
            is_renumbered = self._is_renumbered(series, last == before)
            if not (self._runs(series, previous, last) >= CHAIN or is_renumbered):
                return None
        started, series.next, series.at_ns = series.at_ns, last, received
        if before == NONE:
            return None
        missing = (before + 1, first - 1, None) if before + 1 <= first - 1 else (None, None, None)
        return self.gap(series.word, series.symbol, GapCause.SEQUENCE, started, received, received, missing)

    def renewed(self, series: SeriesState, number: int, received: int) -> Gap | None:
        """A snapshot with this number begins the series anew. It shows a gap where it is neither the state that the
        series has reached nor the one after."""
        before, started = series.next, series.at_ns
        series.next, series.at_ns, series.waiting, series.begun = number, received, False, number
        if before == NONE or before <= number <= before + 1:
            return None
        missing = (before + 1, number - 1, None) if number > before else (None, None, None)
        return self.gap(series.word, series.symbol, GapCause.SEQUENCE, started, received, received, missing)

    def candle(
        self, series: SeriesState, interval: str, open_ms: int, close_ms: int, closed: bool, received: int
    ) -> Gap | None:
        """Closed candles leave no open time out. The first candle that a socket shows open is expected to close; bounds
        are open times in ns."""
        expected, started = series.grid.setdefault(interval, (open_ms, received))
        if not closed:
            return None
        if open_ms < expected:
            self.out_of_order["kline"] += 1
            return None
        length = close_ms + 1 - open_ms
        series.grid[interval] = close_ms + 1, received
        if open_ms == expected or length <= 0:
            return None
        count, rest = divmod(open_ms - expected, length)
        # months differ in length: then only the first one is known
        last, known = ((open_ms - length) * MS, count) if not rest else (None, None)
        missing = (expected * MS, last, known)
        return self.gap(series.word, series.symbol, GapCause.SEQUENCE, started, received, received, missing, interval)

    def goes_on_behind(self, series: SeriesState, previous: int, last: int) -> bool:
        """Whether an event with an older number is no repeat: so many of them name each other that another chain goes
        on, whose beginning was missed."""
        is_renumbered = self._is_renumbered(series, last == series.next)
        return self._runs(series, previous, last) >= CHAIN or is_renumbered

    def not_newer(self, series: SeriesState, number: int) -> None:
        """Ids that only grow, and ``number`` does not: a repeat or an older state, which is no gap."""
        if self._is_renumbered(series, number == series.next):
            series.next = number

    def _is_renumbered(self, series: SeriesState, is_repeat: bool) -> bool:
        """Count an id that is not new; whether it is one too many."""
        self.out_of_order[series.word] += 1
        if series.behind_next != series.next:
            series.behind_next, series.behind, series.run = series.next, 0, 0
        series.behind += not is_repeat
        return series.behind >= RENUMBERED

    def _runs(self, series: SeriesState, previous: int, following: int) -> int:
        """How many older ids, this one included, have followed each other. Only after `_is_renumbered`."""
        series.run = series.run + 1 if series.run and previous == series.run_next else 1
        series.run_next = following
        return series.run

    def _all(self) -> Iterable[dict[str, SeriesState]]:
        return (by_symbol for group in self._of.values() for by_symbol in group)

    def _series(self, word: str) -> dict[str, SeriesState]:
        by_symbol = {symbol: SeriesState(word, symbol) for symbol in self._symbols}
        self._of.setdefault(word, []).append(by_symbol)
        return by_symbol
