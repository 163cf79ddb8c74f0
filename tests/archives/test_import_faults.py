"""Imports whose server is killed at the one moment when it knows an insert's token and has not its rows: what it leaves
on its disk then is made by hand. Another import brings them in, each once."""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from audit.audit_bench import AuditBench, coverage, gap

from wsadapter.archives.files import Piece, pieces
from wsadapter.clickhouse import endpoints, lost_inserts
from wsadapter.clickhouse.inserts import Inserter
from wsadapter.clickhouse.presence import Presence
from wsadapter.embedded.market.binance_archive import write_day
from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.errors import ExitCode
from wsadapter.events.streams import StreamSpec

pytestmark = pytest.mark.integration
DAY = "2026-03-10"
HOUR = (1_773_100_800 + 3600) * 10**9


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a day of a quiet market, which are read in small pieces."""

    def small_pieces(path: Path) -> Iterator[Piece]:
        return pieces(path, 16_384)

    monkeypatch.setattr("wsadapter.archives.importing.pieces", small_pieces)
    write_day(tmp_path / "files", "binance", "BTCUSDT", DAY, steps=1.5)
    return tmp_path / "files"


def lines_of(path: Path) -> int:
    with zipfile.ZipFile(path) as file:
        return sum(line[:1].isdigit() for line in file.read(file.namelist()[0]).decode().splitlines())


def bring_in(bench: AuditBench, path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = bench.run("import", "--json", "--exchange", "binance", str(path), *options)
    return done.exit_code, json.loads(done.stdout) if done.stdout else {}


def number(bench: AuditBench, query: str) -> int:
    return int(bench.client.command(query.replace("{db}", bench.settings.database)))  # type: ignore[arg-type]  # one


def parts_of(bench: AuditBench, directory: Path, table: str) -> list[Path]:
    """Its directories on the engine's disk, the newest last."""
    uuid = bench.client.command(
        f"SELECT toString(uuid) FROM system.tables WHERE database = '{bench.settings.database}' AND name = '{table}'"
    )
    found = [part for part in directory.glob(f"**/store/*/{uuid}/2*_*_*_*") if part.is_dir()]
    return sorted(found, key=lambda part: int(part.name.split("_")[1]))


def lose(engine: ClickHouseServer, parts: list[Path]) -> None:
    """The tokens are in the log, the parts have no final name."""
    engine.kill()
    for part in parts:
        part.rename(part.with_name(f"tmp_insert_{part.name}"))
    engine.start()


@pytest.mark.parametrize(("word", "sent"), [("aggTrades", 1), ("trades", 3), ("bookTicker", 1), ("1m", 3)])
def test_a_piece_whose_token_alone_a_killed_server_kept_is_inserted_again(
    own_clickhouse: Callable[[], ClickHouseServer], tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch,
    word: str, sent: int,
) -> None:  # fmt: skip
    """The import ends with the server; the next one is told that the piece is known. ``sent`` 1: no row is there that
    would say that there was an import before."""
    engine, path = own_clickhouse().start(), files / f"BTCUSDT-{word}-{DAY}.zip"
    table = {"1m": "kline", "bookTicker": "book_ticker"}.get(word, "trade")
    bench = AuditBench(engine.url, tmp_path)
    bench.client.command(f"SYSTEM STOP MERGES {bench.settings.database}.{table}")
    insert, tokens = Inserter.insert, list[str]()

    def without_answer(self: Inserter, body: bytes, rows: int, token: str) -> int:
        tokens.append(token)
        written = insert(self, body, rows, token)
        if len(tokens) == sent:
            raise ConnectionResetError("the server is gone")
        return written

    with monkeypatch.context() as patched:
        patched.setattr(Inserter, "insert", without_answer)
        assert bring_in(bench, path)[0] == ExitCode.UNAVAILABLE
    parts = parts_of(bench, tmp_path, table)
    assert len(parts) == sent
    lose(engine, parts[-1:])

    code, account = bring_in(bench, path)

    assert (code, account["files"][0]["state"]) == (ExitCode.OK, "imported")
    rows = lines_of(path)
    assert number(bench, f"SELECT count() FROM {{db}}.{table} FINAL") == rows
    assert number(bench, f"SELECT count() FROM {{db}}.{table}") == rows
    bench.close()


