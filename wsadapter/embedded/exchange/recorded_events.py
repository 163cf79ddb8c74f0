"""How many events the messages of a recorded file are, by tables: a dialect says where its messages have their elements
and what each of them is, `Readings` counts.

What the count proves: each element of a message that the documentation calls an event is one in the ring and in the
tables, none is dropped and none is made twice. It shares no code with the decoder that it judges, and looks at no more
of an element than tells what it is. It proves nothing about the values (the golden tests do), and where a rule of the
documentation decides whether there is an event (changes of a book before its snapshot, the candle that its successor
closes, a trade that is told again), one misreading of it could be on both sides.

Owns nothing: what was told before is kept in ``told``, the connection's own.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

Told = dict[Any, Any]
"""What a connection was told before, by key."""
Asked = Mapping[str, frozenset[str]]
"""Symbol -> the stream words that are recorded of it; empty: all of all."""
MOST_KNOWN: Final = 1000
"""Of a stream's trades, where the venue tells the newest ones again; more than it tells at once."""
_FIELD: Final = re.compile(r"\{(\w+)\}")


def one(row: Any) -> int:
    return 1


def says(path: str) -> Callable[[Any], int]:
    """An event where the field is there, not null and not empty."""
    return lambda row: int(at(row, path) not in (None, ""))


class Reading(Struct, frozen=True, kw_only=True):
    """The messages of streams of a ``name`` as `Dialect.stream_of` gives it; ``{symbol}`` stands for a symbol,
    ``{interval}`` for one of ``codes``, other braces for any text. ``of``: only those messages. ``rows``: path of the
    elements, a list or one alone; empty: the message is one. ``inside``: elements are in lists that others have in this
    field. ``symbol``: path of an element's symbol, where not the stream's name says it.

    ``words``: word -> how many events an element is (a tuple: one each). ``once``: word -> of the element, an event
    only when this is another value than the last one of the symbol; None is never one. ``changes``: word -> fields, an
    event when one of them is in an element; of such elements the last values are kept, and ``needs`` says which field
    must say something then. ``begins``: whether an element is a snapshot; what comes before the first one is no event.
    ``alive``: two fields, equal in a sign of life that is no event. ``opens``: path of a candle's begin, where the next
    one closes a candle, an event more, unless ``closed`` is said. ``identity``: path of what tells trades apart where
    they may be told again; ``again``: in which messages (None: all), and there ``number``: none below the last one."""

    name: str
    words: Mapping[str, Callable[[Any], int]] | tuple[str, ...] = ()
    of: Callable[[Any], bool] | None = None
    codes: Collection[str] = ()
    rows: str = ""
    inside: str = ""
    symbol: str = ""
    once: Mapping[str, Callable[[Any], object]] = {}
    changes: Mapping[str, Collection[str]] = {}
    needs: Mapping[str, str] = {}
    begins: Callable[[Any, Any], bool] | None = None
    alive: tuple[str, str] = ("", "")
    opens: str = ""
    closed: str = ""
    identity: str = ""
    again: Callable[[Any], bool] | None = None
    number: str = ""

    def pattern(self) -> "re.Pattern[str]":
        parts = _FIELD.split(self.name)
        fields = {"symbol": "(?P<symbol>.+)", "interval": f"(?:{'|'.join(map(re.escape, self.codes))})"}
        return re.compile("".join(fields.get(p, ".*?") if odd % 2 else re.escape(p) for odd, p in enumerate(parts)))


