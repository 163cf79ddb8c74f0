"""The side of a kept book in C is the one in Python, change by change."""

import random
import zlib

import pytest

from wsadapter import native
from wsadapter.exchanges.checked_book import BookSide, CheckedBook, DigitsChecksum, SideInPython

PRICES = (
    "0.00001", "0.1", "0.10", "00.1", "1", "1.0", "9.99", "10", "10.5", "99.123456789", "100", "1000.1",
    "12345678901234567890",
)  # fmt: skip
QUANTITIES = ("0", "0.000", "1", "0.5", "12.30", "0.00045", "7")


@pytest.mark.skipif(native.extension is None, reason="the C extension is not built")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_both_sides_are_one(sign: int, seed: int) -> None:
    dice = random.Random(seed)
    mine, twin = BookSide(sign), SideInPython(sign)
    for _ in range(4000):
        price = dice.choice(PRICES) if dice.random() < 0.5 else f"{dice.uniform(0, 120):.{dice.randrange(5)}f}"
        quantity = dice.choice(QUANTITIES)
        for side in (mine, twin):
            side.change(price, quantity)
        if dice.random() < 0.02:
            levels = dice.randrange(60)
            mine.cut(levels)
            twin.cut(levels)
        assert mine.best(1000) == twin.best(1000)
        assert len(mine) == len(twin)
        assert mine.digits_crc(10, 7) == twin.digits_crc(10, 7)


@pytest.mark.skipif(native.extension is None, reason="the C extension is not built")
def test_a_price_that_is_no_decimal_is_refused() -> None:
    for price in ("", "x", "1e5", "-1"):
        with pytest.raises(ValueError, match="plain decimal"):
            BookSide(1).change(price, "1")


def test_the_checksum_is_of_asks_then_bids() -> None:
    """Digits without leading zeros."""
    book = CheckedBook(10)
    book.change([("0.04999", "0.00000500")], [("0.05005", "0.00000500")])

    assert DigitsChecksum(10)(book) == zlib.crc32(b"50055004999500")
