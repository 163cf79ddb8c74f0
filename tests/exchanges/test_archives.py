"""A venue's files: what their names say, and that what is in them has a table to go to."""

import pytest

from wsadapter.exchanges import REGISTRY, load_archive
from wsadapter.exchanges.binance.archives import SPOT, USD_M
from wsadapter.exchanges.bybit_archives import DERIVATIVES

SECOND = 10**9
OCTOBER = 1_790_812_800 * SECOND
NOVEMBER = 1_793_491_200 * SECOND


@pytest.mark.parametrize(
    ("name", "stream", "symbol", "interval", "span"),
    [
        ("BTCUSDT-1m-2026-10.zip", "kline", "BTCUSDT", "1m", (OCTOBER, NOVEMBER)),
        ("BTCUSDT-1mo-2026-10.zip", "kline", "BTCUSDT", "1M", (OCTOBER, NOVEMBER)),
        ("BTCUSDT-1s-2026-10.csv", "kline", "BTCUSDT", "1s", (OCTOBER, NOVEMBER)),
        ("BTCUSD_PERP-aggTrades-2026-10.zip", "trade", "BTCUSD_PERP", "", (OCTOBER, NOVEMBER)),
        ("1000SHIBUSDT-trades-2026-10-01.zip", "raw_trade", "1000SHIBUSDT", "", (OCTOBER, OCTOBER + 86_400 * SECOND)),
        ("BTCUSDT-bookTicker-2026-10-01.csv.gz", "book_ticker", "BTCUSDT", "", (OCTOBER, OCTOBER + 86_400 * SECOND)),
    ],
)
def test_a_name_says_what_is_in_it(name: str, stream: str, symbol: str, interval: str, span: tuple[int, int]) -> None:
    named = USD_M.named(name)

    assert named is not None
    form = USD_M.format(named.word)
    assert form is not None
    assert (form.stream, named.symbol, named.interval, named.span) == (stream, symbol, interval, span)


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT-1m-2026-13.zip", "BTCUSDT-7m-2026-10.zip", "BTCUSDT-metrics-2026-10-01.zip", "BTCUSDT.zip", "a.CHECKSUM"],
)
def test_other_names_say_nothing(name: str) -> None:
    assert USD_M.named(name) is None


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT2026-10-01.csv.gz", "BTCUSDT"),
        ("BTC-14MAR262026-10-01.csv", "BTC-14MAR26"),
        ("BTCUSDT-2026-10.csv.gz", ""),
    ],
)
def test_a_name_of_bybit_has_its_day_at_the_end(name: str, symbol: str) -> None:
    named = DERIVATIVES.named(name)

    assert (named.symbol if named else "") == symbol
    if named:
        assert (named.word, named.interval, named.span) == ("", "", (OCTOBER, OCTOBER + 86_400 * SECOND))


def test_spot_publishes_no_best_prices() -> None:
    assert SPOT.named("BTCUSDT-bookTicker-2026-10-01.zip") is None


def test_every_venue_says_whether_its_files_are_known() -> None:
    known = {exchange for exchange in REGISTRY if load_archive(exchange) is not None}

    assert known == {"binance", "binance_coinm", "binance_spot", "bybit", "bybit_inverse"}
    assert "kraken" not in known


def test_each_kind_of_file_has_an_inbox_for_its_rows() -> None:
    archives = [archive for exchange in REGISTRY if (archive := load_archive(exchange)) is not None]

    assert archives
    for form in (form for archive in archives for form in archive.formats):
        fields = {field for column in form.columns for field in column.fields} | form.constants.keys()
        assert form.spec.archived
        assert fields <= set(form.spec.event.__struct_fields__)
