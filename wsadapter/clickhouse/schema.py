"""The ClickHouse tables and views, derived from the registry: text only, no connection.

Per stream: the table ``<name>`` (ReplacingMergeTree), the Null table ``<name>_in`` whose columns are the message's own
(the Protobuf format fills them as they are), and two materialized views on it. ``<name>_mv`` takes the rows whose every
value can be kept exactly and converts them; ``<name>_rejected_mv`` takes the others and keeps their text, with the
reason, in table ``rejected``. A row goes through exactly one of the two; of an open candle, neither, unless configured.

Rows of files are checked on this side: they come through ``<name>_archive_in``, a Null table of real decimals, and its
one view ``<name>_archive_mv``.

What is meant to be read is in the database itself, what rows go through (``_in``, ``_mv``) in ``<database>_inner``. No
two of them have one name. Every table and column has a comment (`wsadapter.events.descriptions`).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from wsadapter.clickhouse.cluster import LOCAL, WINDOW_SECONDS, face, on, replicated
from wsadapter.clickhouse.completeness import complete_view
from wsadapter.clickhouse.conversion import (
    EVENT_TIME,
    IDENTIFIER,
    NAME,
    checked_type,
    checks,
    codec,
    converted,
    fingerprint,
    literal,
    message_type,
    quoted,
    stored_type,
    table_columns,
)
from wsadapter.clickhouse.floats import float_view
from wsadapter.clickhouse.funding import funding_views
from wsadapter.clickhouse.latency import latency_view
from wsadapter.clickhouse.ohlcv import ohlcv_view
from wsadapter.clickhouse.query_view import QueryView
from wsadapter.clickhouse.retention import COVERAGE, coverage_ttl, ttl
from wsadapter.clickhouse.units import BASE_COLUMNS, base_view, of_instrument_sides
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events.descriptions import of_field, of_stream
from wsadapter.events.streams import BY_STREAM, SPECS, StreamSpec

DEDUPLICATION_WINDOW: Final = 10_000
"""Insert tokens that a table remembers (the server's default is 0: none)."""
REPLICATED_WINDOWS: Final = {
    "replicated_deduplication_window": DEDUPLICATION_WINDOW,
    "replicated_deduplication_window_seconds": WINDOW_SECONDS,
}
CLOSED: Final = "migrating"
"""The column by which a table refuses inserts, see `closing_sql`."""
REJECTED: Final = "rejected"
INSTRUMENT: Final = "instrument"
BOOK_CHECKPOINT: Final = "book_checkpoint"
SCHEMA_VERSION: Final = "schema_version"
EVERYWHERE: Final = (INSTRUMENT, SCHEMA_VERSION)
"""Small, and joined with: on a cluster each server has all of them."""

ARCHIVED: Final = tuple(spec for spec in SPECS if spec.archived)

_TIME: Final = "DateTime64(9,'UTC')"
_STEP: Final = "Nullable(Decimal(38,12))"


class Table(Struct, frozen=True):
    """A table as it must be. ``columns``: (name, type, codec). ``about``, ``texts``: its comment and those of its
    columns, by name. ``cluster``: on which it is created; ``everywhere``: as a whole on each server of it."""

    name: str
    columns: tuple[tuple[str, str, str], ...]
    engine: str
    order_by: tuple[str, ...] = ()
    partition_by: str = ""
    ttl: str = ""
    about: str = ""
    texts: Mapping[str, str] = {}
    cluster: str = ""
    everywhere: bool = False

    def sql(self, database: str) -> str:
        body = ",\n".join(f"    {self.column(*column)}" for column in self.columns)
        lines = [f"CREATE TABLE IF NOT EXISTS {placed(database, self.name)}{on(self.cluster)}\n(\n{body}\n)"]
        is_replicated = self.cluster and self.order_by
        lines.append(f"ENGINE = {replicated(self.engine, self.everywhere) if is_replicated else self.engine}")
        if self.partition_by:
            lines.append(f"PARTITION BY {self.partition_by}")
        if self.order_by:
            lines.append(f"ORDER BY ({', '.join(self.order_by)})")
        if self.ttl:
            lines.append(f"TTL {self.ttl}")
        if self.order_by:
            windows = (
                REPLICATED_WINDOWS if is_replicated else {"non_replicated_deduplication_window": DEDUPLICATION_WINDOW}
            )
            lines.append(f"SETTINGS {', '.join(f'{name} = {value}' for name, value in windows.items())}")
        if self.about:
            lines.append(f"COMMENT {literal(self.about)}")
        return "\n".join(lines)

    def column(self, name: str, kind: str, codec: str) -> str:
        text = f" COMMENT {literal(self.texts[name])}" if name in self.texts else ""
        return f"{quoted(name)} {kind}{text}{f' CODEC({codec})' if codec else ''}"


class View(Struct, frozen=True):
    """A materialized view that writes to ``target``; ``select`` holds its source."""

    name: str
    target: str
    select: str
    cluster: str = ""

    @property
    def fingerprint(self) -> str:
        """Kept as the view's comment, since servers rewrite the text of a query that they store."""
        return fingerprint(self.select)

    def sql(self, database: str) -> str:
        return (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {placed(database, self.name)}{on(self.cluster)} "
            f"TO {placed(database, self.target)}\n"
            f"AS {self.select}\nCOMMENT {literal(self.fingerprint)}"
        )

    def replacing(self, database: str) -> tuple[str, str]:
        """Statements that make one that is there into this, the text first."""
        alter = f"ALTER TABLE {placed(database, self.name)}{on(self.cluster)} MODIFY"
        return f"{alter} QUERY {self.select}", f"{alter} COMMENT {literal(self.fingerprint)}"


def event_table(spec: StreamSpec, kept: str = "") -> Table:
    """``kept``: its TTL."""
    own = [(c.name, stored_type(c), codec(c)) for c in table_columns(spec)]
    own.append(("time", _TIME, "Delta, ZSTD(1)"))
    if "version" not in (name for name, _, _ in own):
        own.append(("version", "UInt64", "T64, ZSTD(1)"))
    return Table(
        spec.name,
        tuple(own),
        "ReplacingMergeTree(version)",
        tuple(_key(part) for part in ("exchange", "symbol", *spec.order_by)),
        f"toYYYYMM({quoted(spec.partition_time)})",
        kept,
        of_stream(spec),
        {name: of_field(spec.name, name) for name, _, _ in own},
    )


def inbox_table(spec: StreamSpec) -> Table:
    return Table(inbox_name(spec), tuple((c.field, message_type(c), "") for c in table_columns(spec)), "Null")


def archive_table(spec: StreamSpec) -> Table:
    return Table(archive_name(spec), tuple((c.field, checked_type(c), "") for c in table_columns(spec)), "Null")


def rejected_table(ttl_days: int | None) -> Table:
    """Rows that no table can keep exactly; ``record`` is all of it, ring identity included. ``batch`` is the token of
    their insert: topic, partition, offsets, hash. Not partitioned: a batch of rejects can never span too many."""
    named = ("stream", "exchange", "symbol", "connection")
    return Table(
        REJECTED,
        (
            ("time", _TIME, "Delta, ZSTD(1)"),
            *((name, NAME, "ZSTD(1)") for name in named),
            ("epoch", "Nullable(UInt64)", "ZSTD(1)"),
            ("position", "Nullable(UInt64)", "ZSTD(1)"),
            ("receive_time", _TIME, "Delta, ZSTD(1)"),
            ("reason", "String", "ZSTD(1)"),
            ("record", "String", "ZSTD(1)"),
            ("batch", NAME, "ZSTD(1)"),
        ),
        "ReplacingMergeTree",
        (*(quoted(name) for name in ("stream", "exchange", "symbol", "receive_time")), "sipHash64(record)"),
        ttl=ttl("receive_time", ttl_days),
        about="rows that no table can keep exactly, as text",
        texts={
            **{name: of_field("", name) for name in ("time", *named[1:], "epoch", "position", "receive_time")},
            "stream": "stream word: where it belongs",
            "reason": "the first field that cannot be kept, and the start of its text",
            "record": "all of it, as JSON",
            "batch": "topic, partition, offsets and hash of the insert that brought it",
        },
    )


def instrument_table(ttl_days: int | None) -> Table:
    """What a symbol is: the unit its quantities count in, its steps, whether it trades, its name over all venues."""
    named = ("exchange", "symbol", "status", "base_currency", "quote_currency", "settle_currency")
    return Table(
        INSTRUMENT,
        (
            *((name, NAME, "ZSTD(1)") for name in named),
            ("contract_size", _STEP, "ZSTD(1)"),
            ("contract_currency", NAME, "ZSTD(1)"),
            ("tick_size", _STEP, "ZSTD(1)"),
            ("step_size", _STEP, "ZSTD(1)"),
            ("canonical", NAME, "ZSTD(1)"),
            ("kind", NAME, "ZSTD(1)"),
            ("multiplier", _STEP, "ZSTD(1)"),
            ("funding_interval", "Nullable(Int64)", "ZSTD(1)"),
            ("open_interest_sides", "Nullable(UInt8)", "ZSTD(1)"),
            ("time", _TIME, "ZSTD(1)"),
            ("version", "UInt64", "ZSTD(1)"),
        ),
        "ReplacingMergeTree(version)",
        ("`exchange`", "`symbol`"),
        ttl=ttl("time", ttl_days),
        about="what a symbol is: the units of its quantities, its steps, whether it trades; newest row with FINAL",
        texts={
            "exchange": "the venue",
            "symbol": "in the venue's own text",
            "status": "whether it trades, in the venue's word",
            "base_currency": "what is bought",
            "quote_currency": "what prices are in",
            "settle_currency": "what is paid in the end",
            "contract_size": "units of contract_currency in one of what quantities count",
            "contract_currency": "what contract_size is in",
            "tick_size": "step of prices",
            "step_size": "step of quantities",
            "canonical": "one name over all venues: BTC/USDT:USDT",
            "kind": "spot, perpetual, future or option",
            "multiplier": "what contract_size is multiplied by, where the venue has two numbers for it",
            "funding_interval": "seconds",
            "open_interest_sides": of_instrument_sides(),
            "time": "when the venue said so",
            "version": of_field("", "version"),
        },
    )


def checkpoint_table(ttl_days: int | None) -> Table:
    """Books that we made of what is in table ``depth``, for books of later moments to go on from; kept as long."""
    depth = {column.name: (stored_type(column), codec(column)) for column in table_columns(BY_STREAM["depth"])}
    number = "Nullable(Int64)", "ZSTD(1)"
    sides = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
    return Table(
        BOOK_CHECKPOINT,
        (
            ("exchange", NAME, "ZSTD(1)"),
            ("symbol", NAME, "ZSTD(1)"),
            ("time", _TIME, "Delta, ZSTD(1)"),
            ("source", NAME, "ZSTD(1)"),
            ("level_limit", *depth["level_limit"]),
            *((name, _TIME, "Delta, ZSTD(1)") for name in ("base_time", "base_receive_time")),
            ("base_update_id", *number),
            *((name, _TIME, "Delta, ZSTD(1)") for name in ("change_time", "change_receive_time")),
            *((name, *number) for name in ("first_update_id", "last_update_id", "previous_update_id")),
            *((name, *depth[name]) for name in sides),
            ("version", "UInt64", "T64, ZSTD(1)"),
        ),
        "ReplacingMergeTree(version)",
        ("`exchange`", "`symbol`", "`time`"),
        "toYYYYMM(`time`)",
        ttl("time", ttl_days),
        "books that the recorder made of table depth, proved when they were made; no venue said them",
        {
            "exchange": "the venue",
            "symbol": "in the venue's own text",
            "time": "the book after all changes that are not later",
            "source": "of the snapshot that it began with",
            "level_limit": of_field("depth", "level_limit"),
            "base_time": "of the venue's snapshot that it began with",
            "base_receive_time": "when that was received",
            "base_update_id": "its number",
            "change_time": "of the last change in it",
            "change_receive_time": "when that was received",
            "first_update_id": "the last change's first number",
            "last_update_id": "the venue's number at which the book stands: changes go on from it",
            "previous_update_id": "the number that the last change went on from",
            **{side: of_field("depth", side) for side in sides},
            "version": of_field("", "version"),
        },
    )


def version_table() -> Table:
    """Which versions of the tables there were, see `wsadapter.clickhouse.versions`."""
    columns = ("version", "UInt32", "ZSTD(1)"), ("applied", _TIME, "ZSTD(1)"), ("what", "String", "ZSTD(1)")
    texts = {"version": "of the tables", "applied": "when they became so", "what": "what it changed"}
    about = "versions of these tables, the highest is theirs"
    return Table(SCHEMA_VERSION, columns, "ReplacingMergeTree", ("`version`", "`what`"), about=about, texts=texts)


def accept_view(spec: StreamSpec, database: str, open_candles: bool) -> View:
    values = ",\n".join(_values(spec, {c.name: converted(spec, c) for c in table_columns(spec)}))
    where = [f"({check})" for _, check in checks(spec)] + _closed(spec, open_candles)
    select = f"SELECT\n{values}{_from(database, inbox_name(spec))}\nWHERE " + "\n    AND ".join(where)
    return View(f"{spec.name}_mv", spec.name, select)


def archive_view(spec: StreamSpec, database: str) -> View:
    """Nothing is checked again, and no decimal read again: that is three quarters of what a row of text costs."""
    columns = table_columns(spec)
    found = {c.name: f"raw.{quoted(c.field)}" if c.decimal or c.enum else converted(spec, c) for c in columns}
    select = "SELECT\n" + ",\n".join(_values(spec, found)) + _from(database, archive_name(spec))
    return View(f"{spec.name}_archive_mv", spec.name, select)


def _values(spec: StreamSpec, found: Mapping[str, str]) -> list[str]:
    """Those of all columns of a table."""
    own = [f"    {sql} AS {quoted(name)}" for name, sql in found.items()]
    version = [] if "version" in found else [f"    {spec.version} AS `version`"]
    return [*own, f"    {EVENT_TIME} AS `time`", *version]


def reject_view(spec: StreamSpec, database: str, open_candles: bool) -> View:
    """``reason`` names the first field that cannot be kept and shows the start of its text."""
    own = table_columns(spec)
    reasons = ",\n        ".join(
        f"NOT ({check}), concat({literal(field + ': cannot be kept exactly: ')}, "
        f"substring(ifNull(toString(raw.{quoted(field)}), ''), 1, 100))"
        for field, check in checks(spec)
    )
    record = ", ".join(f"raw.{quoted(c.field)}" for c in own)
    record_type = ", ".join(f"{c.field} {message_type(c).replace(NAME, 'String')}" for c in own)
    values = [
        f"{EVENT_TIME} AS `time`",
        f"{literal(spec.name)} AS `stream`",
        *(f"raw.{quoted(name)} AS {quoted(name)}" for name in ("exchange", "symbol", "connection")),
        *(f"raw.{quoted(name)} AS {quoted(name)}" for name in ("epoch", "position")),
        "fromUnixTimestamp64Nano(raw.`receive_time_ns`, 'UTC') AS `receive_time`",
        f"multiIf(\n        {reasons},\n        '') AS `reason`",
        f"toJSONString(CAST(tuple({record}), {literal(f'Tuple({record_type})')})) AS `record`",
        "getSetting('log_comment') AS `batch`",
    ]
    refused = "NOT (" + " AND ".join(f"({check})" for _, check in checks(spec)) + ")"
    where = [refused, *_closed(spec, open_candles)]
    source = _from(database, inbox_name(spec))
    select = "SELECT\n    " + ",\n    ".join(values) + f"{source}\nWHERE " + "\n    AND ".join(where)
    return View(f"{spec.name}_rejected_mv", REJECTED, select)


def query_views(database: str) -> tuple[QueryView, ...]:
    """Those that are asked, and that nothing is written through."""
    base = (base_view(BY_STREAM[name], database, columns) for name, columns in BASE_COLUMNS.items())
    floats = (float_view(spec, database) for spec in SPECS if not spec.ours)
    latency = latency_view(database, [spec.name for spec in SPECS if not spec.ours])
    return (*base, *floats, ohlcv_view(database), *funding_views(database), latency, complete_view(database))


def tables(settings: ClickHouseConfig) -> tuple[Table, ...]:
    days = settings.ttl_days.get
    kept = {spec.name: ttl(spec.partition_time, days(spec.name)) for spec in SPECS}
    kept[COVERAGE] = coverage_ttl(settings.ttl_days)
    event_tables = [table for spec in SPECS for table in (event_table(spec, kept[spec.name]), inbox_table(spec))]
    ours = rejected_table(days(REJECTED)), instrument_table(days(INSTRUMENT)), checkpoint_table(days("depth"))
    made = (*event_tables, *map(archive_table, ARCHIVED), *ours, version_table())
    if not settings.cluster:
        return made
    return tuple(part for table in made for part in _of_cluster(table, settings))


def _of_cluster(table: Table, settings: ClickHouseConfig) -> tuple[Table, ...]:
    """What a table is on a cluster."""
    if not table.order_by:
        return (structs.replace(table, cluster=settings.cluster),)
    if table.name in EVERYWHERE:
        return (structs.replace(table, cluster=settings.cluster, everywhere=True),)
    local = structs.replace(table, name=f"{table.name}{LOCAL}", cluster=settings.cluster)
    columns = tuple((name, kind, "") for name, kind, _ in table.columns)
    engine = face(settings.cluster, inner(settings.database), local.name)
    return local, Table(table.name, columns, engine, about=table.about, texts=table.texts, cluster=settings.cluster)


def views(settings: ClickHouseConfig) -> tuple[View, ...]:
    make = (accept_view, reject_view)
    made = [view(spec, settings.database, settings.open_candles) for spec in SPECS for view in make]
    made += [archive_view(spec, settings.database) for spec in ARCHIVED]
    return tuple(structs.replace(view, cluster=settings.cluster) for view in made)


def parts(spec: StreamSpec) -> tuple[str, ...]:
    """The tables and views that an insert of this stream needs, those of a cluster among them."""
    through = spec.name, inbox_name(spec), f"{spec.name}_mv", f"{spec.name}_rejected_mv", REJECTED
    return (*through, f"{spec.name}{LOCAL}", f"{REJECTED}{LOCAL}")


def names(settings: ClickHouseConfig) -> set[str]:
    """Of all tables and views."""
    return {*statements(settings)}


def statements(settings: ClickHouseConfig) -> dict[str, str]:
    """What makes each table and view, in order; each leaves alone what is there."""
    database = settings.database
    made: tuple[Table | View, ...] = (*tables(settings), *views(settings))
    asked = {view.name: view.sql(database, settings.cluster) for view in query_views(database)}
    return {one.name: one.sql(database) for one in made} | asked


def databases(settings: ClickHouseConfig) -> list[str]:
    """What makes the two of them; before anything else."""
    names = settings.database, inner(settings.database)
    return [f"CREATE DATABASE IF NOT EXISTS {quoted(name)}{on(settings.cluster)}" for name in names]


def ddl(settings: ClickHouseConfig) -> str:
    """The statements as a script, for the ``ddl`` subcommand."""
    return "".join(statement + ";\n\n" for statement in (*databases(settings), *statements(settings).values()))


def gate_name(spec: StreamSpec, archive: bool = False) -> str:
    """The view that refuses inserts while a table is migrated. ``archive``: those of rows of files."""
    return f"{spec.name}_archive_migration_mv" if archive else f"{spec.name}_migration_mv"


def closing_sql(spec: StreamSpec, inbox: str) -> str:
    """Refuses each insert into ``inbox`` as a whole: what a column that nobody gives is by default is computed before
    any view has the rows. A view alone is too late: another one may have put them into its table before it throws."""
    refused = f"throwIf(NOT ignore(`receive_time_ns`), {literal(f'{spec.name} is being migrated')})"
    return f"ALTER TABLE {inbox} ADD COLUMN IF NOT EXISTS {quoted(CLOSED)} UInt8 DEFAULT {refused}"


def opening_sql(inbox: str) -> str:
    return f"ALTER TABLE {inbox} DROP COLUMN IF EXISTS {quoted(CLOSED)}"


def gate_sql(spec: StreamSpec, database: str, former: bool = False, archive: bool = False) -> str:
    """``former``: of a version that had it beside the tables."""
    # not a constant: that would be thrown when the view is made
    refused = f"throwIf(NOT ignore(raw.`receive_time_ns`), {literal(f'{spec.name} is being migrated')})"
    where = quoted(database) if former else quoted(inner(database))
    return (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {where}.{quoted(gate_name(spec, archive))} "
        f"TO {quoted(database)}.{quoted(REJECTED)}\nAS SELECT toString({refused}) AS `reason` "
        f"FROM {where}.{quoted(archive_name(spec) if archive else inbox_name(spec))} AS raw"
    )


def inner(database: str) -> str:
    """Where the tables and views are that rows go through."""
    return f"{database}_inner"


def inner_parts(spec: StreamSpec) -> tuple[str, ...]:
    """What of a stream is there: views first, as they are dropped."""
    return gate_name(spec), f"{spec.name}_mv", f"{spec.name}_rejected_mv", inbox_name(spec)


def placed(database: str, name: str) -> str:
    """A table or view of ours, with the database that it is in."""
    return f"{quoted(inner(database) if name in INNER_NAMES else database)}.{quoted(name)}"


def inbox_name(spec: StreamSpec) -> str:
    return f"{spec.name}_in"


def archive_name(spec: StreamSpec) -> str:
    return f"{spec.name}_archive_in"


def archive_parts(spec: StreamSpec) -> tuple[str, ...]:
    """As `inner_parts`: what rows of files go through."""
    return gate_name(spec, archive=True), f"{spec.name}_archive_mv", archive_name(spec)


def _closed(spec: StreamSpec, open_candles: bool) -> list[str]:
    has = any(column.field == "closed" for column in table_columns(spec))
    return ["raw.`closed`"] if has and not open_candles else []


def _from(database: str, inbox: str) -> str:
    return f"\nFROM {placed(database, inbox)} AS raw"


def _key(part: str) -> str:
    """A part of the sorting key: a column in backticks, an expression as it is."""
    return quoted(part) if IDENTIFIER.fullmatch(part) else part


_LOCAL_NAMES: Final = tuple(f"{name}{LOCAL}" for name in (*(spec.name for spec in SPECS), REJECTED, BOOK_CHECKPOINT))
_THROUGH: Final = (*map(inner_parts, SPECS), *map(archive_parts, ARCHIVED))
INNER_NAMES: Final = frozenset((*(name for names in _THROUGH for name in names), *_LOCAL_NAMES))
