"""Files of a venue, made by the stand-in in the published format, imported on the real engine: one row of each event,
twice or beside what was recorded live; a day that is complete for `audit` and ``complete(...)``; whatever is not as it
should be is said with its place."""

import gzip
import hashlib
import json
import time
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from audit.audit_bench import AuditBench, coverage, gap, when
from messages import message_of

from wsadapter.archives.importing import _Check
from wsadapter.cli import audit as audit_command
from wsadapter.clickhouse.inserts import Inserter, statement
from wsadapter.config.model import Feed
from wsadapter.embedded.market import bybit_archive
from wsadapter.embedded.market.binance_archive import write_day
from wsadapter.errors import ExitCode
from wsadapter.events import Event
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges import load
from wsadapter.kafka.messages import varint

pytestmark = pytest.mark.integration
SECOND = 10**9
DAY = "2026-03-10"
START = 1_773_100_800 * SECOND
DAY_NS = 86_400 * SECOND
END = START + DAY_NS
FROM, TO = f"{DAY}T00:00:00Z", "2026-03-11T00:00:00Z"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a day of a quiet market, of futures and of spot."""
    directory = tmp_path_factory.mktemp("files")
    for exchange in ("binance", "binance_spot"):
        write_day(directory / exchange, exchange, "BTCUSDT", DAY, steps=1.5)
    return directory


@pytest.fixture(scope="module")
def imported(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditBench]:
    bench = AuditBench(clickhouse, tmp_path_factory.mktemp("import"))
    yield bench
    bench.close()


@pytest.fixture
def bench(imported: AuditBench, monkeypatch: pytest.MonkeyPatch) -> AuditBench:
    monkeypatch.setattr(audit_command, "FRESH_NS", 0)
    imported.clear()
    imported.client.command(f"TRUNCATE TABLE {imported.settings.database}.book_ticker")
    return imported


def content(path: Path) -> list[list[str]]:
    """The rows of a file."""
    with zipfile.ZipFile(path) as file:
        lines = file.read(file.namelist()[0]).decode().splitlines()
    return [line.split(",") for line in lines if line[0].isdigit()]


def sql(bench: AuditBench, query: str) -> list[Any]:
    text = query.replace("{db}", bench.settings.database)
    answer: Any = bench.client.raw_query(f"{text} FORMAT JSONCompactEachRow")
    return [json.loads(line) for line in bytes(answer).splitlines()]


def bring_in(bench: AuditBench, *arguments: str | Path, exchange: str = "binance") -> tuple[int, dict[str, Any], str]:
    """Exit code, account and what was said."""
    done = bench.run("import", "--json", "--exchange", exchange, *map(str, arguments))
    return done.exit_code, json.loads(done.stdout) if done.stdout else {}, done.stderr


def verdicts(bench: AuditBench, exchange: str = "binance") -> dict[str, str]:
    rows = sql(
        bench,
        "SELECT stream, verdict FROM {db}.complete("
        f"exchange='{exchange}', symbol='BTCUSDT', stream='', from='{DAY}', to='2026-03-11')",
    )
    return dict(rows)


def test_a_day_is_complete_and_a_second_import_adds_nothing(bench: AuditBench, files: Path) -> None:
    directory = files / "binance"
    code, account, _ = bring_in(bench, directory)

    assert code == ExitCode.OK
    assert {one["state"] for one in account["files"]} == {"imported"}
    for word, stream, where in (
        ("1m", "kline", "true"), ("aggTrades", "trade", "aggregated"), ("trades", "trade", "NOT aggregated"),
        ("bookTicker", "book_ticker", "true"),
    ):  # fmt: skip
        rows = len(content(directory / f"BTCUSDT-{word}-{DAY}.zip"))
        assert sql(bench, f"SELECT toInt64(count()) FROM {{db}}.{stream} WHERE {where}") == [[rows]], word
    bench.record(symbols=["BTCUSDT"], streams=["kline", "trade", "book_ticker"], intervals=["1m"])
    audited, report = bench.audit("--since", FROM, "--until", TO)
    assert (audited, report["verdict"]) == (ExitCode.OK, "complete"), report
    assert verdicts(bench) == dict.fromkeys(("kline", "trade", "raw_trade", "book_ticker"), "complete")

    before = sql(bench, "SELECT toInt64(count()) FROM {db}.trade")
    code, account, _ = bring_in(bench, directory)
    assert code == ExitCode.OK
    assert {one["state"] for one in account["files"]} == {"already there"}
    code, account, _ = bring_in(bench, directory, "--again")
    assert code == ExitCode.OK
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.trade") == before


def test_values_and_times_are_the_files(bench: AuditBench, files: Path) -> None:
    for exchange, unit in (("binance", 10**6), ("binance_spot", 10**3)):
        assert bring_in(bench, files / exchange, exchange=exchange)[0] == ExitCode.OK
        rows = sql(
            bench,
            "SELECT trade_id, toString(price), toString(quantity), toString(first_trade_id), toString(last_trade_id), "
            f"toString(toUnixTimestamp64Nano(time)), buyer_is_maker FROM {{db}}.trade WHERE exchange = '{exchange}' "
            "AND aggregated AND source = 'ARCHIVE' AND event_time IS NULL ORDER BY trade_number",
        )
        expected = [
            [a, p.rstrip("0").rstrip("."), q.rstrip("0").rstrip("."), f, last, str(int(at) * unit), m.lower() == "true"]
            for a, p, q, f, last, at, m, *_ in content(files / exchange / f"BTCUSDT-aggTrades-{DAY}.zip")
        ]
        assert rows == expected
        candles = sql(
            bench,
            "SELECT toString(toUnixTimestamp64Nano(open_time)), toString(toUnixTimestamp64Nano(close_time)), "
            "toString(quote_volume), toString(trade_count), closed, interval FROM {db}.kline "
            f"WHERE exchange = '{exchange}' ORDER BY open_time",
        )
        assert candles == [
            [
                str(int(row[0]) * unit), str(int(row[6]) * unit // 10**6 * 10**6), row[7].rstrip("0").rstrip("."),
                row[8], True, "1m",
            ]
            for row in content(files / exchange / f"BTCUSDT-1m-{DAY}.zip")
        ]  # fmt: skip


class Decoder:
    """What the venue's own makes of frames that say the same as lines of a file."""

    def __init__(self, exchange: str, stream: str) -> None:
        feed = Feed(name="f", exchange=exchange, symbols=("BTCUSDT",), intervals=("1m",), streams=(stream,))
        self._session = load(exchange)(load(exchange).plan(feed)[0])

    def __call__(self, name: str, frame: dict[str, Any], received_ns: int) -> list[Event]:
        message = json.dumps({"stream": f"btcusdt@{name}", "data": frame}).encode()
        return [item for item in self._session.receive(message, received_ns) if isinstance(item, Event)]


