"""Books of any moment and of a range of time, out of table ``depth``.

Guarantees: what is said of a book is proved. Where the venue numbers its changes, an unbroken chain from the snapshot
over the moment to the change after it is the proof, whatever connections were lost meanwhile. Where it does not, or
nothing follows, the recorder must have been there all the time (`wsadapter.stored.holes`). A book that is not proved is
not `Book.complete`, and says since when. Of a series that has changes they are taken; else the newest whole book is
the one.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from wsadapter.clickhouse.client import Ask, Parameters, Query, decode_rows
from wsadapter.clickhouse.conversion import quoted
from wsadapter.exchanges.rest_api import BookRule
from wsadapter.stored.book import ALL, REST, SNAPSHOT, Book, BookBuilder, Checkpoint, Level, Row
from wsadapter.stored.book_checkpoints import newest_checkpoint
from wsadapter.stored.holes import Completeness, Span

SECOND: Final = 10**9
LOOK_BACK: Final = (15 * 60, 2 * 3600, 26 * 3600, 8 * 86_400)
"""Seconds in which a snapshot is looked for, one after another."""
CHUNK: Final = 600 * SECOND
"""Of changes that are read at once."""
SLACK: Final = 60 * SECOND
"""By which the time of a snapshot that was asked for may be behind that of the changes."""
FOLLOWING: Final = 300 * SECOND
"""In which the change after a moment is looked for."""
KEPT: Final = 26 * 3600 * SECOND
"""In which a checkpoint is looked for."""
HOUR: Final = 3600 * SECOND
OLD: Final = 6 * HOUR
"""After which a checkpoint is worth its place however little has changed."""
MOST_CHANGED: Final = 500_000
"""Levels that changed: more of them, and the hour with them is what is read for one checkpoint."""
BASES: Final = 4
"""Snapshots that are tried, newest first."""
NOTHING: Final = "no snapshot was recorded before it"

Known = Callable[[int, int], Completeness]
"""What is missing of the series from one time to another."""


class _Newest(Struct):
    level_limit: int
    source: str
    time_ns: int


class _Changed(Struct):
    hour: int
    levels: int


class Books:
    """Those of one symbol. ``most``: levels of each side that are told, None: all."""

    def __init__(
        self, ask: Ask, database: str, exchange: str, symbol: str, rule: BookRule, known: Known, most: int | None
    ) -> None:
        self._ask, self._database, self._table = ask, database, f"{quoted(database)}.depth"
        self._exchange, self._symbol, self._rule, self._known, self._most = exchange, symbol, rule, known, most

    def at(self, at_ns: int) -> Book:
        """The book after the last change that is not later."""
        book, bases = None, self._bases(at_ns)
        # before the changes, see `wsadapter.stored.evidence`
        missing = self._missing(at_ns, at_ns + 1, bases) if bases else ()
        for base in bases:
            found = self._built(base, at_ns, missing)
            if found is not None and (book is None or found.complete):
                book = found
            if book is not None and book.complete:
                return book
        whole = self._whole(at_ns)
        if whole is not None and (book is None or whole.complete):
            return whole
        return book or Book(self._exchange, self._symbol, at_ns, reason=NOTHING)

    def between(self, start_ns: int, end_ns: int) -> Iterator[Book]:
        """The book at the start, then after each change, each whole book, up to the end, which is not in it."""
        yield self.at(start_ns)
        bases = self._bases(start_ns)
        if not bases and not self._has_changes(start_ns, end_ns):
            yield from self._whole_between(start_ns, end_ns)
            return
        builder, missing = BookBuilder(), self._missing(start_ns, end_ns, bases)
        for row in self._fed(builder, bases[0] if bases else None, start_ns, end_ns):
            if row.time_ns > start_ns and builder.base is not None and (builder.newest is row or builder.broken):
                span = None if row.before is not None else self._unproved(builder, row.moment_ns, missing)
                yield self._told(builder, row.time_ns, span)

    # What is built of changes.

    def checkpoint(self, until_ns: int) -> Checkpoint | None:
        """What books of later moments may go on from, of a moment not later than ``until_ns``: None where the book is
        not proved then, where no later change has arrived yet (what is before one has, too), and where the changes
        since the snapshot or checkpoint before are less than the book itself and not old."""
        following, bases = self._following(until_ns), self._bases(until_ns)
        if following is None or not bases or self._rule.joins:
            return None
        base = bases[0]
        at_ns = self._worthy(base, until_ns)
        if at_ns is None:
            return None
        builder, missing = BookBuilder(), self._missing(at_ns, at_ns + 1, [base])
        for _ in self._fed(builder, base, at_ns, at_ns + 1):
            pass
        if at_ns != until_ns:
            following = self._following(at_ns)
        book = self._judged(builder, base, None, at_ns, following, missing)
        return builder.checkpoint(at_ns) if book is not None and book.complete else None

    def _worthy(self, base: Row | Checkpoint, until_ns: int) -> int | None:
        """Up to where changes are worth a checkpoint: never more at once than `MOST_CHANGED` and an hour's."""
        sql = (
            "SELECT intDiv(toUnixTimestamp64Nano(time) - {since:Int64}, {hour:Int64}) AS hour, "
            f"sum(length(bid_price) + length(ask_price)) AS levels FROM {self._table} "
            f"WHERE {_SERIES} AND {_RANGE} AND {_CHANGES} GROUP BY hour ORDER BY hour"
        )
        parameters = self._parameters(base.time_ns, 0, until_ns + 1) | {"since": base.time_ns, "hour": HOUR}
        changed = 0
        for each in decode_rows(self._ask(Query(sql, parameters)), _Changed):
            changed += each.levels
            if changed >= MOST_CHANGED:
                return min(until_ns, base.time_ns + (each.hour + 1) * HOUR)
        is_old = until_ns - base.time_ns >= OLD
        return until_ns if changed and (is_old or changed >= len(base.bid_price) + len(base.ask_price)) else None

    def _built(self, base: Row | Checkpoint, at_ns: int, missing: Sequence[Span]) -> Book | None:
        """From this snapshot on; None where it is of a later moment than it says."""
        builder, reached = BookBuilder(), None
        for row in self._fed(builder, base, at_ns, at_ns + 1):
            if row.update_type != SNAPSHOT and row.last_update_id is not None:
                reached = row.last_update_id
        return self._judged(builder, base, reached, at_ns, self._following(at_ns), missing)

    def _judged(
        self, builder: BookBuilder, base: Row | Checkpoint, reached: int | None, at_ns: int, following: Row | None,
        missing: Sequence[Span],
    ) -> Book | None:  # fmt: skip
        """``reached``: the number of the last change. ``following``: the change after the moment."""
        before = None if following is None else following.before
        if builder.waits and isinstance(base, Row):
            number = base.last_update_id or 0
            is_ahead = reached is not None and reached < number
            if is_ahead and before is not None and before < number:
                return None
            builder.settle()
        if builder.base is None or builder.newest is None:
            return None
        if before is not None and builder.broken is None:
            if before == builder.number or (builder.newest is builder.base and before <= (builder.number or 0)):
                return self._told(builder, at_ns, None)
            if following is not None and (following.last_update_id or 0) > (builder.number or 0):
                # it is known what is missing: something between the last change and the next one
                span = Span(builder.newest.moment_ns, following.moment_ns, "sequence", "unrepairable")
                return self._told(builder, at_ns, _since(builder.newest.moment_ns, at_ns, missing) or span)
        return self._told(builder, at_ns, self._unproved(builder, at_ns, missing))

    def _fed(self, builder: BookBuilder, base: Row | Checkpoint | None, start_ns: int, end_ns: int) -> Iterator[Row]:
        """Each row behind ``base`` (None: behind the start), once the builder has it. Times only bound the search for
        what joins a snapshot that was asked for; one of the stream is before its changes."""
        begin_ns = start_ns if base is None else base.time_ns
        if isinstance(base, Checkpoint):
            builder.resume(base)
            yield from self._added(builder, base.at_ns + 1, end_ns)
            return
        if base is not None and base.source == REST:
            builder.add(base)
            begin_ns -= SLACK
        for row in self._changes(begin_ns, end_ns):
            if row.source == REST and base is not None and row.time_ns <= base.time_ns:
                continue
            builder.add(row)
            yield row

    def _added(self, builder: BookBuilder, begin_ns: int, end_ns: int) -> Iterator[Row]:
        for row in self._changes(begin_ns, end_ns):
            builder.add(row)
            yield row

    def _missing(self, start_ns: int, end_ns: int, bases: Sequence[Row | Checkpoint]) -> tuple[Span, ...]:
        begin_ns = min([start_ns, *(base.moment_ns for base in bases)]) - SLACK
        return self._known(begin_ns, end_ns).missing

    def _unproved(self, builder: BookBuilder, at_ns: int, missing: Sequence[Span]) -> Span | None:
        """The first span since when the book may be another one. Of numbered changes what lies behind the last one."""
        newest, base = builder.newest, builder.base
        if newest is None or base is None:
            return None
        since = base.moment_ns if newest.before is None and newest is not base else newest.moment_ns
        return _since(since, at_ns, [span for span in missing if span.start_ns < at_ns])

    def _told(self, builder: BookBuilder, at_ns: int, span: Span | None) -> Book:
        newest, base, broken = builder.newest, builder.base, builder.broken
        assert newest is not None
        assert base is not None
        bids, asks = builder.levels(self._most)
        if broken is not None:
            since: int | None = builder.broken_since_ns
            reason = f"the change {broken.last_update_id} does not go on from {builder.number}"
        else:
            since, reason = (None, "") if span is None else (span.start_ns, span.cause)
        return Book(
            self._exchange, self._symbol, at_ns, bids, asks, newest.last_update_id, newest.time_ns, base.time_ns,
            broken is None and span is None, since, reason,
        )  # fmt: skip

    # Books that come whole.

    def _whole(self, at_ns: int) -> Book | None:
        kinds = self._whole_kinds()
        for seconds in LOOK_BACK:
            missing = self._known(at_ns - seconds * SECOND - SLACK, at_ns + 1).missing
            rows = self._select(
                f"{_BEFORE} AND {kinds} ORDER BY time DESC, last_update_id DESC LIMIT 1", at_ns, seconds
            )
            if rows:
                if not self._rule.whole and self._has_changes(rows[0].time_ns - SLACK, at_ns + 1):
                    return None
                return self._told_whole(rows[0], at_ns, missing)
        return None

    def _whole_between(self, start_ns: int, end_ns: int) -> Iterator[Book]:
        missing = self._known(start_ns - SLACK, end_ns).missing
        for row in self._chunks(start_ns + 1, end_ns, self._whole_kinds()):
            yield self._told_whole(row, row.time_ns, [span for span in missing if span.start_ns < row.moment_ns])

    def _told_whole(self, row: Row, at_ns: int, missing: Sequence[Span]) -> Book:
        bids, asks = (
            tuple(Level(*pair) for pair in pairs)
            for pairs in (_levels(row.bid_price, row.bid_quantity, self._most),
                          _levels(row.ask_price, row.ask_quantity, self._most))
        )  # fmt: skip
        span = _since(row.moment_ns, at_ns, missing)
        return Book(
            self._exchange, self._symbol, at_ns, bids, asks, row.last_update_id, row.time_ns, row.time_ns, span is None,
            None if span is None else span.start_ns, "" if span is None else span.cause,
        )  # fmt: skip

    def _whole_kinds(self) -> str:
        return f"{_SNAPSHOTS} AND {is_whole(self._rule)}" if self._rule.whole else _SNAPSHOTS

    def _has_changes(self, start_ns: int, end_ns: int) -> bool:
        return bool(self._select(f"{_RANGE} AND {_CHANGES} LIMIT 1", start_ns, 0, end_ns))

    # Rows.

    def _bases(self, at_ns: int) -> list[Row | Checkpoint]:
        """What changes may go on from: the venue's snapshots, newest first, before them a checkpoint that is newer."""
        found: list[Row | Checkpoint] = [*self._snapshots(at_ns)]
        since_ns = max(at_ns - KEPT, found[0].time_ns) if found else at_ns - KEPT
        kept = None if self._rule.joins else newest_checkpoint(
            self._ask, self._database, self._exchange, self._symbol, since_ns, at_ns
        )  # fmt: skip
        return found if kept is None else [kept, *found]

    def _snapshots(self, at_ns: int) -> list[Row]:
        """Snapshots that changes may go on from, newest first, of the kind with the most levels."""
        for seconds in LOOK_BACK:
            answer = self._ask(
                Query(
                    f"SELECT level_limit, source, max(toUnixTimestamp64Nano(time)) AS time_ns "
                    f"FROM {self._table} WHERE {_SERIES} AND {_BEFORE} AND {_SNAPSHOTS} GROUP BY level_limit, source",
                    self._parameters(at_ns, seconds),
                )
            )
            kinds = [one for one in decode_rows(answer, _Newest) if self._may_begin(one)]
            if not kinds:
                continue
            most = max(one.level_limit or ALL for one in kinds)
            limit = 0 if most == ALL else most
            sources = ", ".join(f"'{one.source}'" for one in kinds if (one.level_limit or ALL) == most)
            where = f"{_BEFORE} AND {_SNAPSHOTS} AND level_limit = {limit:d} AND source IN ({sources})"
            return self._select(f"{where} ORDER BY time DESC, last_update_id DESC LIMIT {BASES}", at_ns, seconds)
        return []

    def _may_begin(self, one: _Newest) -> bool:
        if one.source == REST:
            return self._rule.joins
        return one.level_limit not in self._rule.whole

    def _following(self, at_ns: int) -> Row | None:
        where = f"{_RANGE} AND {_CHANGES} ORDER BY time, last_update_id, ordinal LIMIT 1"
        rows = self._select(where, at_ns + 1, 0, at_ns + FOLLOWING)
        return rows[0] if rows else None

    def _changes(self, begin_ns: int, end_ns: int) -> Iterator[Row]:
        """With the snapshots that they may go on from."""
        return self._chunks(begin_ns, end_ns, f"({_CHANGES} OR {_SNAPSHOTS} AND {may_begin(self._rule)})")

    def _chunks(self, begin_ns: int, end_ns: int, kinds: str) -> Iterator[Row]:
        """In the order of their times."""
        order = "ORDER BY time, ordinal, last_update_id, update_type DESC"
        for begin in range(begin_ns, end_ns, CHUNK):
            yield from self._select(f"{_RANGE} AND {kinds} {order}", begin, 0, min(begin + CHUNK, end_ns))

    def _select(self, where: str, at_ns: int, seconds: int, end_ns: int = 0) -> list[Row]:
        """Repeats of a row do no harm: what they change has changed already."""
        sides = ", ".join(
            f"arrayMap(x -> toString(x), {side}) AS {side}"
            for side in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
        )
        sql = (
            "SELECT update_type, level_limit, first_update_id, last_update_id, previous_update_id, source, "
            "toUnixTimestamp64Nano(time) AS time_ns, toUnixTimestamp64Nano(receive_time) AS receive_ns, "
            f"{sides} FROM {self._table} WHERE {_SERIES} AND {where}"
        )
        return decode_rows(self._ask(Query(sql, self._parameters(at_ns, seconds, end_ns))), Row)

    def _parameters(self, at_ns: int, seconds: int, end_ns: int = 0) -> Parameters:
        return {
            "exchange": self._exchange, "symbol": self._symbol, "at": at_ns, "since": at_ns - seconds * SECOND,
            "end": end_ns,
        }  # fmt: skip


