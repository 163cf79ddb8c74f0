"""The table's verdicts, the plots and the result lines of the benchmarks."""

import io
import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import crates, figures, frames, hops, results
from bench.plot import Bar, bars, lines, nice
from bench.processes import BenchFailed
from bench.report import MISSED, OPEN, REACHED, STRETCHED, Row, compared, markdown, show
from bench.rows import of_road
from bench.yardsticks import Yardsticks

FAST = {"cpu_us": 10.0, "per_s": 90_000.0, "roles": {"ingest": 4.0, "serializer": 5.0, "monitor": 1.0}}
SLOW = {"cpu_us": 20.0, "per_s": 45_000.0, "latency_ms": {"p50": 2.0, "p99": 9.0, "max": 30.0}}
NOTE = {"date": "2026-11-22T00:00:00Z", "commit": "abc<1>", "python": "3.11", "machine": "a & b", "quick": False}


@pytest.mark.parametrize(
    ("value", "more", "verdict"),
    [(0.9, False, STRETCHED), (1.4, False, REACHED), (1.6, False, MISSED), (None, False, OPEN), (1.6, True, STRETCHED),
     (1.0, True, MISSED)],
)  # fmt: skip
def test_verdict(value: float | None, more: bool, verdict: str) -> None:
    target, stretch = (1.2, 1.5) if more else (1.5, 1.2)
    assert Row("x", value, "x", target, stretch, more).verdict == verdict


def test_without_a_target_there_is_no_verdict() -> None:
    assert Row("x", 1.0, "us").verdict == OPEN


def test_ratio_is_the_median_of_rounds_and_shows_the_best_of_each() -> None:
    ours = [{"cpu_us": 10.0}, {"cpu_us": 12.0}, {"cpu_us": 60.0}]
    theirs = [{"cpu_us": 10.0}, {"cpu_us": 10.0}, {"cpu_us": 20.0}]
    row = compared("x", ours, theirs, "cpu_us", 1.5, 1.1)
    assert row.value == 1.2
    assert row.verdict == REACHED
    assert row.shown == "10 us : 10 us (1.00-3.00)"


def test_missing_yardstick_leaves_the_row_open() -> None:
    assert compared("x", [FAST], [], "cpu_us", 1.0).verdict == OPEN


def test_road_rows_carry_targets() -> None:
    slow = [{**SLOW, "latency_ms": {"p50": 2.5, "p99": 20.0, "max": 30.0}}]
    made = of_road({"ours": [FAST], "picows-proto-kafka": [SLOW], "2000/s linger 1": slow})
    verdicts = [row.verdict for row in made]
    assert verdicts == [STRETCHED, STRETCHED, *5 * [OPEN], OPEN, OPEN, MISSED, MISSED]


def test_rows_against_rust_carry_the_targets() -> None:
    rust = [{"cpu_us": 8.0, "per_s": 60_000.0}]
    found = {
        "ours": [FAST],
        "rust-kafka": rust,
        "2000/s linger 5": [SLOW],
        "rust-kafka 2000/s linger 5": [{"cpu_us": 18.0}],
    }
    verdicts = {row.what: (row.verdict, row.target, row.stretch) for row in of_road(found)}
    assert verdicts["whole road, blast: CPU/event against rust"] == (MISSED, 1.0, 0.6)
    assert verdicts["whole road, blast: events/s against rust"] == (REACHED, 1.3, 2)
    assert verdicts["  CPU/event against rust"] == (REACHED, 1.2, 0.7)
    assert verdicts["  CPU/event against limit (scan, own requests)"][0] == OPEN


def test_a_yardstick_in_rust_is_left_out_by_name_where_it_can_be_neither_run_nor_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crates, "BUILT", tmp_path)
    monkeypatch.setattr(frames, "peers", lambda: None)
    assert "its source" in Yardsticks(None).missing("rust-kafka")
    (tmp_path / "clients" / "limit").mkdir(parents=True)
    (tmp_path / "clients" / "limit" / "Cargo.toml").write_text("")
    monkeypatch.setattr(frames, "peers", lambda: tmp_path)
    monkeypatch.setenv("PATH", "")
    assert Yardsticks(None).missing("limit-scan") == "limit: needs cargo"
    crates.program("limit").parent.mkdir(parents=True)
    crates.program("limit").touch()
    assert Yardsticks(None).missing("limit-scan") == ""


