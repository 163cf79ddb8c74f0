"""A database of the first version, with rows in it, becomes one of this version, whatever is killed meanwhile."""

import threading
from pathlib import Path
from typing import Any

import pytest
from clickhouse.table_bench import TableBench, message
from clickhouse_connect.driver.exceptions import DatabaseError
from eventually import eventually
from msgspec import structs
from samples import full

from wsadapter.archives.lines import Lines
from wsadapter.clickhouse import catalog, schema
from wsadapter.clickhouse.client import connect
from wsadapter.clickhouse.conversion import literal
from wsadapter.clickhouse.inserts import Inserter, archive_statement
from wsadapter.clickhouse.migration import migrate
from wsadapter.clickhouse.versions import COMMAND, VERSION, VERSIONS, bare
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events import Depth, Ticker, Trade
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.binance.archives import BOOK_TICKER

pytestmark = pytest.mark.integration

FIRST = (Path(__file__).parent / "schema_1.sql").read_text()
"""What `ddl` printed then."""
SECOND = (Path(__file__).parent / "schema_2.sql").read_text()
KEYS = VERSIONS[1].keys
SECOND_STREAMS = [line for line in SECOND.splitlines() if line.startswith("CREATE TABLE") and line.endswith("_in`")]
ROWS = 3000


class Killed(Exception):
    """A kill -9 of the command."""


class Mortal:
    """A client that is killed instead of sending its ``life``-th statement that changes something."""

    def __init__(self, client: Any, life: int) -> None:
        self._client, self.life = client, life

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def command(self, statement: str, **options: Any) -> Any:
        self.life -= 1
        if self.life < 0:
            raise Killed(statement)
        return self._client.command(statement, **options)


def as_it_was(empty: TableBench, script: str) -> None:
    for statement in script.replace("`market`", f"`{empty.settings.database}`").split(";\n\n")[:-1]:
        empty.client.command(statement, use_database=False)


@pytest.fixture
def second(empty: TableBench) -> TableBench:
    """Of version 2: what rows go through beside the tables, and some rows that went that way."""
    as_it_was(empty, SECOND)
    empty.command("INSERT INTO {db}.schema_version (version) VALUES (2)")
    for stream in ("ticker", "mark_price"):
        price = "last_price" if stream == "ticker" else "mark_price"
        empty.command(
            f"INSERT INTO {{db}}.{stream}_in (exchange, symbol, {price}, source, receive_time_ns) SELECT 'binance', "
            "toString(number % 3), toString(number), 1, 1790000000000000000 + number FROM numbers(500)"
        )
    return empty


@pytest.fixture
def old(empty: TableBench) -> TableBench:
    """Six tables with rows of three months and two symbols, some of them twice and not merged."""
    as_it_was(empty, FIRST)
    texts = {"funding_rate": "funding_rate", "mark_price": "mark_price", "open_interest": "open_interest"}
    for name in KEYS:
        empty.command(f"SYSTEM STOP MERGES {{db}}.{name}")
        own = {
            "depth": ("update_type, last_update_id, bid_price, bid_quantity", "'DELTA', number, [number, 1], [2, 3]"),
            "book_ticker": ("update_id, bid_price", "number, number / 4"),
            "ticker": ("last_price", "number / 4"),
        }.get(name) or (texts[name], "number / 8")
        for repeat in range(2):
            empty.command(
                f"INSERT INTO {{db}}.{name} (exchange, symbol, source, time, receive_time, version, {own[0]}) SELECT "
                f"'binance', ['A', 'B'][number % 2 + 1], ['REST', 'WEBSOCKET'][number % 3 % 2 + 1], "
                f"toDateTime64('2026-07-20', 9, 'UTC') + 1200 * number, toDateTime64(1, 9, 'UTC'), {repeat}, {own[1]} "
                f"FROM numbers({ROWS // (1 + repeat)})"
            )
    return empty


