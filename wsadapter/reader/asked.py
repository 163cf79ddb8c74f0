"""What a reader is asked for, and whether there is such a thing: of a word that is misspelt a `ConfigError` says which
one may be meant. Owns nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import Final, Literal

from wsadapter.errors import ConfigError
from wsadapter.events.streams import BY_STREAM, OURS
from wsadapter.exchanges import REGISTRY
from wsadapter.reader.ordering import Scope
from wsadapter.reader.position import Position

KEYS_MOST: Final = 100_000
GAP: Final = "gap"
STREAMS: Final = tuple(stream for stream in BY_STREAM if stream not in OURS)
Start = Literal["newest", "earliest"] | datetime | Position
Words = str | Iterable[str]


class Wanted(dict[bytes | None, bool]):
    """Of which keys messages are wanted: those of our venues and symbols, and gaps about all symbols."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def __missing__(self, key: bytes | None) -> bool:
        if len(self) >= KEYS_MOST:
            self.clear()
        wanted = self[key] = self._scope.has_key(key)
        return wanted


def _listed(words: Words) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def checked_scope(exchange: Words, symbols: Words, streams: Words) -> Scope:
    """What is misspelt would never come, and nobody would know."""
    errors: list[tuple[str, str]] = []
    for path, given, known in (("exchange", exchange, [*REGISTRY]), ("streams", streams, [*STREAMS, "coverage"])):
        for word in _listed(given):
            if word in known:
                continue
            near = get_close_matches(word, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            if word == "raw_trade":
                hint = "raw trades are in stream trade, with aggregated = False. "
            elif word == GAP:
                hint = "gaps come with any stream. "
            errors.append((path, f"unknown word {word!r}. {hint}There are: {' '.join(sorted(known))}"))
    errors += [("symbols", "an empty symbol") for symbol in _listed(symbols) if not symbol]
    if errors:
        raise ConfigError(errors)
    return Scope(frozenset(_listed(exchange)), frozenset(_listed(symbols)), frozenset(_listed(streams)))


def checked_start(start: Start) -> Start:
    if isinstance(start, datetime) and start.tzinfo is None:
        raise ConfigError([("start", "a time without a zone: datetime.now(UTC), for instance")])
    if not isinstance(start, datetime | Position) and start not in ("newest", "earliest"):
        raise ConfigError([("start", f'"newest", "earliest", a datetime or a Position, not {start!r}')])
    return start
