"""Plain decimals and nothing else, whichever way they are checked."""

import contextlib
import copy
import json
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.events.decimals import (
    NotPlain,
    are_plain,
    plain_in_python,
    rounded_number,
    split_book,
    split_in_python,
)

PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
NOT_PLAIN = [
    *("", ".", ".5", "5.", "1.2.3", "1..2", "-1", "+1", "--1", "1e5", "1E5", "1e999999999", "0x10", "1_000", "1,2"),
    *(
        "nan",
        "NaN",
        "sNaN",
        "inf",
        "Infinity",
        "-inf",
        " 1",
        "1 ",
        "1\n",
        "\t1",
        "1\x00",
        "\u0663",
        "\uff11",
        "1.\u0663",
        "\xb2",
    ),
    *("true", "null", "[1]", '"1"', "{}", "1]", "[1", "1,", ",1", "\\u0031", "1/2", "\ud800", "1-", "1.-2"),
]
PLAIN_ONES = ["0", "0.000", "7", "00", "007.50", "61800.20", "1" * 64, "0." + "0" * 60 + "1", "12345678901234567890.1"]
digits = st.text("0123456789", min_size=1, max_size=6)
numbers = st.one_of(digits, st.tuples(digits, digits).map(".".join), st.sampled_from(PLAIN_ONES))
texts = st.one_of(numbers, st.sampled_from(NOT_PLAIN), st.text('0123456789.,-+eE[]" ', max_size=8), st.text(max_size=4))


def plain(text: str) -> bool:
    return PLAIN.fullmatch(text) is not None


@pytest.mark.parametrize("text", PLAIN_ONES)
def test_plain_decimals_pass(text: str) -> None:
    for check in (are_plain, plain_in_python):
        assert check(text)
        assert check(text, text)


@pytest.mark.parametrize("text", NOT_PLAIN, ids=ascii)
def test_anything_else_does_not(text: str) -> None:
    for check in (are_plain, plain_in_python):
        assert not check(text)
        assert not check("1", text)
        assert not check(text, "1")


@given(st.lists(texts, min_size=1, max_size=10))
def test_texts_are_plain_when_each_is(values: list[str]) -> None:
    assert are_plain(*values) == plain_in_python(*values) == all(map(plain, values))


@pytest.mark.parametrize("count", [1, 62, 63, 64, 65, 5000])
def test_any_number_of_texts(count: int) -> None:
    texts = ["1.50"] * count
    for check in (are_plain, plain_in_python):
        assert check(*texts)
        for bad in ("", "1,5", "1e5", "-1", "1.", "5]"):
            assert not check(*texts[1:], bad)
            assert not check(bad, *texts[1:])


levels = st.lists(st.tuples(numbers, numbers), max_size=6)
any_levels = st.lists(st.tuples(texts, texts), max_size=4)


few = settings(max_examples=60)


def columns(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> tuple[list[str], ...]:
    return [p for p, _ in bids], [q for _, q in bids], [p for p, _ in asks], [q for _, q in asks]


@pytest.mark.parametrize("side", [b"-1", b"1e5", b"1", b"[", b"]", b"{}", b'"1"', b'[["1","2"],-1', b'[["1","2"],'])
@pytest.mark.parametrize("split", [split_book, split_in_python])
def test_a_side_that_is_no_list_gives_no_book(split: Any, side: bytes) -> None:
    """A number in the place of a side must not shift the columns of the other."""
    for bids, asks in ((side, b'[["1.01","5"],["1.02","6"]]'), (b'[["1.01","5"]]', side), (side, side)):
        with contextlib.suppress(NotPlain, msgspec.MsgspecError):
            assert split(bids, asks) is None


@given(levels, levels, st.booleans())
@few
def test_a_book_is_taken_apart(bids: list[tuple[str, str]], asks: list[tuple[str, str]], spaced: bool) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    book = [json.dumps(side, separators=separators).encode() for side in (bids, asks)]

    assert split_book(*book) == columns(bids, asks)
    assert split_in_python(*book) in (None, columns(bids, asks))


@given(any_levels, any_levels, st.booleans())
@few
def test_a_book_is_refused_when_one_level_is_not_plain(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], escaped: bool
) -> None:
    def dumped(side: list[tuple[str, str]]) -> bytes:
        return json.dumps(side, separators=(",", ":"), ensure_ascii=escaped).encode("utf-8", "surrogatepass")

    good = all(plain(text) for side in (bids, asks) for level in side for text in level)
    if good:
        assert split_book(dumped(bids), dumped(asks)) == columns(bids, asks)
    else:
        with pytest.raises((NotPlain, msgspec.DecodeError, UnicodeDecodeError)):
            split_book(dumped(bids), dumped(asks))


@pytest.mark.parametrize(
    "side",
    [b'[["1"]]', b'[["1","2","3"]]', b'[[1,2]]', b'[["1",2]]', b'{"1":"2"}', b'"12"', b"12", b"null", b'["1","2"]',
     b'[[["1","2"]]]', b'[["1","2"],[]]', b'[["1","2"],null]', b'[["1","2"],["3","4"]]]'],
)  # fmt: skip
def test_any_other_shape_is_refused(side: bytes) -> None:
    with pytest.raises((NotPlain, msgspec.DecodeError)):
        split_book(side, b"[]")
    with pytest.raises((NotPlain, msgspec.DecodeError)):
        split_book(b'[["1","2"]]', side)


def test_very_many_levels() -> None:
    side = [[str(n), "1"] for n in range(5000)]

    assert split_book(msgspec.json.encode(side), b"[]")[0] == [price for price, _ in side]


def test_a_column_is_a_sequence_of_texts() -> None:
    prices, quantities, none, _ = split_book(b'[["61800.20","2.909"],["61800.1","0"],["1","7"]]', b"[]")

    assert (len(prices), prices[0], prices[-1], prices[1:]) == (3, "61800.20", "1", ["61800.1", "1"])
    assert list(quantities) == ["2.909", "0", "7"] == quantities == copy.copy(quantities)
    assert repr(quantities) == "['2.909', '0', '7']"
    assert quantities != prices
    assert "0" in quantities
    assert len(none) == 0 == len(list(none))
    assert not none
    with pytest.raises(IndexError):
        prices[3]


@given(st.binary(max_size=60))
def test_no_bytes_are_read_beyond_a_side(side: bytes) -> None:
    for each in (side, b"[[" + side, b'[["1","2"]' + side, b'[["1' + side, b'[["1","' + side):
        try:
            found = split_book(each, b"[]")
        except (NotPlain, msgspec.DecodeError, UnicodeDecodeError):
            continue
        assert [[p, q] for p, q in zip(found[0], found[1], strict=True)] == json.loads(each)


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (b"-4.739622041017375e-7", "-0.000000473962204102"), (b"0.0001", "0.0001"), (b"5e-19", "0.000000000000000000"),
        (b"1.5e-18", "0.000000000000000002"), (b"-4e-19", "0.000000000000000000"), (b"-0.0", "0.0"), (b"3", "3"),
        (b"0.1234567890123456785", "0.123456789012345678"),
    ],
)  # fmt: skip
def test_a_computed_number_is_rounded_half_to_even(number: bytes, rounded: str) -> None:
    assert rounded_number(number, 18) == rounded


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-1, max_value=1, places=30))
def test_rounding_errs_by_half_of_the_last_place_at_most(number: Decimal) -> None:
    assert abs(Decimal(rounded_number(f"{number:f}".encode(), 18)) - number) <= Decimal("5e-19")