_SERIES: Final = "exchange = {exchange:String} AND symbol = {symbol:String}"
_SNAPSHOTS: Final = f"update_type = '{SNAPSHOT}'"
_CHANGES: Final = "update_type = 'DELTA' AND level_limit = 0"
_BEFORE: Final = (
    "time <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') AND time > fromUnixTimestamp64Nano({since:Int64}, 'UTC')"
)
_RANGE: Final = (
    "time >= fromUnixTimestamp64Nano({at:Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({end:Int64}, 'UTC')"
)


def may_begin(rule: BookRule) -> str:
    """Whether changes may go on from a snapshot, in SQL."""
    return f"if(source = '{REST}', {str(rule.joins).lower()}, NOT {is_whole(rule)})"


def is_whole(rule: BookRule) -> str:
    """Whether a snapshot is one of a stream whose books come whole each time, in SQL."""
    return f"(level_limit IN ({', '.join(map(str, sorted(rule.whole))) or '-1'}))"


def _since(moment_ns: int, at_ns: int, missing: Sequence[Span]) -> Span | None:
    """The first of which something lies between a moment and what was asked for. One that had begun at the moment and
    was over before that is none: a snapshot ends a gap for its symbol, and the socket's last one does for the gap."""
    return next((span for span in missing if span.start_ns >= moment_ns or span.end_ns >= at_ns), None)


def _levels(prices: Sequence[str], quantities: Sequence[str], most: int | None) -> list[tuple[Decimal, Decimal]]:
    pairs = zip(prices[:most], quantities[:most], strict=True)
    return [(Decimal(price), Decimal(quantity)) for price, quantity in pairs]
