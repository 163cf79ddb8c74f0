"""The account of a run: what was sent, what is in the tables, and what explains the difference.

Per table it compares the events that the venue counted itself (when it is the loopback venue), the events that reached
a ring, and the rows received in this run: plain ``count()`` and ``count() FINAL``. ``lost`` and ``duplicates`` are
what nothing explains; both must be 0.

Reads stats pages and asks ClickHouse; owns nothing.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from wsadapter.config.load import ClickHouseConfig
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import SPECS

Counters = Mapping[str, int]


class Account(Struct, frozen=True):
    """One table's account, in events. ``sent`` is None when the venue is not ours to ask, and of what is asked for."""

    table: str
    sent: int | None
    published: int
    """By ingest and repairer."""
    repaired: int
    """Of these, by the repairer."""
    dropped: int
    copies: int
    """Came by two sockets of one connection, while one took over from the other."""
    twins: int
    """Came by redundant connections, and had been published already; of candles the closed ones."""
    open_candles: int
    rejected: int
    rows: int
    rows_final: int
    waiting: int
    """In a ring, or in a Kafka that could not be read to its end: kept for the next start."""

    @property
    def missed(self) -> int:
        """Sent and never received: the connection was away. Explained only by gap rows; some of it may be repaired."""
        received = self.published - self.repaired + self.dropped + self.copies
        return 0 if self.sent is None else max(0, self.sent - received)

    @property
    def lost(self) -> int:
        """Reached a ring, and is neither in the tables nor on its way."""
        missing = self.published - self.rows_final - self.open_candles - self.rejected - self.twins
        return missing - min(self.waiting, max(0, missing))

    @property
    def duplicates(self) -> int:
        return self.rows - self.rows_final


class Summary(Struct, frozen=True):
    """``gaps``: cause -> holes recorded in this run. ``adopted``: records found in old rings at the start."""

    accounts: tuple[Account, ...]
    gaps: Mapping[str, int]
    redelivered: int
    dead_letters: int
    decode_errors: int
    adopted: int
    seconds: float

    @property
    def lost(self) -> int:
        """Missed events count as lost where no gap but the first connect explains them."""
        explained = any(count for cause, count in self.gaps.items() if cause not in ("connect", "ring_full"))
        return sum(a.lost + (0 if explained else a.missed) for a in self.accounts)

    @property
    def waiting(self) -> int:
        return sum(a.waiting for a in self.accounts)

    @property
    def duplicates(self) -> int:
        return sum(a.duplicates for a in self.accounts)


class RunCounts(Struct, frozen=True):
    """Stats pages of a run, by role: what each process counted since the run began."""

    ingest: Sequence[Counters]
    serializer: Sequence[Counters]
    consumer: Sequence[Counters]
    exchange: Sequence[Counters]
    repairer: Sequence[Counters]


def _total(pages: Iterable[Counters], field: str) -> int:
    return sum(page.get(field, 0) for page in pages)


def _polled(pages: Iterable[Counters], stream: str) -> int:
    """What comes by REST only; its cells have another label behind that of the stream."""
    begins = f'polled_total{{stream="{stream}",'
    return sum(count for page in pages for field, count in page.items() if field.startswith(begins))


class TableCount(Struct, frozen=True):
    table: str
    rows: int
    rows_final: int


class ValueCount(Struct, frozen=True):
    value: str
    count: int


