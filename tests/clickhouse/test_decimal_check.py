"""The check of a decimal's text takes exactly what the column keeps without a change of value."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.clickhouse.conversion import decimal_pattern, table_columns
from wsadapter.events.streams import SPECS

TAKEN = {
    12: ["0", "1", "-1", "57000.10", "0.000000000001", "1.0000000000000", "9" * 26 + "." + "9" * 12, ".5", "5.", "-0.0",
         "007"],
    18: ["0", "-0.000100000000000001", "9" * 20 + "." + "9" * 18, "1.000000000000000000000"],
}  # fmt: skip
REFUSED = {
    12: ["", "-", ".", "-.", "+1", " 1", "1 ", "1e5", "1E-3", "1e-20", "nan", "inf", "abc", "1,5", "1_0", "0x1",
         "1.2.3", "0.0000000000001", "1" + "0" * 26, "--1", "1\n", "\n1", "1\0", "٣", "1;2"],
    18: ["0.0000000000000000001", "1" + "0" * 20],
}  # fmt: skip


@pytest.mark.parametrize(("scale", "text"), [(s, t) for s, texts in TAKEN.items() for t in texts])
def test_taken(scale: int, text: str) -> None:
    assert re.fullmatch(decimal_pattern(scale), text)


@pytest.mark.parametrize(("scale", "text"), [(s, t) for s, texts in REFUSED.items() for t in texts])
def test_refused(scale: int, text: str) -> None:
    # ClickHouse's engine knows no "$ before a last newline"; nor may this test
    assert not re.fullmatch(decimal_pattern(scale), text)


def test_what_cannot_be_negative_is_not() -> None:
    """Prices and quantities; rates, and what a price has changed by, may be."""
    signed = {
        (spec.name, column.field)
        for spec in SPECS
        for column in table_columns(spec)
        if column.decimal and column.signed
    }
    assert signed == {
        ("ticker", "price_change"), ("ticker", "price_change_percent"), ("funding_rate", "funding_rate"),
        ("mark_price", "funding_rate"),
    }  # fmt: skip
    assert not re.fullmatch(decimal_pattern(12, signed=False), "-1")
    assert re.fullmatch(decimal_pattern(12, signed=False), "1")


@settings(deadline=None)
@given(st.sampled_from([12, 18]), st.from_regex(r"-?[0-9]{0,30}(\.[0-9]{0,24})?", fullmatch=True))
def test_taken_means_that_the_column_keeps_the_value(scale: int, text: str) -> None:
    if not re.fullmatch(decimal_pattern(scale), text):
        return
    value = Decimal(text)
    stored = value.scaleb(scale)

    assert stored == stored.to_integral_value()
    assert abs(stored) < Decimal(10) ** 38
