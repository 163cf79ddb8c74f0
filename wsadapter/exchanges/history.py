"""How the holes of any venue are filled: one generator per kind of series, over the venue's pages. Pure.

* trades by id: from the first missing one, a page at a time; where the id is not known, windows of time until one is
  found, then by id. Complete when the ids follow one another to the end of the hole.
* trades by id where pages begin at a time, or where the one before ended: from before the hole on.
* trades by id where pages end before an id, or a time, newest first: page by page, onward all the same.
* trades by id where pages are parts of a range of time, in either order: all parts of a range, then the next one.
* trades that have no number over REST, in pages like the former: all of the hole's time.
* trades without a number: the newest page is all there is; complete when it reaches back behind the hole. Or ranges of
  time, each page the newest of its range: from the end of the hole back to its beginning.
* candles: by open time; complete when each opens where the one before closed.
* funding: what was settled in the hole, by time or on numbered pages.
* depth: the book as it is now; what it was is gone, so at best ``partial``.

Nothing is whole because nothing was found. Where only time says where a hole of trades begins, and that is longer ago
than the venue surely keeps them, one from before it, or the first one of all, proves that none is gone; else the hole
is at best ``partial``.

Each yields `Fetch` and events, and returns `Filled` (see `wsadapter.exchanges.rest_api.Filling`). A row that could not
be read leaves a hole that is named; what the venue refuses ends the repair with what is there. Of trades by id that
are older than it answers for, those are given up that are, and named.
"""

from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import Any, Final

from msgspec.structs import replace

from wsadapter.events import Kline, MarketEvent, Trade
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.intervals import length_ms
from wsadapter.exchanges.pages import Page
from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Filled, Filling, Hole, RequestRefused, Rows, TooOld
from wsadapter.exchanges.values import MOST, MS

MOST_REQUESTS: Final = 50_000
"""Of one repair: fifty million trades."""
MOST_PAGES: Final = 1_000
"""Of rates: some thirty years of eight hours each."""
MOST_MISSING: Final = 1_000
"""Runs of missing numbers that are named."""
MOST_RANGES: Final = 5_000
MOST_PARTS: Final = 100
"""Of a range."""
WINDOW_MS: Final = 3_599_999
HOUR_MS: Final = 3_600_000
BACK_NS: Final = 10_000_000_000
"""So far before a hole's begin, by our clock, its first missing trade is looked for,"""
BACK_FACTOR: Final = 30
MOST_BACK_NS: Final = 3_600_000_000_000
"""and then earlier, until it is beyond this."""
MARGIN_MS: Final = 60_000
"""The oldest trades that a venue has are gone before it is asked for them; so much is left to it, and each time that
was too little"""
MARGIN_FACTOR: Final = 10
"""times as much."""
UNPROVED: Final = "nothing proves that the venue still has what there was when it began"
TOP_LEVELS: Final = 50
"""For the price of five."""
SHORTEST_MONTH: Final = 40_320

Steps = Generator[Fetch | Sequence[MarketEvent], Any, bool]
"""Returns whether all of the hole is there."""


class _Progress:
    """What a repair has found so far. ``following``: the next number that it wants, where numbers count. ``given_up``:
    the first one that the venue no longer answers for; where they end the next one that is found says."""

    def __init__(self) -> None:
        self.published = 0
        self.following: int | None = None
        self.given_up: int | None = None
        self.reason = ""
        self._missing: list[tuple[int, int]] = []
        self._is_whole = True

    def give(self, events: list[Any]) -> list[Any]:
        self.published += len(events)
        return events

    def lose(self, first: int | None = None, last: int | None = None) -> None:
        """The venue does not have these, or some of which no more is known."""
        self._is_whole = False
        if first is not None and last is not None and len(self._missing) < MOST_MISSING:
            self._missing.append((first, last))

    def give_up(self, reason: str) -> None:
        """What is next is too old, and some behind it."""
        self.lose()
        self.reason = self.reason or reason
        self.given_up = self.following if self.given_up is None else self.given_up
        self.following = None

    def find(self, number: int | None) -> None:
        """It is the next that the venue has."""
        self.following = number
        if number is not None and self.given_up is not None:
            if self.given_up < number:
                self.lose(self.given_up, number - 1)
            self.given_up = None

    def doubt(self) -> None:
        """What was there first may not be kept any longer."""
        self.lose()
        self.reason = self.reason or UNPROVED

    def note_bad(self, rows: Rows) -> None:
        self.reason = self.reason or rows.reason

    def filled(self, complete: bool) -> Filled:
        if complete and self._is_whole:
            return Filled(RepairState.REPAIRED, self.published)
        state = RepairState.PARTIAL if self.published else RepairState.UNREPAIRABLE
        return Filled(state, self.published, tuple(self._missing), self.reason)


