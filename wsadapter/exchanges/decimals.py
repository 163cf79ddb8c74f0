"""The text checks: prices and quantities stay the venue's own text and are proven to be plain decimals.

Plain is ASCII digits with at most one dot that has a digit on either side: ``[0-9]+(\\.[0-9]+)?``. No sign, exponent,
white space, "nan" or "inf". All fields of an event are checked at once, as the JSON array ``[a,b,c]``: deleting
digits and dots must leave the bare brackets and commas (no other character, the right number of values), and the JSON
parser, in C and building nothing, must take every value for a number (dots where they belong). JSON refuses leading
zeros, which are plain: then a regular expression has the last word. bench/bench_decode.py compares the ways.
"""

import re
from typing import Final

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

_DIGITS_AND_DOT: Final = b"0123456789."
_QUOTES_AND_BRACKETS: Final = b'"[]'
_skim: Final = Decoder(Raw).decode
_plain: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch
_plain_array: Final = re.compile(r"\[[0-9]+(?:\.[0-9]+)?(?:,[0-9]+(?:\.[0-9]+)?)*\]").fullmatch
_levels: Final = Decoder(list[tuple[str, str]]).decode
_BARE_LEVELS: Final = b"[" + b'["",""],' * 2048
"""What is left of a level list, without its last bracket, when digits and dots are deleted."""


class NotPlain(ValueError):
    """A price or quantity that is no plain decimal."""


def is_plain(array: str, bare: bytes) -> bool:
    """Whether ``array`` is ``[a,b,c]``, two plain decimals or more. ``bare`` is it without the values: ``b"[,,]"``."""
    try:
        octets = array.encode()
        if octets.translate(None, _DIGITS_AND_DOT) != bare:
            return False
        _skim(octets)
    except UnicodeEncodeError:
        return False
    except DecodeError:
        return _plain_array(array) is not None
    return True


def split_book(bids: bytes, asks: bytes) -> tuple[list[str], list[str], list[str], list[str]]:
    """Bid prices, bid quantities, ask prices, ask quantities of two JSON values ``[["61800.20","2.909"],...]``; raises
    `NotPlain`, or what msgspec raises where that is not the shape of it."""
    bare_bids = bids.translate(None, _DIGITS_AND_DOT)
    bare_asks = asks.translate(None, _DIGITS_AND_DOT)
    if _are_bare_levels(bare_bids) and _are_bare_levels(bare_asks):
        flat = (b"%b,%b" % (bids, asks)).translate(None, _QUOTES_AND_BRACKETS)
        try:
            _skim(b"[%b]" % flat)
        except DecodeError:
            return (*_split_slowly(bids), *_split_slowly(asks))
        texts = flat.decode().split(",")
        middle = len(bare_bids) >> 3 << 1  # eight bytes a level are left, two texts a level were taken out
        return texts[:middle:2], texts[1:middle:2], texts[middle::2], texts[middle + 1 :: 2]
    return (*_split_slowly(bids), *_split_slowly(asks))


def _are_bare_levels(bare: bytes) -> bool:
    return len(bare) & 7 == 1 and _BARE_LEVELS.startswith(bare[:-1])


def _split_slowly(levels: bytes) -> tuple[list[str], list[str]]:
    """An empty side, and any other spelling of levels: white space, escapes, leading zeros, very many."""
    pairs = _levels(levels)
    if not all(_plain(price) and _plain(quantity) for price, quantity in pairs):
        raise NotPlain("level")
    return [price for price, _ in pairs], [quantity for _, quantity in pairs]
