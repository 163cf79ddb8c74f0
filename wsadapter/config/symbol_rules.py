"""What ``symbols`` of a feed may say beside plain symbols: rules over everything that the venue trades. Pure.

    symbols = ["BTCUSDT", "*USDC", "top:50", "top:20:*BTC", "!1000*"]

A glob (``*`` any text, ``?`` one character) over the venue's own text of a symbol; ``top:N``, the N symbols with the
highest turnover of the last 24 hours, of all or of a glob; ``!`` and a symbol or a glob: rules leave those out. A
symbol that is named is recorded whatever the rules say.

Here is what they mean; which symbols they stand for says a listing (`wsadapter.listings`).
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

EXCLUDES: Final = "!"
TOP: Final = "top:"
MOST_TOP: Final = 10_000
_GLOB: Final = frozenset("*?")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")


def is_rule(text: str) -> bool:
    """Whether it is anything but a plain symbol."""
    return text.startswith(EXCLUDES) or is_top(text) or not _GLOB.isdisjoint(text)


def is_top(text: str) -> bool:
    return text[: len(TOP)].lower() == TOP


def checked(text: str) -> str:
    """The rule with its own words in small letters; `ValueError` says what is wrong with it."""
    if text.startswith(EXCLUDES):
        if is_rule(inner := text[len(EXCLUDES) :]) and (is_top(inner) or inner.startswith(EXCLUDES)):
            raise ValueError("after ! stands a symbol or a glob")
        if not inner:
            raise ValueError("! and nothing to leave out")
    elif is_top(text):
        number, _, glob = text[len(TOP) :].partition(":")
        if not _NUMBER.fullmatch(number) or int(number) > MOST_TOP:
            raise ValueError(f"must be {TOP}N or {TOP}N:GLOB, N from 1 to {MOST_TOP}")
        if text.count(":") > 1 and not glob:
            raise ValueError(f"{TOP}{number}: and no glob")
        return f"{TOP}{number}{f':{glob}' if glob else ''}"
    return text


def spelled(text: str, spell: Callable[[str], str]) -> str:
    """A symbol, or a rule over symbols, as the venue writes it."""
    return TOP + spell(text[len(TOP) :]) if is_top(text) else spell(text)


def matcher(glob: str) -> Callable[[str], bool]:
    """Whether a symbol is one of those that a glob, or a plain symbol, stands for."""
    parts = {"*": ".*", "?": "."}
    pattern = re.compile("".join(parts.get(char) or re.escape(char) for char in glob), re.DOTALL)
    return lambda symbol: pattern.fullmatch(symbol) is not None


class Top(Struct, frozen=True):
    """The ``count`` symbols with the highest turnover, of those that ``glob`` stands for."""

    count: int
    glob: str = "*"


class Rules(Struct, frozen=True):
    """``symbols`` of a feed, sorted out; each part in the order of the feed."""

    named: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    tops: tuple[Top, ...] = ()
    excludes: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether a listing is needed."""
        return bool(self.globs or self.tops or self.excludes)


def parsed(symbols: Iterable[str]) -> Rules:
    """Of checked ones."""
    named: list[str] = []
    globs: list[str] = []
    tops: list[Top] = []
    excludes: list[str] = []
    for text in symbols:
        if text.startswith(EXCLUDES):
            excludes.append(text[len(EXCLUDES) :])
        elif is_top(text):
            number, _, glob = text[len(TOP) :].partition(":")
            tops.append(Top(int(number), glob or "*"))
        elif is_rule(text):
            globs.append(text)
        else:
            named.append(text)
    return Rules(tuple(named), tuple(globs), tuple(tops), tuple(excludes))


def contradictions(symbols: Iterable[str]) -> list[str]:
    """What is wrong with them together."""
    rules = parsed(symbols)
    found = [
        f"{symbol!a} is named and left out ({EXCLUDES}{symbol})" for symbol in rules.named if symbol in rules.excludes
    ]
    if rules.excludes and not (rules.globs or rules.tops):
        found.append(
            f"{EXCLUDES}{rules.excludes[0]} leaves out of nothing: add a rule, * for all that the venue trades"
        )
    return found
