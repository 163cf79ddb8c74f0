"""What values a wire Struct may have, as the scanner in C is told (`wsadapter.exchanges.scanner`): of each field its
type, its range and where its value lies. What cannot be told so is `Unusual`."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw, Struct, inspect

from wsadapter.exchanges.sides import Spelling
from wsadapter.exchanges.values import MOST

MOST_FIELDS: Final = 64
"""Of a Struct."""
Told = tuple[Any, ...]
"""As `native/scanner_tables.c` reads it."""
# as in native/scanner.h and native/json.h
TEXT, INTEGER, FLAG, RAW, INNER, LEVELS, DATA, TAG = range(8)
REQUIRED, NULLABLE, LAX = 1, 2, 4
NO_VALUE, NULL_VALUE, EMPTY_VALUE, STRING_VALUE, WHOLE_VALUE, _, TRUE_VALUE, FALSE_VALUE, _, SIDE_VALUE = range(10)


class Unusual(Exception):
    """It cannot be told."""


class Slots:
    """Where the values of a Struct's fields lie, by path. ``first``: those before are another Struct's."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.places: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self.kinds: list[Told] = []
        """As they are before anything is read."""

    def add(self, path: str, before: Told, type_: int) -> int:
        self.places[path] = self.first + len(self.kinds)
        self.types[path] = type_
        self.kinds.append(before)
        return self.places[path]

    def first_of(self, paths: tuple[str, ...]) -> int:
        """Of the first one that there is."""
        return self.of(next((path for path in paths if path in self.places), ""))

    def of(self, path: str) -> int:
        if path not in self.places:
            raise Unusual(path)
        return self.places[path]


def shape_of(
    struct: type[Struct], slots: Slots, spellings: Mapping[str, Spelling], lax: bool, prefix: str = "", data: str = ""
) -> Told:
    """What values the Struct takes; gives each field its slot."""
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType) or hasattr(struct, "__post_init__"):
        raise Unusual(struct.__name__)
    if info.forbid_unknown_fields or not isinstance(info.tag, str | None):
        raise Unusual(struct.__name__)
    fields: list[Told] = []
    if info.tag is not None:
        fields.append((str(info.tag_field).encode(), TAG, REQUIRED, 0, 0, 0, info.tag.encode()))
    for field in info.fields:
        path = prefix + field.name
        absent = _absent(field.default)
        flags = (REQUIRED if absent[0] == NO_VALUE else 0) | (LAX if lax else 0)
        kind = field.type
        if isinstance(kind, inspect.UnionType) and len(kind.types) == 2 and kind.includes_none:
            kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
            flags |= NULLABLE
        low, high, inner = -MOST, MOST, None
        if path == data:
            type_ = DATA
        elif path in spellings:
            type_, inner = LEVELS, _spelling(kind, spellings[path])
            if isinstance(kind, inspect.ListType):
                low, high = kind.min_length or 0, MOST if kind.max_length is None else kind.max_length
            if field.default_factory is list:
                absent, flags = (SIDE_VALUE, 0, b""), flags & ~REQUIRED
        elif isinstance(kind, inspect.StructType):
            type_, inner = INNER, shape_of(kind.cls, slots, spellings, lax, f"{path}.", data)
        elif isinstance(kind, inspect.StrType) and kind.pattern is None:
            type_, low, high = TEXT, kind.min_length or 0, MOST if kind.max_length is None else kind.max_length
        elif isinstance(kind, inspect.LiteralType) and all(isinstance(each, str) for each in kind.values):
            type_, low, high, inner = TEXT, 0, MOST, tuple(str(each).encode() for each in kind.values)
        elif isinstance(kind, inspect.IntType) and (kind.gt, kind.lt, kind.multiple_of) == (None, None, None):
            type_, low, high = INTEGER, -MOST if kind.ge is None else kind.ge, MOST if kind.le is None else kind.le
        elif isinstance(kind, inspect.BoolType):
            type_ = FLAG
        elif isinstance(kind, inspect.RawType):
            type_ = RAW
        else:
            raise Unusual(f"{struct.__name__}.{field.name}")
        if path in spellings and spellings[path].side:
            slot, _ = (slots.add(f"{path}:{word}", absent, type_) for word in spellings[path].words)
        else:
            slot = 0 if type_ in (DATA, INNER) else slots.add(path, absent, type_)
        fields.append((field.encode_name.encode(), type_, flags, slot, low, high, inner))
    return int(info.array_like), tuple(fields)


def _absent(default: object) -> Told:
    """What an absent field is: kind, number, text; `NO_VALUE`: nothing for C."""
    match default:
        case bool():
            return (TRUE_VALUE if default else FALSE_VALUE), 0, b""
        case int():
            return WHOLE_VALUE, default, str(default).encode()
        case None:
            return NULL_VALUE, 0, b""
        case "":
            return STRING_VALUE, 0, b""
        case Raw() if not bytes(default):
            return EMPTY_VALUE, 0, b""
    return NO_VALUE, 0, b""


def _spelling(kind: inspect.Type, spelling: Spelling) -> Told:
    """How a side is spelled, as long as its wire type has no more to say of it."""
    price, quantity, places = spelling.price, spelling.quantity, spelling.places
    if isinstance(kind, inspect.ListType):
        level = kind.item_type
        if isinstance(level, inspect.StructType):
            fields = {field.encode_name: field for field in level.fields}
            side = {spelling.side} if spelling.side else set()
            if fields.keys() != {price, quantity, *side} or level.array_like:
                raise Unusual("levels that say more")
            if spelling.side and fields[spelling.side].type != inspect.LiteralType(tuple(sorted(spelling.words))):
                raise Unusual("other words for a side")
            kinds = [field.type for name, field in fields.items() if field.required and name != spelling.side]
        elif isinstance(level, inspect.ListType):
            kinds = [level.item_type, level.item_type]
        elif isinstance(level, inspect.TupleType):
            kinds, places = [*level.item_types[:2]], len(level.item_types)
        else:
            raise Unusual("levels")
        text = inspect.StrType()
        if len(kinds) != 2 or not all(
            isinstance(each, inspect.RawType) if spelling.numbers else each == text for each in kinds
        ):
            raise Unusual("levels that are no numbers")
    elif not isinstance(kind, inspect.RawType) or spelling.numbers:
        raise Unusual("a side")
    words = tuple(word.encode() for word in (spelling.side, *spelling.words))
    if isinstance(price, int) and isinstance(quantity, int):
        return price, quantity, places, int(spelling.numbers), b"", b"", *words
    return 0, 0, 0, int(spelling.numbers), str(price).encode(), str(quantity).encode(), *words


class Alone:
    """Of messages that are their element. ``is_whole``: their elements have the envelope's fields, too, so that of the
    envelope only those are read that name the stream."""

    def __init__(self, envelope: Told, names: list[str]) -> None:
        is_list, self._fields = envelope
        self._names = {name.encode() for name in names}
        self.is_whole = not is_list

    def shape(self, element: Told) -> Told:
        is_list, fields = element
        own = {field[0]: field for field in fields}
        others = [field for field in self._fields if field[0] not in own]
        alike = all(
            field in others or field[0] in self._names or _takes(field) == _takes(own[field[0]])
            for field in self._fields
        )
        if is_list or not alike or len(fields) + len(others) > MOST_FIELDS:
            self.is_whole = False
            return element
        return is_list, (*fields, *others)


def _takes(field: Told) -> Told:
    """What values, of which it may be none."""
    _, type_, flags, _, *which = field
    return type_, flags, *which
