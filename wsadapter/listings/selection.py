"""Which symbols rules stand for, by a listing and by what they stood for before. Pure.

Guarantees: a symbol that is named is always there. One that is traded no more is not; one that is halted stays if it
was there. ``top:N`` has exactly N symbols where so many are traded, and ranks that flap change nothing: a symbol that
is there stays while its rank is within N + `margin`, one that is not must reach N - `margin` to displace it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from wsadapter.config.symbol_rules import TOP, Rules, Top, matcher

NAMED: Final = "named"
STAYS: Final = "as before: the rules fit nothing"


class Market(Struct, frozen=True):
    """What a venue trades; ``volumes`` only rank."""

    trading: Collection[str]
    halted: Collection[str] = ()
    volumes: Mapping[str, Decimal] = {}


class Selection(Struct, frozen=True):
    """``symbols``: what the rules stand for, each with the rule that brought it in. ``unoffered``: what they would
    stand for too, and why the venue does not offer it for the feed."""

    symbols: dict[str, str]
    unoffered: dict[str, str] = {}


def margin(count: int) -> int:
    """Ranks around N within which nothing changes."""
    return max(1, count // 5)


def select(rules: Rules, market: Market, before: Sequence[str], refusal: Callable[[str], str]) -> Selection:
    """``before``: what they stood for; its order is kept, new symbols follow. ``refusal``: why the venue does not offer
    the feed's streams for a symbol, empty where it does."""
    was = frozenset(before)
    excluded = [matcher(glob) for glob in rules.excludes]
    standing = {*market.trading, *(symbol for symbol in market.halted if symbol in was)}
    candidates = sorted(symbol for symbol in standing if not any(matches(symbol) for matches in excluded))
    why = dict.fromkeys(rules.named, NAMED)
    unoffered: dict[str, str] = {}

    def offered(symbols: Iterable[str]) -> list[str]:
        found = []
        for symbol in symbols:
            if symbol not in why and symbol not in unoffered and (reason := refusal(symbol)):
                unoffered[symbol] = reason
            if symbol not in unoffered:
                found.append(symbol)
        return found

    for glob in rules.globs:
        for symbol in offered(filter(matcher(glob), candidates)):
            why.setdefault(symbol, glob)
    for top in rules.tops:
        rule = f"{TOP}{top.count}" + (f":{top.glob}" if top.glob != "*" else "")
        for symbol in _top(top, offered(filter(matcher(top.glob), candidates)), market.volumes, was):
            why.setdefault(symbol, rule)
    order = [*rules.named, *(symbol for symbol in before if symbol in why), *why]
    return Selection({symbol: why[symbol] for symbol in dict.fromkeys(order)}, unoffered)


def _top(top: Top, symbols: Sequence[str], volumes: Mapping[str, Decimal], before: Collection[str]) -> list[str]:
    ranked = sorted(symbols, key=lambda symbol: (-volumes.get(symbol, Decimal(0)), symbol))
    first, stay = top.count - margin(top.count), top.count + margin(top.count)
    chosen = [*ranked[:first], *(symbol for symbol in ranked[first:stay] if symbol in before), *ranked]
    return list(dict.fromkeys(chosen))[: top.count]
