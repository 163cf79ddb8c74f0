"""``ohlcv(...)``: bars of any length from trades, exact, in the venue's order, each trade once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from clickhouse_connect.driver.exceptions import DatabaseError
from msgspec import structs
from samples import full

from wsadapter.events import Trade
from wsadapter.exchanges.rest_api import Instrument
from wsadapter.roles.repairer.instruments import lines

pytestmark = pytest.mark.integration

SECOND = 10**9
NOON = 1_790_000_100 * SECOND
"""The first moment of five minutes."""
MODEL = next(event for event in full() if isinstance(event, Trade))
COIN = Instrument(
    "binance", "BTCUSDT", NOON, "TRADING", "PERPETUAL", "BTC", "USDT", "USDT", "1", "BTC", None, None, None, None, None,
    None, None, kind="perpetual",
)  # fmt: skip


@pytest.fixture(scope="module")
def created(clickhouse: str) -> Iterator[TableBench]:
    made = TableBench(clickhouse).create()
    yield made
    made.close()


@pytest.fixture
def bench(created: TableBench) -> TableBench:
    return created.clear()


def trade(
    number: int | None, at_ns: int, price: str, quantity: str = "1", *, symbol: str = "BTCUSDT", bought: bool = True,
    aggregated: bool = True, single: int = 1, trade_id: str = "",
) -> Trade:  # fmt: skip
    first = None if number is None else 10 * number
    return structs.replace(
        MODEL, symbol=symbol, event_time_ns=None, transaction_time_ns=at_ns, trade_id=trade_id or str(number),
        trade_number=number, price=price, quantity=quantity, buyer_is_maker=not bought, aggregated=aggregated,
        first_trade_id=first, last_trade_id=None if first is None else first + single - 1,
    )  # fmt: skip


def instruments(bench: TableBench, *some: Instrument) -> None:
    bench.client.raw_insert(f"{bench.settings.database}.instrument", insert_block=lines(some), fmt="JSONEachRow")


def bars(bench: TableBench, columns: str, *, seconds: int = 60, minutes: int = 60, symbol: str = "BTCUSDT") -> Any:
    begin, end = (f"fromUnixTimestamp64Nano(toInt64({at}), 'UTC')" for at in (NOON, NOON + minutes * 60 * SECOND))
    texts = ", ".join(f"toString({column})" for column in columns.split())
    return bench.sql(
        f"SELECT {texts} FROM {{db}}.ohlcv(exchange='binance', symbol='{symbol}', interval_seconds={seconds}, "
        f"from={begin}, to={end})"
    )


def test_several_trades_of_one_millisecond_are_in_the_order_of_their_numbers(bench: TableBench) -> None:
    """Received in another order: the lowest number is the first. By time alone any of them may be."""
    at = NOON, NOON, NOON, NOON + 59 * SECOND, NOON + 59 * SECOND, NOON + 59 * SECOND
    prices = ["12", "10", "15", "9", "11", "10.5"]
    made = [trade(100 + n, at_ns, price) for n, (at_ns, price) in enumerate(zip(at, prices, strict=True))]
    bench.events(*(made[n] for n in (1, 2, 0, 5, 3, 4)))

    assert bars(bench, "open high low close volume row_count") == [["12", "15", "9", "10.5", "6", "6"]]


def test_where_the_venue_gives_no_number_the_order_of_receipt_counts(bench: TableBench) -> None:
    bench.events(*(trade(None, NOON, price, trade_id=word) for price, word in zip("321", "bca", strict=True)))

    assert bars(bench, "open close trade_count") == [["3", "1", "3"]]


def test_each_trade_counts_once(bench: TableBench) -> None:
    bench.command("SYSTEM STOP MERGES {db}.trade")
    once = [trade(n, NOON + n * SECOND, "10", "2") for n in range(1, 4)]
    bench.events(*once, *(structs.replace(one, connection="repair") for one in once))
    bench.command("SYSTEM START MERGES {db}.trade")

    assert bars(bench, "volume row_count") == [["6", "3"]]


def test_any_length_and_half_open_ranges(bench: TableBench) -> None:
    bench.events(*(trade(n, NOON + n * 30 * SECOND, str(n)) for n in range(1, 120)))

    assert len(bars(bench, "open_time", minutes=10)) == 10
    assert bars(bench, "open close row_count", seconds=300, minutes=5) == [["1", "9", "9"]]
    found = bars(bench, "toUnixTimestamp(open_time) row_count", seconds=7, minutes=2)
    began = [(NOON // SECOND + after) // 7 * 7 for after in (30, 60, 90)]
    assert found == [[str(at), "1"] for at in began], "they begin at multiples of their length since 1970"
    with pytest.raises(DatabaseError):
        bars(bench, "open", seconds=0)


def test_aggregated_trades_and_single_ones_are_not_added_up(bench: TableBench) -> None:
    bench.events(
        trade(7, NOON, "10", "3", single=2),
        *(trade(70 + n, NOON, "10", quantity, aggregated=False) for n, quantity in enumerate("12")),
        trade(72, NOON + 60 * SECOND, "10", "5", aggregated=False),
    )

    assert bars(bench, "volume trade_count row_count aggregated") == [["3", "2", "1", "true"], ["5", "1", "1", "false"]]


def test_sums_that_a_decimal_of_38_digits_does_not_hold(bench: TableBench) -> None:
    """``quantity * price`` of the table's own type ends at 1e14."""
    instruments(bench, COIN)
    bench.events(
        trade(1, NOON, "123456789.000000000001", "1000000000000.000000000001"), trade(2, NOON, "1", "0.5", bought=False)
    )

    ((volume, bought, notional, paid),) = bars(bench, "volume taker_buy_volume notional taker_buy_notional")
    assert (volume, bought) == ("1000000000000.500000000001", "1000000000000.000000000001")
    assert (notional, paid) == (
        "123456789000000000001.500123456789000000000001", "123456789000000000001.000123456789000000000001"
    )  # fmt: skip


def test_what_was_paid_is_in_the_quote_currency_or_not_known(bench: TableBench) -> None:
    linear = structs.replace(COIN, symbol="LINEAR", contract_size="0.0001", multiplier="10")
    inverse = structs.replace(
        COIN, symbol="INVERSE", margin_asset="BTC", quote_asset="USD", contract_size="100", contract_currency="USD"
    )
    instruments(bench, COIN, linear, inverse)
    symbols = ("BTCUSDT", "LINEAR", "INVERSE", "UNLISTED")
    bench.events(*(trade(n, NOON, "50000", "3", symbol=symbol) for n, symbol in enumerate(symbols, 1)))

    paid = [bars(bench, "notional", symbol=symbol)[0][0] for symbol in symbols]
    assert paid == ["150000", "150", "300", None]
    assert bench.sql("SELECT symbol, toString(notional) FROM {db}.trade_base ORDER BY price, symbol") == sorted(
        map(list, zip(symbols, paid, strict=True))
    )


def test_it_reads_only_the_time_that_is_asked_for(bench: TableBench) -> None:
    bench.events(trade(1, NOON, "1"))
    plan = bench.sql(
        "EXPLAIN indexes = 1, json = 1 SELECT * FROM {db}.ohlcv(exchange='binance', symbol='BTCUSDT', "
        "interval_seconds=60, from='2026-01-01', to='2026-12-02')"
    )
    text = json.dumps(plan)
    for name in ("exchange", "symbol", "time"):
        assert f'\\"{name}\\"' in text.partition("PrimaryKey")[2], name
