"""The embedded ClickHouse as its clients see it: clickhouse-connect, and what curl would send."""

import gzip
import json
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from email.message import Message
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from trade_road import connect

from wsadapter.embedded.servers import ClickHouseServer

pytestmark = pytest.mark.integration


def ask(
    url: str, query: str = "", body: bytes | None = None, headers: dict[str, str] | None = None, **parameters: str
) -> tuple[int, Message, bytes]:
    """What curl would do: GET without a body, POST with one."""
    if query:
        parameters["query"] = query
    request = urllib.request.Request(f"{url}/?{urllib.parse.urlencode(parameters)}", body, headers or {})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_curl_get(clickhouse: str) -> None:
    with urllib.request.urlopen(f"{clickhouse}/ping") as response:
        assert response.read() == b"Ok.\n"
    assert ask(clickhouse)[2] == b"Ok.\n"
    assert ask(clickhouse, "SELECT 1, 'a'")[2] == b"1\ta\n"
    assert json.loads(ask(clickhouse, "SELECT 1 AS x FORMAT JSON")[2])["data"] == [{"x": 1}]
    assert ask(clickhouse, "SELECT 1, 'a'", default_format="CSV")[2] == b'1,"a"\n'
    assert ask(clickhouse, "SELECT name FROM system.tables WHERE name = 'one'")[2] == b"one\n"
    assert ask(clickhouse, "SELECT name FROM system.columns WHERE table = 'one'")[2] == b"dummy\n"


def test_the_body_is_the_statement_or_goes_on_with_it(clickhouse: str) -> None:
    assert ask(clickhouse, body=b"SELECT 2")[2] == b"2\n"
    assert ask(clickhouse, "SELECT 3", b"FORMAT CSV")[2] == b"3\n"
    assert ask(clickhouse, body=b"SELECT '\xff\x00\xfe'")[2] == b"\xff\\0\xfe\n"


def test_headers(clickhouse: str) -> None:
    _, headers, _ = ask(clickhouse, "SELECT number FROM numbers(5)", query_id="mine")
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Format"] == "TabSeparated"
    assert headers["X-ClickHouse-Timezone"]
    assert json.loads(headers["X-ClickHouse-Summary"])["result_rows"] == "5"
    _, headers, _ = ask(clickhouse, body=b"SET max_threads = 1")
    assert headers["X-ClickHouse-Format"] is None


def test_parameters_and_settings(clickhouse: str) -> None:
    answer = ask(clickhouse, "SELECT {x:UInt32} + 1, {s:String}", param_x="5", param_s="it''s \\t \\\\ '")
    assert answer[2] == b"6\tit\\'\\'s \\t \\\\ \\'\n"
    assert ask(clickhouse, "SELECT getSetting('max_block_size')", max_block_size="123")[2] == b"123\n"
    assert ask(clickhouse, "SELECT getSetting('max_block_size') = 123")[2] == b"0\n"
    assert ask(clickhouse, "SELECT currentDatabase()", database="system")[2] == b"system\n"