def live(bench: AuditBench, events: list[Event]) -> None:
    spec = BY_EVENT[type(events[0])]
    make = message_of(spec)
    bodies = [bytes(make(event, 1, number).SerializeToString()) for number, event in enumerate(events)]
    body = b"".join(varint(len(each)) + each for each in bodies)
    token = f"live-{bench.settings.database}-{hashlib.sha1(body).hexdigest()}"
    Inserter(bench.client).insert(statement(bench.settings.database, spec) + body, len(bodies), token)


@pytest.mark.parametrize("exchange", ["binance", "binance_spot"])
def test_a_row_has_the_key_of_the_one_that_was_recorded_live(bench: AuditBench, files: Path, exchange: str) -> None:
    directory = files / exchange
    micro = 1000 if exchange == "binance_spot" else 1
    trade, kline, best = (Decoder(exchange, word) for word in ("trade", "kline", "book_ticker"))
    trades, events = content(directory / f"BTCUSDT-aggTrades-{DAY}.zip"), []
    for a, p, q, f, last, at, m, *_ in trades:
        frame = {
            "e": "aggTrade", "E": int(at) + 2 * micro, "s": "BTCUSDT", "a": int(a), "p": p, "q": q, "f": int(f),
            "l": int(last), "T": int(at), "m": m.lower() == "true", "M": True,
        }  # fmt: skip
        received = int(at) * (10**6 // micro) + 5_000_000
        events += trade("aggTrade", frame, received)
    candles = []
    for row in content(directory / f"BTCUSDT-1m-{DAY}.zip"):
        k = {
            "t": int(row[0]), "T": int(row[6]), "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": row[1], "h": row[2],
            "l": row[3], "c": row[4], "v": row[5], "q": row[7], "n": int(row[8]), "V": row[9], "Q": row[10], "x": True,
        }  # fmt: skip
        frame = {"e": "kline", "E": int(row[6]) + micro, "s": "BTCUSDT", "k": k}
        candles += kline("kline_1m", frame, START)
    live(bench, events)
    live(bench, candles)
    bests = []
    if exchange == "binance":
        for u, b, bq, a, aq, at, e in content(directory / f"BTCUSDT-bookTicker-{DAY}.zip"):
            frame = {
                "e": "bookTicker", "u": int(u), "s": "BTCUSDT", "b": b, "B": bq, "a": a, "A": aq, "T": int(at),
                "E": int(e),
            }  # fmt: skip
            bests += best("bookTicker", frame, START)
        live(bench, bests)

    assert (len(events), len(candles)) == (len(trades), 1440)
    assert bring_in(bench, directory, exchange=exchange)[0] == ExitCode.OK

    assert sql(
        bench,
        "SELECT toInt64(count()), groupUniqArray(toString(source)), toInt64(countIf(event_time IS NULL)) "
        "FROM {db}.trade FINAL WHERE aggregated",
    ) == [[len(trades), ["WEBSOCKET"], 0]], "the one that says when it was received counts"
    assert sql(bench, "SELECT toInt64(count()), groupUniqArray(toString(source)) FROM {db}.kline FINAL") == [
        [1440, ["ARCHIVE"]]
    ]
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.book_ticker FINAL") == [[len(bests)]]


def test_an_import_that_was_interrupted_goes_on(
    bench: AuditBench, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip"
    monkeypatch.setattr("wsadapter.archives.importing.pieces", small_pieces)
    insert, done = Inserter.insert, []

    def twice_then_gone(self: Inserter, body: bytes, rows: int, token: str) -> int:
        done.append(token)
        insert(self, body, rows, token)
        if len(done) == 2:
            raise ConnectionResetError("the network is gone")
        return rows

    monkeypatch.setattr(Inserter, "insert", twice_then_gone)
    code, _, said = bring_in(bench, path)
    assert (code, "the network is gone" in said) == (ExitCode.UNAVAILABLE, True), said
    monkeypatch.setattr(Inserter, "insert", insert)

    assert bring_in(bench, path)[0] == ExitCode.OK
    rows = len(content(path))
    assert sql(bench, "SELECT toInt64(count()), toInt64(uniqExact(trade_id)) FROM {db}.trade") == [[rows, rows]]
    assert verdicts(bench)["trade"] == "complete"


def small_pieces(path: Path) -> Any:
    from wsadapter.archives.files import pieces

    return pieces(path, 4096)


def changed(files: Path, tmp_path: Path, change: Any, word: str = "aggTrades", checksum: bool = False) -> Path:
    """A file with other lines."""
    source = files / "binance" / f"BTCUSDT-{word}-{DAY}.zip"
    with zipfile.ZipFile(source) as file:
        lines = file.read(file.namelist()[0]).decode().splitlines()
    path = tmp_path / source.name
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(source.stem + ".csv", "\n".join(change(lines)) + "\n")
    if checksum:
        path.with_name(path.name + ".CHECKSUM").write_text(source.with_name(source.name + ".CHECKSUM").read_text())
    return path


def test_a_line_that_is_no_row_is_said_with_its_place(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    def spoil(lines: list[str]) -> list[str]:
        return [*lines[:5], lines[5].replace(".", "e"), *lines[6:]]

    path = changed(files, tmp_path, spoil)

    code, account, said = bring_in(bench, path)

    assert code == ExitCode.LOSS
    assert f"{path}:6: price: " in said
    (one,) = account["files"]
    assert (one["refused"], one["holes"], one["rows"]) == (1, 1, len(content(path)) - 1)
    assert one["refused_lines"][0]["line"] == 6
    assert verdicts(bench) == {"": "missing"}, "nothing says that its day is there"


def test_a_hole_in_a_file_is_no_part_of_what_it_covers(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    path = changed(files, tmp_path, lambda lines: [*lines[:101], *lines[161:1000], *lines[1010:]], "1m")

    code, account, said = bring_in(bench, path)

    assert (code, account["files"][0]["holes"]) == (ExitCode.LOSS, 2)
    assert "no rows between 2026-03-10 01:40:00.000 and 2026-03-10 02:40:00.000" in said
    assert verdicts(bench)["kline"] == "incomplete"
    assert sql(
        bench,
        "SELECT round(unrecorded_seconds) FROM {db}.complete(exchange='binance', symbol='BTCUSDT', stream='kline', "
        f"from='{DAY}', to='2026-03-11')",
    ) == [[70 * 60]]


def test_numbers_that_skip_within_a_millisecond_are_a_hole_also_the_next_time(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    def skip(lines: list[str]) -> list[str]:
        before, after = lines[100].split(","), lines[110].split(",")
        return [*lines[:101], ",".join((*after[:5], before[5], *after[6:])), *lines[111:]]

    path = changed(files, tmp_path, skip)

    for again, state in ((False, "imported"), (False, "already there"), (True, "imported")):
        code, account, said = bring_in(bench, path, *(("--again",) if again else ()))
        assert (code, account["files"][0]["state"], account["files"][0]["holes"]) == (ExitCode.LOSS, state, 1)
        assert "no rows between 2026-03-10" in said
        assert verdicts(bench)["trade"] == "incomplete"


def skipped(lines: list[str]) -> list[str]:
    """The venue has burnt every second of 2,002 numbers, and a hundred at once."""
    made = []
    for at, line in enumerate(lines[1:]):
        number, _, rest = line.partition(",")
        made.append(f"{int(number) + min(at, 1001) + (100 if at > 1200 else 0)},{rest}")
    return [lines[0], *made]


def test_numbers_that_the_venue_has_burnt_are_no_holes_of_a_file_of_futures(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    """Self-trade prevention takes numbers of single trades without a trade. Those of aggregated ones have no holes."""
    path = changed(files, tmp_path, skipped, "trades")
    bench.insert("coverage", [coverage(START, END, "raw_trade", symbol="ETHUSDT")])

    code, account, said = bring_in(bench, path)

    (one,) = account["files"]
    assert (code, one["state"], one["holes"], one["rows"]) == (ExitCode.OK, "imported", 0, len(content(path))), said
    assert verdicts(bench) == {"raw_trade": "complete"}
    audited, report = bench.audit()
    assert (audited, report["verdict"], report["holes"]) == (ExitCode.OK, "complete", [])
    code, account, said = bring_in(bench, path)
    assert (code, account["files"][0]["state"]) == (ExitCode.OK, "already there"), said

    (tmp_path / "agg").mkdir()
    code, account, _ = bring_in(bench, changed(files, tmp_path / "agg", skipped))
    assert (code, account["files"][0]["holes"]) == (ExitCode.LOSS, 1002)


def test_between_files_of_futures_and_in_what_was_recorded_numbers_that_skip_are_missing(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    """To the audit: of a file that is not there, nothing says that the venue has burnt them."""
    path = changed(files, tmp_path, lambda lines: lines[:500], "trades")
    assert bring_in(bench, path)[0] == ExitCode.OK
    (tmp_path / "later").mkdir()
    later = changed(files, tmp_path / "later", lambda lines: [lines[0], *lines[510:]], "trades")
    assert bring_in(bench, later)[0] == ExitCode.OK

    code, report = bench.audit()

    assert (code, [hole["missing"] for hole in report["holes"]]) == (ExitCode.LOSS, [10])


def test_a_file_that_is_imported_better_has_the_holes_of_the_last_time_no_more(
    bench: AuditBench, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files / "binance" / f"BTCUSDT-trades-{DAY}.zip"
    hour = 3600 * SECOND
    monkeypatch.setattr(_Check, "covered", lambda check: [(START, START + hour), (START + 2 * hour, END - hour)])
    bring_in(bench, path)
    assert bring_in(bench, path)[1]["files"][0]["holes"] == 2
    monkeypatch.undo()
    monkeypatch.setattr(audit_command, "FRESH_NS", 0)

    assert bring_in(bench, path, "--again")[0] == ExitCode.OK

    code, account, said = bring_in(bench, path)
    assert (code, account["files"][0]["state"]) == (ExitCode.OK, "already there"), said


def test_annulled_trades_are_no_rows_and_no_holes(
    bench: AuditBench, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsadapter.archives.importing.pieces", small_pieces)

    def annul(lines: list[str]) -> list[str]:
        """Some, and all of a piece."""
        return [
            ",".join((line.split(",")[0], "0.0", "0.0", "-1", "-1", *line.split(",")[5:])) if 100 <= at < 400 else line
            for at, line in enumerate(lines)
        ]

    path = changed(files, tmp_path, annul)

    code, account, said = bring_in(bench, path)

    (one,) = account["files"]
    assert (code, one["annulled"], one["holes"], one["refused"]) == (ExitCode.OK, 300, 0, 0), said
    assert "300 trades that the venue has annulled, passed over" in said
    assert sql(bench, "SELECT toInt64(count()), toInt64(countIf(price = 0)) FROM {db}.trade") == [
        [len(content(path)) - 300, 0]
    ]
    assert verdicts(bench)["trade"] == "complete"


def test_a_file_that_is_there_and_has_holes_is_not_called_whole_the_next_time(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    path = changed(files, tmp_path, lambda lines: [*lines[:101], *lines[161:1381]], "1m")
    first = bring_in(bench, path)

    code, account, said = bring_in(bench, path)

    assert (code, account["files"][0]["state"], account["files"][0]["holes"]) == (ExitCode.LOSS, "already there", 2)
    for told in ("01:40:00.000 and 2026-03-10 02:40:00.000", "23:00:00.000 and 2026-03-11 00:00:00.000"):
        assert f"no rows between 2026-03-10 {told}" in first[2]
        assert f"no rows between 2026-03-10 {told}" in said


def test_the_days_of_a_file_of_a_month_are_rows_of_their_own(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    """So a TTL removes of them what it removes of the rows; what is left is there already, and has no holes."""
    path = changed(files, tmp_path, lambda lines: lines).rename(tmp_path / "BTCUSDT-aggTrades-2026-03.zip")
    assert bring_in(bench, path)[0] == ExitCode.OK
    spans = "SELECT toString(`from`), dateDiff('hour', `from`, `to`) FROM {db}.coverage FINAL ORDER BY `from`"
    assert sql(bench, spans) == [[f"2026-03-{day:02} 00:00:00.000000000", 24] for day in range(1, 32)]

    code, account, said = bring_in(bench, path)
    assert (code, account["files"][0]["state"]) == (ExitCode.OK, "already there"), said

    ((connection,),) = sql(bench, "SELECT DISTINCT connection FROM {db}.coverage")
    bench.client.command(f"TRUNCATE TABLE {bench.settings.database}.coverage")
    left = [START + day * DAY_NS for day in range(-5, 22)]  # from the 5th on
    bench.insert("coverage", [coverage(at, at + DAY_NS, connection=connection) for at in left])
    days = time.time_ns() // DAY_NS - START // DAY_NS + 6
    with bench.config.open("a") as config:
        config.write(f"[clickhouse.ttl_days]\ntrade = {days}\n")
    code, account, said = bring_in(bench, path)
    assert (code, account["files"][0]["state"]) == (ExitCode.OK, "already there"), said
    assert verdicts(bench)["trade"] == "complete"


def test_a_day_that_ends_too_early_is_not_complete(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    code, _, said = bring_in(bench, changed(files, tmp_path, lambda lines: lines[:1381], "1m"))

    assert (code, "no rows between 2026-03-10 23:00:00.000 and 2026-03-11 00:00:00.000" in said) == (
        ExitCode.LOSS,
        True,
    )
    assert verdicts(bench)["kline"] == "incomplete"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "cannot be read: File is not a zip file"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (
            lambda path: path.with_name(path.name + ".CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n"),
            f"BTCUSDT-aggTrades-{DAY}.zip.CHECKSUM says 0000",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_not_imported(
    bench: AuditBench, files: Path, tmp_path: Path, spoil: Any, reason: str
) -> None:
    path = changed(files, tmp_path, lambda lines: lines)
    spoil(path)

    code, account, said = bring_in(bench, path)

    assert code == ExitCode.LOSS
    assert (account["files"][0]["state"], account["files"][0]["rows"]) == ("failed", 0)
    assert reason in said
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.trade") == [[0]]


def test_columns_in_another_order_are_not_guessed(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    path = changed(files, tmp_path, lambda lines: ["agg_trade_id,quantity,price" + lines[0][29:], *lines[1:]])

    code, _, said = bring_in(bench, path)

    assert (code, "its header is agg_trade_id,quantity,price" in said) == (ExitCode.LOSS, True), said


def test_gaps_that_a_file_fills_are_repaired_and_others_stay(bench: AuditBench, files: Path) -> None:
    hour = START + 3600 * SECOND
    bench.insert("coverage", [coverage(START, hour), coverage(hour + 60 * SECOND, END)])
    bench.insert(
        "gap",
        [
            gap(hour, hour + 60 * SECOND, repair_state="partial", gap_id="1:1"),
            gap(hour, hour + 60 * SECOND, stream="trade", repair_state="partial", gap_id="1:1"),
            gap(hour, hour + 60 * SECOND, stream="ticker", repair_state="unrepairable", gap_id="1:1"),
            gap(hour, hour + SECOND, symbol="BTCUSDT", stream="trade", repair_state="unrepairable", gap_id="1:2"),
            gap(START - 60 * SECOND, START + SECOND, symbol="BTCUSDT", stream="trade", gap_id="1:3",
                repair_state="unrepairable"),
            gap(hour, hour + SECOND, connection="another", repair_state="partial", gap_id="1:4"),
        ],
    )  # fmt: skip
    assert verdicts(bench)["trade"] == "incomplete"

    code, account, _ = bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")

    assert (code, account["series"][0]["gaps_repaired"]) == (ExitCode.OK, 2)
    states = sql(
        bench, "SELECT gap_id, symbol, stream, repair_state FROM {db}.gap FINAL ORDER BY gap_id, symbol, stream"
    )
    assert states == [
        ["1:1", "", "", "partial"], ["1:1", "", "ticker", "unrepairable"], ["1:1", "", "trade", "partial"],
        ["1:1", "BTCUSDT", "trade", "repaired"], ["1:2", "BTCUSDT", "trade", "repaired"],
        ["1:3", "BTCUSDT", "trade", "unrepairable"], ["1:4", "", "", "partial"],
    ]  # fmt: skip
    counted = sql(
        bench,
        "SELECT toInt64(partial), toInt64(unrepairable), toInt64(repaired) FROM {db}.complete(exchange='binance', "
        f"symbol='BTCUSDT', stream='trade', from='{DAY}', to='2026-03-11')",
    )
    assert counted == [[0, 1, 2]], "the gap that began before the day is not filled"
    done = bench.run("gaps", "--json", "--symbol", "BTCUSDT", "--stream", "trade")
    assert {one["gap_id"]: one["repair_state"] for one in json.loads(done.stdout)} == {
        "1:1": "partial", "1:2": "repaired", "1:3": "unrepairable", "1:4": "partial",
    }  # fmt: skip
    assert bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")[1]["series"][0]["gaps_repaired"] == 0


def test_gaps_of_connections_are_not_of_a_series_that_was_never_recorded(bench: AuditBench, files: Path) -> None:
    hour = START + 3600 * SECOND
    bench.insert("coverage", [coverage(START, END, symbol="ETHUSDT")])
    bench.insert("gap", [gap(hour, hour + SECOND), gap(hour, hour + SECOND, stream="trade", connection="another")])

    code, account, _ = bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")

    assert (code, account["series"][0]["gaps_repaired"]) == (ExitCode.OK, 0)
    assert sql(bench, "SELECT DISTINCT symbol, repair_state FROM {db}.gap FINAL") == [["", "open"]]
    assert verdicts(bench)["trade"] == "complete"


def test_a_gap_that_begins_with_the_day_is_not_filled_by_that_day_alone(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    """What was lost first, is older by the venue's time."""
    bench.insert("coverage", [coverage(START - 3600 * SECOND, START), coverage(START + 600 * SECOND, END)])
    bench.insert("gap", [gap(START + SECOND // 10, START + 600 * SECOND, symbol="BTCUSDT", stream="trade",
                             repair_state="partial", gap_id="1:1")])  # fmt: skip
    state = "SELECT repair_state FROM {db}.gap FINAL WHERE symbol = 'BTCUSDT' AND stream = 'trade'"

    _, account, _ = bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")
    assert (account["series"][0]["gaps_repaired"], sql(bench, state)) == (0, [["partial"]])

    write_day(tmp_path, "binance", "BTCUSDT", "2026-03-09", steps=1.5)
    _, account, _ = bring_in(bench, tmp_path / "BTCUSDT-aggTrades-2026-03-09.zip")
    assert (account["series"][0]["gaps_repaired"], sql(bench, state)) == (1, [["repaired"]])


def insert_partial_gap_and_single_trade(bench: AuditBench, at_ns: int) -> None:
    """Of trades, of which both kinds were recorded."""
    bench.insert("gap", [gap(at_ns, at_ns + SECOND, symbol="BTCUSDT", stream="trade", repair_state="partial")])
    raw = {
        "exchange": "binance", "symbol": "BTCUSDT", "source": "WEBSOCKET", "aggregated": False, "trade_id": "1",
        "trade_number": 1, "price": 1, "quantity": 1, "time": when(at_ns), "receive_time": when(at_ns), "version": 1,
    }  # fmt: skip
    bench.insert("trade", [raw])


def test_a_gap_of_both_kinds_of_trades_is_not_filled_by_one(bench: AuditBench, files: Path) -> None:
    hour = START + 3600 * SECOND
    insert_partial_gap_and_single_trade(bench, hour)

    _, account, _ = bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")

    assert account["series"][0]["gaps_repaired"] == 0
    bench.insert("coverage", [coverage(START, hour, "raw_trade"), coverage(hour + SECOND, END, "raw_trade")])
    assert verdicts(bench)["raw_trade"] == "incomplete"

    code, account, told = bring_in(bench, files / "binance" / f"BTCUSDT-trades-{DAY}.zip")
    assert code == ExitCode.OK, told

    assert account["series"][0]["gaps_repaired"] == 1, "of single trades alone"
    assert verdicts(bench) == {"trade": "incomplete", "raw_trade": "complete"}

    _, account, _ = bring_in(bench, files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip")
    assert account["series"][0]["gaps_repaired"] == 1, "files have both kinds"
    assert verdicts(bench) == {"trade": "complete", "raw_trade": "complete"}


def test_files_of_both_kinds_and_of_two_days_fill_gaps_at_once(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    hour = START + 3600 * SECOND
    write_day(tmp_path, "binance", "BTCUSDT", "2026-03-09", steps=1.5)
    insert_partial_gap_and_single_trade(bench, hour)

    paths = [
        directory / f"BTCUSDT-{kind}-{day}.zip"
        for directory, day in ((files / "binance", DAY), (tmp_path, "2026-03-09"))
        for kind in ("aggTrades", "trades")
    ]
    code, account, told = bring_in(bench, *paths)

    assert code == ExitCode.OK, told
    assert {one["stream"]: one["gaps_repaired"] for one in account["series"]} == {"trade": 1, "raw_trade": 1}
    assert verdicts(bench) == {"trade": "complete", "raw_trade": "complete"}


def test_a_wrong_command_line_imports_nothing(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("1,2\n")
    path = files / "binance" / f"BTCUSDT-1m-{DAY}.zip"
    for arguments, said in (
        ((path, "nosuch.zip"), "nosuch.zip' is not there"),
        ((path, tmp_path / "mine.csv"), "say --symbol, --stream"),
        ((tmp_path,), "no files of binance there"),
        ((path, "--stream", "trade"), "'BTCUSDT-1m-2026-03-10.zip': its name says kline, and --stream trade"),
        ((files / "binance" / f"BTCUSDT-trades-{DAY}.zip", "--interval", "1m"), "its name says no interval"),
        ((files / "binance" / f"BTCUSDT-aggTrades-{DAY}.zip", "--stream", "raw_trade"), "its name says trade, and"),
        ((path, "--stream", "depth"), "--stream must be one of"),
        ((files / "binance", "--symbol", "ETHUSDT"), "its name says BTCUSDT, and --symbol ETHUSDT"),
        ((path, "--symbol", "btcusdt"), "its name says BTCUSDT, and --symbol btcusdt"),
        ((path, "--interval", "1h"), "its name says 1m, and --interval 1h"),
        ((files / "binance", "--stream", "trade", "--symbol", "BTCUSDT"), "its name says kline, and --stream trade"),
    ):  # fmt: skip
        done = bench.run("import", "--exchange", "binance", *map(str, arguments))
        assert (done.exit_code, said in done.stderr) == (ExitCode.USAGE, True), done.stderr
    done = bench.run("import", "--exchange", "kraken", str(path))
    assert (done.exit_code, "its files are not known" in done.stderr) == (ExitCode.USAGE, True)
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.kline") == [[0]]


def test_a_file_of_another_name_is_imported_as_the_options_say(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with zipfile.ZipFile(files / "binance" / f"BTCUSDT-1m-{DAY}.zip") as file:
        path.write_bytes(file.read(file.namelist()[0]))

    code, account, _ = bring_in(
        bench, path, "--symbol", "BTCUSDT", "--stream", "kline", "--interval", "1m",
    )  # fmt: skip

    assert (code, account["files"][0]["rows"]) == (ExitCode.OK, 1440)
    assert verdicts(bench)["kline"] == "complete"


def test_candles_of_another_interval_than_the_option_says_are_refused(
    bench: AuditBench, files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    with zipfile.ZipFile(files / "binance" / f"BTCUSDT-1m-{DAY}.zip") as file:
        path.write_bytes(file.read(file.namelist()[0]))

    code, account, said = bring_in(bench, path, "--symbol", "BTCUSDT", "--stream", "kline", "--interval", "1h")

    assert (code, account["files"][0]["rows"], account["files"][0]["refused"]) == (ExitCode.LOSS, 0, 1440)
    assert f"{path}:2: its candle is not one of 1h: it lasts 60 s" in said
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.kline") == [[0]]
    assert verdicts(bench) == {"": "missing"}


def test_a_file_of_futures_is_not_taken_for_one_of_spot(bench: AuditBench, files: Path, tmp_path: Path) -> None:
    """They have the same names and columns."""
    bare = changed(files, tmp_path, lambda lines: lines[1:], "1m")
    for exchange, path, said in (
        ("binance_spot", files / "binance" / f"BTCUSDT-1m-{DAY}.zip", "it has a header"),
        ("binance_spot", bare, "its times are milliseconds"),
        ("binance", files / "binance_spot" / f"BTCUSDT-1m-{DAY}.zip", "its times are microseconds"),
    ):
        code, account, told = bring_in(bench, path, exchange=exchange)
        assert (code, account["files"][0]["state"], said in told) == (ExitCode.LOSS, "failed", True), told
    assert sql(bench, "SELECT toInt64(count()) FROM {db}.kline") == [[0]]


def test_the_account_fits_a_terminal(bench: AuditBench, files: Path) -> None:
    done = bench.run("import", "--exchange", "binance", str(files / "binance"))

    assert done.exit_code == ExitCode.OK
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines[1:]] == [
        ["BTCUSDT", "kline"], ["BTCUSDT", "trade"], ["BTCUSDT", "book_ticker"], ["BTCUSDT", "raw_trade"],
    ]  # fmt: skip
    assert f"file 1 of 4 BTCUSDT-1m-{DAY}.zip: 1,440 rows" in done.stderr


def test_trades_of_bybit_are_those_that_were_recorded_live(bench: AuditBench, tmp_path: Path) -> None:
    (path,) = bybit_archive.write_day(tmp_path, "bybit", "BTCUSDT", DAY, steps=0.3)
    with gzip.open(path, "rt") as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    feed = Feed(name="f", exchange="bybit", symbols=("BTCUSDT",), streams=("trade",))
    session = load("bybit")(load("bybit").plan(feed)[0])
    events: list[Event] = []
    for seconds, symbol, side, size, price, _, name, *_ in rows[: len(rows) // 2]:
        ms = int(Decimal(seconds) * 1000)
        one = {"T": ms, "s": symbol, "S": side, "v": size, "p": price, "L": "PlusTick", "i": name, "BT": False}
        frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": ms + 1, "data": [one]}
        received = session.receive(json.dumps(frame).encode(), ms * 10**6)
        events += [item for item in received if isinstance(item, Event)]
    assert len(events) == len(rows) // 2 > 100
    live(bench, events)

    code, account, said = bring_in(bench, path, exchange="bybit")

    assert (code, account["files"][0]["rows"]) == (ExitCode.OK, len(rows)), said
    assert sql(
        bench,
        "SELECT toInt64(count()), toInt64(countIf(source = 'WEBSOCKET')), toInt64(uniqExact(trade_id)) "
        "FROM {db}.trade FINAL WHERE exchange = 'bybit'",
    ) == [[len(rows), len(events), len(rows)]]
    assert verdicts(bench, "bybit") == {"trade": "complete"}