def content(bench: TableBench, names: Any = KEYS) -> dict[str, Any]:
    """Every row of the first version's columns, as queries see it."""
    kept = {}
    for name in names:
        columns = [c for (c,) in bench.sql(
            f"SELECT name FROM system.columns WHERE database = '{{db}}' AND table = '{name}' "
            "AND name NOT IN ('ordinal', 'settled') ORDER BY name"
        )]  # fmt: skip
        ((rows, total),) = bench.sql(
            f"SELECT toInt64(count()), toString(sum(cityHash64({', '.join(columns)}))) FROM {{db}}.{name} FINAL"
        )
        kept[name] = columns, rows, total
    return kept


def tables(bench: TableBench) -> dict[str, catalog.ExistingTable]:
    return catalog.catalog(bench.client, bench.settings)


def is_present(bench: TableBench) -> None:
    assert catalog.create_or_verify(bench.client, bench.settings) == []
    assert catalog.Verifier(bench.client, bench.settings).wrong() == {}
    assert bench.sql("SELECT max(version) FROM {db}.schema_version") == [[VERSION]]
    assert not [name for name in tables(bench) if name.endswith(("_new", "_migration_mv")) or "." in name]
    beside = "SELECT name FROM system.tables WHERE database = '{db}' AND (name LIKE '%\\_in' OR name LIKE '%\\_mv')"
    assert bench.sql(beside) == [], "what rows go through is in a database of its own"
    bare_columns = (
        "SELECT table, name FROM system.columns WHERE database = '{db}' AND comment = '' "
        "AND table IN ('trade', 'ticker', 'gap', 'coverage', 'rejected', 'instrument', 'schema_version') "
        "AND name NOT IN ('note', 'doubled')"
    )
    assert bench.sql(bare_columns) == []


def test_no_row_is_lost(old: TableBench) -> None:
    before, told = content(old), list[str]()
    migrate(old.client, old.settings, told.append)

    assert content(old) == before
    assert all(rows == ROWS for _, rows, _ in before.values())
    is_present(old)
    assert old.sql("SELECT source, settled FROM {db}.funding_rate GROUP BY source, settled ORDER BY source") == [
        ["REST", True], ["WEBSOCKET", False],
    ]  # fmt: skip
    assert {name for name in tables(old) if name.endswith("_v1")} == {f"{name}_v1" for name in KEYS}
    assert content(old, [f"{name}_v1" for name in KEYS]).keys() == {f"{name}_v1" for name in KEYS}
    assert any("depth" in line and "keys" in line for line in told)

    migrate(old.client, old.settings, told.append)
    assert content(old) == before, "again, nothing happens"
    migrate(old.client, old.settings, told.append, drop_old=True)
    assert content(old) == before
    assert not [name for name in tables(old) if "_v1" in name]


def test_killed_at_any_step_it_goes_on(old: TableBench) -> None:
    """Each run may send three statements more than the one before, then is killed."""
    before, deaths = content(old), 0
    for life in range(0, 1000, 3):
        try:
            migrate(Mortal(old.client, life), old.settings, lambda text: None)  # type: ignore[arg-type]
            break
        except Killed:
            deaths += 1
            there = tables(old)
            assert all(name in there for name in KEYS), "there is a table at any time"

    assert deaths > 5
    assert content(old) == before
    is_present(old)


@pytest.mark.parametrize("life", [10, 25, 35, 52, 54, 57])
def test_a_consumer_is_refused_until_it_is_through(old: TableBench, life: int) -> None:
    refused(old)
    with pytest.raises(Killed):
        migrate(Mortal(old.client, life), old.settings, lambda text: None)  # type: ignore[arg-type]
    refused(old)
    assert "ticker" in catalog.Verifier(old.client, old.settings).wrong(), "nor does one go on that runs"
    before = content(old)
    with pytest.raises(DatabaseError, match=r"being migrated|UNKNOWN_TABLE"):
        old.command("INSERT INTO {db}.ticker_in (exchange, symbol, last_price) VALUES ('a', 'b', '1')")
    assert content(old) == before

    migrate(old.client, old.settings, lambda text: None)
    assert content(old) == before
    is_present(old)


def refused(bench: TableBench) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        catalog.create_or_verify(bench.client, bench.settings)
    assert COMMAND in str(caught.value)


