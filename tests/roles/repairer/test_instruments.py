"""Instruments: how often they are asked for, what the table takes, and a ClickHouse that is away."""

import time
from pathlib import Path

import msgspec
import pytest
from eventually import eventually
from oracle import query
from roles.repairer.driven import Driven

from wsadapter.clickhouse import schema
from wsadapter.clickhouse.catalog import create_or_verify
from wsadapter.clickhouse.client import connect
from wsadapter.config.model import ClickHouseConfig
from wsadapter.exchanges.binance.usdm_rest import SYMBOLS, BinanceFuturesRest
from wsadapter.exchanges.rest_api import Instrument, Limit
from wsadapter.roles.repairer.instruments import EVERY_SECONDS, InstrumentPoll, InstrumentTable, lines

SYMBOL = {
    "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
    "marginAsset": "USDT", "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"},
                                       {"filterType": "LOT_SIZE", "stepSize": "0.001"}],
}  # fmt: skip
NS = 1_780_000_000_123_456_789


def answer(**changes: object) -> bytes:
    return msgspec.json.encode({"symbols": [{**SYMBOL, **changes}]})


def rows(at_ns: int = NS, **changes: object) -> list[Instrument]:
    return SYMBOLS.parse(answer(**changes), at_ns).instruments


def turned(table: InstrumentTable, now: float) -> tuple[int, int]:
    table.step(now)
    return table.rows, table.failures


def test_asked_at_the_start_and_every_hour() -> None:
    poll = InstrumentPoll("binance", BinanceFuturesRest(), lambda _: None)
    driven = Driven(poll)
    assert driven.at(5.0) is not None
    driven.answer(b"{}", NS)
    assert poll.errors == 1
    assert driven.at(6.0) is None
    assert driven.at(8.0) is not None
    assert driven.answer(answer(), NS) == []
    assert [row.symbol for row in poll.result or ()] == ["BTCUSDT"]
    assert driven.not_before == 8.0 + EVERY_SECONDS
    assert driven.at(8.0 + EVERY_SECONDS / 2) is None
    assert driven.at(8.0 + EVERY_SECONDS) is not None
    driven.refuse()
    assert driven.not_before == 8.0 + 2 * EVERY_SECONDS


def test_what_the_venue_allows_is_told() -> None:
    allowed: list[Limit] = []
    driven = Driven(InstrumentPoll("binance", BinanceFuturesRest(), allowed.append))
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
    assert driven.at(0.0) is not None
    driven.answer(msgspec.json.encode({"symbols": [SYMBOL], "rateLimits": [weight]}), NS)
    assert driven.at(EVERY_SECONDS) is not None
    driven.answer(answer(), NS)  # it does not say: what it said stays
    assert allowed == [Limit(1200, 60.0)]


def test_a_step_that_the_table_cannot_hold_is_left_out() -> None:
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.0000000000001"}, SYMBOL["filters"][1]]
    (line,) = map(msgspec.json.decode, lines(rows(filters=filters)).splitlines())
    assert (line["tick_size"], line["step_size"], line["time"]) == (None, "0.001", "1780000000.123456789")


def test_it_waits_for_a_server_that_is_away() -> None:
    table = InstrumentTable(ClickHouseConfig(url="http://127.0.0.1:1"))
    table.put("binance", rows())
    table.step(0.0)
    eventually(lambda: turned(table, 0.0) == (0, 1), 20)
    assert turned(table, 0.5) == (0, 1)
    eventually(lambda: turned(table, 1000.0) == (0, 2), 20)


@pytest.mark.integration
def test_the_newest_row_wins(clickhouse: str, tmp_path: Path) -> None:
    settings = ClickHouseConfig(url=clickhouse, database=f"ins{tmp_path.name[-4:]}x")
    client = connect(settings)
    create_or_verify(client, settings)
    table = InstrumentTable(settings)
    for at_ns, status in ((NS, "TRADING"), (NS + 1, "SETTLING"), (NS + 1, "SETTLING")):
        before = table.rows
        table.put("binance", rows(at_ns, status=status))
        eventually(lambda n=before: turned(table, time.monotonic())[0] > n, 30)  # type: ignore[misc]
    assert table.failures == 0
    found = query(clickhouse, f"SELECT * EXCEPT version FROM {settings.database}.{schema.INSTRUMENT} FINAL")
    assert found == [
        ["binance", "BTCUSDT", "SETTLING", "BTC", "USDT", "USDT", "1", "BTC", "0.1", "0.001",
         "BTC/USDT:USDT", "perpetual", "\\N", "\\N", "\\N", "2026-05-28 20:26:40.123456790"]
    ]  # fmt: skip
    client.command(f"DROP DATABASE {settings.database}")
    client.close()
