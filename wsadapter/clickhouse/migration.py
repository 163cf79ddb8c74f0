"""Tables of an earlier version become those of this one, and no row is lost: ``ddl --migrate``.

Guarantees: killed at any step, it goes on when it is run again. A table with another sorting key is copied beside,
partition by partition; each is compared (its keys, and which version of each wins) before the two are exchanged in one
step; the old one stays as ``<table>_v<version>`` until somebody says ``--drop-old``. What an operator added (columns,
TTL, a Replicated engine, settings) goes along. Other tables get the columns that they lack, in place.

Meanwhile nothing is inserted: a column that each ``<table>_in`` gets that is changed (``<table>_archive_in``, too)
refuses each insert as a whole, and a view on it says so to whoever looks (`catalog.Expected.unfinished`). A consumer
that runs keeps its batches, alarms, and one of this version does not start. Column and view go last, when the present
views are there; where ``<table>_in`` itself is another one now (it was beside the tables once), with that: a consumer
of the earlier version has nowhere to insert from then on. What was in and not committed before is there twice when it
is repeated, until parts are merged (FINAL): the copy knows no tokens.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from wsadapter.clickhouse import catalog, endpoints, schema
from wsadapter.clickhouse.catalog import ExistingTable
from wsadapter.clickhouse.client import REQUEST_ERRORS, unavailable
from wsadapter.clickhouse.cluster import on
from wsadapter.clickhouse.conversion import FINGERPRINT, literal, quoted
from wsadapter.clickhouse.versions import VERSION, before_key, filled, is_former_key
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events.streams import SPECS, StreamSpec

IN_FLIGHT_SECONDS: Final = 120.0
"""So long inserts that had begun before may take."""
LOOK_SECONDS: Final = 0.2
_COPY: Final = (
    # rows as they are; a partition that was begun is copied anew, whatever tokens say
    "optimize_on_insert = 0, insert_deduplicate = 0, max_partitions_per_insert_block = 0"
)

Tell = Callable[[str], None]


def migrate(client: Client, settings: ClickHouseConfig, tell: Tell, drop_old: bool = False) -> None:
    """`SchemaMismatch` for tables that are no earlier version's, `ServiceUnavailable` where the server went away: run
    it again."""
    try:
        with endpoints.of(settings).kept():
            _Migration(client, settings, tell).run(drop_old)
    except REQUEST_ERRORS as error:
        raise unavailable(settings, error) from None


class _Migration:
    def __init__(self, client: Client, settings: ClickHouseConfig, tell: Tell) -> None:
        self._client, self._settings, self._tell = client, settings, tell
        self._database = settings.database

    def run(self, drop_old: bool) -> None:
        existing = self._catalog()
        before = catalog.recorded_version(self._client, self._settings, existing)
        if before > VERSION:
            raise SchemaMismatch(catalog.too_new(self._settings, before))
        self._refuse_strangers(existing)
        rebuilt = [spec for spec in SPECS if self._is_rebuilt(spec, existing)]
        if rebuilt:
            self._refuse_database_without_exchange()
        self._retire(existing)
        for spec in rebuilt:
            self._rebuild(spec)
        if rebuilt:
            existing = self._catalog()
        for table in schema.tables(self._settings):
            if table.name in existing:
                self._add_columns(table, existing[table.name])
                self._comment(table, existing[table.name])
        catalog.complete(self._client, self._settings)
        for spec in rebuilt:
            # that of the files first: while the other is there, the migration counts as unfinished
            for inbox, gate in (
                (schema.archive_name(spec), schema.gate_name(spec, archive=True)),
                (schema.inbox_name(spec), schema.gate_name(spec)),
            ):
                if gate in schema.INNER_NAMES:
                    self._do(schema.opening_sql(self._name(inbox)))
                    self._do(f"DROP VIEW IF EXISTS {self._name(gate)}")
        catalog.record_version(self._client, self._settings)
        self._tell(f"database {self._database} has schema version {VERSION}")
        self._old_tables(drop_old)

    # -- what is there

    def _refuse_strangers(self, existing: dict[str, ExistingTable]) -> None:
        """Differences that no version of ours explains are the operator's to look at, before anything is changed."""
        wrong = [
            text
            for name, text in catalog.Expected(self._settings).mismatches(existing, missing=False)
            if not self._is_ours_to_change(name, text, existing)
        ]
        wrong += [
            f"view {self._database}.{name} was made by hand (its comment is {view.comment!r})"
            for spec in SPECS
            for name in schema.inner_parts(spec)[1:3]
            if (view := existing.get(f"{self._database}.{name}")) and not view.comment.startswith(FINGERPRINT)
        ]
        if wrong:
            raise SchemaMismatch("\n".join(("these differences are of no earlier version:", *wrong)))

    def _is_ours_to_change(self, name: str, text: str, existing: dict[str, ExistingTable]) -> bool:
        table = existing[name]
        if table.engine == "MaterializedView":
            return table.comment.startswith(FINGERPRINT)
        return text.endswith("is missing") or ("sorting key" in text and is_former_key(name, table.sorting_key))

    def _is_rebuilt(self, spec: StreamSpec, existing: dict[str, ExistingTable]) -> bool:
        """Has an earlier key, or was left half-way."""
        table = existing.get(spec.name)
        has_former_key = table is not None and is_former_key(spec.name, table.sorting_key)
        return has_former_key or schema.gate_name(spec) in existing or _beside(spec) in existing

    def _refuse_database_without_exchange(self) -> None:
        query = f"SELECT engine FROM system.databases WHERE name = {literal(self._database)}"
        (engine,) = (row[0] for row in self._ask(query))
        if engine not in ("Atomic", "Replicated", "Shared"):
            raise SchemaMismatch(
                f"database {self._database} has engine {engine}: tables can be exchanged in Atomic ones"
            )

    # -- one table

    def _retire(self, existing: Mapping[str, ExistingTable]) -> None:
        """What rows went through beside the tables: from here on every insert is refused, and those that had begun are
        through before it goes."""
        former = {spec: names for spec in SPECS if (names := catalog.former(self._database, spec, existing))}
        for spec, names in former.items():
            if schema.inbox_name(spec) in names and schema.gate_name(spec) not in names:
                self._do(schema.closing_sql(spec, self._former_inbox(spec)))
                self._do(schema.gate_sql(spec, self._database, former=True))
        for spec in former:
            self._wait(f"INSERT INTO {self._former_inbox(spec)}")
        for spec, names in former.items():
            gate = schema.gate_name(spec)
            for name in (*(name for name in names if name != gate), gate):
                kind = "TABLE" if name == schema.inbox_name(spec) else "VIEW"
                self._do(f"DROP {kind} IF EXISTS {quoted(self._database)}.{quoted(name)} SYNC")

    def _former_inbox(self, spec: StreamSpec) -> str:
        return f"{quoted(self._database)}.{quoted(schema.inbox_name(spec))}"

    def _comment(self, table: schema.Table, existing: ExistingTable) -> None:
        """Its comment and its columns', where they have none or another one of ours."""
        if table.about and existing.comment != table.about:
            self._do(f"ALTER TABLE {self._name(table.name)}{on(table.cluster)} MODIFY COMMENT {literal(table.about)}")
        lacking = [name for name, text in table.texts.items() if existing.texts.get(name, text) != text]
        if lacking:
            parts = ", ".join(f"COMMENT COLUMN {quoted(name)} {literal(table.texts[name])}" for name in lacking)
            self._do(f"ALTER TABLE {self._name(table.name)}{on(table.cluster)} {parts}")

    def _rebuild(self, spec: StreamSpec) -> None:
        self._close(spec)
        table = next(t for t in schema.tables(self._settings) if t.name == spec.name)
        old = self._catalog().get(spec.name)
        if old is not None and is_former_key(spec.name, old.sorting_key):
            self._add_columns(table, old)
            self._copy(table, self._catalog()[spec.name])
            self._do(f"EXCHANGE TABLES {self._name(spec.name)} AND {self._name(_beside(spec))}")
        if _beside(spec) in self._catalog():
            kept = f"{spec.name}_v{before_key(spec.name)}"
            self._do(f"RENAME TABLE {self._name(_beside(spec))} TO {self._name(kept)}")
            self._tell(f"table {self._name(spec.name)}: done, the old one is {kept}")

    def _close(self, spec: StreamSpec) -> None:
        """From here on every insert is refused, and those that had begun are through."""
        existing = self._catalog()
        inbox = schema.inbox_name(spec)
        for name, archive in ((inbox, False), (schema.archive_name(spec), True)):
            if name in existing:
                self._do(schema.closing_sql(spec, self._name(name)))
                self._do(schema.gate_sql(spec, self._database, archive=archive))
        for view in (f"{spec.name}_mv", f"{spec.name}_rejected_mv", f"{spec.name}_archive_mv"):
            if view in existing:
                self._do(f"DROP VIEW IF EXISTS {self._name(view)}")
        for name in (inbox, schema.archive_name(spec)):
            self._wait(f"INSERT INTO {self._name(name)}")

    def _copy(self, table: schema.Table, old: ExistingTable) -> None:
        source, target = self._name(table.name), self._name(f"{table.name}_new")
        before, after = f"ORDER BY ({old.sorting_key})", f"ORDER BY ({', '.join(table.order_by)})"
        if old.engine_full.count(before) != 1:
            raise SchemaMismatch(f"table {source}: no {before} in its engine, {old.engine_full}")
        engine = old.engine_full.replace(before, after)
        there = self._catalog().get(f"{table.name}_new")
        if there is not None and there.columns != old.columns:
            self._do(f"DROP TABLE {target} SYNC")  # begun by a version between the two
        self._do(f"CREATE TABLE IF NOT EXISTS {target} AS {source} ENGINE = {engine}")
        self._stop(f"INSERT INTO {target}")
        partitions = self._partitions(table.name)
        for gone in set(self._partitions(f"{table.name}_new")) - set(partitions):
            self._do(f"ALTER TABLE {target} DROP PARTITION ID {literal(gone)}")
        for number, partition in enumerate(partitions, 1):
            if self._content(table, table.name, partition) == self._content(table, f"{table.name}_new", partition):
                continue
            self._do(f"ALTER TABLE {target} DROP PARTITION ID {literal(partition)}")
            self._do(self._copying(table, partition))
            content = self._content(table, table.name, partition)
            if content != self._content(table, f"{table.name}_new", partition):
                raise ServiceUnavailable(f"{source}: partition {partition} is another in the copy. Nothing was changed")
            self._tell(f"table {source}: partition {partition} ({number} of {len(partitions)}), {content[0]} keys")

    def _copying(self, table: schema.Table, partition: str) -> str:
        columns = self._stored_columns(table.name)
        values = [filled(table.name).get(name, quoted(name)) for name in columns]
        return (
            f"INSERT INTO {self._name(f'{table.name}_new')} ({', '.join(map(quoted, columns))}) "
            f"SELECT {', '.join(values)} FROM {self._name(table.name)} WHERE _partition_id = {literal(partition)} "
            f"SETTINGS {_COPY}"
        )

    def _content(self, table: schema.Table, name: str, partition: str) -> tuple[str, str]:
        """How many keys, and the sum of what wins of each: neither changes when parts are merged."""
        is_old = name == table.name
        parts = [filled(table.name).get(p.strip("`"), p) if is_old else p for p in table.order_by]
        query = (
            f"SELECT toString(count()), toString(sum(wins)) FROM (SELECT max(version) AS wins FROM {self._name(name)} "
            f"WHERE _partition_id = {literal(partition)} GROUP BY {', '.join(parts)}) "
            "SETTINGS optimize_aggregation_in_order = 1"
        )
        ((keys, wins),) = self._ask(query)
        return keys, wins

    def _add_columns(self, table: schema.Table, existing: ExistingTable) -> None:
        previous = ""
        for name, kind, codec in table.columns:
            if name not in existing.columns:
                place = f" AFTER {quoted(previous)}" if previous else " FIRST"
                column = table.column(name, kind, codec)
                on_all = on(table.cluster)
                self._do(f"ALTER TABLE {self._name(table.name)}{on_all} ADD COLUMN IF NOT EXISTS {column}{place}")
            previous = name

    def _old_tables(self, drop: bool) -> None:
        names = {f"{spec.name}_v{number}" for spec in SPECS for number in range(1, VERSION)}
        for name in sorted(names & self._catalog().keys()):
            if drop:
                self._do(f"DROP TABLE IF EXISTS {self._name(name)} SYNC")
            self._tell(f"table {self._name(name)} {'is dropped' if drop else 'is kept: --drop-old drops it'}")

    # -- the server

    def _name(self, table: str) -> str:
        return schema.placed(self._database, table)

    def _catalog(self) -> dict[str, ExistingTable]:
        return catalog.catalog(self._client, self._settings)

    def _partitions(self, table: str) -> list[str]:
        return [row[0] for row in self._ask(
            f"SELECT DISTINCT partition_id FROM system.parts WHERE database = {literal(self._database)} "
            f"AND table = {literal(table)} AND active ORDER BY partition_id"
        )]  # fmt: skip

    def _stored_columns(self, table: str) -> list[str]:
        return [row[0] for row in self._ask(
            f"SELECT name FROM system.columns WHERE database = {literal(self._database)} "
            f"AND table = {literal(table)} AND default_kind IN ('', 'DEFAULT') ORDER BY position"
        )]  # fmt: skip

    def _running(self, statement: str) -> list[list[str]]:
        return self._ask(f"SELECT query_id FROM system.processes WHERE startsWith(query, {literal(statement)})")

    def _wait(self, statement: str) -> None:
        until = time.monotonic() + IN_FLIGHT_SECONDS
        while self._running(statement):
            if time.monotonic() > until:
                raise ServiceUnavailable(f"{statement} ...: still runs after {IN_FLIGHT_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)

    def _stop(self, statement: str) -> None:
        """What an earlier run that was killed has left running in the server."""
        if self._running(statement):
            self._do(f"KILL QUERY WHERE startsWith(query, {literal(statement)}) SYNC")
            self._wait(statement)

    def _ask(self, query: str) -> list[list[str]]:
        return catalog.rows(self._client, query)

    def _do(self, statement: str) -> None:
        self._client.command(statement, use_database=False)


def _beside(spec: StreamSpec) -> str:
    """What a table is copied into; after the exchange, the old one."""
    return f"{spec.name}_new"