def test_then_rows_of_one_time_stay_apart(old: TableBench) -> None:
    migrate(old.client, old.settings, lambda text: None)
    book = next(event for event in full() if isinstance(event, Depth))
    counted = [structs.replace(book, last_update_id=None, ordinal=n) for n in range(3)]
    old.insert("depth", [message(one, 1, n) for n, one in enumerate(counted)])

    found = old.sql("SELECT ordinal FROM {db}.depth FINAL WHERE last_update_id IS NULL ORDER BY ordinal")
    assert found == [[0], [1], [2]]


def test_what_an_operator_added_goes_along(old: TableBench) -> None:
    old.command("SYSTEM START MERGES {db}.ticker")
    old.command("ALTER TABLE {db}.ticker ADD COLUMN note String DEFAULT 'x' CODEC(LZ4)")
    old.command("ALTER TABLE {db}.ticker MODIFY TTL toDateTime(time) + INTERVAL 3000 DAY")
    old.command("ALTER TABLE {db}.ticker ADD COLUMN doubled Decimal(38, 12) ALIAS last_price * 2")
    before = content(old)
    migrate(old.client, old.settings, lambda text: None)

    assert content(old) == before
    table = tables(old)["ticker"]
    assert table.columns["note"] == "String"
    assert "toIntervalDay(3000)" in table.engine_full
    assert old.sql("SELECT DISTINCT note FROM {db}.ticker") == [["x"]]
    is_present(old)


def test_what_is_no_earlier_version_is_refused_and_left_alone(old: TableBench) -> None:
    old.command("SYSTEM START MERGES {db}.mark_price")
    old.command("ALTER TABLE {db}.mark_price MODIFY COLUMN index_price Nullable(Float64) CODEC(ZSTD(1))")
    before, there = content(old), tables(old)
    with pytest.raises(SchemaMismatch, match=r"no earlier version(.|\n)*index_price"):
        migrate(old.client, old.settings, lambda text: None)

    assert (content(old), tables(old)) == (before, there)


