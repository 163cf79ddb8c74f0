"""What is read in a database: every view is what it says, in types and words, and a database from before gets them."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from clickhouse.table_bench import TableBench, message
from documents.pages import DOCS
from msgspec import structs
from samples import NS, full, sparse

from wsadapter.clickhouse import catalog, schema
from wsadapter.clickhouse.migration import migrate
from wsadapter.clickhouse.query_view import QueryView
from wsadapter.clickhouse.versions import VERSION
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import FundingRate, Kline, Source, Trade
from wsadapter.events.streams import SPECS, StreamSpec, columns
from wsadapter.exchanges.deribit_rest import FUNDINGS
from wsadapter.exchanges.pages import PageRequest

pytestmark = pytest.mark.integration
VIEWS = schema.query_views("market")
MARKET = [spec for spec in SPECS if not spec.ours]


@pytest.fixture(scope="module")
def created(clickhouse: str) -> Iterator[TableBench]:
    made = TableBench(clickhouse).create()
    yield made
    made.close()


@pytest.fixture
def bench(created: TableBench) -> TableBench:
    return created.clear()


def test_everything_that_is_read_says_what_it_is(bench: TableBench) -> None:
    assert bench.sql("SELECT name FROM system.tables WHERE database = '{db}' AND comment = ''") == []
    assert bench.sql("SELECT table, name FROM system.columns WHERE database = '{db}' AND comment = ''") == []
    read = {name for (name,) in bench.sql("SELECT name FROM system.tables WHERE database = '{db}'")}
    assert read == {view.name for view in VIEWS} | {
        table.name for table in schema.tables(ClickHouseConfig()) if table.engine != "Null"
    }


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_columns_that_it_says(bench: TableBench, view: QueryView) -> None:
    """And nothing is converted between what is selected and what is declared."""
    source = f"(SELECT * FROM {{db}}.{view.name}({view.parameters}))" if view.parameters else (
        f"({view.select.replace('`market`', '`{db}`')})"
    )  # fmt: skip
    described = [(name, kind) for name, kind, *_ in bench.sql(f"DESCRIBE {source}")]
    assert described == [(column.name, column.type) for column in view.columns]
    if view.parameters:  # the server keeps no columns of these
        ((comment,),) = bench.sql(
            f"SELECT comment FROM system.tables WHERE database = '{{db}}' AND name = '{view.name}'"
        )
        assert all(f"\n{column.name}: {column.about}" in comment for column in view.columns)
        assert f"SELECT * FROM {view.name}({view.parameters})" in comment


@pytest.mark.parametrize("spec", MARKET, ids=lambda spec: spec.name)
def test_floats_are_what_the_decimals_are(bench: TableBench, spec: StreamSpec) -> None:
    both = [next(event for event in some if event.stream_type == spec.stream) for some in (full(), sparse())]
    made = [structs.replace(both[0], symbol="FULL"), structs.replace(both[1], symbol="SPARSE")]
    made = [structs.replace(event, closed=True) if isinstance(event, Kline) else event for event in made]
    bench.insert(spec.name, [message(event, 1, n) for n, event in enumerate([*made, *made])])
    for column in columns(spec.event):
        select = f"SELECT `{column.name}` FROM {{db}}.{spec.name}"
        found = bench.sql(f"{select}_f64 ORDER BY symbol")
        own = [[getattr(event, column.field)] for event in made]
        if not column.decimal:
            assert found == bench.sql(f"{select} FINAL ORDER BY symbol"), column.name
        elif column.repeated:
            assert found == [[[float(one) for one in texts]] for (texts,) in own], column.name
        else:
            assert found == [[None if text is None else float(text)] for (text,) in own], column.name


def test_what_was_paid_and_what_is_expected_are_apart(bench: TableBench) -> None:
    model = next(event for event in full() if isinstance(event, FundingRate))
    hour = 3600 * 10**9
    settled = [
        structs.replace(
            model, source=Source.REST, transaction_time_ns=NS + n * hour, funding_rate=rate, settled=True,
            next_funding_time_ns=None, ordinal=0, connection="repair",
        )
        for n, rate in enumerate(("0.0001", "-0.000300000000000001", "0.0001"))
    ]  # fmt: skip
    expected = [
        structs.replace(model, transaction_time_ns=NS + n, funding_rate=f"0.000{n}", settled=False, ordinal=0)
        for n in range(1, 4)
    ]
    bench.events(*settled, *expected, settled[0])

    assert bench.sql("SELECT toString(sum(funding_rate)), toInt64(count()) FROM {db}.funding_settled") == [
        [f"{sum(Decimal(one.funding_rate) for one in settled):f}", 3]
    ]
    assert bench.sql("SELECT toString(funding_rate) FROM {db}.funding_predicted ORDER BY time") == [
        ["0.0001"], ["0.0002"], ["0.0003"]
    ]  # fmt: skip


def documented(title: str) -> str:
    """The query of docs/queries.md below this title."""
    text = (DOCS / "queries.md").read_text().partition(f"## {title}\n")[2]
    return text.partition("```sql")[2].partition("```")[0].replace("market.", "{db}.")


def test_a_dividend_is_paid_and_is_no_rate_of_an_interval(bench: TableBench) -> None:
    """The documented queries: each payment once, and beside what was expected the rate alone."""
    model = next(event for event in full() if isinstance(event, FundingRate))
    hour_ns = int(time.time()) // 3600 * 3600 * 10**9
    paid = [
        structs.replace(
            model, source=Source.REST, transaction_time_ns=hour_ns + 10**6, funding_rate=rate, settled=True,
            next_funding_time_ns=None, mark_price="100", ordinal=ordinal, connection="repair",
        )
        for ordinal, rate in enumerate(("0.00002292", "-0.00239112"))
    ]  # fmt: skip
    expected = structs.replace(
        model, transaction_time_ns=hour_ns - 10**9, funding_rate="0.00002", settled=False, ordinal=0,
        next_funding_time_ns=hour_ns,
    )  # fmt: skip
    bench.events(*paid, expected)

    totals = (
        f"SELECT toInt64(payments), toString(rate), toString(per_coin) FROM ({documented('Funding paid over a day')})"
    )
    ((payments, rate, per_coin),) = bench.sql(totals)
    assert (payments, Decimal(rate), Decimal(per_coin)) == (1, Decimal("-0.0023682"), Decimal("-0.23682"))
    both = (
        f"SELECT toString(expected), toString(paid) FROM ({documented('What the venue expected, and what was paid')})"
    )
    assert bench.sql(both) == [["0.00002", "0.00002292"]]


def test_what_a_perpetual_that_pays_all_the_time_paid_over_a_day(bench: TableBench) -> None:
    """The documented query, over Deribit's hours: floats of more decimals than a rate, each rounded, summed exactly."""
    hour_ms = 3_600_000
    newest = int(time.time() * 1000) // hour_ms * hour_ms
    rates = {newest - n * hour_ms: Decimal(f"{4 + n}.739622041017375e-7") for n in range(20)}
    listed = ",".join(f'{{"timestamp":{ms},"interest_1h":{rate}}}' for ms, rate in sorted(rates.items()))
    body = f'{{"jsonrpc":"2.0","result":[{listed}],"usOut":{newest * 1000}}}'.encode()
    rows = FUNDINGS.parse(PageRequest("BTC-PERPETUAL", 744), body, NS)
    bench.insert("funding_rate", [message(one, 1, n) for n, one in enumerate(rows.events)])

    asked = documented("Funding paid over a day").replace("countIf(ordinal = 0)", "toInt64(countIf(ordinal = 0))")
    ((exchange, symbol, payments, rate, _),) = bench.sql(
        asked.replace("sum(funding_rate)", "toString(sum(funding_rate))")
    )
    assert (exchange, symbol, payments) == ("deribit", "BTC-PERPETUAL", len(rates))
    assert Decimal(rate) == sum(round(each, 18) for each in rates.values())
    assert bench.count("rejected") == 0


