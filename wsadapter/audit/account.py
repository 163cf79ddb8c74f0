"""The account of a run: what was sent, what is in the tables, and what explains the difference.

Per table it compares the events that the venue counted itself (when it is the loopback venue), the events that reached
a ring, and the rows received in this run: plain ``count()`` and ``count() FINAL``. ``lost`` and ``duplicates`` are
what nothing explains; both must be 0.

Reads stats pages and asks ClickHouse; owns nothing.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from wsadapter.audit import hops
from wsadapter.audit.conservation import NO_GAP
from wsadapter.audit.sheet import ALWAYS_SHOWN, add_row, plain_table, print_whole
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import SPECS

Counters = Mapping[str, int]
VERDICTS: Final = ("lost", "duplicates")


class Account(Struct, frozen=True):
    """One table's account, in events. ``sent`` is None when no venue is ours to ask, and of what is only asked for;
    what one venue sends and another is asked for counts as sent."""

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
    """Came by redundant connections, and had been published already; of candles the closed ones. Of a recorded file:
    told again in it, and one row."""
    open_candles: int
    rejected: int
    rows: int
    rows_final: int
    waiting: int
    """In a ring, or in a Kafka that could not be read to its end: kept for the next start."""
    replaced: int = 0
    """Closed candles of the stream of which REST gave another row, which counts."""
    read_again: int = 0
    """Of a topic that was made anew what had been read in the one before, or before that was noticed: one row each."""

    @property
    def missed(self) -> int:
        """Sent and never received: the connection was away. Explained only by gap rows; some of it may be repaired."""
        received = self.published - self.repaired + self.dropped + self.copies
        return 0 if self.sent is None else max(0, self.sent - received)

    @property
    def lost(self) -> int:
        """Reached a ring, and is neither in the tables nor on its way."""
        missing = self.published - self.rows_final - self.open_candles - self.rejected - self.twins
        return missing - min(self.waiting + self.replaced, max(0, missing))

    @property
    def duplicates(self) -> int:
        extra = self.rows - self.rows_final
        return extra - min(self.replaced + self.read_again, max(0, extra))


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
        explained = any(count for cause, count in self.gaps.items() if cause not in NO_GAP)
        return sum(a.lost + (0 if explained else a.missed) for a in self.accounts)

    @property
    def waiting(self) -> int:
        return sum(a.waiting for a in self.accounts)

    @property
    def duplicates(self) -> int:
        return sum(a.duplicates for a in self.accounts)


class TableCount(Struct, frozen=True):
    table: str
    rows: int
    rows_final: int


class ValueCount(Struct, frozen=True):
    value: str
    count: int


def collect(
    clickhouse: ClickHouseConfig,
    counted: Mapping[str, Sequence[Counters]],
    started_ns: int,
    in_rings: Mapping[str, int],
    in_kafka: Mapping[str, int] | None,
    adopted: int,
) -> Summary:
    """Ask for the rows received since ``started_ns`` and set them against what the run's processes counted since then
    (``counted``: role -> the stats page of each process).
    ``in_rings``: stream -> records that no serializer has delivered yet. ``in_kafka``: stream ->
    messages that no consumer has committed yet; None = not known, then what is not in a table counts as waiting."""
    totals = hops.totals((role, page) for role, pages in counted.items() for page in pages)
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
    open_copies = sum(page.get("open_candle_copies_total", 0) for page in counted["serializer"])
    is_replayed = any(page.get("replay_done") for page in counted["exchange"])
    accounts = []
    for spec in SPECS:
        if spec.ours:
            continue

        def count(name: str, stream: str = spec.name) -> int:
            return int(totals[name].get(stream, 0))

        rows, rows_final = counts[spec.name]
        # copies of events without a number may get as far as the table, and are one row there
        # and so are events that a recorded file tells again
        merged = is_replayed or (bool(totals["twins"]) and NUMBERINGS[spec.name].only_by_id)
        not_stored = spec.name == "kline" and not clickhouse.open_candles
        polled = count("polled")
        is_counted = bool(counted["exchange"] and any(totals["sent"].values())) and not (polled and not count("sent"))
        replaced = totals["replaced_candles"] if spec.name == "kline" else 0
        published, _, _ = hops.KAFKA.sides(spec.name, totals)
        accounts.append(
            Account(
                table=spec.name,
                sent=count("sent") + polled if is_counted else None,
                published=published,
                repaired=count("repaired"),
                dropped=count("dropped"),
                copies=count("copies"),
                twins=count("twins")
                - (open_copies if not_stored else 0)
                + (max(0, count("accepted_rows") - rows_final) if merged else 0),
                open_candles=totals["open_candles"] if not_stored else 0,
                rejected=rejected.get(spec.name, 0),
                rows=rows,
                rows_final=rows_final,
                waiting=(
                    max(0, published - rows_final)
                    if in_kafka is None
                    else in_rings.get(spec.name, 0) + in_kafka.get(spec.name, 0)
                ),
                replaced=replaced,
                read_again=max(0, rows - rows_final - replaced) if count("kafka_gaps") else 0,
            )
        )
    gaps = by_value(
        f"SELECT cause AS value, uniqExact(gap_id) AS count FROM {database}.gap WHERE {since} "
        "GROUP BY cause ORDER BY cause"
    )
    return Summary(
        accounts=tuple(accounts),
        gaps=gaps,
        redelivered=sum(totals["redelivered"].values()),
        dead_letters=sum(totals["not_inserted"].values()),
        decode_errors=sum(totals["decode_errors"].values()),
        adopted=adopted,
        seconds=(time.time_ns() - started_ns) / 1e9,
    )


def show(summary: Summary, console: Console) -> None:
    """Print the account as a table, then one line of totals that a program can read too; the verdict is in both."""
    shown = [a for a in summary.accounts if a.sent or a.published or a.rows]
    columns: list[tuple[str, list[int | None]]] = [
        ("venue sent", [a.sent for a in shown]),
        ("in the ring", [a.published for a in shown]),
        ("rows (FINAL)", [a.rows_final for a in shown]),
        ("open candles", [a.open_candles for a in shown]),
        ("copies", [a.copies + a.twins for a in shown]),
        ("dropped", [a.dropped for a in shown]),
        ("rejected", [a.rejected for a in shown]),
        ("missed", [a.missed for a in shown]),
        ("repaired", [a.repaired for a in shown]),
        ("read again", [a.read_again for a in shown]),
        ("waiting", [a.waiting for a in shown]),
        ("lost", [a.lost for a in shown]),
        ("duplicates", [a.duplicates for a in shown]),
    ]
    columns = [(head, counts) for head, counts in columns if head in ALWAYS_SHOWN or any(counts)]
    table = plain_table("table", *(head for head, _ in columns), words=["table"])
    for row, account in enumerate(shown):
        add_row(table, account.table, *(_cell(head, counts[row]) for head, counts in columns))
    console.print("What became of every event", style="bold")
    print_whole(console, table)
    gaps = " ".join(f"{cause}={count}" for cause, count in summary.gaps.items()) or "none"
    rows = sum(a.rows_final for a in summary.accounts)
    console.print(
        f"rows {rows}  lost {summary.lost}  duplicates {summary.duplicates}  gaps {gaps}  "
        f"redelivered and dropped {summary.redelivered}  dead letters {summary.dead_letters}  "
        f"decode errors {summary.decode_errors}  adopted {summary.adopted}  waiting {summary.waiting}  "
        f"in {summary.seconds:.1f} s",
        soft_wrap=True,
    )


def _cell(head: str, count: int | None) -> Text:
    return Text("-" if count is None else f"{count:,}", "bold red" if count and head in VERDICTS else "")