def test_a_copy_that_differs_is_not_taken(old: TableBench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Losing(Mortal):
        def command(self, statement: str, **options: Any) -> Any:
            lost = " AND version = 1 AND symbol = 'A'" if statement.startswith("INSERT INTO") else ""
            return super().command(statement.replace(" SETTINGS optimize", f"{lost} SETTINGS optimize"), **options)

    before = content(old)
    with pytest.raises(ServiceUnavailable, match=r"is another in the copy"):
        migrate(Losing(old.client, 1000), old.settings, lambda text: None)  # type: ignore[arg-type]
    assert content(old) == before
    migrate(old.client, old.settings, lambda text: None)
    assert content(old) == before
    is_present(old)


def test_what_rows_went_through_moves_killed_at_any_step(second: TableBench) -> None:
    """Until it is through nobody can insert, and afterwards by the new way only; no row is lost, none is added."""
    names, life = ("ticker", "mark_price"), 0
    before = content(second, names)
    assert all(rows == 500 for _, rows, _ in before.values())
    while True:
        refused(second)
        try:
            migrate(Mortal(second.client, life), second.settings, lambda text: None)  # type: ignore[arg-type]
            break
        except Killed:
            life += 7
        if life > len(SECOND_STREAMS):
            with pytest.raises(DatabaseError, match=r"being migrated|UNKNOWN_TABLE"):
                second.command("INSERT INTO {db}.ticker_in (exchange, symbol, last_price) VALUES ('a', 'b', '1')")
    assert life > 20
    assert content(second, names) == before
    is_present(second)
    second.insert("trade", [message(next(event for event in full() if isinstance(event, Trade)), 1, 1)])
    assert second.count("trade") == 1
    migrate(second.client, second.settings, lambda text: None)
    is_present(second)


def test_a_view_of_an_earlier_version_made_by_hand_is_left_alone(second: TableBench) -> None:
    second.command("ALTER TABLE {db}.kline_mv MODIFY COMMENT 'mine'")
    there = tables(second)
    with pytest.raises(SchemaMismatch, match=r"kline_mv .*by hand .*'mine'"):
        migrate(second.client, second.settings, lambda text: None)
    assert tables(second) == there


class Slow:
    """A statement that takes its time, of somebody else."""

    def __init__(self, bench: TableBench, statement: str) -> None:
        self._bench, self._statement = bench, statement
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        begin = statement.partition(" (")[0]
        running = f"SELECT query_id FROM system.processes WHERE startsWith(query, {literal(begin)})"
        eventually(lambda: bench.sql(running) != [], 30)

    def _run(self) -> None:
        client = connect(self._bench.settings)
        try:
            client.command(self._statement, use_database=False)
        except DatabaseError as error:
            self.error = error
        finally:
            client.close()

    def join(self) -> None:
        self._thread.join()


def test_an_insert_that_had_begun_is_waited_for_and_copied(old: TableBench) -> None:
    before = content(old)
    slow = Slow(
        old,
        f"INSERT INTO `{old.settings.database}`.`ticker_in` (exchange, symbol, last_price, source, receive_time_ns) "
        "SELECT 'late', toString(number), toString(1 + sleepEachRow(1)), 1, 1790000000000000000 FROM numbers(3)",
    )
    migrate(old.client, old.settings, lambda text: None)
    slow.join()

    assert slow.error is None
    assert old.sql("SELECT toInt64(count()) FROM {db}.ticker WHERE exchange = 'late'") == [[3]]
    assert content(old, ["depth"])["depth"] == before["depth"]
    is_present(old)


def test_what_an_earlier_run_left_running_in_the_server_is_ended(old: TableBench) -> None:
    before = content(old)
    with pytest.raises(Killed, match=r"ALTER TABLE .*ticker_new"):
        migrate(KilledAt(old.client, "ticker_new` DROP PARTITION"), old.settings, lambda text: None)  # type: ignore[arg-type]
    slow = Slow(
        old,
        f"INSERT INTO `{old.settings.database}`.`ticker_new` (exchange, symbol, time, last_price) "
        "SELECT 'left', 'running', toDateTime64('2026-07-20', 9, 'UTC'), 1 + sleepEachRow(1) FROM numbers(40) "
        "SETTINGS max_block_size = 1",
    )
    migrate(old.client, old.settings, lambda text: None)
    slow.join()

    assert "394" in str(slow.error), "QUERY_WAS_CANCELLED"
    assert content(old) == before
    is_present(old)


class KilledAt(Mortal):
    """Instead of sending a statement with this text."""

    def __init__(self, client: Any, text: str) -> None:
        super().__init__(client, 1000)
        self._text = text

    def command(self, statement: str, **options: Any) -> Any:
        if self._text in statement:
            raise Killed(statement)
        return super().command(statement, **options)


def test_a_new_database_has_its_version_from_the_start(empty: TableBench) -> None:
    migrate(empty.client, empty.settings, lambda text: None)
    is_present(empty)


def test_a_database_of_a_later_version_is_refused(empty: TableBench) -> None:
    empty.create()
    is_present(empty)
    empty.command(f"INSERT INTO {{db}}.schema_version (version) VALUES ({VERSION + 1})")
    for use in (catalog.create_or_verify, lambda client, settings: migrate(client, settings, print)):
        with pytest.raises(SchemaMismatch, match=f"schema version {VERSION + 1}"):
            use(empty.client, empty.settings)


def test_the_former_keys_are_those_of_the_first_version() -> None:
    for name, key in KEYS.items():
        (made,) = (s for s in FIRST.split(";\n\n") if s.startswith(f"CREATE TABLE IF NOT EXISTS `market`.`{name}`\n"))
        assert f"ORDER BY ({bare(key)})" in bare(made).replace("ORDERBY", "ORDER BY ")
        present = ", ".join(p.strip("`") for p in schema.event_table(BY_STREAM[name]).order_by)
        assert bare(present) != bare(key)


def test_no_row_of_a_file_is_lost_while_its_table_is_migrated(empty: TableBench) -> None:
    """Killed at any step, what was taken is there afterwards, once; from the first steps on all is refused."""
    bench, taken, refusals = empty.create(), 0, 0
    lines = Lines(BOOK_TICKER, {"exchange": "binance", "symbol": "BTCUSDT"})
    head = archive_statement(bench.settings.database, BOOK_TICKER.spec, lines.fields)
    former = tuple(f"`{part}`" if part.isidentifier() else part for part in KEYS["book_ticker"].split(", "))
    table = structs.replace(schema.event_table(BOOK_TICKER.spec), order_by=former)
    bench.command("DROP TABLE {db}.book_ticker SYNC")
    bench.client.command(table.sql(bench.settings.database), use_database=False)

    def bring_in() -> None:
        nonlocal taken
        line = f"{taken},8.1,3.5,8.2,4,{1700000000001 + taken},1700000000003\n"
        body, rows, _ = lines.convert(line.encode(), 1)
        Inserter(bench.client).insert(head + body, rows, f"{bench.settings.database}-{taken}")
        taken += 1

    bring_in()
    for life in range(0, 1000, 6):
        try:
            migrate(Mortal(bench.client, life), bench.settings, lambda text: None)  # type: ignore[arg-type]
            break
        except Killed:
            try:
                bring_in()
            except DatabaseError as error:
                if "being migrated" not in str(error):
                    raise
                refusals += 1
    assert refusals > 1
    bring_in()
    assert bench.sql("SELECT toInt64(count()), toInt64(uniqExact(update_id)) FROM {db}.book_ticker") == [
        [taken, taken]
    ], "one that was refused is not in, and is there once when it is repeated"
    is_present(bench)


def test_a_table_that_is_closed_takes_no_row_of_any_message(empty: TableBench) -> None:
    """A view that throws comes too late: its neighbour may have put the rows into the table by then."""
    bench = empty.create()
    spec = BY_STREAM["ticker"]
    inbox = schema.placed(bench.settings.database, schema.inbox_name(spec))
    some = [message(event, 1, n) for n, event in enumerate(full()) if isinstance(event, Ticker)]
    bench.client.command(schema.closing_sql(spec, inbox), use_database=False)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="ticker is being migrated"):
            bench.insert("ticker", some, "batch")
        assert (bench.count("ticker"), bench.count("rejected")) == (0, 0)
    bench.client.command(schema.opening_sql(inbox), use_database=False)
    bench.insert("ticker", some, "batch")
    assert bench.count("ticker") == len(some) > 0


