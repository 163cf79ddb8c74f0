"""Lines of a venue's files: what they become, in C and in Python, and what is refused, with its reason."""

import random
from decimal import Decimal

import pytest
from archives.native_blocks import read_block
from hypothesis import given
from hypothesis import strategies as st

from wsadapter import native
from wsadapter.archives.columns import TEXTS, VALUES, ColumnLayout, columns_of, in_python
from wsadapter.archives.lines import Lines, Refused
from wsadapter.exchanges.archives import Archive, Kind
from wsadapter.exchanges.binance.archives import COIN_M, SPOT, USD_M
from wsadapter.exchanges.bybit_archives import DERIVATIVES

EXTENSION = native.extension
built = pytest.mark.skipif(EXTENSION is None, reason="the C extension is not built, or not wanted")


@pytest.fixture(autouse=True, params=[pytest.param("c", marks=built), "python"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(native, "extension", None)


def lines(archive: Archive, stream: str) -> Lines:
    form = archive.format(stream=stream)
    assert form is not None
    return Lines(form, {"exchange": "x"})


def converted(archive: Archive, stream: str, line: bytes) -> dict[str, object]:
    """The fields of one row."""
    made = lines(archive, stream)
    body, rows, refused = made.convert(line + b"\n", 1)
    assert (rows, refused) == (1, [])
    block = read_block(body)
    assert tuple(block) == made.fields
    return {name: values[0] for name, values in block.items()}


def reasons(archive: Archive, stream: str, text: bytes) -> list[Refused]:
    return lines(archive, stream).convert(text, 1)[2]


# the lines are those of the venue's description of its files


def test_lines_of_spot_before_and_in_microseconds() -> None:
    old = converted(SPOT, "trade", b"0,0.20000000,50.00000000,0,0,1608872400000,False,True")
    assert (old["trade_id"], old["trade_number"], old["exchange"]) == ("0", 0, "x")
    assert (old["price"], old["quantity"], old["buyer_is_maker"]) == (Decimal("0.2"), 50, False)
    assert (old["transaction_time_ns"], old["aggregated"]) == (1608872400000000000, True)

    new = converted(SPOT, "trade", b"3358804203,93548.8,0.00005,4359080523,4359080523,1735689600123456,True,True")
    assert new["transaction_time_ns"] == 1735689600123456000


def test_a_candle_closes_with_its_millisecond_as_a_live_one_does() -> None:
    old = converted(
        SPOT,
        "kline",
        b"1601510340000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1601510399999,2240.39860900,13,"
        b"401.82000000,1669.98121300,0",
    )
    assert (old["open_time_ns"], old["close_time_ns"]) == (1601510340000000000, 1601510399999000000)
    assert (old["quote_volume"], old["taker_buy_quote_volume"]) == (Decimal("2240.398609"), Decimal("1669.981213"))
    assert (old["trade_count"], old["closed"]) == (13, True)

    new = converted(SPOT, "kline", b"1735689600000000,1,2,1,2,3,1735689659999999,6,7,8,9,0")
    assert (new["open_time_ns"], new["close_time_ns"]) == (1735689600000000000, 1735689659999000000)


def test_what_coin_m_calls_turnover_is_of_the_coin_and_no_quote_volume() -> None:
    row = converted(
        COIN_M, "kline", b"1591258320000,9640.7,9642.4,9640.6,9642.0,206,1591258379999,2.13660389,48,119,1.23424865,0"
    )

    assert (row["volume"], row["trade_count"], row["taker_buy_volume"]) == (206, 48, 119)
    assert not {"quote_volume", "taker_buy_quote_volume"} & row.keys()


def test_raw_trades_and_best_prices() -> None:
    raw = converted(USD_M, "raw_trade", b"28457,4.00000100,12.00000000,48.00,1499865549590,true")
    assert (raw["trade_id"], raw["trade_number"], raw["aggregated"]) == ("28457", 28457, False)
    assert (raw["price"], raw["quantity"], raw["buyer_is_maker"]) == (Decimal("4.000001"), 12, True)

    best = converted(USD_M, "book_ticker", b"2,8.1,3.5,8.2,4,1700000000001,1700000000003")
    assert (best["transaction_time_ns"], best["event_time_ns"]) == (1700000000001000000, 1700000000003000000)
    assert [best[name] for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")] == [
        Decimal("8.1"), Decimal("3.5"), Decimal("8.2"), 4,
    ]  # fmt: skip


USD_M_CANDLE = b"1795651200000,97000.1,97001,96999,97000,1.5,1795651259999,145500,10,1,97000,0\n"


def test_what_the_files_of_another_market_are_like_is_refused() -> None:
    """Those of spot have no header, and microseconds from 2025 on; those of futures have none of these."""
    header = lines(USD_M, "kline").header.encode()
    assert lines(USD_M, "kline").header_error(header) == ""
    assert lines(SPOT, "kline").header_error(header) == "it has a header, which the venue's files of this kind do not"
    spot = b"1735689600000000,1,2,1,2,3,1735689659999999,6,7,8,9,0\n"
    before = b"x\n1735689540000,1,2,1,2,3,1735689599999,6,7,8,9,0\n"
    milli, micro = (f"its times are {unit}s, which the venue's files of then do not have" for unit in (
        "millisecond", "microsecond",
    ))  # fmt: skip
    for archive, text, error in (
        (USD_M, USD_M_CANDLE, ""), (USD_M, spot, micro), (USD_M, before, ""), (COIN_M, spot, micro),
        (SPOT, USD_M_CANDLE, milli), (SPOT, b"x\n" + USD_M_CANDLE, milli), (SPOT, spot, ""), (SPOT, before, ""),
        (SPOT, b"x\n", ""),
    ):  # fmt: skip
        assert lines(archive, "kline").unit_error(text) == error, text


def test_a_candle_of_another_length_is_refused() -> None:
    form = USD_M.format(stream="kline")
    assert form is not None
    minute, hour = (Lines(form, {"interval": interval}) for interval in ("1m", "1h"))
    one_hour = USD_M_CANDLE.replace(b"1795651259999", b"1795654799999")
    text = USD_M_CANDLE + b"x\n" + one_hour + USD_M_CANDLE

    body, rows, refused = minute.convert(text, 10)
    assert (rows, len(read_block(body)["open_time_ns"])) == (2, 2)
    assert [(one.line, one.reason.partition(":")[0]) for one in refused] == [
        (11, "1 columns, and not 12"), (12, "its candle is not one of 1m"),
    ]  # fmt: skip
    body, rows, refused = hour.convert(text, 1)
    assert (rows, [one.line for one in refused]) == (1, [1, 2, 4])
    assert len(list(hour.rows(text))) == 1
    assert [len(found) for found in hour.messages(text)] == [1, 1]
    month = Lines(form, {"interval": "1M"})
    november = USD_M_CANDLE.replace(b"1795651200000", b"1793491200000").replace(b"1795651259999", b"1796083199999")
    assert month.convert(november + USD_M_CANDLE, 1)[1] == 1


def test_numbers_that_are_none_are_absent() -> None:
    row = converted(SPOT, "trade", b"7,0.1,2,-1,8,1608872400000,True,True")

    assert (row["first_trade_id"], row["last_trade_id"]) == (None, 8)


def test_trades_that_the_venue_has_annulled_are_no_rows_and_not_refused() -> None:
    """They are at price 0. Their numbers count: they are no hole."""
    text = (
        b"1195415,11500.00,0.10,1195415,1195415,1512378359995,True,True\n"
        b"1195416,0.00000000,0.00000000,-1,-1,1512378360000,True,True\n"
        b"1195417,0.00000000,0.00000000,-1,-1,1512378360000,True,True\n"
        b"x,0,0,-1,-1,1512378360000,True,True\n"
        b"1195418,11501.50,0.20,1195418,1195418,1512378360007,False,True\n"
    )
    made = lines(SPOT, "trade")

    body, rows, refused = made.convert(text, 1)

    assert (rows, read_block(body)["price"]) == (2, [Decimal("11500"), Decimal("11501.5")])
    assert [(one.line, one.reason.partition(":")[0]) for one in refused] == [(4, "agg_trade_id")]
    assert made.annulled(text) == 2
    assert [row.number for row in made.rows(text)] == [1195415, 1195416, 1195417, 1195418]
    assert [len(found) for found in made.messages(text)] == [2, 2]
    only = text.splitlines(keepends=True)[1]
    assert (made.convert(only, 1)[1:], made.annulled(only), made.messages(only)) == ((0, []), 1, ([], []))


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
    assert read_block(body)["trade_id"] == ["1", "8"]
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


def test_a_bare_carriage_return_ends_no_line() -> None:
    text = b"x\r1,2.5,3,4,4,1764115200000,true\n2,2.5,3,4,4,1764115200000,true\r\r\n"
    made = lines(USD_M, "trade")

    assert made.convert(text, 1)[1] == 0
    assert [one.reason.partition(":")[0] for one in made.convert(text, 1)[2]] == ["agg_trade_id", "is_buyer_maker"]
    assert list(made.rows(text)) == []


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("0", True), ("000.5", True), ("5.", True), (".5", False), ("-1", False), ("1e3", False), ("", False),
        ("9" * 26 + "." + "9" * 12 + "000", True), ("9" * 27, False), ("0." + "0" * 11 + "1", True),
        ("0." + "0" * 12 + "1", False), ("0." + "0" * 40, True),
    ],
)  # fmt: skip
def test_a_decimal_is_kept_exactly_or_refused(number: str, taken: bool) -> None:
    body, rows, refused = lines(USD_M, "trade").convert(f"1,{number},3,4,4,1764115200000,true\n".encode(), 1)

    assert (rows, len(refused)) == ((1, 0) if taken else (0, 1))
    assert read_block(body)["price"] == ([Decimal(number)] if taken else [])


