"""One file of a venue -> rows of its stream, with source ARCHIVE, and coverage of its days.

The rows go to the inbox that ClickHouse has for files of the stream, and through its view into the table; not to Kafka.
They have the sorting key of the rows that were recorded live, and where there is such a row it is the one that counts
(it says when it was received); of candles the published one counts.

Guarantees: a file is cut at the same places each time, and each piece has an insert token of the file's hash and its
number, so an import that was interrupted may be made again. That all of its rows are there is asked for at its end, as
a server that was killed may know a token and not have its rows (`wsadapter.clickhouse.presence`): of a piece that has
not all, what lacks is inserted under a token of its own. Coverage is written last and at once, so a file that has some
is wholly there and is not imported again; holes that it has are said again. Nothing is dropped in silence: a line that
is no row is refused with its number and reason, and a file with such lines covers nothing; numbers that skip, and
candles that are not there, are holes, which coverage leaves out. Rows that the venue has annulled are no events: they
are passed over and counted, and their numbers are no holes. Nor are numbers that the venue gives to nothing, where it
does (``number`` of `ArchiveFormat`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client
from msgspec import Struct, field

from wsadapter.archives.files import BadFile, Piece, digest, pieces
from wsadapter.archives.lines import Lines, Refused
from wsadapter.archives.series import Series, SeriesTables, Span
from wsadapter.clickhouse.client import REQUEST_ERRORS, Parameters, unavailable
from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.inserts import Inserter, archive_statement
from wsadapter.clickhouse.lost_inserts import insert_events, make_sure, token_again
from wsadapter.clickhouse.presence import Presence
from wsadapter.clickhouse.retention import DAY_NS, coverage_days, kept_from
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Coverage, Source
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.archives import ArchiveFormat, Row, follows, rows_between
from wsadapter.exchanges.intervals import length_ms

CONNECTION: Final = "archive:"
"""What the connection of an imported row begins with; file name and hash follow."""
MAX_TOLD: Final = 1000
"""Refused lines and holes of a file that are kept; all are counted."""
MS: Final = 1_000_000

Advance = Callable[[int, int], None]
"""Told of rows and of bytes of the file, as they are done."""


class Task(Struct, frozen=True):
    """A file, and what it is of. ``named``: from when to when its name says; None where it does not."""

    path: Path
    exchange: str
    form: ArchiveFormat
    symbol: str
    interval: str = ""
    named: Span | None = None

    @property
    def series(self) -> Series:
        """What it covers."""
        form = self.form
        return Series(self.exchange, self.symbol, form.spec.name if form.covers else form.stream, self.interval)


class Outcome(Struct):
    """What became of a file. ``reason``: why none of it was imported. ``annulled_count``: rows that are no events.
    ``holes``: from the row before to the one after. ``again_count``: rows of inserts that ClickHouse had called done
    and that were in no table; they were inserted again. ``lacking_count``: those that are not there all the same."""

    rows: int = 0
    annulled_count: int = 0
    refused_count: int = 0
    refused: list[Refused] = field(default_factory=list)
    hole_count: int = 0
    holes: list[Span] = field(default_factory=list)
    again_count: int = 0
    lacking_count: int = 0
    already: bool = False
    reason: str = ""

    @property
    def whole(self) -> bool:
        return not (self.reason or self.refused_count or self.hole_count or self.lacking_count)


class Importer:
    """Of one database; uses its client alone."""

    def __init__(self, client: Client, settings: ClickHouseConfig) -> None:
        self._client, self._settings = client, settings
        self._inserter, self._presence = Inserter(client), Presence(client, settings)

    def run(self, task: Task, advance: Advance, again: bool = False) -> Outcome:
        """``again``: also what is there already. `ServiceUnavailable` where ClickHouse fails."""
        outcome = Outcome()
        try:
            connection = f"{CONNECTION}{task.path.name}:{digest(task.path)[:16]}"
            if not again and (covered := self._covered(task, connection)):
                outcome.already, outcome.holes = True, _between(covered, task.named, self._kept_from(task))
                outcome.hole_count = len(outcome.holes)
            else:
                self._import(task, connection, outcome, advance)
        except BadFile as error:
            outcome.reason = str(error)
        except REQUEST_ERRORS as error:
            raise unavailable(self._settings, error) from None
        return outcome

    def _import(self, task: Task, connection: str, outcome: Outcome, advance: Advance) -> None:
        now_ns = time.time_ns()
        constants: dict[str, str | int | bool] = {
            "exchange": task.exchange, "symbol": task.symbol, "receive_time_ns": now_ns,
            "source": Source.ARCHIVE.name, "connection": connection,
        }  # fmt: skip
        if task.form.candles:
            constants["interval"] = task.interval
        lines = Lines(task.form, constants)
        check = _Check(task, lines, outcome)
        for number, piece in enumerate(_without_header(lines, pieces(task.path))):
            if error := lines.unit_error(piece.lines):
                raise BadFile(error)
            body, rows, refused = lines.convert(piece.lines, piece.first_line)
            outcome.refused_count += len(refused)
            outcome.refused += refused[: MAX_TOLD - len(outcome.refused)]
            annulled = lines.annulled(piece.lines)
            if rows:
                self._insert(task, lines, body, rows, _token(task, connection, number))
            if rows + annulled:
                check.step(piece, rows + annulled)
            outcome.rows += rows
            outcome.annulled_count += annulled
            advance(rows, piece.at)
        if not outcome.rows and not outcome.refused_count:
            raise BadFile("no rows in it")
        if outcome.rows and self._has_fewer(task, connection, check.span, outcome.rows):
            self._make_sure(task, connection, lines, outcome)
        covered = check.covered()
        if covered:
            self._insert_coverage(task, connection, covered, now_ns)

    def _insert(self, task: Task, lines: Lines, body: bytes, rows: int, token: str) -> None:
        head = archive_statement(self._settings.database, task.form.spec, lines.fields)
        self._inserter.insert(head + body, rows, token)

    def _has_fewer(self, task: Task, connection: str, span: Span, rows: int) -> bool:
        """Whether the table has fewer rows of this file than it has lines. It may: a better row may have taken a
        row's place."""
        spec = task.form.spec
        time_column, times = quoted(spec.partition_time), "fromUnixTimestamp64Nano({{{}:Int64}}, 'UTC')".format
        query = (
            f"SELECT count() FROM {quoted(self._settings.database)}.{quoted(spec.name)} WHERE "
            "exchange = {exchange:String} AND symbol = {symbol:String} AND connection = {connection:String} "
            f"AND {time_column} >= {times('first')} AND {time_column} <= {times('last')} FORMAT TabSeparated"
        )
        parameters: Parameters = {
            "exchange": task.exchange, "symbol": task.symbol, "connection": connection,
            "first": span[0], "last": span[1],
        }  # fmt: skip
        return int(self._client.raw_query(query, parameters=parameters, use_database=False)) < rows

    def _make_sure(self, task: Task, connection: str, lines: Lines, outcome: Outcome) -> None:
        """That each piece is there."""
        spec = task.form.spec
        if not self._presence.is_asked(spec):
            return
        for number, piece in enumerate(_without_header(lines, pieces(task.path))):
            messages, rows = lines.messages(piece.lines)

            def insert(lacking: Sequence[int], again: int, number: int = number, rows: list[bytes] = rows) -> None:
                body, count, _ = lines.convert(b"".join(rows[place] for place in lacking), 1)
                self._insert(task, lines, body, count, token_again(_token(task, connection, number), again))

            look = partial(self._presence.lacking_of_series, spec, messages)
            found = make_sure(look, insert)
            outcome.again_count += found.again
            outcome.lacking_count += found.lacking

    def _covered(self, task: Task, connection: str) -> list[Span]:
        """What an import before said of the file. Files that cover nothing leave no trace, and are imported again."""
        covered = SeriesTables(self._client, self._settings.database, task.series).covered()
        return [(one.from_ns, one.to_ns) for one in covered if one.connection == connection]

    def _kept_from(self, task: Task) -> int:
        """Coverage from before it may be removed already."""
        return kept_from(coverage_days(self._settings.ttl_days, task.series.stream), time.time_ns())

    def _insert_coverage(self, task: Task, connection: str, spans: list[Span], now_ns: int) -> None:
        exchange, symbol, stream, interval = task.series
        events = [
            Coverage(exchange, symbol, None, None, now_ns, Source.ARCHIVE, connection, None, stream, interval, *span)
            for span in _by_day(spans)
        ]
        token = f"{connection}:{':'.join(task.series)}:{now_ns}"
        insert_events(self._inserter, self._presence, self._settings, BY_STREAM["coverage"], events, token)