def test_so_are_a_gap_that_was_called_repaired_and_pieces_that_are_imported_again(
    own_clickhouse: Callable[[], ClickHouseServer], tmp_path: Path, files: Path
) -> None:
    """Pieces in the middle; and nobody has said that the file is not there."""
    engine, path = own_clickhouse().start(), files / f"BTCUSDT-aggTrades-{DAY}.zip"
    bench = AuditBench(engine.url, tmp_path)
    hour = HOUR, HOUR + 60 * 10**9
    bench.insert("coverage", [coverage(HOUR - 10**9, HOUR), coverage(HOUR + 60 * 10**9, HOUR + 61 * 10**9)])
    bench.insert("gap", [gap(*hour, symbol="BTCUSDT", stream="trade", repair_state="partial", gap_id="1:1")])
    assert bring_in(bench, path)[1]["series"][0]["gaps_repaired"] == 1
    rows = lines_of(path)
    lost = [*parts_of(bench, tmp_path, "trade")[1:3], parts_of(bench, tmp_path, "gap")[-1]]
    lose(engine, lost)
    assert number(bench, "SELECT count() FROM {db}.trade") < rows
    assert bench.client.command(f"SELECT groupArray(repair_state) FROM {bench.settings.database}.gap") == "['partial']"

    assert bring_in(bench, path, "--again")[0] == ExitCode.OK

    assert number(bench, "SELECT count() FROM {db}.trade") == rows
    assert number(bench, "SELECT count() FROM {db}.gap FINAL WHERE repair_state = 'repaired'") == 1
    bench.close()


def test_what_the_client_repeated_by_itself_is_looked_for(
    clickhouse: str, tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each first insert has no answer and no rows, and its repeat is called known: rows of the file, its coverage."""
    bench, path = AuditBench(clickhouse, tmp_path), files / f"BTCUSDT-aggTrades-{DAY}.zip"
    insert = Inserter.insert

    def known_and_not_there(self: Inserter, body: bytes, rows: int, token: str) -> int:
        if token.endswith((":1", ":2")) and token.count(":") > 5:
            return insert(self, body, rows, token)
        endpoints._asked.unanswered = endpoints.unanswered() + 1
        return 2 * rows

    monkeypatch.setattr(Inserter, "insert", known_and_not_there)
    monkeypatch.setattr(lost_inserts, "LACKING_SECONDS", 0.0)
    assert bring_in(bench, path)[0] == ExitCode.OK
    assert number(bench, "SELECT count() FROM {db}.trade") == lines_of(path)
    assert number(bench, "SELECT count() FROM {db}.coverage") == 1
    bench.close()


def test_rows_whose_place_a_better_one_has_taken_are_not_inserted_again(
    clickhouse: str, tmp_path: Path, files: Path
) -> None:
    """The table has fewer rows of the file than it has lines, as some were recorded live, too, and merged."""
    bench, path = AuditBench(clickhouse, tmp_path), files / f"BTCUSDT-aggTrades-{DAY}.zip"
    assert bring_in(bench, path)[0] == ExitCode.OK
    table, rows = f"{bench.settings.database}.trade", lines_of(path)
    live = "'WEBSOCKET' AS source, 'live' AS connection, version + 1 AS version"
    bench.client.command(f"INSERT INTO {table} SELECT * REPLACE ({live}) FROM {table} WHERE trade_number % 3 = 0")
    bench.client.command(f"SYSTEM START MERGES {table}")
    bench.client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert 0 < number(bench, "SELECT count() FROM {db}.trade WHERE source = 'ARCHIVE'") < rows

    code, account = bring_in(bench, path, "--again")

    assert (code, account["files"][0]["inserted_again"]) == (ExitCode.OK, 0)
    assert number(bench, "SELECT count() FROM {db}.trade WHERE source = 'WEBSOCKET'") > 0
    bench.close()


def test_an_import_that_nothing_disturbs_asks_one_question_a_file(
    clickhouse: str, tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And looks for no row, also where it finds better ones recorded live."""
    bench = AuditBench(clickhouse, tmp_path)
    looked = list[str]()

    def look(self: Presence, spec: StreamSpec, messages: Iterable[bytes]) -> list[int]:
        looked.append(spec.name)
        return []

    monkeypatch.setattr(Presence, "lacking_of_series", look)
    monkeypatch.setattr(Presence, "lacking", look)
    assert bring_in(bench, files)[0] == ExitCode.OK
    assert looked == []
    bench.close()