def _filling(steps: Callable[..., Steps]) -> Callable[..., Filling]:
    """A repair of a function of `_Progress`, its pages and the hole."""

    @wraps(steps)
    def fill(*pages_and_hole: Any) -> Filling:
        progress, hole = _Progress(), pages_and_hole[-1]
        try:
            complete = yield from steps(progress, *pages_and_hole)
        except RequestRefused as error:
            complete, progress.reason = False, str(error)
            progress.lose(progress.following if progress.given_up is None else progress.given_up, hole.last)
        return progress.filled(complete)

    return fill


@_filling
def trades(progress: _Progress, by_id: Page, by_time: Page, hole: Hole) -> Steps:
    """Trades whose numbers have no holes. Where ``by_time`` only ``finds``, its rows begin with a number of the other
    page's. What is too old is given up as far as it is: the newest trade's answer tells the venue's time."""
    progress.following, margin_ms, since = hole.first, MARGIN_MS, hole
    if hole.first is not None and hole.last is not None and hole.last < hole.first:
        return True
    complete = False
    while since.started_ns <= hole.ended_ns or since is hole:
        try:
            complete = yield from _trades_since(progress, by_id, by_time, since)
            break
        except TooOld as error:
            progress.give_up(str(error))
        newest = yield by_id.fetch(hole, 1, first="")
        kept_ns = newest.venue_ns - (by_id.kept_ms - margin_ms) * MS
        since = replace(hole, first=None, started_ns=max(hole.started_ns, kept_ns))
        margin_ms *= MARGIN_FACTOR
    if progress.given_up is not None:
        progress.lose(progress.given_up, hole.last)
    return complete