class Writer:
    """A consumer of an earlier version that was left running: a batch of its own in each moment."""

    ROWS = 20

    def __init__(self, bench: TableBench) -> None:
        self.bench, self.taken, self.refused = bench, list[str](), list[str]()

    def insert(self) -> None:
        batch = f"batch-{len(self.taken) + len(self.refused)}"
        try:
            self.bench.command(
                "INSERT INTO {db}.ticker_in (exchange, symbol, last_price, source, receive_time_ns) SELECT "
                f"'{batch}', toString(number), '1', 1, 1790000000000000000 + number FROM numbers({self.ROWS})"
            )
            self.taken.append(batch)
        except DatabaseError as error:
            if not any(text in str(error) for text in ("being migrated", "UNKNOWN_TABLE")):
                raise
            self.refused.append(batch)

    def found(self) -> dict[str, int]:
        rows = self.bench.sql(
            "SELECT exchange, toInt64(count()) FROM {db}.ticker WHERE startsWith(exchange, 'batch-') GROUP BY exchange"
        )
        return {str(exchange): int(count) for exchange, count in rows}


class Watched:
    """A client of the command beside which somebody inserts before each statement that changes something."""

    def __init__(self, client: Any, writer: Writer) -> None:
        self._client, self._writer = client, writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def command(self, statement: str, **options: Any) -> Any:
        self._writer.insert()
        return self._client.command(statement, **options)


@pytest.mark.parametrize("version", ["old", "second"])
def test_beside_a_consumer_that_was_left_running(version: str, request: pytest.FixtureRequest) -> None:
    """Each of its inserts is in whole, once, or refused as a whole: what it keeps and repeats is not there twice."""
    bench: TableBench = request.getfixturevalue(version)
    writer = Writer(bench)
    migrate(Watched(bench.client, writer), bench.settings, lambda text: None)  # type: ignore[arg-type]
    writer.insert()

    assert writer.taken
    assert len(writer.refused) > 10
    assert writer.found() == dict.fromkeys(writer.taken, Writer.ROWS)
    is_present(bench)
