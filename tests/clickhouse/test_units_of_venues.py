"""Every venue's own words about its contracts, as its stand-in says them: quantities in coins, and what was paid."""

from decimal import Decimal

import pytest
from clickhouse.table_bench import TableBench, message
from conformance.pair import MS, Pair
from conformance.test_rest_conformance import answer, rest_of
from exchanges.driving import drive
from msgspec import structs
from samples import full

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.events import Trade
from wsadapter.exchanges.rest_api import Instrument
from wsadapter.roles.repairer.instruments import lines

pytestmark = pytest.mark.integration
DOLLARS = {
    ("binance_coinm", "BTC"): 100, ("binance_coinm", "ETH"): 10, ("bybit_inverse", "BTC"): 1,
    ("bybit_inverse", "ETH"): 1, ("deribit", "BTC"): 1, ("deribit", "ETH"): 1,
}  # fmt: skip
"""In one of an inverse contract: how many coins that is depends on the price."""
COINS = {"okx": Decimal("0.01"), "gate": Decimal("0.01")}
"""In one of what the venue counts, where that is not coins."""
PRICE, QUANTITY = Decimal("50000.5"), Decimal(3)


def listed(exchange: str) -> list[Instrument]:
    pair = Pair(exchange)
    everything, _ = drive(rest_of(pair).instruments(), answer(pair), pair.now_ms * MS)  # type: ignore[arg-type]
    found: list[Instrument] = everything.instruments  # type: ignore[attr-defined]
    return found


def test_of_every_venue(bench: TableBench) -> None:
    model = next(event for event in full() if isinstance(event, Trade))
    instruments = [one for exchange in STAND_INS for one in listed(exchange)]
    trades = [
        structs.replace(
            model, exchange=one.exchange, symbol=one.symbol, price=str(PRICE), quantity=str(QUANTITY), trade_id="1"
        )
        for one in instruments
    ]
    table = f"{bench.settings.database}.instrument"
    bench.client.raw_insert(table, insert_block=lines(instruments), fmt="JSONEachRow")
    bench.insert("trade", [message(trade, 1, n) for n, trade in enumerate(trades)])

    rows = bench.sql(
        "SELECT exchange, base_currency, quote_currency, canonical, toString(base_quantity), toString(notional) "
        "FROM {db}.trade_base"
    )
    assert {row[0] for row in rows} == {*STAND_INS}
    assert len(rows) == len(instruments)
    for exchange, base, quote, canonical, coins, paid in rows:
        assert canonical.startswith(f"{base}/{quote}")
        if dollars := DOLLARS.get((exchange, base)):
            assert (coins, Decimal(paid)) == (None, dollars * QUANTITY), exchange
        else:
            factor = COINS.get(exchange, Decimal(1))
            assert (Decimal(coins), Decimal(paid)) == (factor * QUANTITY, factor * QUANTITY * PRICE), exchange