def _trades_since(progress: _Progress, by_id: Page, by_time: Page, hole: Hole) -> Steps:
    """From `_Progress.following` on, else from the hole's beginning."""
    last = hole.last
    window_ms, until_ms = hole.started_ns // MS, hole.ended_ns // MS
    for _ in range(MOST_REQUESTS):
        if progress.following is not None:
            limit = by_id.most if last is None else min(by_id.most, last - progress.following + 1)
            rows = yield by_id.fetch(hole, limit, first=progress.following)
            wanted, is_over = _wanted(progress, hole, rows)
            yield progress.give(wanted)
            if not is_over and rows.rows < limit and last is not None:
                progress.lose(progress.following, last)  # the newest is among them, and more were to come
            if is_over or rows.rows < limit:
                return True
            continue
        end_ms = min(window_ms + WINDOW_MS, until_ms)
        rows = yield by_time.fetch(hole, first_ms=window_ms, last_ms=end_ms)
        if any(not window_ms <= (t.transaction_time_ns or 0) // MS <= end_ms for t in rows.events):
            raise BadAnswer("trades of another time")
        window_ms = end_ms + 1
        # numbers above the last one that is missing: of an earlier contract of this name
        progress.find(next((t.trade_number for t in rows.events if last is None or t.trade_number <= last), None))
        if progress.following is not None or window_ms > until_ms:
            yield from _judge(progress, by_time, hole, rows, by_id)
        if by_time.finds:
            if progress.following is None and window_ms > until_ms:
                return True
            continue
        wanted, is_over = _wanted(progress, hole, rows)
        yield progress.give(wanted)
        is_all = end_ms == until_ms and rows.rows < by_time.most and last is None
        if is_over or is_all or (progress.following is None and window_ms > until_ms):
            return True
    return False


def _judge(
    progress: _Progress, page: Page, hole: Hole, rows: Rows, by_id: Page | None = None
) -> Generator[Fetch, Any, None]:
    """Of a hole that time begins: may trades be gone that were its first ones? One before the first that was found, by
    its number where there is one, or one of the hour before the hole, says that they are not."""
    found = progress.following
    if _is_sure(page, hole, rows, found):
        return
    before_ms = max(0, hole.started_ns // MS - 1)
    try:
        if by_id is not None and found is not None:
            earlier = yield by_id.fetch(hole, 1, first=found - 1)
        else:
            earlier = yield page.fetch(hole, first_ms=max(0, before_ms - WINDOW_MS), last_ms=before_ms, offset=0)
    except RequestRefused:
        progress.doubt()
        return
    if not any((trade.transaction_time_ns or 0) < hole.started_ns for trade in earlier.events):
        progress.doubt()


def _is_sure(page: Page, hole: Hole, rows: Rows, found: int | None) -> bool:
    """Whether the venue surely has what was traded when the hole began, or the first one ``found`` is the first of all.
    ``rows``: an answer, for its time."""
    return hole.started_ns >= rows.venue_ns - page.kept_ms * MS or (found is not None and found <= 1)


def _number(trade: Trade) -> int:
    """An aggregated one without a number has that of its last single trade."""
    number = trade.last_trade_id if trade.trade_number is None else trade.trade_number
    return number or 0


def _wanted(progress: _Progress, hole: Hole, rows: Rows) -> tuple[list[Trade], bool]:
    """Those of the hole, and whether it is filled with them; what lies between them is missing."""
    progress.note_bad(rows)
    wanted: list[Trade] = []
    last, following, is_over = hole.last, progress.following, False
    for trade in rows.events if following is not None else ():
        number = _number(trade)
        assert following is not None
        if number > last if last is not None else (trade.transaction_time_ns or 0) > hole.ended_ns:
            if last is not None and following <= last:
                progress.lose(following, last)
            is_over = True
            break
        if number < following:
            raise BadAnswer("trades before the one that was asked for")
        if number != following:
            progress.lose(following, number - 1)
        following = number + 1
        wanted.append(trade)
        if number == last:
            is_over = True
            break
    first = hole.first if hole.first is not None or not wanted else _number(wanted[0])
    for lost in rows.bad:
        if lost is None or following is None or (first is not None and lost < first):
            progress.lose(lost, lost)
        elif not is_over and following <= lost <= (last or lost):
            progress.lose(following, lost)
            following = lost + 1
            is_over = lost == last
    progress.following = following
    return wanted, is_over


@_filling
def trades_onward(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """The same where a page begins at a time (``since_ns``, ``since_ms``), or goes on where another one ended
    (``cursor``; ``from_ns`` is either). A page that begins behind the first missing one was asked for by a clock that
    is ahead: then it is looked for earlier."""
    progress.following, last = hole.first, hole.last
    if hole.first is not None and last is not None and last < hole.first:
        return True
    back_ns, cursor = BACK_NS, ""
    for _ in range(MOST_REQUESTS):
        since_ns = max(0, hole.started_ns - back_ns)
        rows = yield page.fetch(
            hole, cursor=cursor, since_ns=since_ns, since_ms=since_ns // MS, from_ns=cursor or since_ns
        )
        begins = next((trade.trade_number for trade in rows.events), 0)
        is_late = not cursor and hole.first is not None and begins > hole.first
        if is_late and since_ns and back_ns < MOST_BACK_NS:
            back_ns *= BACK_FACTOR
            continue
        if progress.following is None:
            times = ((trade.trade_number, trade.transaction_time_ns or 0) for trade in rows.events)
            progress.following = next((number for number, at_ns in times if at_ns >= hole.started_ns), None)
        following = progress.following
        rows.events = [trade for trade in rows.events if following is not None and trade.trade_number >= following]
        wanted, is_over = _wanted(progress, hole, rows)
        yield progress.give(wanted)
        if is_over:
            return True
        if not rows.rows or rows.cursor in ("", cursor):
            if last is not None and progress.following is not None:
                progress.lose(progress.following, last)
            return True
        cursor = rows.cursor
    return False


@_filling
def trades_back(progress: _Progress, by_id: Page, by_time: Page | None, hole: Hole) -> Steps:
    """The same where a page holds those before a number (``behind``), or a time (``first_ms``), newest first. Where
    nothing can be asked for by time, or nothing is that old, the first one of a time is looked for by halves."""
    following, last = hole.first, hole.last
    if following is not None and last is not None and last < following:
        return True
    older = None
    if following is None and by_time is not None:
        older = yield by_time.fetch(hole, 1, first_ms=hole.started_ns // MS)
        following = _number(older.events[-1]) + 1 if older.events else None
    if following is None:
        following = yield from _first_of_time(by_id, hole)
        if by_time is not None and older is not None and not _is_sure(by_time, hole, older, following):
            progress.doubt()
        if following is None:
            return True
    for _ in range(MOST_REQUESTS):
        progress.following = following
        behind = following + by_id.most if last is None else min(following + by_id.most, last + 1)
        rows = yield by_id.fetch(hole, behind - following, behind=behind)
        # the page is full, with older ones if need be
        rows.events = [trade for trade in rows.events if _number(trade) >= following]
        rows.bad = tuple(number for number in rows.bad if number is None or number >= following)
        wanted, is_over = _wanted(progress, hole, rows)
        yield progress.give(wanted)
        following = progress.following
        if is_over or (last is None and following < behind):
            return True  # the newest is among them
        if following < behind:
            progress.lose(following, behind - 1)
        if last is not None and behind > last:
            return True
        following = behind
    return False


def _first_of_time(by_id: Page, hole: Hole) -> Generator[Fetch, Any, int | None]:
    """Number of the first trade since the hole began, None where there is none yet."""
    low, high, behind = 0, None, 0
    for _ in range(MOST_REQUESTS):
        rows = yield by_id.fetch(hole, behind=behind or "")
        since = [_number(trade) for trade in rows.events if (trade.transaction_time_ns or 0) >= hole.started_ns]
        if not since:
            low = max(low, behind - 1)
        elif len(since) < len(rows.events) or min(since) <= 1:
            return min(since)
        else:
            high = min(since)
        if high is None or high <= low + 1:
            return high
        behind = max(low + (high - low) // 2, low + 1) + 1
    return high


@_filling
def trades_in_parts(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """The same where a range of time, in seconds, comes in parts (``offset``), the newest or the oldest first. What two
    ranges both have is told once."""
    progress.following, last = hole.first, hole.last
    if hole.first is not None and last is not None and last < hole.first:
        return True
    begin_ms, until_ms = hole.started_ns // MS, hole.ended_ns // MS
    for _ in range(MOST_RANGES):
        end_ms = min(begin_ms + page.window_ms, until_ms)
        found = yield from _range_in_parts(progress, page, hole, begin_ms, end_ms)
        if progress.following is None:
            times = ((_number(trade), trade.transaction_time_ns or 0) for trade in found.events)
            progress.following = next((number for number, at_ns in times if at_ns >= hole.started_ns), None)
            if progress.following is not None or end_ms == until_ms:
                yield from _judge(progress, page, hole, found)
        following = progress.following
        found.events = [each for each in found.events if following is not None and _number(each) >= following]
        found.bad = tuple(number for number in found.bad if number is None or number >= (following or 0))
        wanted, is_over = _wanted(progress, hole, found)
        yield progress.give(wanted)
        if is_over:
            return True
        if end_ms == until_ms:
            if last is not None and progress.following is not None:
                progress.lose(progress.following, last)
            return last is None or progress.following is not None
        begin_ms = end_ms
    return False


def _range_in_parts(
    progress: _Progress, page: Page, hole: Hole, begin_ms: int, end_ms: int
) -> Generator[Fetch, Any, Rows]:
    """Oldest first. A trade may be in two parts, as later ones come meanwhile."""
    trades: dict[int, Trade] = {}
    bad: set[int | None] = set()
    for part in range(MOST_PARTS):
        rows: Rows = yield page.fetch(hole, first_ms=begin_ms, last_ms=end_ms + 999, offset=part * page.most)
        trades.update((_number(each), each) for each in rows.events)
        bad.update(rows.bad)
        progress.note_bad(rows)
        if rows.rows < page.most:
            break
    else:
        progress.lose()
    in_order = tuple(sorted(bad, key=lambda number: -1 if number is None else number))
    return Rows([trades[number] for number in sorted(trades)], len(trades), rows.venue_ns, in_order)


@_filling
def trades_of_time(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Trades whose numbers only the stream has, in pages as for `trades_onward`: all of the hole's time. Where numbers
    are missing that time is ours, and more is asked for."""
    since_ns = max(0, hole.started_ns - (BACK_NS if hole.first is not None else 0))
    cursor = ""
    for _ in range(MOST_REQUESTS):
        rows = yield page.fetch(
            hole, cursor=cursor, since_ns=since_ns, since_ms=since_ns // MS, from_ns=cursor or since_ns
        )
        progress.note_bad(rows)
        if any(at_ns is None or since_ns <= at_ns <= hole.ended_ns for at_ns in rows.bad):
            progress.lose()
        times = [trade.transaction_time_ns or 0 for trade in rows.events]
        yield progress.give(
            [t for t, at_ns in zip(rows.events, times, strict=True) if since_ns <= at_ns <= hole.ended_ns]
        )
        if (times and times[-1] > hole.ended_ns) or not rows.rows or rows.cursor in ("", cursor):
            return True
        cursor = rows.cursor
    return False


@_filling
def newest_trades(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Trades of a venue that gives its newest page only."""
    rows = yield page.fetch(hole)
    progress.note_bad(rows)
    for at_ns in rows.bad:
        if at_ns is None or hole.started_ns <= at_ns <= hole.ended_ns:
            progress.lose()
    times = [trade.transaction_time_ns or 0 for trade in rows.events]
    yield progress.give(
        [trade for trade, at_ns in zip(rows.events, times, strict=True) if hole.started_ns <= at_ns <= hole.ended_ns]
    )
    return bool(times) and times[0] < hole.started_ns


@_filling
def trades_between(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Trades of a venue that gives those of a range, the newest of them where there are more than a page holds. A
    millisecond that fills a page is not all there. Where the venue counts in seconds (``step_ms``) whole ones are asked
    for, and what a second has beside the hole is left out, but for the first one's trades that nothing dates better."""
    step = page.step_ms
    first_ms, last_ms = hole.started_ns // MS // step * step, hole.ended_ns // MS // step * step + step - 1
    given: set[str] = set()
    for _ in range(MOST_REQUESTS):
        begin_ms = max(first_ms, -(-(last_ms - page.window_ms) // step) * step)
        rows = yield page.fetch(hole, first_ms=begin_ms, last_ms=last_ms)
        progress.note_bad(rows)
        if rows.bad:
            progress.lose()
        times = [(trade.transaction_time_ns or 0) // MS for trade in rows.events]
        # it may be that a range ends with the second in which its end lies
        if times and not (begin_ms <= times[0] and times[-1] // step * step <= last_ms):
            raise BadAnswer("trades of another time")
        dated = list(zip(rows.events, times, strict=True))
        new = [(trade, at_ms) for trade, at_ms in dated if trade.trade_id not in given]
        yield progress.give([trade for trade, at_ms in new if at_ms == first_ms or _is_of(hole, at_ms)])
        if rows.rows < page.most:
            given, last_ms = set(), begin_ms - 1
        else:
            given = {trade.trade_id for trade, at_ms in dated if at_ms // step == times[0] // step}
            if times[0] < last_ms:
                last_ms = times[0]
            else:
                progress.lose()
                last_ms = (last_ms if times[0] == last_ms else last_ms // step * step) - 1
        if last_ms < first_ms:
            yield from _judge(progress, page, hole, rows)
            return True
    return False


def _is_of(hole: Hole, at_ms: int) -> bool:
    return hole.started_ns // MS <= at_ms <= hole.ended_ns // MS


@_filling
def candles(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Closed candles. By time it is those that closed in the hole: none is missing before the first that comes, unless
    the venue may have forgotten it. A page without any, which ends before the hole does, is passed over."""
    length_ns = length_ms(hole.interval) * MS
    is_known = hole.first is not None
    following = hole.first if hole.first is not None else max(0, hole.started_ns - length_ns)
    last = hole.last if hole.last is not None else hole.ended_ns
    from_ns = following
    for _ in range(MOST_REQUESTS):
        if following > last:
            return True
        progress.following = following if is_known else None
        until_ms = _page_end_ms(page, hole.interval, from_ns, last)
        # one candle more than are missing: that it follows proves that the last one is closed
        limit = 0 if page.keeps_newest else (last - from_ns) // length_ns + 3
        if page.backwards:
            limit = (until_ms - from_ns // MS) // _shortest_ms(hole.interval) + 1
        rows = yield page.fetch(hole, limit, first_ms=from_ns // MS, last_ms=until_ms)
        progress.note_bad(rows)
        told_from = _told_from(page, rows, hole.interval, length_ns)
        if page.backwards and not rows.rows and from_ns <= told_from < until_ms * MS:
            from_ns = told_from + length_ns  # there may be some in the rest of this range
            continue
        closed, is_newest = _closed(rows, hole)
        closed = [candle for candle in closed if not _is_earlier(candle, hole, following)]
        wanted = [candle for candle in closed if _is_within(candle, hole)]
        for candle in wanted:
            if following < told_from or (is_known and not page.quiet):
                _lose_between(progress, following, candle.open_time_ns, length_ns, is_known)
            is_known, following = True, candle.close_time_ns + MS
        if any(at_ns is None or hole.first is None or hole.first <= at_ns <= last for at_ns in rows.bad):
            progress.lose()
        yield progress.give(wanted)
        if is_newest or len(wanted) < len(closed) or (not closed and until_ms * MS > last):
            # one that the hole lacks may have been listed at its end
            is_found = is_known or any(not _is_earlier(candle, hole, following) for candle in rows.events)
            last_open = _last_open(hole, rows, is_newest, length_ns)
            return _is_whole(progress, page, hole, following, last_open, told_from, is_known, is_found)
        from_ns = following if closed else until_ms * MS
        if page.quiet and not closed:  # nobody traded for so long
            if following < told_from:
                progress.lose(following, from_ns - length_ns)
            following = from_ns
    return False


def _shortest_ms(interval: str) -> int:
    return min(length_ms(interval), SHORTEST_MONTH * 60_000)


def _page_end_ms(page: Page, interval: str, first_ns: int, last_ns: int) -> int:
    """Of a page that keeps the newest no more than fit may lie in the range, or the oldest would be left out."""
    until_ns = last_ns + 2 * length_ms(interval) * MS
    if page.keeps_newest:
        until_ns = min(until_ns, first_ns + (page.most_of(interval) - 1) * _shortest_ms(interval) * MS)
    return min(until_ns // MS, first_ns // MS + page.window_ms)


def _told_from(page: Page, rows: Rows, interval: str, length_ns: int) -> int:
    """What opened since then the venue has, if it was there."""
    kept = page.kept.get(interval)
    if kept is None:
        return 0
    newest_ns = rows.events[-1].open_time_ns if rows.events else 0
    return int(max(rows.venue_ns, newest_ns)) - (kept - 1) * length_ns


def _closed(rows: Rows, hole: Hole) -> tuple[list[Kline], bool]:
    """Those that are over, and whether the one that follows them is open. Raises `BadAnswer` where it is missing."""
    closed: list[Kline] = list(rows.events)
    if not closed or (closed[-1].closed and closed[-1].close_time_ns + MS <= rows.venue_ns):
        return closed, False
    if hole.last is not None and closed[-1].open_time_ns <= hole.last:
        raise BadAnswer("a candle that is missing is not closed yet")
    return closed[:-1], True


def _is_earlier(candle: Kline, hole: Hole, following: int) -> bool:
    return candle.open_time_ns < following or (hole.first is None and candle.close_time_ns < hole.started_ns)


def _is_within(candle: Kline, hole: Hole) -> bool:
    return candle.open_time_ns <= hole.last if hole.last is not None else candle.close_time_ns <= hole.ended_ns


def _lose_between(progress: _Progress, following: int, open_ns: int, length_ns: int, is_known: bool) -> None:
    """Those before ``open_ns``. Where ``following`` is no candle's time, all that open behind it."""
    first = following if is_known else open_ns - (open_ns - following - 1) // length_ns * length_ns
    if first < open_ns:
        progress.lose(first, open_ns - length_ns)


def _last_open(hole: Hole, rows: Rows, is_newest: bool, length_ns: int) -> int:
    """When the last candle of the hole opened, at most: by time the last one that had closed by then, which the venue
    says too."""
    if hole.last is not None:
        return hole.last
    last_open = min(hole.ended_ns, rows.venue_ns) - length_ns + MS
    return min(last_open, rows.events[-1].open_time_ns - 1) if is_newest else last_open


def _is_whole(
    progress: _Progress, page: Page, hole: Hole, following: int, last_open: int, told_from: int, is_known: bool,
    is_found: bool,
) -> bool:  # fmt: skip
    """Whether nothing is missing at the end. By time it may be that none closed there. ``is_found``: the venue has a
    candle of the hole's time, or one that follows it."""
    length_ns = length_ms(hole.interval) * MS
    if following > last_open:
        return True
    if following < told_from or (is_known and not page.quiet):
        last = hole.last
        if last is None and is_known:
            last = following + (last_open - following) // length_ns * length_ns
        progress.lose(following, last)
        return False
    if not page.quiet and not is_found and hole.ended_ns - hole.started_ns >= 2 * length_ns:
        progress.doubt()
    return True


@_filling
def fundings(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Settled rates. They are settled at full hours: a hole without one has none."""
    next_ms, until_ms = hole.started_ns // MS, hole.ended_ns // MS
    # some are dated a few milliseconds after the hour
    if until_ms // HOUR_MS == (next_ms - 1000) // HOUR_MS:
        return True
    for _ in range(MOST_REQUESTS):
        end_ms = min(next_ms + page.window_ms, until_ms)
        rows = yield page.fetch(hole, first_ms=next_ms, last_ms=end_ms)
        if page.fills_up or page.whole:
            last_ns = end_ms * MS if page.whole else MOST
            rows.events = [r for r in rows.events if next_ms * MS <= (r.transaction_time_ns or 0) <= last_ns]
            rows.bad = tuple(at_ns for at_ns in rows.bad if at_ns is None or next_ms * MS <= at_ns <= last_ns)
        times = [(rate.transaction_time_ns or 0) // MS for rate in rows.events]
        if times and not next_ms <= times[0] <= times[-1] <= end_ms:
            raise BadAnswer("funding rates of another time")
        progress.note_bad(rows)
        if rows.bad:
            progress.lose()
        yield progress.give(rows.events)
        if rows.rows >= page.most and not page.fills_up:
            next_ms = times[-1] + 1
        elif end_ms == until_ms:
            return True
        else:
            next_ms = end_ms + 1
    return False


@_filling
def fundings_by_page(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """Settled rates of a venue that knows no times: pages are numbered from the newest on."""
    for number in range(1, MOST_PAGES + 1):
        rows = yield page.fetch(hole, number=number)
        progress.note_bad(rows)
        if any(at_ns is None or hole.started_ns <= at_ns <= hole.ended_ns for at_ns in rows.bad):
            progress.lose()
        times = [rate.transaction_time_ns or 0 for rate in rows.events]
        yield progress.give(
            [rate for rate in rows.events if hole.started_ns <= rate.transaction_time_ns <= hole.ended_ns]
        )
        if rows.rows < page.most or times[0] < hole.started_ns:
            return True
    return False


@_filling
def book(progress: _Progress, page: Page, hole: Hole) -> Steps:
    """The present book: all of it for a stream of diffs, else `TOP_LEVELS`, which is a key of its own beside those of
    the streams (at most 20 levels)."""
    rows = yield page.fetch(hole, TOP_LEVELS if hole.levels else 0)
    yield progress.give(rows.events)
    return False
