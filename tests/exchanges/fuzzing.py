"""Damaged frames, and what must hold of whatever a session makes of them."""

import random
import re
from collections.abc import Collection

from wsadapter.events import Event, Gap
from wsadapter.events.records import encode
from wsadapter.events.streams import columns
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, Item, Refused, Reply
from wsadapter.metrics import DECODE_ERROR_KINDS

PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
SIGNED = {"price_change", "price_change_percent", "funding_rate"}
SPICE = (
    b'"', b"[", b"]", b"{", b"}", b",", b":", b"-", b".", b"e", b"\\", b"\x00", b"\xff", b"9" * 30, b"null", b"nan",
    b"[[[[", b"\\u0030", b"true", b'"T":', b'"p":"1e5",', b" ",
)  # fmt: skip


def check(items: list[Item], symbols: Collection[str]) -> None:
    for item in items:
        if isinstance(item, Bad):
            assert item.kind in DECODE_ERROR_KINDS
            assert item.detail.isascii()
            assert len(item.detail) <= (256 if item.kind == "unknown_event" else 64)
        elif isinstance(item, Event):
            check_event(item, symbols)
        else:
            assert isinstance(item, Acked | Refused | Reply | ClosesSoon)


def check_event(event: Event, symbols: Collection[str]) -> None:
    assert event.symbol in symbols or (isinstance(event, Gap) and not event.symbol)
    for column in columns(type(event)):
        value = getattr(event, column.field)
        if value is None:
            assert column.nullable, column.field
        elif column.decimal:
            for text in value if column.repeated else (value,):
                assert PLAIN.fullmatch(text.removeprefix("-") if column.field in SIGNED else text), column.field
        elif isinstance(value, int):
            assert -(2**63) <= value < 2**63, column.field
        else:
            assert isinstance(value, str), column.field
    encode(event)


def mutated(sample: bytes, dice: random.Random) -> bytes:
    frame = bytearray(sample)
    for _ in range(dice.randint(1, 4)):
        at, to = sorted((dice.randrange(len(frame) + 1), dice.randrange(len(frame) + 1)))
        match dice.randrange(5):
            case 0:
                frame[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                frame[at:at] = dice.choice(SPICE)
            case 2:
                frame[at : at + dice.randint(1, 8)] = dice.choice(SPICE)
            case 3:
                del frame[at : min(to, at + 40)]
            case _:
                frame[at:at] = frame[at : min(to, at + 40)]
    return bytes(frame)