@pytest.mark.parametrize(
    ("query", "parameters", "status", "code"),
    [
        ("SELECT * FROM nowhere", {}, 404, 60),
        ("SELECT nothing", {}, 404, 47),
        ("SELEC 1", {}, 400, 62),
        ("SELECT 1; SELECT 2", {}, 400, 62),
        ("SELECT 1", {"database": "nowhere"}, 404, 81),
        ("SELECT 1", {"no_such_setting": "1"}, 404, 115),
        ("SELECT 1", {"x'=1, y": "1"}, 404, 115),
        ("SELECT {x:UInt8}", {"param_x": "a"}, 400, 457),
        ("SELECT throwIf(1)", {}, 500, 395),
        ("SELECT 1", {"compress": "1"}, 501, 48),
        ("SELECT number FROM numbers(100000)", {"max_result_bytes": "1000"}, 500, 396),
    ],
)
def test_errors_have_clickhouse_codes(
    clickhouse: str, query: str, parameters: dict[str, str], status: int, code: int
) -> None:
    answered, headers, body = ask(clickhouse, query, None, None, **parameters)
    assert (answered, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert body.count(b"(version ") == 1


def test_a_get_changes_nothing(clickhouse: str) -> None:
    for query in ("CREATE TABLE by_get (a Int8) ENGINE = Memory", "SET readonly = 0"):
        assert ask(clickhouse, query)[1]["X-ClickHouse-Exception-Code"] == "164"
    assert ask(clickhouse, body=b"CREATE TABLE by_get (a Int8) ENGINE = Memory", readonly="1")[0] == 403


@pytest.mark.parametrize("header", [{"Origin": "http://example.com"}, {"Host": "example.com:8123"}])
def test_pages_of_other_sites_are_refused(clickhouse: str, header: dict[str, str]) -> None:
    assert ask(clickhouse, "SELECT 1", headers=header)[0] == 403


def test_a_configured_password_is_asked_for(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    with ClickHouseServer(tmp_path, password_file=str(secret)) as server:
        assert ask(server.url, "SELECT 1")[1]["X-ClickHouse-Exception-Code"] == "516"
        assert ask(server.url, "SELECT 1", headers={"X-ClickHouse-Key": "wrong"})[0] == 403
        assert ask(server.url, "SELECT 1", headers={"X-ClickHouse-Key": "s3cret"})[2] == b"1\n"
        assert connect(server.url, username="default", password="s3cret").command("SELECT 1") == 1


def test_unknown_paths_and_methods(clickhouse: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{clickhouse}/admin")
    with pytest.raises(urllib.error.HTTPError, match="501"):
        urllib.request.urlopen(urllib.request.Request(clickhouse, method="DELETE"))


@pytest.mark.parametrize("coding", ["gzip", "lz4", "zstd", False])
def test_clickhouse_connect_in_every_compression(clickhouse: str, coding: str | bool) -> None:
    client = connect(clickhouse, compress=coding)
    table = f"types_{coding}".lower()
    client.command(
        f"CREATE TABLE {table} (id UInt64, name LowCardinality(String), price Decimal(38, 12), "
        "maybe Nullable(Int64), levels Array(Decimal(38, 12)), time DateTime64(9, 'UTC')) "
        "ENGINE = MergeTree ORDER BY id"
    )
    time = datetime(2026, 1, 2, 3, 4, 5, 678901)
    rows = [
        (i, f"name {i % 3}", Decimal("57000.1"), None if i % 2 else i, [Decimal(i), Decimal("0.5")], time)
        for i in range(3000)
    ]
    summary = client.insert(table, rows, column_names=["id", "name", "price", "maybe", "levels", "time"])
    assert summary.written_rows == 3000
    assert client.query(f"SELECT * FROM {table} ORDER BY id").result_rows == rows
    assert client.query(f"SELECT * FROM {table} LIMIT 0").column_names[:2] == ("id", "name")
    assert client.query(f"SELECT * FROM {table} WHERE id > 9000").result_rows == []
    assert client.command(f"SELECT count() FROM {table}") == 3000
    client.command(f"DROP TABLE {table}")


def test_clickhouse_connect_parameters_session_and_errors(clickhouse: str) -> None:
    client = connect(clickhouse)
    assert client.ping()
    when = datetime(2026, 1, 2, tzinfo=UTC)
    found = client.query(
        "SELECT {a:String}, {b:DateTime('UTC')}, {c:Array(Int8)}", {"a": "x'\\\n", "b": when, "c": [1]}
    )
    assert found.result_rows == [("x'\\\n", when.replace(tzinfo=None), [1])]
    many = list(range(20_000))  # so many that the client sends a form
    assert client.query("SELECT length({m:Array(UInt32)})", {"m": many}).result_rows == [(20_000,)]
    client.command("CREATE TEMPORARY TABLE mine (a Int8)")
    client.command("INSERT INTO mine VALUES (1),\n(2)")
    client.command("SET max_block_size = 77")
    assert client.command("SELECT count(), getSetting('max_block_size') FROM mine") == ["2", "77"]
    with pytest.raises(DatabaseError) as refused:
        client.query("SELECT * FROM nowhere")
    assert refused.value.code == 60
    with pytest.raises(DatabaseError) as refused:
        connect(clickhouse).query("SELECT * FROM mine")
    assert refused.value.code == 60


def test_raw_inserts_of_every_shape(clickhouse: str) -> None:
    client = connect(clickhouse)
    client.command("CREATE TABLE raw (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    client.raw_insert("raw", ["a", "s"], b"1,x;\n2,'y\n", fmt="CSV")
    client.raw_insert("raw", ["a", "s"], gzip.compress(b"3,z\n"), fmt="CSV", compression="gzip")
    client.raw_insert("raw", insert_block=(b'{"a":%d,"s":"q"}\n' % i for i in range(4, 6)), fmt="JSONEachRow")
    assert ask(clickhouse, "INSERT INTO raw FORMAT RowBinary", b"\x06" + bytes(7) + b"\x03\n;\xff")[0] == 200
    values = b"(7, concat('a', '\\n')), ({n:UInt8}, 'p');"
    assert ask(clickhouse, "INSERT INTO raw VALUES", values, param_n="8")[0] == 200
    assert ask(clickhouse, body=b"INSERT INTO raw SELECT 9, 'selected'")[0] == 200
    assert ask(clickhouse, "SELECT a, hex(s) FROM raw ORDER BY a", default_format="CSV")[2].splitlines() == [
        b'%d,"%s"' % (a, text.hex().upper().encode())
        for a, text in enumerate((b"x;", b"'y", b"z", b"q", b"q", b"\n;\xff", b"a\n", b"p", b"selected"), 1)
    ]
    refused = ask(clickhouse, "INSERT INTO raw SELECT * FROM input('a UInt64, s String') FORMAT CSV", b"1,x\n")
    assert refused[1]["X-ClickHouse-Exception-Code"] == "48"


@pytest.mark.parametrize("target", ["parts", "parts_in"], ids=["table", "through a view"])
def test_what_fails_at_the_end_of_an_insert_is_an_error(clickhouse: str, target: str) -> None:
    """chDB's streaming insert would answer with success, and store nothing."""
    ask(clickhouse, body=b"CREATE OR REPLACE TABLE parts (x UInt32) ENGINE = MergeTree PARTITION BY x ORDER BY x")
    ask(clickhouse, body=b"CREATE OR REPLACE TABLE parts_in (x UInt32) ENGINE = Null")
    ask(clickhouse, body=b"CREATE MATERIALIZED VIEW IF NOT EXISTS parts_mv TO parts AS SELECT x FROM parts_in")
    rows = "\n".join(map(str, range(180)))
    status, _, body = ask(clickhouse, body=f"INSERT INTO {target} FORMAT TSV\n{rows}".encode())

    assert (status, body[:10]) == (500, b"Code: 252.")
    assert ask(clickhouse, "SELECT count() FROM parts")[2] == b"0\n"


def test_a_bad_row_stores_nothing(clickhouse: str) -> None:
    client = connect(clickhouse)
    client.command("CREATE TABLE strict (a UInt64) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError) as refused:
        client.raw_insert("strict", ["a"], b"1\n2\nnot a number\n", fmt="CSV")
    assert refused.value.code in (26, 27, 6, 72, 117)
    assert client.command("SELECT count() FROM strict") == 0