def test_a_crate_that_cannot_be_built_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = tmp_path / "bin" / "cargo"
    cargo.parent.mkdir()
    cargo.write_text("#!/bin/sh\necho compiling >&2\necho 'error: no such thing' >&2\nexit 101\n")
    cargo.chmod(0o755)
    (tmp_path / "clients" / "rust").mkdir(parents=True)
    monkeypatch.setattr(crates, "BUILT", tmp_path / "built")
    monkeypatch.setattr(frames, "peers", lambda: tmp_path)
    monkeypatch.setenv("PATH", f"{cargo.parent}:{os.environ['PATH']}")
    with pytest.raises(BenchFailed, match="rust: cargo cannot build it: error: no such thing"):
        crates.build("rust")


def test_table_and_notes() -> None:
    out = io.StringIO()
    show(Console(file=out, width=140), [Row("a row", 1.25, "x", 1.5)], ["a client: not there"], "title")
    assert "a row" in out.getvalue()
    assert "1.25x" in out.getvalue()
    assert "a client: not there" in out.getvalue()
    assert "| a row | 1.25x |" in markdown([Row("a row", 1.25, "x", 1.5)])


def test_bars_are_svg_and_escape_text() -> None:
    svg = bars(
        "a < b", "us", {"group & co": [Bar("ours", {"one": 1.0, "two": 2.0}, True), Bar("it", {"it": 6.0}, False)]}
    )
    root = ElementTree.fromstring(svg)
    rects = root.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(rect.attrib["width"]) for rect in rects[:3]]
    assert widths[2] == pytest.approx(2 * (widths[0] + widths[1]), rel=0.01)
    assert "a &lt; b" in svg


def test_lines_are_svg_with_a_point_for_each_value() -> None:
    svg = lines("t", "x", "y", [1, 2, 4], {"all": [10.0, 12.0, 19.0], "part": [5.0, 6.0, 7.0]})
    assert len(ElementTree.fromstring(svg).findall("{http://www.w3.org/2000/svg}circle")) == 6


@pytest.mark.parametrize("value", [0.03, 0.9, 1.0, 7.2, 19.0, 99.0, 1234.0])
def test_axis_holds_its_values(value: float) -> None:
    assert value <= nice(value) <= 2 * value


def test_plots_of_what_was_measured(tmp_path: Path) -> None:
    point = {"connections": 1, "cpu_us": 50.0, "roles": {"ingest": 20.0, "serializer": 25.0}}
    found = {
        "road": {"ours": [FAST], "picows-proto-kafka": [SLOW]},
        "connections": {"points": [point, {**point, "connections": 2}]},
    }
    written = figures.write(tmp_path, found, NOTE)
    assert [path.name for path in written] == ["bench-cpu.svg", "bench-connections.svg"]
    for path in written:
        ElementTree.parse(path)
    assert figures.write(tmp_path, {}, NOTE) == []


def test_result_lines_are_appended(tmp_path: Path) -> None:
    run = results.circumstances(quick=True)
    for value in (1.23456789, 2.0):
        results.append(tmp_path / "results", "road", run, {"cpu_us": value, "runs": [{"per_s": 12345.678}]})
    found = [json.loads(line) for line in (tmp_path / "results" / "road.jsonl").read_text().splitlines()]
    assert [line["cpu_us"] for line in found] == [1.235, 2.0]
    assert found[0]["runs"] == [{"per_s": 12346}]
    assert {"commit", "versions", "machine", "date", "python", "quick"} <= found[0].keys()


def test_document_gets_the_tables_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{hops.BEGIN}\nold\n{hops.END}\nafter\n")
    costs = {"receive": 5.0, "bare": 2.0, "encode": 0.5, "publish": 0.9, "build": 6.0}
    found: dict[str, dict[str, Any]] = {
        "micro": {"codec_us": {"all": costs}, "ring": {"put_us": 0.4, "poll_us": 0.3}},
        "ingest": {"ours": [{"cpu_us": 7.0}, {"cpu_us": 9.0}]},
        "consumer": {"serializer": [{"cpu_us": 1.5}], "ours": [{"cpu_us": 2.6}]},
        "serializer": {"bare": {"cpu_us": 2.7}},
    }
    run = {**NOTE, "load": 0.1, "versions": {"picows": "2.3"}}
    assert hops.write(path, found, [Row("a row", 1.25, "x", 1.5)], run)
    text = path.read_text()
    assert text.startswith(f"before\n{hops.BEGIN}\n2026-11-22")
    assert text.endswith(f"{hops.END}\nafter\n")
    assert "| ingest: socket, framing, session, dispatch | 1.10 |" in text
    assert "| serializer: ring to the broker's acknowledgement | 1.50 |" in text
    assert "| -" not in text.replace("|---", ""), "no part costs less than nothing"
    assert "old" not in text

    slow = {**found, "ingest": {"ours": [{"cpu_us": 5.0}]}}
    assert "dispatch" not in next(what for what, _, _ in hops.hops(slow))
    assert not hops.write(tmp_path / "absent.md", found, [], run)