class Readings:
    """Those of a dialect; the first one whose name and messages fit counts. ``spelled``: the symbol of a name as the
    venue writes it elsewhere."""

    def __init__(self, readings: Sequence[Reading], spelled: Callable[[str], str] = str) -> None:
        self._readings = [(reading, reading.pattern()) for reading in readings]
        self._spelled = spelled
        self._found = lru_cache(maxsize=4096)(self._find)

    def is_carried(self, name: str, by: str) -> bool:
        """Whether a subscription named ``by`` brings what a recorded stream of this ``name`` has: they may differ in
        levels and speeds."""
        return bool({(r.name, s) for r, s in self._found(name)} & {(r.name, s) for r, s in self._found(by)})

    def events(self, name: str, message: Any, told: Told, asked: Asked, is_asked: bool) -> dict[str, int]:
        """Word -> how many events the message is. ``is_asked``: a subscription brings it, then only ``asked`` words
        are events, else all of the symbols that are recorded."""
        fits = (each for each in self._found(name) if each[0].of is None or each[0].of(message))
        reading, of_name = next(fits, (None, ""))
        if reading is None:
            return {}
        found: Counter[str] = Counter()
        for symbol, row in _rows(reading, message, of_name):
            if asked and symbol not in asked:
                continue
            for word, count in _counted(reading, message, row, (reading.name, name, symbol), told):
                if not (asked and is_asked) or word in asked[symbol]:
                    found[word] += count
        return {word: count for word, count in found.items() if count}

    def _find(self, name: str) -> tuple[tuple[Reading, str], ...]:
        matches = ((reading, pattern.fullmatch(name)) for reading, pattern in self._readings)
        return tuple(
            (reading, self._spelled(match.groupdict().get("symbol") or "")) for reading, match in matches if match
        )


def at(row: Any, path: str) -> Any:
    """What is at a path of fields and places; None where nothing is."""
    for part in path.split("."):
        if isinstance(row, dict):
            row = row.get(part)
        elif isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        else:
            return None
    return row


def _rows(reading: Reading, message: Any, of_name: str) -> Iterator[tuple[str, Any]]:
    found = at(message, reading.rows) if reading.rows else message
    for row in found if isinstance(found, list) else () if found is None else (found,):
        symbol = of_name
        if reading.symbol:
            symbol = at(row, reading.symbol)
        for each in at(row, reading.inside) or () if reading.inside else (row,):
            yield symbol, each


def _counted(
    reading: Reading, message: Any, row: Any, key: tuple[str, str, str], told: Told
) -> Iterator[tuple[str, int]]:
    if reading.begins is not None:
        told[key] = told.get(key) or reading.begins(message, row)
        if not told[key]:
            return
    same, other = reading.alive
    if same and at(row, same) is not None and at(row, same) == at(row, other):
        return
    if reading.identity and _is_again(reading, message, row, key, told):
        return
    if reading.changes:
        yield from _changed(reading, row, key, told)
    if isinstance(reading.words, tuple):
        yield from ((word, 1) for word in reading.words)
    else:
        yield from ((word, count(row)) for word, count in reading.words.items())
    for word, read in reading.once.items():
        value = read(row)
        if value is not None and told.get((word, key)) != value:
            told[word, key] = value
            yield word, 1
    if reading.opens:
        yield "kline", int(_closes(reading, row, key, told))


def _is_again(reading: Reading, message: Any, row: Any, key: tuple[str, str, str], told: Told) -> bool:
    known: dict[Any, None] = told.setdefault(("known", key), {})
    identity, number = at(row, reading.identity), at(row, reading.number) if reading.number else None
    may_be = reading.again is None or reading.again(message)
    is_old = number is not None and number < told.get(("number", key), number)
    if may_be and (identity in known or is_old):
        return True
    known[identity] = None
    if len(known) > MOST_KNOWN:
        del known[next(iter(known))]
    if number is not None and not may_be:
        told["number", key] = number
    return False


def _changed(reading: Reading, row: Any, key: tuple[str, str, str], told: Told) -> Iterator[tuple[str, int]]:
    state = told.setdefault(("state", key), {})
    changed = {field: value for field, value in row.items() if value is not None}
    state.update(changed)
    for word, fields in reading.changes.items():
        is_whole = word not in reading.needs or state.get(reading.needs[word]) not in (None, "")
        yield word, int(is_whole and not changed.keys().isdisjoint(fields))


def _closes(reading: Reading, row: Any, key: tuple[str, str, str], told: Told) -> bool:
    """Whether it closes the candle before."""
    opened, is_closed = at(row, reading.opens), bool(reading.closed and at(row, reading.closed))
    before, was_closed = told.get(("candle", key), (None, True))
    if before is not None and _order(opened) < _order(before):
        return False
    told["candle", key] = opened, is_closed
    return not was_closed and opened != before


def _order(opened: Any) -> tuple[int, str]:
    """Numbers as text come in the order of the numbers, times with all digits in that of the text."""
    text = str(opened)
    return len(text), text