def _by_day(spans: Sequence[Span]) -> Iterator[Span]:
    """Cut at midnight (UTC), so that a TTL removes of coverage what it removes of the rows."""
    for from_ns, to_ns in spans:
        cuts = [*range((from_ns // DAY_NS + 1) * DAY_NS, to_ns, DAY_NS), to_ns]
        yield from pairwise((from_ns, *cuts))


def _between(covered: Sequence[Span], named: Span | None, kept_ns: int) -> list[Span]:
    """The holes of a file that covers this: between two spans, though they touch, unless that is at midnight, and, if
    all of it is in the time of the file's name, at the edges of that. Of the time before ``kept_ns`` nobody knows. What
    an import before covered less of, is covered."""
    covered = _outermost(covered)
    between = [(before, after) for (_, before), (after, _) in pairwise(covered)]
    holes = [(before, after) for before, after in between if after > before or (after == before and after % DAY_NS)]
    first, last = covered[0][0], covered[-1][1]
    if named is not None and named[0] <= first and last <= named[1]:
        edges = (max(named[0], kept_ns), first), (last, named[1])
        holes += [(before, after) for before, after in edges if after > before]
    return sorted(holes)


def _outermost(spans: Sequence[Span]) -> list[Span]:
    """Without those that another one has all of, by their begin."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[1] > kept[-1][1]:
            kept.append(span)
    return kept


def _token(task: Task, connection: str, number: int) -> str:
    """Of a piece."""
    return ":".join((*task.series, task.form.word, connection, str(number)))


def _without_header(lines: Lines, read: Iterator[Piece]) -> Iterator[Piece]:
    for piece in read:
        if piece.first_line == 1 and lines.is_header(piece.lines[:1]):
            header, _, rest = piece.lines.partition(b"\n")
            if error := lines.header_error(header):
                raise BadFile(error)
            if rest:
                yield Piece(rest, 2, piece.at)
        else:
            yield piece


class _Check:
    """Whether rows follow one another, piece by piece."""

    def __init__(self, task: Task, lines: Lines, outcome: Outcome) -> None:
        self._task, self._lines, self._outcome = task, lines, outcome
        self._follows = follows(task.form)
        self._first: Row | None = None
        self._last: Row | None = None

    def step(self, piece: Piece, rows: int) -> None:
        first, last = self._edges(piece)
        self._first = self._first or first
        if self._follows is not None:
            joined = self._last is None or self._follows(self._last, first)
            if not joined or rows_between(self._task.form, self._task.interval, first, last) != rows:
                self._look(self._follows, piece)
        self._last = last

    def _edges(self, piece: Piece) -> tuple[Row, Row]:
        """Its first and last row."""
        ends = piece.lines[: piece.lines.index(b"\n") + 1], piece.lines[piece.lines.rfind(b"\n", 0, -1) + 1 :]
        rows = [row for line in ends for row in self._lines.rows(line)]
        if len(rows) < 2:  # refused ones are there
            every = list(self._lines.rows(piece.lines))
            return every[0], every[-1]
        return rows[0], rows[1]

    def _look(self, follows: Callable[[Row, Row], bool], piece: Piece) -> None:
        before = self._last
        for row in self._lines.rows(piece.lines):
            if before is not None and not follows(before, row):
                from_ns, to_ns = before.end_ns, row.time_ns
                if not self._task.form.candles:  # what is missing may be of the millisecond of the one after, too
                    from_ns, to_ns = min(from_ns, to_ns), max(from_ns, to_ns) + MS
                self._hole(from_ns, to_ns)
            before = row

    def _hole(self, from_ns: int, to_ns: int) -> None:
        self._outcome.hole_count += 1
        if len(self._outcome.holes) < MAX_TOLD:
            self._outcome.holes.append((from_ns, to_ns))

    @property
    def span(self) -> Span:
        """From its first row to its last, of a file that has some."""
        assert self._first is not None
        assert self._last is not None
        return self._first.time_ns, self._last.time_ns

    def covered(self) -> list[Span]:
        """What the file is known to be complete of. Where its rows are not of the time of its name, that is theirs."""
        first, last, task, outcome = self._first, self._last, self._task, self._outcome
        if first is None or last is None:
            return []
        from_ns, to_ns = first.time_ns, last.end_ns
        if task.named is not None and task.named[0] <= from_ns and last.time_ns < task.named[1]:
            from_ns, to_ns = self._edges_of(*task.named, first, last)
        if outcome.refused_count or outcome.lacking_count or outcome.hole_count > MAX_TOLD:
            return []
        spans, at = [], from_ns
        for before_ns, after_ns in sorted(outcome.holes):
            if before_ns > at:
                spans.append((at, before_ns))
            at = max(at, after_ns)
        return [*spans, (at, to_ns)] if to_ns > at else spans

    def _edges_of(self, from_ns: int, to_ns: int, first: Row, last: Row) -> Span:
        """Candles say where they begin and end: what is missing at the edges is a hole, too."""
        if self._task.form.candles:
            length_ns = length_ms(self._task.interval) * MS
            if first.time_ns - from_ns >= length_ns:
                self._hole(from_ns, first.time_ns)
            if to_ns - last.end_ns >= length_ns:
                self._hole(last.end_ns, to_ns)
        return from_ns, to_ns