def test_a_time_that_64_bits_of_nanoseconds_do_not_hold_is_refused() -> None:
    for time_of, taken in (("8999999999999", True), ("9000000000000", False), ("9" * 16, False)):
        refused = reasons(USD_M, "trade", f"1,2.5,3,4,4,{time_of},true\n".encode())
        assert [one.reason.endswith("is no time of 13 or 16 digits, before 2255") for one in refused] == [True] * (
            not taken
        )


def test_a_chunk_without_rows_is_a_block_without_rows() -> None:
    for text in (b"", b"\n\n", b"1,2"):
        body, rows, refused = lines(USD_M, "trade").convert(text, 1)
        assert (rows, len(refused)) == (0, text.count(b"\n") or len(text[:1]))
        assert set(map(len, read_block(body).values())) == {0}


LAYOUT = (
    ColumnLayout(Kind.ID, made=VALUES | TEXTS), ColumnLayout(Kind.ID_OR_NONE), ColumnLayout(Kind.DECIMAL, 12),
    ColumnLayout(Kind.DECIMAL, 18), ColumnLayout(Kind.TIME), ColumnLayout(Kind.CLOSE), ColumnLayout(Kind.FLAG),
    ColumnLayout(Kind.FLAG, made=0), ColumnLayout(Kind.IGNORED, made=0), ColumnLayout(Kind.SIDE),
    ColumnLayout(Kind.SECONDS), ColumnLayout(Kind.TEXT, made=TEXTS), ColumnLayout(Kind.REST, made=0),
)  # fmt: skip
DIGITS = st.text("0123456789", min_size=1, max_size=42)
WORDS = st.one_of(
    DIGITS, st.builds("{}.{}".format, DIGITS, DIGITS), st.text("0123456789.,-eE+\r x\0", max_size=20),
    st.sampled_from(["-1", "true", "False", "tRue", "1764115200000", "1764115200000123", "-10", "1787356800"]),
)  # fmt: skip


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """Lines that are rows or nearly so, and others."""
    drawn = random.Random(draw(st.integers(0, 2**32)))
    made = []
    for _ in range(draw(st.integers(0, 6))):
        unit = drawn.choice(("", "123"))
        right = [
            str(drawn.randrange(10**18)), drawn.choice(("-1", "7")),
            f"{drawn.randrange(10**26)}.{drawn.randrange(10**12)}", f"{drawn.random():.18f}",
            f"1764115200000{unit}", f"1764115259999{unit}", drawn.choice(("true", "False")),
            "TRUE", "anything", drawn.choice(("Buy", "sell")), f"1787356800.{drawn.randrange(10**4)}", "48a4-0e_Z",
            drawn.choice(("78.3", "7.8e+09,0")),
        ]  # fmt: skip
        for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
            right[drawn.randrange(len(right))] = draw(WORDS)
        made.append(",".join(right) + drawn.choice(("\n", "\r\n")))
    return "".join(made).encode() + draw(st.sampled_from((b"", b"", b"1,2", b"\n", b"\xff\n")))


