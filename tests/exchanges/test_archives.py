"""A venue's files: what their names say, what their lines become, and what is refused, with its reason."""

import pytest

from wsadapter.exchanges import REGISTRY, load_archive
from wsadapter.exchanges.archives import Archive, Lines, Refused
from wsadapter.exchanges.binance.archives import COIN_M, SPOT, USD_M

SECOND = 10**9
OCTOBER = 1_790_812_800 * SECOND
NOVEMBER = 1_793_491_200 * SECOND


def lines(archive: Archive, stream: str) -> Lines:
    form = archive.format(stream=stream)
    assert form is not None
    return Lines(form, {"exchange": "x"})


def converted(archive: Archive, stream: str, line: bytes) -> dict[str, str]:
    """The fields of one row."""
    made = lines(archive, stream)
    body, rows, refused = made.convert(line + b"\n", 1)
    assert (rows, refused) == (1, [])
    return dict(zip(made.fields, body.decode().rstrip("\n").split(","), strict=True))


def reasons(archive: Archive, stream: str, text: bytes) -> list[Refused]:
    return lines(archive, stream).convert(text, 1)[2]


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


def test_spot_publishes_no_best_prices() -> None:
    assert SPOT.named("BTCUSDT-bookTicker-2026-10-01.zip") is None


def test_every_venue_says_whether_its_files_are_known() -> None:
    known = {exchange for exchange in REGISTRY if load_archive(exchange) is not None}

    assert {"binance", "binance_coinm", "binance_spot"} <= known
    assert "kraken" not in known


# the lines are those of the venue's description of its files


def test_lines_of_spot_before_and_in_microseconds() -> None:
    old = converted(SPOT, "trade", b"0,0.20000000,50.00000000,0,0,1608872400000,False,True")
    assert old["trade_id"] == old["trade_number"] == "0"
    assert (old["price"], old["quantity"], old["buyer_is_maker"]) == ("0.20000000", "50.00000000", "False")
    assert (old["transaction_time_ns"], old["aggregated"]) == ("1608872400000000000", "1")

    new = converted(SPOT, "trade", b"3358804203,93548.8,0.00005,4359080523,4359080523,1735689600123456,True,True")
    assert new["transaction_time_ns"] == "1735689600123456000"


def test_a_candle_closes_with_its_millisecond_as_a_live_one_does() -> None:
    old = converted(
        SPOT,
        "kline",
        b"1601510340000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1601510399999,2240.39860900,13,"
        b"401.82000000,1669.98121300,0",
    )
    assert (old["open_time_ns"], old["close_time_ns"]) == ("1601510340000000000", "1601510399999000000")
    assert (old["quote_volume"], old["taker_buy_quote_volume"]) == ("2240.39860900", "1669.98121300")
    assert (old["trade_count"], old["closed"]) == ("13", "1")

    new = converted(SPOT, "kline", b"1735689600000000,1,2,1,2,3,1735689659999999,6,7,8,9,0")
    assert (new["open_time_ns"], new["close_time_ns"]) == ("1735689600000000000", "1735689659999000000")


def test_what_coin_m_calls_turnover_is_of_the_coin_and_no_quote_volume() -> None:
    row = converted(
        COIN_M, "kline", b"1591258320000,9640.7,9642.4,9640.6,9642.0,206,1591258379999,2.13660389,48,119,1.23424865,0"
    )

    assert (row["volume"], row["trade_count"], row["taker_buy_volume"]) == ("206", "48", "119")
    assert not {"quote_volume", "taker_buy_quote_volume"} & row.keys()


def test_raw_trades_and_best_prices() -> None:
    raw = converted(USD_M, "raw_trade", b"28457,4.00000100,12.00000000,48.00,1499865549590,true")
    assert (raw["trade_id"], raw["trade_number"], raw["aggregated"]) == ("28457", "28457", "0")
    assert (raw["price"], raw["quantity"], raw["buyer_is_maker"]) == ("4.00000100", "12.00000000", "true")

    best = converted(USD_M, "book_ticker", b"2,8.1,3.5,8.2,4,1700000000001,1700000000003")
    assert (best["transaction_time_ns"], best["event_time_ns"]) == ("1700000000001000000", "1700000000003000000")
    assert [best[name] for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")] == [
        "8.1", "3.5", "8.2", "4",
    ]  # fmt: skip


def test_numbers_that_are_none_are_absent() -> None:
    row = converted(SPOT, "trade", b"7,0.1,2,-1,-1,1608872400000,True,True")

    assert (row["first_trade_id"], row["last_trade_id"]) == (r"\N", r"\N")


def test_a_line_that_is_no_row_is_refused_and_the_others_are_taken() -> None:
    text = (
        b"1,2.5,3,4,4,1764115200000,true\n"
        b"2,2e5,3,4,4,1764115200000,true\n"
        b"3,2.5,3,4,4,1764115200000\n"
        b"x4,2.5,3,4,4,1764115200000,true\n"
        b"5,2.5,3,4,4,17641152000,true\n"
        b"6,2.5,3,4,4,1764115200000,maybe\n"
        b"7,2.0000000000001,3,4,4,1764115200000,true\n"
        b"8,2.50000000000000,3,4,4,1764115200000,true\r\n"
        b"9,2.5,3,4,4,17641152"
    )
    made = lines(USD_M, "trade")

    body, rows, refused = made.convert(text, 10)

    assert rows == 2, "zeros at the end change no value"
    assert [line.split(b",")[0] for line in body.splitlines()] == [b"1", b"8"]
    assert [(one.line, one.reason.partition(":")[0]) for one in refused] == [
        (11, "price"), (12, "6 columns, and not 7"), (13, "agg_trade_id"), (14, "transact_time"),
        (15, "is_buyer_maker"), (16, "price"), (18, "the last line has no end"),
    ]  # fmt: skip
    assert "'2e5' is no plain decimal" in refused[0].reason


def test_times_of_two_units_in_one_line_are_refused() -> None:
    (refused,) = reasons(USD_M, "book_ticker", b"2,8.1,3.5,8.2,4,1700000000001,1700000000003000\n")

    assert refused.reason == "its times are of different units"


def test_a_header_is_checked() -> None:
    made = lines(USD_M, "trade")
    header = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\r\n"

    assert made.is_header(header)
    assert made.header_error(header) == ""
    assert "its header is price," in made.header_error(header.replace(b"agg_trade_id,price", b"price,agg_trade_id"))
    assert not made.is_header(b"1,2.5")
