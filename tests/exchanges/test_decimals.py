"""Plain decimals and nothing else, whichever way they are checked."""

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.exchanges.decimals import NotPlain, is_plain, split_book

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
    assert is_plain(f"[{text},{text}]", b"[,]")


@pytest.mark.parametrize("text", NOT_PLAIN, ids=ascii)
def test_anything_else_does_not(text: str) -> None:
    assert not is_plain(f"[1,{text}]", b"[,]")
    assert not is_plain(f"[{text},1]", b"[,]")


@given(st.lists(texts, min_size=2, max_size=5))
def test_an_array_is_plain_when_each_value_is(values: list[str]) -> None:
    array, bare = f"[{','.join(values)}]", b"[" + b"," * (len(values) - 1) + b"]"

    assert is_plain(array, bare) == all(map(plain, values))


levels = st.lists(st.tuples(numbers, numbers), max_size=6)
any_levels = st.lists(st.tuples(texts, texts), max_size=4)


few = settings(max_examples=60)


def columns(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> tuple[list[str], ...]:
    return [p for p, _ in bids], [q for _, q in bids], [p for p, _ in asks], [q for _, q in asks]


@given(levels, levels, st.booleans())
@few
def test_a_book_is_taken_apart(bids: list[tuple[str, str]], asks: list[tuple[str, str]], spaced: bool) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    book = [json.dumps(side, separators=separators).encode() for side in (bids, asks)]

    assert split_book(*book) == columns(bids, asks)


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