def test_latency_is_by_the_two_clocks_and_of_what_came_by_websocket(bench: TableBench) -> None:
    model = next(event for event in full() if isinstance(event, Trade))
    ms = 1_000_000
    sent = [
        structs.replace(
            model, trade_id=str(n), event_time_ns=NS, transaction_time_ns=NS - 5 * ms, receive_time_ns=NS + n * ms
        )
        for n in range(-1, 100)
    ]
    fetched = structs.replace(
        model, trade_id="late", event_time_ns=None, receive_time_ns=NS + 10**15, source=Source.REST, connection="repair"
    )
    happened = structs.replace(model, exchange="bybit", event_time_ns=None, receive_time_ns=NS, transaction_time_ns=NS)
    unsaid = structs.replace(model, exchange="okx", event_time_ns=None, transaction_time_ns=None, receive_time_ns=NS)
    bench.insert("trade", [message(event, 1, n) for n, event in enumerate([*sent, fetched, happened, unsaid])])

    asked = (
        "SELECT exchange, stream, toInt64(events), least_ms, round(p50_ms), round(p99_ms), greatest_ms "
        "FROM {db}.latency(exchange='binance', from='2026-01-01', to='2027-01-01')"
    )
    assert bench.sql(asked) == [["binance", "trade", 101, -1, 49, 98, 99]]
    assert bench.sql(asked.replace("'binance'", "''")) == [
        ["binance", "trade", 101, -1, 49, 98, 99], ["bybit", "trade", 1, 0, 0, 0, 0]
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["started", "migrated"])
def test_a_database_of_version_3_gets_them_without_losing_a_row(empty: TableBench, way: str) -> None:
    """They change no table, so there is no other version of these: a start makes them, and so does the command."""
    name = empty.create().settings.database
    for event in full():
        empty.insert(event.stream_type.value, [message(event, 1, 1)])
    before = {spec.name: empty.sql(f"SELECT * FROM {{db}}.{spec.name}") for spec in SPECS}
    assert all(len(before[spec.name]) == 1 for spec in MARKET)
    for view in VIEWS:  # as that version had them
        empty.command(f"DROP VIEW {{db}}.{view.name}")
        if view.name.endswith("_base") or view.name == "complete":
            empty.command(f"CREATE VIEW {{db}}.{view.name} AS SELECT 1 AS one COMMENT 'wsadapter 0123: of version 3'")
    empty.command("CREATE VIEW {db}.latency AS SELECT 1 AS mine COMMENT 'mine'")

    if way == "started":
        assert catalog.create_or_verify(empty.client, empty.settings) == []
    else:
        migrate(empty.client, empty.settings, lambda text: None)

    assert {spec.name: empty.sql(f"SELECT * FROM {{db}}.{spec.name}") for spec in SPECS} == before
    comments = dict(map(tuple, empty.sql("SELECT name, comment FROM system.tables WHERE database = '{db}'")))
    for view in schema.query_views(name):
        assert comments[view.name] == ("mine" if view.name == "latency" else view.comment)
    assert empty.sql("SELECT max(version) FROM {db}.schema_version") == [[VERSION]]
    assert empty.sql("SELECT toInt64(count()) FROM {db}.trade_f64") == [[1]]
