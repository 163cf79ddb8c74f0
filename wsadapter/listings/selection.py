"""Which symbols rules stand for, by a listing and by what they stood for before. Pure.

Guarantees: a symbol that is named is always there. One that is traded no more is not; one that is halted stays if it
was there. ``top:N`` has exactly N symbols where so many are traded, and ranks that flap change nothing: a symbol that
is there stays while its rank is within N + `margin`, one that is not must reach N - `margin` to displace it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from wsadapter.config.symbol_rules import TOP, Rules, matcher

NAMED: Final = "named"
STAYS: Final = "as before"


class Market(Struct, frozen=True):
    """What a venue trades; ``volumes`` only rank."""

    trading: Collection[str]
    halted: Collection[str] = ()
    volumes: Mapping[str, Decimal] = {}


class Selection(Struct, frozen=True):
    """``symbols``: what the rules stand for, each with the rule that brought it in. ``unoffered``: what they would
    stand for too, and why it cannot be recorded for the feed. ``ranked``: ``top:`` rule -> its symbols."""

    symbols: dict[str, str]
    unoffered: dict[str, str] = {}
    ranked: dict[str, tuple[str, ...]] = {}


class Before(Struct, frozen=True):
    """What the rules stood for: all symbols in their order, and those of each ``top:``."""

    symbols: tuple[str, ...] = ()
    ranked: Mapping[str, Sequence[str]] = {}


def margin(count: int) -> int:
    """Ranks around N within which nothing changes."""
    return max(1, count // 5)


def select(rules: Rules, market: Market, before: Before, refusal: Callable[[str], str]) -> Selection:
    """``before``: its order is kept, new symbols follow. ``refusal``: why the venue does not offer the feed's streams
    for a symbol, empty where it does."""
    excluded = [matcher(glob) for glob in rules.excludes]
    why = dict.fromkeys(rules.named, NAMED)
    unoffered: dict[str, str] = {}
    ranked: dict[str, tuple[str, ...]] = {}

    def candidates(glob: str, was: Collection[str]) -> list[str]:
        """``was``: those that stay though they are halted."""
        matches, found = matcher(glob), []
        for symbol in sorted({*market.trading, *(symbol for symbol in market.halted if symbol in was)}):
            if not matches(symbol) or any(leaves_out(symbol) for leaves_out in excluded):
                continue
            if symbol not in why and symbol not in unoffered and (reason := refusal(symbol)):
                unoffered[symbol] = reason
            if symbol not in unoffered:
                found.append(symbol)
        return found

    for glob in rules.globs:
        for symbol in candidates(glob, frozenset(before.symbols)):
            why.setdefault(symbol, glob)
    for top in rules.tops:
        rule = f"{TOP}{top.count}" + (f":{top.glob}" if top.glob != "*" else "")
        was = frozenset(before.ranked.get(rule, ()))
        ranked[rule] = _top(top.count, candidates(top.glob, was), market.volumes, was)
        for symbol in ranked[rule]:
            why.setdefault(symbol, rule)
    order = [*rules.named, *(symbol for symbol in before.symbols if symbol in why), *why]
    return Selection({symbol: why[symbol] for symbol in dict.fromkeys(order)}, unoffered, ranked)


def _top(
    count: int, symbols: Sequence[str], volumes: Mapping[str, Decimal], before: Collection[str]
) -> tuple[str, ...]:
    ranked = sorted(symbols, key=lambda symbol: (-volumes.get(symbol, Decimal(0)), symbol))
    first, stay = count - margin(count), count + margin(count)
    chosen = [*ranked[:first], *(symbol for symbol in ranked[first:stay] if symbol in before), *ranked]
    return tuple(dict.fromkeys(chosen))[:count]
