"""Gaps that imported files fill become ``repaired``, as those do that were fetched over REST.

A gap of a series is filled when files cover all of its time and `MARGIN_NS` before it, however many these are: its
times are ours, of receiving, and theirs the venue's. Its next record says so: the same ``gap_id``, named for this
series alone, so that what it is for other symbols and streams of its connection stays. Of a gap that lasts, and of one
of a connection that did not carry the series, nothing is said: of a series that was never recorded, none did. It is the
last word: a repairer that is still at work on the gap does not take it back. Where both kinds of trades were recorded,
single ones have a row of their own (``raw_trade``); with it a file of aggregated ones fills the gap.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from wsadapter.archives.importing import CONNECTION, Task
from wsadapter.archives.series import GapRecord, Series, SeriesTables, merged
from wsadapter.clickhouse.client import REQUEST_ERRORS, unavailable
from wsadapter.clickhouse.inserts import Inserter, event_rows
from wsadapter.clickhouse.lost_inserts import insert_events
from wsadapter.clickhouse.presence import Presence
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Gap, Source
from wsadapter.events.gaps import RepairState, may_concern
from wsadapter.events.streams import BY_STREAM, RAW_TRADE

LAST_WORD: Final = 1 << 20
"""Added to a gap's version: its records by other hands are fewer."""
MARGIN_NS: Final = 10 * 10**9
"""By which what is received first in a gap may be older by the venue's time; the same as of a backfill."""
NEIGHBOURHOOD_NS: Final = 86_400 * 10**9


def fill_all(client: Client, settings: ClickHouseConfig, tasks: Iterable[Task]) -> dict[Series, int]:
    """Of each series of these files: how many gaps are repaired now that were not. Single trades come first: what is
    said of them decides about trades."""
    by_series = {task.series: task for task in tasks}
    order = sorted(by_series, key=lambda series: series.stream != RAW_TRADE)
    counts = {series: fill(client, settings, by_series[series]) for series in order}
    return {series: counts[series] for series in by_series}


def fill(client: Client, settings: ClickHouseConfig, task: Task) -> int:
    """Of the series of a file."""
    try:
        tables = SeriesTables(client, settings.database, task.series)
        filled = _filled(tables)
        known = _of_single_trades(client, settings, task, filled)
        others = [record for record in filled if record.gap_id not in known]
        if others and _has_others(tables, task, others):
            filled = [record for record in filled if record.gap_id in known]
        if not filled:
            return 0
        events = [_repaired(task, record) for record in filled]
        spec = BY_STREAM["gap"]
        _, body = event_rows(settings.database, spec, events)
        token = f"{CONNECTION}gap:{hashlib.sha256(body).hexdigest()[:16]}"
        # an earlier import may have said the same, of which the server may know no more than the token
        insert_events(Inserter(client), Presence(client, settings), settings, spec, events, token, is_repeat=True)
    except REQUEST_ERRORS as error:
        raise unavailable(settings, error) from None
    return len(filled)


def _filled(tables: SeriesTables) -> list[GapRecord]:
    """Of each gap that files cover, what is said of this series, unless that is the right thing already."""
    covered = tables.covered()
    spans = merged([(one.from_ns, one.to_ns) for one in covered if one.connection.startswith(CONNECTION)])
    carried = {one.connection for one in covered if not one.connection.startswith(CONNECTION)}
    return [
        record
        for record in (tables.gaps(spans[0][0], spans[-1][1]) if spans else ())
        if record.repair_state != RepairState.REPAIRED
        and (record.symbol or carried)
        and may_concern(record, carried)
        and record.ended_ns is not None
        and any(first <= record.started_ns - MARGIN_NS and record.ended_ns <= last for first, last in spans)
    ]


def _of_single_trades(client: Client, settings: ClickHouseConfig, task: Task, filled: Sequence[GapRecord]) -> set[str]:
    """Those of the gaps, which a file of aggregated trades covers, of which files of single trades filled these."""
    series = task.series
    if not filled or series.stream != "trade" or not task.form.constants.get("aggregated"):
        return set()
    tables = SeriesTables(client, settings.database, series._replace(stream=RAW_TRADE))
    records = tables.gaps(min(each.started_ns for each in filled) - 1, max(each.ended_ns or 0 for each in filled) + 1)
    repaired = RepairState.REPAIRED
    return {each.gap_id for each in records if each.stream == RAW_TRADE and each.repair_state == repaired}


def _has_others(tables: SeriesTables, task: Task, filled: Sequence[GapRecord]) -> bool:
    """Whether beside trades of the file's kind the other kind was recorded then, which it does not have."""
    constant = task.form.constants.get("aggregated")
    if constant is None or tables.series.stream == RAW_TRADE:  # what is said is of single trades alone
        return False
    answer = tables.ask(
        f"SELECT 1 FROM {tables.database}.trade WHERE exchange = {{exchange:String}} AND symbol = {{symbol:String}} "
        "AND time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') "
        "AND time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC') "
        f"AND toUInt8(aggregated) != {int(constant)} AND source != 'ARCHIVE' LIMIT 1",
        first=min(each.started_ns for each in filled) - NEIGHBOURHOOD_NS,
        last=max(each.ended_ns or 0 for each in filled) + NEIGHBOURHOOD_NS,
    )
    return bool(answer.strip())


def _repaired(task: Task, record: GapRecord) -> Gap:
    exchange, symbol, stream, interval = task.series
    return Gap(
        exchange, symbol, None, None, record.receive_ns, Source.ARCHIVE, record.connection, None,
        record.gap_id, record.version + LAST_WORD, stream, interval, record.cause, record.started_ns,
        record.ended_ns, None, None, None, RepairState.REPAIRED.value,
    )  # fmt: skip
