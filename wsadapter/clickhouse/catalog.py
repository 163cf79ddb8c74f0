"""The database: create what is missing, verify what exists.

Guarantees: nothing is created or written when anything that exists differs from what we would create; then
`SchemaMismatch` names every table and column, and the command where they are of an earlier version. What an operator
adds (columns, a Replicated engine) is left alone.

A view of ours with another text is given the right one in place (ALTER ... MODIFY QUERY): there is no moment without
it, in which an insert would vanish into the Null table. Its comment, which says what it is, follows; a crash between
the two means that it is done again. A consumer that runs with the other text pauses that stream with an alarm.

Identifiers come from the registry and the checked configuration and are quoted; the database's name and every other
value in these queries is a literal.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client

from wsadapter.clickhouse import schema
from wsadapter.clickhouse.cluster import LOCAL
from wsadapter.clickhouse.conversion import FINGERPRINT, literal, quoted
from wsadapter.clickhouse.versions import COMMAND, VERSION, VERSIONS, bare, is_former_key
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import SchemaMismatch
from wsadapter.events.streams import SPECS, StreamSpec

TO_CLUSTER: Final = "docs/clickhouse-clusters.md says how its rows go there"


class ExistingTable(NamedTuple):
    """A table or view as the server describes it."""

    engine: str
    sorting_key: str
    partition_key: str
    engine_full: str
    comment: str
    columns: Mapping[str, str]
    texts: Mapping[str, str]
    """The comments of its columns."""


def create_or_verify(client: Client, settings: ClickHouseConfig) -> list[str]:
    """Everything is there as we need it when this returns; raises `SchemaMismatch` before anything is created. Returns
    the views of ours that had another text (another version's, another ``open_candles``) and have the right one now."""
    expected = Expected(settings)
    existing = catalog(client, settings)
    version = recorded_version(client, settings, existing)
    if version > VERSION:
        raise SchemaMismatch(too_new(settings, version))
    outdated = expected.outdated(existing)
    wrong = [(name, text) for name, text in expected.mismatches(existing, missing=False) if name not in outdated]
    if _is_earlier(expected, existing, version):
        wrong.insert(0, (schema.SCHEMA_VERSION, too_old(settings)))
    _refuse(wrong)
    is_outdated = any(
        query.is_outdated(existing[query.name].comment)
        for query in schema.query_views(settings.database)
        if query.name in existing
    )
    if outdated or is_outdated or not expected.names <= existing.keys():
        complete(client, settings)
    if not version:
        record_version(client, settings)
    return list(outdated)


def is_earlier(client: Client, settings: ClickHouseConfig) -> bool:
    """Whether the tables are of an earlier version, or half-way to this one."""
    existing = catalog(client, settings)
    return _is_earlier(Expected(settings), existing, recorded_version(client, settings, existing))


def _is_earlier(expected: "Expected", existing: Mapping[str, ExistingTable], version: int) -> bool:
    return bool(0 < version < VERSION or expected.unfinished(existing) or expected.is_former(existing))


def complete(client: Client, settings: ClickHouseConfig) -> None:
    """Make what is missing, and give views of ours the present text; `SchemaMismatch` if anything is still wrong."""
    expected = Expected(settings)
    existing = catalog(client, settings)
    outdated = expected.outdated(existing)
    for query in schema.query_views(settings.database):
        if query.is_outdated(existing[query.name].comment if query.name in existing else ""):
            client.command(query.replacing(settings.database, settings.cluster), use_database=False)
    for view in outdated.values():
        for statement in view.replacing(settings.database):
            client.command(statement, use_database=False)
    for statement in schema.databases(settings):
        client.command(statement, use_database=False)
    for name, statement in schema.statements(settings).items():
        if name not in existing:
            client.command(statement, use_database=False)
    _refuse(expected.mismatches(catalog(client, settings), missing=True))


def recorded_version(client: Client, settings: ClickHouseConfig, existing: Mapping[str, ExistingTable]) -> int:
    """0: none is."""
    if schema.SCHEMA_VERSION not in existing:
        return 0
    table = f"{quoted(settings.database)}.{quoted(schema.SCHEMA_VERSION)}"
    ((version,),) = rows(client, f"SELECT toString(max(version)) FROM {table}")
    return int(version)


def record_version(client: Client, settings: ClickHouseConfig) -> None:
    table = f"{quoted(settings.database)}.{quoted(schema.SCHEMA_VERSION)}"
    values = f"SELECT {VERSION}, now64(9, 'UTC'), {literal(VERSIONS[-1].what)}"
    client.command(f"INSERT INTO {table} (version, applied, what) {values}", use_database=False)


def too_old(settings: ClickHouseConfig) -> str:
    return (
        f"database {settings.database} is of an earlier version of the schema, or half-way to {VERSION}: stop what "
        f"inserts into it and run `{COMMAND}` (with --embedded where ClickHouse is)"
    )


def too_new(settings: ClickHouseConfig, version: int) -> str:
    return f"database {settings.database} has schema version {version}, this is wsadapter with {VERSION}: upgrade it"


class Verifier:
    """Looks whether everything is still as it was created; threads may take turns."""

    def __init__(self, client: Client, settings: ClickHouseConfig) -> None:
        self._client, self._settings = client, settings
        self._expected = Expected(settings)
        self._right: Answers | None = None
        """What the server said when all was right: looked through once, then only compared."""

    def wrong(self) -> dict[str, str]:
        """Stream word -> why its inserts must wait; empty when nothing must."""
        answers = _ask(self._client, self._settings)
        if answers == self._right:
            return {}
        existing = _read(answers, self._settings.database)
        mismatches = dict(self._expected.mismatches(existing, missing=True)) | self._expected.unfinished(existing)
        self._right = None if mismatches else answers
        return {spec.name: text for spec in SPECS for part in schema.parts(spec) if (text := mismatches.get(part))}


def rejected_rows(
    client: Client, settings: ClickHouseConfig, ranges: Mapping[tuple[str, int], tuple[str, int, int]]
) -> dict[tuple[str, int], int]:
    """Topic and partition -> rows in table ``rejected`` of inserts that began at these offsets (stream, first, end):
    their token is in column ``batch``."""
    table = f"{quoted(settings.database)}.{quoted(schema.REJECTED)}"
    wanted = " OR ".join(
        f"(topic = {literal(topic)} AND part = {number} AND first >= {first} AND first < {end})"
        for (topic, number), (_, first, end) in ranges.items()
    )
    streams = ", ".join(sorted({literal(stream) for stream, _, _ in ranges.values()}))
    query = (
        "WITH splitByChar(':', batch) AS parts, parts[1] AS topic, toInt64OrZero(parts[2]) AS part, "
        "toInt64OrZero(splitByChar('-', parts[3])[1]) AS first "
        f"SELECT topic, toString(part), toString(count()) FROM {table} "
        f"WHERE stream IN ({streams}) AND ({wanted}) GROUP BY topic, part"
    )
    return {(topic, int(part)): int(count) for topic, part, count in _rows(_query(client, query))}


def _refuse(wrong: Iterable[tuple[str, str]]) -> None:
    if texts := [text for _, text in wrong]:
        raise SchemaMismatch("\n".join(texts))


Answers = tuple[bytes, bytes]
"""Of a server, about columns and about tables."""


def catalog(client: Client, settings: ClickHouseConfig) -> dict[str, ExistingTable]:
    """What the two databases hold now, by name. What an earlier version had in another one of them has that before its
    name (`former`)."""
    return _read(_ask(client, settings), settings.database)


def former(database: str, spec: StreamSpec, existing: Mapping[str, ExistingTable]) -> list[str]:
    """What rows of a stream went through when that was beside the tables; views first."""
    return [name for name in schema.inner_parts(spec) if f"{database}.{name}" in existing]


def _ask(client: Client, settings: ClickHouseConfig) -> Answers:
    names = ", ".join(literal(name) for name in (settings.database, schema.inner(settings.database)))
    where = f"WHERE database IN ({names}) ORDER BY ALL"
    texts = "database, name, engine, sorting_key, partition_key, engine_full, comment"
    # first: what another instance creates in between would be a table without columns
    tables = _query(client, f"SELECT {texts} FROM system.tables {where}")
    return _query(client, f"SELECT database, table, name, type, comment FROM system.columns {where}"), tables


def _read(answers: Answers, outer: str) -> dict[str, ExistingTable]:
    def key(database: str, name: str) -> str:
        belongs = schema.inner(outer) if name in schema.INNER_NAMES else outer
        return name if database == belongs else f"{database}.{name}"

    columns: dict[str, dict[str, str]] = {}
    texts: dict[str, dict[str, str]] = {}
    for database, table, name, kind, text in _rows(answers[0]):
        columns.setdefault(key(database, table), {})[name] = bare(kind)
        texts.setdefault(key(database, table), {})[name] = text
    found = {}
    for database, name, engine, sorted_by, parted_by, full, comment in _rows(answers[1]):
        place = key(database, name)
        found[place] = ExistingTable(
            engine, sorted_by, parted_by, full, comment, columns.get(place, {}), texts.get(place, {})
        )
    return found


class Expected:
    """What we would create."""

    def __init__(self, settings: ClickHouseConfig) -> None:
        self._database = settings.database
        self._tables, self._views = schema.tables(settings), schema.views(settings)
        self.names = schema.names(settings)

    def mismatches(self, existing: Mapping[str, ExistingTable], missing: bool) -> Iterable[tuple[str, str]]:
        """(table or view, in words) for every difference from what exists; absent parts only if ``missing``."""
        for table in self._tables:
            name = schema.placed(self._database, table.name).replace("`", "")
            if table_now := existing.get(table.name):
                for text in _table_mismatches(name, table, table_now):
                    yield table.name, text
            elif missing:
                yield table.name, f"table {name} is missing"
        for view in self._views:
            name = schema.placed(self._database, view.name).replace("`", "")
            if view_now := existing.get(view.name):
                if view_now.engine != "MaterializedView" or view_now.comment != view.fingerprint:
                    yield (
                        view.name,
                        f"view {name} was made by another version, with another clickhouse.open_candles or by hand "
                        f"(its comment is {view_now.comment!r}, not {view.fingerprint!r})",
                    )
            elif missing:
                yield view.name, f"view {name} is missing"

    def unfinished(self, existing: Mapping[str, ExistingTable]) -> dict[str, str]:
        """Tables that are being migrated, or were left half-way."""
        return {
            spec.name: f"table {self._database}.{spec.name} is being migrated: `{COMMAND}` finishes it"
            for spec in SPECS
            if schema.gate_name(spec) in existing or former(self._database, spec, existing)
        }

    def is_former(self, existing: Mapping[str, ExistingTable]) -> bool:
        """Whether a table has the sorting key of an earlier version."""
        return any(
            is_former_key(table.name, existing[table.name].sorting_key)
            for table in self._tables
            if table.name in existing
        )

    def outdated(self, existing: Mapping[str, ExistingTable]) -> dict[str, schema.View]:
        """The views of ours that have another text. What has no comment of ours was made by hand and is not ours."""
        views = {view: existing[view.name] for view in self._views if view.name in existing}
        return {
            view.name: view
            for view, have in views.items()
            if have.engine == "MaterializedView"
            and have.comment.startswith(FINGERPRINT)
            and have.comment != view.fingerprint
        }


def _table_mismatches(name: str, table: schema.Table, existing: ExistingTable) -> Iterable[str]:
    for column, kind, _ in table.columns:
        have = existing.columns.get(column)
        if have is None:
            yield f"table {name}: column {column} {kind} is missing"
        elif have != bare(kind):
            yield f"table {name}: column {column} is {have}, not {bare(kind)}"
    engine, version = table.engine.partition("(")[::2]
    if engine == "Distributed":  # servers differ in how they write its arguments
        version = f"{table.name}{LOCAL}"
    if (
        table.cluster
        and not table.name.endswith(LOCAL)
        and existing.engine.endswith("MergeTree")
        and not table.order_by
    ):
        yield f"table {name}: is of one server ({existing.engine}), not of cluster {table.cluster}: {TO_CLUSTER}"
        return
    if existing.engine == "Distributed" and not table.cluster:
        yield f"table {name}: is of a cluster ({existing.engine_full}), and clickhouse.cluster is not set"
        return
    # a Replicated or Shared variant of the engine is an operator's choice
    if not existing.engine.endswith(engine) or (version and version not in existing.engine_full):
        yield f"table {name}: engine is {existing.engine_full or existing.engine}, not {table.engine}"
    if engine == "Distributed":
        return  # it has no keys of its own
    if bare(existing.sorting_key) != bare(",".join(table.order_by)):
        yield f"table {name}: sorting key is ({existing.sorting_key}), not ({', '.join(table.order_by)})"
    if bare(existing.partition_key) != bare(table.partition_by):
        yield f"table {name}: partition key is {existing.partition_key or 'none'}, not {table.partition_by or 'none'}"
    if table.cluster and table.order_by and not existing.engine.startswith(("Replicated", "Shared")):
        yield f"table {name}: engine is {existing.engine}, not replicated, as clickhouse.cluster wants it"
    own = existing.engine == engine and table.order_by
    if re.search(r"\breplicated_deduplication_window(_seconds)? = 0\b", existing.engine_full):
        yield f"table {name}: setting replicated_deduplication_window is 0, insert tokens would do nothing"
    if own and not re.search(r"non_replicated_deduplication_window = [1-9]", existing.engine_full):
        yield f"table {name}: setting non_replicated_deduplication_window is not there, insert tokens would do nothing"


def rows(client: Client, query: str) -> list[list[str]]:
    """Of a query that gives texts."""
    return _rows(_query(client, query))


def _query(client: Client, query: str) -> bytes:
    answer: Any = client.raw_query(f"{query} FORMAT JSONCompactEachRow", use_database=False)
    return bytes(answer)


def _rows(answer: bytes) -> list[list[str]]:
    return msgspec.json.Decoder(list[str]).decode_lines(answer)
