"""Where two feeds of one exchange ask for the same series. Pure.

A row's key is exchange, symbol and interval: of two addresses (live and testnet) it would be a price that is not the
venue's, which is refused; of one address each event comes twice, which is warned about. Rules are compared as they are
written, not as a listing has them today: what is allowed stays so when a symbol is listed.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from wsadapter.config.model import Feed
from wsadapter.config.symbol_rules import TOP, Rules, matcher, parsed

_SAME_TABLE: Final = {"raw_trade": "trade"}
_PORTS: Final = {"wss": 443, "https": 443, "ws": 80, "http": 80}

_Address = tuple[str, str | None, int, str]
"""Scheme, host, port and path."""


class _Asked(Struct, frozen=True):
    """What a feed asks for: its symbols, sorted out."""

    path: str
    feed: Feed
    rules: Rules
    named: frozenset[str]


def mixed(feeds: Sequence[tuple[str, Feed]]) -> Iterator[tuple[str, str]]:
    """(key path, what is wrong) of series of two addresses; each feed with its own key path."""
    for before, after in _of_one_exchange(feeds):
        if _is_elsewhere(before.feed, after.feed) and (what := _common(before, after, _tables)):
            yield (
                f"{after.path}.symbols",
                f"{what}, which has another address, perhaps another venue (testnet, ws_url, rest_url): prices of two "
                "venues would be one series. Write the same address in both, or run an instance of its own, with its "
                "own topic_prefix and database",
            )


def doubled(feeds: Sequence[tuple[str, Feed]]) -> Iterator[str]:
    """A line for each feed that asks for what another one of the same address has."""
    for before, after in _of_one_exchange(feeds):
        if not _is_elsewhere(before.feed, after.feed) and (what := _common(before, after, _series)):
            yield f"{after.path}.symbols: {what}, too: each event comes twice"


def may_meet(a: str, b: str) -> bool:
    """Whether there may be a symbol that both globs stand for."""

    @cache
    def rest(i: int, j: int) -> bool:
        if a[i : i + 1] == "*":
            return rest(i + 1, j) or (j < len(b) and rest(i, j + 1))
        if b[j : j + 1] == "*":
            return rest(i, j + 1) or (i < len(a) and rest(i + 1, j))
        if i == len(a) or j == len(b):
            return i == len(a) and j == len(b)
        return (a[i] == b[j] or "?" in (a[i], b[j])) and rest(i + 1, j + 1)

    return rest(0, 0)


def _of_one_exchange(feeds: Sequence[tuple[str, Feed]]) -> Iterator[tuple[_Asked, _Asked]]:
    asked = [_Asked(path, feed, rules := parsed(feed.symbols), frozenset(rules.named)) for path, feed in feeds]
    return ((a, b) for a, b in combinations(asked, 2) if a.feed.exchange == b.feed.exchange)


def _is_elsewhere(a: Feed, b: Feed) -> bool:
    """What the venue's own addresses are is not known here."""
    sockets = [_address(feed.ws_url) or feed.testnet for feed in (a, b)]
    rests = [_address(feed.rest_url) or (None if feed.ws_url else "the venue's") for feed in (a, b)]
    return sockets[0] != sockets[1] or (None not in rests and rests[0] != rests[1])


def _address(url: str) -> _Address | None:
    """The same however it is written; a / at its end is gone already."""
    if not url:
        return None
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path


def _tables(feed: Feed) -> Iterator[str]:
    """Whose rows have one key, by word; of candles by interval."""
    for word in feed.streams:
        yield from (f"kline {each}" for each in feed.intervals) if word == "kline" else (_SAME_TABLE.get(word, word),)


def _series(feed: Feed) -> Iterator[str]:
    """What is one event in both feeds, by word; books of one depth. Open interest is asked for once."""
    for word in feed.streams:
        if word == "kline":
            yield from (f"kline {each}" for each in feed.intervals)
        elif word != "open_interest":
            yield f"depth of {feed.depth_levels} levels" if word == "depth" else word


def _common(a: _Asked, b: _Asked, parts: Callable[[Feed], Iterator[str]]) -> str:
    """What ``b`` asks for that ``a`` does, too, in words; empty for nothing."""
    shared = set(parts(a.feed)) & set(parts(b.feed))
    pair = next(_pairs(a, b), None) if shared else None
    if pair is None:
        return ""
    streams = ", ".join(sorted({part.partition(" ")[0] for part in shared}))
    what = f"{pair[0]} is in" if pair[0] == pair[1] else f"{pair[0]} may stand for the same symbol as {pair[1]} of"
    return f"{what} feed {a.feed.name} ({streams})"


def _pairs(a: _Asked, b: _Asked) -> Iterator[tuple[str, str]]:
    """A symbol or rule of ``b``, and the one of ``a`` that may be the same symbol."""
    yield from ((symbol, symbol) for symbol in sorted(a.named & b.named))
    for rule, glob in _globs(a.rules):
        yield from ((each, rule) for each in filter(matcher(glob), b.rules.named) if not _leaves_out(a.rules, each))
    for rule, glob in _globs(b.rules):
        yield from ((rule, each) for each in filter(matcher(glob), a.rules.named) if not _leaves_out(b.rules, each))
        for other, other_glob in _globs(a.rules):
            if may_meet(glob, other_glob) and not _leaves_out(a.rules, glob) and not _leaves_out(b.rules, other_glob):
                yield rule, other


def _globs(rules: Rules) -> Iterator[tuple[str, str]]:
    """Each rule that brings symbols in, as it is written, and its glob."""
    yield from ((glob, glob) for glob in rules.globs)
    yield from ((f"{TOP}{top.count}" + (f":{top.glob}" if top.glob != "*" else ""), top.glob) for top in rules.tops)


def _leaves_out(rules: Rules, glob: str) -> bool:
    """Whether they leave out all that it stands for; a * may be more than one character."""
    return any(matcher(each)(glob) for each in rules.excludes if "?" not in each or "*" not in glob)