@built
@given(chunks())
def test_both_twins_make_the_same_of_any_lines(chunk: bytes) -> None:
    assert EXTENSION.csv_columns(chunk, bytes(number for column in LAYOUT for number in column)) == in_python(
        chunk, LAYOUT
    )


@given(st.lists(st.decimals(0, Decimal("1e26") - 1, places=12), min_size=1, max_size=20))
def test_any_decimal_comes_back(values: list[Decimal]) -> None:
    texts = [f"{value:.12f}" for value in values]
    chunk = "".join(f"{text}\n" for text in texts).encode()

    ((made, _),), rows, refused = columns_of(chunk, [ColumnLayout(Kind.DECIMAL, 12)])

    assert made is not None
    assert (rows, refused) == (len(values), [])
    found = [int.from_bytes(made[at : at + 16], "little") for at in range(0, len(made), 16)]
    assert found == [int(text.replace(".", "")) for text in texts]


@built
@pytest.mark.parametrize(
    "layout", [b"", b"\1", b"\13\0\0", b"\7\0\1", b"\3\46\1", b"\3\14\2", b"\0\0\1", b"\1\0\4", b"\1\0\1" * 33]
)
def test_what_is_no_layout_is_refused(layout: bytes) -> None:
    with pytest.raises(ValueError, match="no layout of columns"):
        EXTENSION.csv_columns(b"1\n", layout)


