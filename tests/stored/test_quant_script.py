"""The script of docs/reading-clickhouse.md runs, on a database of the default name; the demo's has it, too (road)."""

import time
from collections.abc import Iterator

import pytest
from clickhouse.table_bench import TableBench
from stored.quant_script import quant_script
from stored.recordings import MINUTE, SECOND, candle, coverage, gap, record, trade

pytestmark = pytest.mark.integration


@pytest.fixture
def market(clickhouse: str) -> Iterator[TableBench]:
    bench = TableBench(clickhouse, database="market").create()
    yield bench
    bench.close()


def test_the_script_says_what_is_missing(market: TableBench, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time_ns() // MINUTE * MINUTE
    begin = now - 65 * MINUTE
    record(market, [candle(begin + minute * MINUTE, f"{61800 + minute % 7}") for minute in range(65)])
    record(market, [trade(number, begin + number * 10 * SECOND) for number in range(390)])
    record(market, [coverage("kline", begin, time.time_ns(), "1m"), coverage("trade", begin, time.time_ns())])
    record(market, [gap(now - 5 * MINUTE, now - 4 * MINUTE)])

    exec(quant_script(market.settings.url), {})

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["complete []", "incomplete [('disconnect', 60.0)]"]
    assert lines[2].startswith("correlation of returns and order flow: ")
