"""What a soak says of samples whose answer is known: slopes, lives, leaks, and a table that fits a terminal."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chaos import soak_report
from chaos.soak_samples import Sample, Surroundings, fields, read, write_csv

HOURS_2 = 7200.0


def life(
    role: str, mb_per_hour: float, *, pid: int = 1, begin: int = 0, end: int = 7200, leak: int = 0
) -> list[Sample]:
    """A sample a minute; half as much again in the first half hour, and a descriptor more every ``leak`` samples."""
    return [
        Sample(
            float(second),
            role,
            pid,
            int(1024 * (20 + mb_per_hour * second / 3600)) + (9000 * (1800 - second) // -1800 if second < 1800 else 0),
            0,
            10 + ((second // 60) // leak if leak else second // 60 % 3),
            1,
        )
        for second in range(begin, end, 60)
    ]


@pytest.mark.parametrize(("slope", "grows"), [(0.0, False), (0.9, False), (1.1, True), (-3.0, False), (12.0, True)])
def test_the_slope_is_that_after_the_first_half_hour(slope: float, grows: bool) -> None:
    (row,) = soak_report.rows(life("ingest", slope), HOURS_2)
    assert row.slope == pytest.approx(slope, abs=0.02)
    assert row.grows is grows
    assert not row.leaks_descriptors
    assert 88 < row.minutes < 91


def test_the_longest_life_counts_and_begins_anew() -> None:
    found = soak_report.rows(
        [*life("monitor", 0.0, pid=1, end=2000), *life("monitor", 5.0, pid=2, begin=2040)], HOURS_2
    )
    (row,) = found
    assert row.grows
    assert row.slope == pytest.approx(5.0, abs=0.02)
    assert row.minutes == pytest.approx((7140 - 2640) / 60)


def test_a_life_too_short_for_a_slope_is_not_judged() -> None:
    (row,) = soak_report.rows(life("monitor", 50.0, begin=6600), HOURS_2)
    assert row.slope is None
    assert not row.grows


def test_a_leaked_descriptor_is_seen_and_a_rotation_is_none() -> None:
    leaking, steady = soak_report.rows([*life("a", 0.0, leak=20), *life("b", 0.0)], HOURS_2)
    assert leaking.leaks_descriptors
    assert not steady.leaks_descriptors


def test_a_stand_in_is_shown_and_not_judged() -> None:
    made = [Sample(one.second, "kafka", 7, one.private_kib, 0, 10, 1, judged=False) for one in life("kafka", 90.0)]
    (row,) = soak_report.rows(made, HOURS_2)
    assert not row.grows
    assert "kafka *" in soak_report.table([row])


def test_segments_are_counted_when_it_has_settled() -> None:
    around = [Surroundings(float(second), 9 if second < 1800 else 12, 0, 0, 1.0) for second in range(0, 7200, 60)]
    assert soak_report.constant(around, HOURS_2) == (12, 12)
    leaking = [Surroundings(one.second, int(12 + one.second // 2000), 0, 0, 1.0) for one in around]
    first, last = soak_report.constant(leaking, HOURS_2)
    assert last > first


def test_the_table_fits_80_columns_and_the_plot_is_xml() -> None:
    samples = [*life("fut-market-0-with-a-long-name", 0.123456), *life("consumer-0", 123.0)]
    said = soak_report.table(soak_report.rows(samples, HOURS_2))
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "+123.00" in said
    assert len(ElementTree.fromstring(soak_report.plot(samples)).findall("{*}polyline")) == 2


def test_a_process_is_read_from_proc() -> None:
    held = bytearray(os.urandom(8 << 20))
    (here,) = read(0.0, "test", os.getpid())
    assert here.private_kib > len(held) // 1024
    assert here.descriptors >= 3
    assert here.threads >= 1
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert list(read(0.0, "gone", ended.pid)) == []
    assert fields("Rss:  12 kB\n7f00-7fff ---p [rollup]\nName: x\n") == {"Rss": 12}


def test_the_csv_has_a_line_each_process_and_one_for_the_whole(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", life("a", 0.0, end=180), [Surroundings(0.0, 12, 5, 100, 1.5)])
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [row["role"] for row in rows] == ["a", "a", "a", "-"]
    assert rows[-1]["segments"] == "12"
    assert rows[0]["segments"] == ""
