"""Events against another reading of their frame: what each field must be, and that nothing else is there."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from wsadapter.events import Event
from wsadapter.exchanges.venue import Item

MS = 1_000_000
COMMON = {"exchange", "symbol", "receive_time_ns", "source", "connection", "last_gap_ns"}
DEFAULTS: dict[str, tuple[Any, ...]] = {"ordinal": (0, None), "settled": (False, None)}
Expected = tuple[type[Event], dict[str, Any]]


def texts(line: bytes) -> Any:
    """The document with the text of each number in its place."""
    return json.loads(line, parse_float=str, parse_int=str)


def ms(text: str | None) -> int | None:
    return None if text is None else int(text) * MS


def sides(bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """The four columns."""
    columns = {"bid": list(bids), "ask": list(asks)}
    return {
        f"{side}_{name}": [level[place] for level in levels]
        for side, levels in columns.items()
        for place, name in enumerate(("price", "quantity"))
    }


def assert_read(items: Sequence[Item], expected: Sequence[Expected], exchange: str, symbol: str) -> None:
    """The items are these events and no others; fields that are not named are None."""
    assert [type(item) for item in items] == [kind for kind, _ in expected]
    for item, (_, fields) in zip(items, expected, strict=True):
        assert isinstance(item, Event)
        assert (item.exchange, item.symbol) == (exchange, symbol)
        for name in item.__struct_fields__:
            value = getattr(item, name)
            if name in fields:
                wanted = fields[name]
                assert (list(value) if isinstance(wanted, list) else value) == wanted, name
            elif name in DEFAULTS:
                assert value in DEFAULTS[name], name
            elif name not in COMMON:
                assert value is None, name