def collect(
    clickhouse: ClickHouseConfig,
    counted: RunCounts,
    started_ns: int,
    in_rings: Mapping[str, int],
    in_kafka: Mapping[str, int] | None,
    adopted: int,
) -> Summary:
    """Ask for the rows received since ``started_ns`` and set them against what the run's processes counted.
    ``in_rings``: stream -> records that no serializer has delivered yet. ``in_kafka``: stream ->
    messages that no consumer has committed yet; None = not known, then what is not in a table counts as waiting."""
    ingests, consumers = counted.ingest, counted.consumer
    venue = counted.exchange[0] if counted.exchange else None
    since = f"receive_time >= fromUnixTimestamp64Nano(toInt64({started_ns}))"
    database = f'"{clickhouse.database}"'
    # half a second and some MB, at the end of a run
    from wsadapter.clickhouse.client import Query, asker, decode_rows

    ask = asker(clickhouse)

    def by_value(sql: str) -> dict[str, int]:
        return {one.value: one.count for one in decode_rows(ask(Query(sql)), ValueCount)}

    parts = " UNION ALL ".join(
        f"SELECT '{spec.name}' AS table, (SELECT count() FROM {database}.{spec.name} WHERE {since}) AS rows, "
        f"(SELECT count() FROM {database}.{spec.name} FINAL WHERE {since}) AS rows_final"
        for spec in SPECS
    )
    counts = {one.table: (one.rows, one.rows_final) for one in decode_rows(ask(Query(parts)), TableCount)}
    rejected = by_value(
        f"SELECT stream AS value, count() AS count FROM {database}.rejected FINAL WHERE {since} GROUP BY stream"
    )
    accounts = []
    for spec in SPECS:
        if spec.name == "gap":
            continue
        label = f'{{stream="{spec.name}"}}'
        rows, rows_final = counts[spec.name]
        twin_feeds = any(_total(counted.serializer, f'copies_total{{stream="{s.name}"}}') for s in SPECS)
        # copies of events without a number may get as far as the table, and are one row there
        natural = twin_feeds and NUMBERINGS[spec.name].only_by_id
        not_stored = spec.name == "kline" and not clickhouse.open_candles
        repaired = _total(counted.repairer, f"repaired_total{label}")
        polled = _polled(counted.repairer, spec.name)
        published = _total(ingests, f"events_total{label}") + repaired + polled
        accounts.append(
            Account(
                table=spec.name,
                sent=None if venue is None or polled else venue.get(f"sent_total{label}", 0),
                published=published,
                repaired=repaired,
                dropped=_total(ingests, f"ring_dropped_total{label}"),
                copies=_total(ingests, f"copies_total{label}"),
                twins=_total(counted.serializer, f"copies_total{label}")
                - (_total(counted.serializer, "open_candle_copies_total") if not_stored else 0)
                + (max(0, _total(consumers, f"accepted_rows_total{label}") - rows_final) if natural else 0),
                open_candles=(_total(ingests, "open_candles_total") if not_stored else 0),
                rejected=rejected.get(spec.name, 0),
                rows=rows,
                rows_final=rows_final,
                waiting=(
                    max(0, published - rows_final)
                    if in_kafka is None
                    else in_rings.get(spec.name, 0) + in_kafka.get(spec.name, 0)
                ),
            )
        )
    gaps = by_value(
        f"SELECT cause AS value, count() AS count FROM {database}.gap FINAL WHERE {since} GROUP BY cause ORDER BY cause"
    )
    return Summary(
        accounts=tuple(accounts),
        gaps=gaps,
        redelivered=sum(_total(consumers, f'redelivered_total{{stream="{spec.name}"}}') for spec in SPECS),
        dead_letters=sum(v for page in (*consumers,) for f, v in page.items() if f.startswith("dead_letters_total")),
        decode_errors=sum(v for page in ingests for f, v in page.items() if f.startswith("decode_errors_total")),
        adopted=adopted,
        seconds=(time.time_ns() - started_ns) / 1e9,
    )


def show(summary: Summary, console: Console) -> None:
    """Print the account as a table, then one line of totals that a program can read too."""
    known = summary.accounts and summary.accounts[0].sent is not None
    table = Table(title="What became of every event", title_justify="left")
    table.add_column("table", no_wrap=True)
    headings = ["venue sent"] if known else []
    twice = any(a.copies or a.twins for a in summary.accounts)
    headings += ["in the ring", "rows (FINAL)", "open candles", *(["copies"] if twice else [])]
    headings += ["dropped", "rejected", "missed", "repaired", "waiting"]
    headings += ["lost", "duplicates"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for a in summary.accounts:
        if not (a.sent or a.published or a.rows):
            continue
        sent = [] if not known else ["-" if a.sent is None else f"{a.sent:,}"]
        cells = [a.published, a.rows_final, a.open_candles, *([a.copies + a.twins] if twice else [])]
        cells += [a.dropped, a.rejected, a.missed, a.repaired, a.waiting]
        cells += [a.lost, a.duplicates]
        table.add_row(a.table, *sent, *(f"{cell:,}" for cell in cells))
    console.print(table)
    gaps = " ".join(f"{cause}={count}" for cause, count in summary.gaps.items()) or "none"
    rows = sum(a.rows_final for a in summary.accounts)
    console.print(
        f"rows {rows}  lost {summary.lost}  duplicates {summary.duplicates}  gaps {gaps}  "
        f"redelivered and dropped {summary.redelivered}  dead letters {summary.dead_letters}  "
        f"decode errors {summary.decode_errors}  adopted {summary.adopted}  waiting {summary.waiting}  "
        f"in {summary.seconds:.1f} s",
        soft_wrap=True,
    )
