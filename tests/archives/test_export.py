"""What is in the tables comes out as Parquet by day, equal to the last digit, with a manifest that says what is
missing. On the real engine, read back by polars."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pytest
from audit.audit_bench import AuditBench, coverage, gap, trade, when

from wsadapter.archives import exporting
from wsadapter.archives.exporting import Exporter
from wsadapter.embedded.market.binance_archive import write_day
from wsadapter.errors import ExitCode
from wsadapter.times import iso

pytestmark = pytest.mark.integration
SECOND = 10**9
DAY = "2026-03-10"
START = 1_773_100_800 * SECOND
DAY_NS = 86_400 * SECOND


@pytest.fixture(scope="module")
def exported(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditBench]:
    bench = AuditBench(clickhouse, tmp_path_factory.mktemp("export"))
    yield bench
    bench.close()


@pytest.fixture
def bench(exported: AuditBench) -> AuditBench:
    exported.clear()
    return exported


def export(bench: AuditBench, out: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = bench.run(
        "export", "--exchange", "binance", "--symbol", "BTCUSDT", "--from", DAY, "--out", str(out), "--json", *arguments
    )  # fmt: skip
    return done.exit_code, json.loads(done.stdout) if done.stdout else [], done.stderr


def test_files_in_and_out_again_are_equal(bench: AuditBench, tmp_path: Path) -> None:
    write_day(tmp_path / "files", "binance", "BTCUSDT", DAY, steps=1.0)
    assert bench.run("import", "--exchange", "binance", str(tmp_path / "files")).exit_code == ExitCode.OK

    code, manifests, _ = export(
        bench, tmp_path, "--stream", "trade", "--stream", "kline", "--stream", "book_ticker", "--to", "2026-03-11"
    )

    assert (code, [one["verdict"] for one in manifests]) == (ExitCode.OK, ["complete"] * 3)
    for stream, folder, key, where in (
        ("trade", "trade/BTCUSDT", "trade_number", "true"),
        ("kline", "kline/BTCUSDT/1m", "open_time", "true"),
        ("book_ticker", "book_ticker/BTCUSDT", "update_id", "true"),
    ):
        path = tmp_path / "binance" / folder / f"{DAY}.parquet"
        frame = polars.read_parquet(path)
        manifest = json.loads(path.with_suffix(".json").read_text())
        assert manifest == next(one for one in manifests if one["stream"] == stream)
        assert (manifest["rows"], manifest["bytes"]) == (frame.height, path.stat().st_size)
        assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (manifest["gaps"], len(manifest["coverage"])) == ([], 1)
        assert manifest["covered_seconds"] == 86_400
        decimals = [name for name, kind in frame.schema.items() if isinstance(kind, polars.Decimal)]
        assert decimals
        assert {frame.schema[name].scale for name in decimals} == {12}  # type: ignore[attr-defined]  # a Decimal
        values = bench.client.query(
            f"SELECT {', '.join((key, *decimals))} FROM {bench.settings.database}.{stream} FINAL WHERE {where} "
            f"ORDER BY {key}"
        ).result_rows
        found = frame.sort(key).select(decimals).rows()
        assert [tuple(row) for row in found] == [tuple(row[1:]) for row in values]
        assert isinstance(found[0][0], Decimal)
        assert str(frame.schema["time"]).startswith("Datetime(time_unit='ns'")
    candles = polars.read_parquet(tmp_path / "binance/kline/BTCUSDT/1m" / f"{DAY}.parquet")
    opened = candles["open_time"].cast(polars.Int64).to_list()
    assert opened == list(range(START, START + DAY_NS, 60 * SECOND)), "in order of time"
    assert set(candles["source"]) == {"ARCHIVE"}
    assert not list((tmp_path / "binance").rglob(".*")), "nothing half written is left"


def test_a_day_with_a_gap_and_one_of_which_there_is_nothing(bench: AuditBench, tmp_path: Path) -> None:
    bench.insert("trade", [trade(number, START + number * SECOND, version=1) for number in range(100)])
    bench.insert("trade", [trade(5, START + 5 * SECOND, version=2)])
    bench.insert("coverage", [coverage(START, START + DAY_NS)])
    bench.insert("gap", [gap(START + 200 * SECOND, START + 260 * SECOND, repair_state="partial", gap_id="9:1")])
    bench.insert("gap", [gap(START + 200 * SECOND, START + 260 * SECOND, repair_state="unrepairable", gap_id="9:1",
                             stream="trade")])  # fmt: skip

    code, (first, second), said = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-12")

    assert code == ExitCode.LOSS
    assert (first["verdict"], first["rows"]) == ("incomplete", 100), "each event once"
    assert [(one["gap_id"], one["cause"], one["repair_state"]) for one in first["gaps"]] == [
        ("9:1", "disconnect", "unrepairable")
    ]
    assert (first["rejected"], second["rejected"]) == (0, 0)
    assert first["gaps"][0]["started"].startswith("2026-03-10T00:03:20")
    assert (second["verdict"], second["rows"], second["unrecorded_seconds"]) == ("missing", 0, 86_400)
    assert polars.read_parquet(tmp_path / "binance/trade/BTCUSDT/2026-03-11.parquet").height == 0
    assert f"file 1 of 2 BTCUSDT trade {DAY}: 100 rows" in said
    shown = bench.run(
        "export", "--exchange", "binance", "--symbol", "BTCUSDT", "--stream", "trade", "--from", DAY, "--to",
        "2026-03-12", "--out", str(tmp_path),
    )  # fmt: skip
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert [line.split()[-1] for line in shown.stdout.splitlines()[1:]] == ["incomplete", "missing"]


def test_a_day_with_a_row_that_the_table_cannot_keep_is_not_complete(bench: AuditBench, tmp_path: Path) -> None:
    bench.insert("trade", [trade(1, START + SECOND)])
    bench.insert(
        "rejected",
        [{"exchange": "binance", "symbol": "BTCUSDT", "stream": "trade", "receive_time": when(START + 2 * SECOND),
          "reason": "price", "record": '{"source":1,"price":"0.00000000000123"}'}],
    )  # fmt: skip
    bench.insert("coverage", [coverage(START, START + DAY_NS)])

    code, (manifest,), _ = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")

    assert (code, manifest["verdict"], manifest["rows"], manifest["rejected"]) == (ExitCode.LOSS, "incomplete", 1, 1)


def test_a_file_of_trades_is_judged_by_the_kinds_that_were_recorded(bench: AuditBench, tmp_path: Path) -> None:
    bench.insert("coverage", [coverage(START, START + DAY_NS, "raw_trade")])
    code, (manifest,), _ = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")
    assert (code, manifest["verdict"], len(manifest["coverage"])) == (ExitCode.OK, "complete", 1)

    bench.insert("coverage", [coverage(START, START + DAY_NS // 2, "trade")])
    code, (manifest,), _ = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")
    assert (code, manifest["verdict"]) == (ExitCode.LOSS, "incomplete")


def test_an_answer_that_ends_early_leaves_nothing(
    bench: AuditBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.insert("trade", [trade(number, START + number * SECOND) for number in range(10)])
    monkeypatch.setattr("wsadapter.archives.exporting.MAGIC", b"none")

    code, _, said = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")

    assert (code, "ended its answer early" in said) == (ExitCode.UNAVAILABLE, True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_rows_that_come_in_meanwhile_are_seen(
    bench: AuditBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.insert("trade", [trade(number, START + number * SECOND) for number in range(10)])
    stream, streamed = Exporter._stream, list[tuple[int, str]]()

    def with_one_more(self: Exporter, *arguments: Any) -> tuple[int, str]:
        answer = stream(self, *arguments)
        if not streamed:
            bench.insert("trade", [trade(10, START + 10 * SECOND)])
        streamed.append(answer)
        return answer

    monkeypatch.setattr(Exporter, "_stream", with_one_more)

    _, (manifest,), _ = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")

    assert (len(streamed), manifest["rows"]) == (2, 11)
    assert polars.read_parquet(tmp_path / "binance/trade/BTCUSDT" / manifest["file"]).height == 11


class Clock:
    """In place of module ``time``."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns, self.slept = now_ns, 0.0

    def time_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now_ns += round(seconds * SECOND)


