"""The text checks: prices and quantities stay the venue's own text and are proven to be plain decimals.

Plain is ASCII digits with at most one dot that has a digit on either side: ``[0-9]+(\\.[0-9]+)?``. No sign, exponent,
white space, "nan" or "inf". `native/decimals.c` reads the digits; without it all fields of an event are checked at
once, as the JSON array ``[a,b,c]``: deleting digits and dots must leave the bare brackets and commas (no other
character, the right number of values), and the JSON parser, building nothing, must take every value for a number (dots
where they belong). JSON refuses leading zeros, which are plain: then a regular expression has the last word.

A book's levels are mostly passed on, and 80 `str` objects that nobody looks at cost more than all else about it: in C
its columns stay the venue's text, checked, and become `str` when they are looked at; else they are lists.
bench/bench_decode.py compares the ways.
"""

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from wsadapter import native

_DIGITS_AND_DOT: Final = b"0123456789."
_QUOTES_AND_BRACKETS: Final = b'"[]'
_skim: Final = Decoder(Raw).decode
_plain: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch
_plain_array: Final = re.compile(r"\[[0-9]+(?:\.[0-9]+)?(?:,[0-9]+(?:\.[0-9]+)?)*\]").fullmatch
_levels: Final = Decoder(list[tuple[str, str]]).decode
_BARE_LEVELS: Final = b"[" + b'["",""],' * 2048
"""What is left of a level list, without its last bracket, when digits and dots are deleted."""
_BARE_ARRAYS: Final = (b"", *(b"[" + b"," * commas + b"]" for commas in range(64)))
"""What is left of an array of so many texts; more are a side of a book, and rare."""

Side = bytes | Raw
Book = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]


_number: Final = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?").fullmatch


class NotPlain(ValueError):
    """A price or quantity that is no plain decimal."""


def plain_number(raw: bytes | Raw, signed: bool = False) -> str:
    """The plain decimal of a JSON number, or of the text of one, digit by digit, never by way of a float: ``5e-05`` is
    0.00005, ``2.2e3`` 2200, ``-0.0`` 0.0. Raises `NotPlain` for what is none, has an exponent of more than two digits,
    or is negative where it is not ``signed``."""
    octets = bytes(raw)
    if octets[:1] == b'"' == octets[-1:]:
        octets = octets[1:-1]
    match = _number(octets)
    if match is None:
        raise NotPlain("number")
    minus, whole, fraction, exponent = match.groups(b"")
    digits = whole + fraction
    if minus and not digits.strip(b"0"):
        minus = b""
    if minus and not signed:
        raise NotPlain("negative")
    if exponent:
        point = len(whole) + int(exponent)
        if point <= 0:
            digits, point = b"0" * (1 - point) + digits, 1
        digits = digits.ljust(point, b"0")
        whole, fraction = digits[:point].lstrip(b"0") or b"0", digits[point:]
    return (minus + whole + (b"." + fraction if fraction else b"")).decode()


def rounded_number(raw: bytes | Raw, places: int) -> str:
    """The plain decimal of a JSON number of either sign, rounded to so many decimals, half to even, where it has more;
    never by way of a float. For what is itself the result of a computation, and nobody's price."""
    text = plain_number(raw, True)
    fraction = text.partition(".")[2]
    if len(fraction) <= places:
        return text
    with localcontext(prec=len(text), rounding=ROUND_HALF_EVEN):
        found = f"{Decimal(text).quantize(Decimal(1).scaleb(-places)):f}"
    return found.removeprefix("-") if not found.strip("-0.") else found


def plain_in_python(*texts: str) -> bool:
    """Whether all of ``texts`` are plain decimals."""
    try:
        array = f"[{','.join(texts)}]"
        octets = array.encode()
        if "" in texts or octets.translate(None, _DIGITS_AND_DOT) != _bare_array(len(texts)):
            return False
        _skim(octets)
    except UnicodeEncodeError:
        return False
    except DecodeError:
        return _plain_array(array) is not None
    return True


def _bare_array(count: int) -> bytes:
    return _BARE_ARRAYS[count] if count < len(_BARE_ARRAYS) else b"[" + b"," * (count - 1) + b"]"


def split_in_python(bid_side: Side, ask_side: Side) -> Book | None:
    """The four columns of a book in the usual spelling, None for any other."""
    bids, asks = bytes(bid_side), bytes(ask_side)
    bare_bids = bids.translate(None, _DIGITS_AND_DOT)
    bare_asks = asks.translate(None, _DIGITS_AND_DOT)
    if not (_are_bare_levels(bare_bids) and _are_bare_levels(bare_asks)):
        return None
    flat = (b"%b,%b" % (bids, asks)).translate(None, _QUOTES_AND_BRACKETS)
    try:
        _skim(b"[%b]" % flat)
    except DecodeError:
        return None
    texts = flat.decode().split(",")
    middle = len(bare_bids) >> 3 << 1  # eight bytes a level are left, two texts a level were taken out
    return texts[:middle:2], texts[1:middle:2], texts[middle::2], texts[middle + 1 :: 2]


def _are_bare_levels(bare: bytes) -> bool:
    return len(bare) & 7 == 1 and len(bare) > 8 and bare.endswith(b"]") and _BARE_LEVELS.startswith(bare[:-1])


_native: Final = native.extension
are_plain: Final[Callable[..., bool]] = plain_in_python if _native is None else _native.are_plain
split_at_once: Final[Callable[[Side, Side], Book | None]] = split_in_python if _native is None else _native.split_book
Levels: Final[type | None] = None if _native is None else _native.Levels
"""The type of a column that is still the venue's text; it equals the list of its texts."""


def split_book(bids: Side, asks: Side) -> Book:
    """Bid prices, bid quantities, ask prices, ask quantities of two JSON values ``[["61800.20","2.909"],...]``; raises
    `NotPlain`, or what msgspec raises where that is not the shape of it."""
    return split_at_once(bids, asks) or (*_split_slowly(bids), *_split_slowly(asks))


def _split_slowly(levels: Side) -> tuple[list[str], list[str]]:
    """An empty side, and any other spelling of levels: white space, escapes, leading zeros, very many."""
    pairs = _levels(levels)
    if not all(_plain(price) and _plain(quantity) for price, quantity in pairs):
        raise NotPlain("level")
    return [price for price, _ in pairs], [quantity for _, quantity in pairs]