BYBIT = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"


@pytest.mark.parametrize("header", [BYBIT, f"{BYBIT},RPI"])
def test_lines_of_bybit_with_and_without_their_newest_column(header: str) -> None:
    assert lines(DERIVATIVES, "trade").header_error(f"{header}\r\n".encode()) == ""
    more = ",0" if header.endswith("RPI") else ""
    text = "1787356800.2296,BTCUSDT,Sell,0.001,78307.50,ZeroMinusTick,48a44029-5d1c-5b54,7.83075e+09,0.001,78.3075"

    row = converted(DERIVATIVES, "trade", f"{text}{more}".encode())

    assert (row["trade_id"], row["price"], row["quantity"]) == (
        "48a44029-5d1c-5b54",
        Decimal("78307.5"),
        Decimal("0.001"),
    )
    assert (row["transaction_time_ns"], row["buyer_is_maker"], row["aggregated"]) == (1787356800229000000, True, False)
    assert next(iter(lines(DERIVATIVES, "trade").rows(f"{text}\n".encode()))).time_ns == 1787356800229000000


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, "1787356800229", "timestamp: '1787356800229' is no time in seconds"), (2, "BUY", "side: 'BUY' is no side"),
        (0, "9787356800.1", "is no time in seconds"), (3, "1e-05", "size: '1e-05' is no plain decimal"),
        (6, "", "trdmatchid: '' is no id"), (6, "x" * 128, "is no id"),
    ],
)  # fmt: skip
def test_lines_of_bybit_that_are_none(at: int, value: str, reason: str) -> None:
    values = ["1787356800.2", "BTCUSDT", "Buy", "1", "2", "PlusTick", "id-1", "2e+08", "1", "2"]
    values[at] = value

    (refused,) = reasons(DERIVATIVES, "trade", f"{','.join(values)}\n".encode())

    assert reason in refused.reason


def test_a_line_of_another_symbol_is_refused() -> None:
    form = DERIVATIVES.format(stream="trade")
    assert form is not None
    made = Lines(form, {"symbol": "BTCUSDT"})
    of = "1787356800.2,{},Buy,1,2,PlusTick,id-{},2e+08,1,2\n".format
    text = "".join(of(symbol, number) for number, symbol in enumerate(("BTCUSDT", "ETHUSDT", "BTCUSDT"))).encode()

    body, rows, refused = made.convert(text, 1)

    assert (rows, read_block(body)["trade_id"]) == (2, ["id-0", "id-2"])
    assert refused == [Refused(2, "symbol: 'ETHUSDT' is not BTCUSDT")]
    assert len(list(made.rows(text))) == len(made.messages(text)[0]) == 2
    assert Lines(form, {"symbol": "B" * 300}).convert(text, 1)[1] == 0


def test_too_few_columns_before_a_rest_are_said() -> None:
    (refused,) = reasons(DERIVATIVES, "trade", b"1787356800.2,BTCUSDT,Buy\n")

    assert refused.reason == "3 columns, and not 10"