@pytest.mark.parametrize(
    ("after_end", "slept", "ends"),
    [
        (-3600.0, 0.0, -3645.0),
        (-0.5, 0.0, -45.5),
        (0.0, 45.0, 0.0),
        (44.5, 0.5, 0.0),
        (45.0, 0.0, 0.0),
        (3600.0, 0.0, 0.0),
        (-86_400.0, 0.0, -86_400.0),
        (-86_380.0, 0.0, -86_400.0),
    ],
)
def test_a_day_is_taken_when_its_last_rows_are_in_the_tables(
    monkeypatch: pytest.MonkeyPatch, after_end: float, slept: float, ends: float
) -> None:
    """One that lasts up to where they are."""
    clock = Clock(START + DAY_NS + round(after_end * SECOND))
    monkeypatch.setattr(exporting, "time", clock)

    assert exporting.settled_end(START) == START + DAY_NS + round(ends * SECOND)
    assert clock.slept == slept


def test_of_a_day_that_lasts_what_may_be_under_way_is_not_called_there(bench: AuditBench, tmp_path: Path) -> None:
    """Coverage of a connection that lives counts to now, rows of the last seconds may be in no table."""
    now_ns = time.time_ns()
    day = f"{datetime.fromtimestamp(now_ns // SECOND, UTC):%Y-%m-%d}"
    bench.insert("coverage", [coverage(now_ns - DAY_NS, now_ns - 2 * SECOND)])
    late = max(now_ns - 10 * SECOND, now_ns // DAY_NS * DAY_NS)
    bench.insert("trade", [trade(1, late)])

    _, (manifest,), _ = export(bench, tmp_path, "--stream", "trade", "--from", day, "--to", "2100-01-01")

    assert (manifest["rows"], manifest["day"]) == (0, day)
    assert manifest["to"] <= max(f"{day}T00:00:00.000000000Z", iso(late) or "")


def test_a_disk_that_refuses_is_said(bench: AuditBench, tmp_path: Path) -> None:
    bench.insert("trade", [trade(1, START)])
    (tmp_path / "binance").write_text("a file")

    code, _, said = export(bench, tmp_path, "--stream", "trade", "--to", "2026-03-11")

    assert (code, "cannot be written: " in said) == (ExitCode.INTERNAL, True), said


def test_a_wrong_command_line_writes_nothing(bench: AuditBench, tmp_path: Path) -> None:
    for arguments, said in (
        (("--stream", "gap"), "--stream must be one of"),
        (("--stream", "trade", "--to", DAY), "--from must be before --to"),
        (("--stream", "trade", "--interval", "1m"), "--interval goes with --stream kline"),
        (("--stream", "kline"), "name an --interval"),
        (("--stream", "trade", "--symbol", "NOSUCH"), "NOSUCH"),
    ):
        code, _, told = export(bench, tmp_path, *arguments)
        assert (code, said in told) == (ExitCode.USAGE, True), told
    assert list(tmp_path.iterdir()) == []
