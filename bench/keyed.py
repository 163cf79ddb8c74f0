"""What decoding costs at each venue whose messages name their streams: us a message, against bare typed decoding.

Messages are those of the venue's stand-in: one stream of each kind, a market that moves. ``bare`` is msgspec with
Structs made of these messages, all of their fields, unchecked, no event; ``published`` makes events and then records of
them, ``record`` the records in one pass. The stand-in's side is in
`tests/conformance/pair.py`.
"""

import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.into_ring import IntoRing
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.exchanges import load
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.venue import ConnectionPlan

SECONDS: Final = 6.0
"""Of the market."""
MOST: Final = 150
FIRST: Final = 2
"""Messages of a stream that are not counted: snapshots."""
_SYMBOL: Final = re.compile(r"[A-Z0-9a-z_-]*(?:BTC|XBT|ETH|btc|xbt|eth)[A-Z0-9a-z_/-]*")


class Costs(NamedTuple):
    """us a message: bare; to events; to events and those into a ring; into a ring in one pass, where it can be."""

    bare: float
    receive: float
    published: float
    record: float


class Recorded(NamedTuple):
    """The messages of one stream, and those that are no data."""

    venue: str
    stream: str
    plan: ConnectionPlan
    answers: Sequence[bytes]
    messages: Sequence[bytes]


def recorded(venues: Sequence[str]) -> Iterator[Recorded]:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from conformance.pair import Pair, Told

    for venue in venues:
        pair = Pair(venue, changes=True)
        told: dict[tuple[int, str], list[bytes]] = {}

        def keep(messages: list[Told], which: int, told: dict[tuple[int, str], list[bytes]] = told) -> list[Told]:
            for message in messages:
                told.setdefault((which, message.stream), []).append(message.text)
            return messages

        for which, line in enumerate(pair.lines):
            line.changed = lambda messages, which=which, keep=keep: keep(messages, which)  # type: ignore[misc]
        pair.open().run(SECONDS)
        kinds = set()
        for (which, stream), messages in told.items():
            kind = _SYMBOL.sub("*", stream)
            if stream and kind not in kinds and len(messages) > 4 * FIRST:
                kinds.add(kind)
                yield Recorded(venue, kind, pair.lines[which].plan, told.get((which, ""), []), messages[:MOST])


def bare_type(values: Sequence[Any]) -> Any:
    """What decodes them all."""
    found = {type(value) for value in values} - {type(None)}
    present = [value for value in values if value is not None]
    made: Any = type(None)
    if found == {dict}:
        fields = {key: [each[key] for each in present if key in each] for each in present for key in each}
        required = {key: len(some) == len(present) for key, some in fields.items()}
        names = sorted(fields, key=lambda key: not required[key])
        told = [(f"f{i}", bare_type(fields[key]), *(() if required[key] else (None,))) for i, key in enumerate(names)]
        told = [(name, hint | None, *rest) if rest else (name, hint) for name, hint, *rest in told]
        made = msgspec.defstruct(
            "Bare", told, rename=dict(zip((f"f{i}" for i in range(len(names))), names, strict=True)), gc=False
        )
    elif found == {list}:
        inner = [each for value in present for each in value]
        lengths = {len(value) for value in present}
        is_level = len(lengths) == 1 and all(isinstance(each, str | int | float) for each in inner)
        if is_level and lengths != {1}:
            made = tuple[tuple(bare_type([value[i] for value in present]) for i in range(lengths.pop()))]  # type: ignore[misc]
        else:
            made = list[bare_type(inner)] if inner else list  # type: ignore[misc]
    elif found == {int, float}:
        made = float
    else:
        for each in found:
            made = each if made is type(None) else made | each
    return made | None if len(present) < len(values) and made is not type(None) else made


def in_sequence(number: Any, messages: Sequence[bytes]) -> Sequence[bytes]:
    """Of a venue that numbers all messages of a connection: as if they were all. ``number`` reads it."""
    if number is None:
        return messages
    key = str(number.__reduce__()[1][0])
    return [re.sub(rf'"{key}":\d+'.encode(), f'"{key}":{at}'.encode(), each) for at, each in enumerate(messages, 1000)]


def costs(one: Recorded, rounds: int, to: IntoRing) -> Costs:
    venue: Any = load(one.venue)(one.plan)
    told = in_sequence(venue.venue.framing.sequence, [*one.answers, *one.messages])
    answers, messages = told[: len(one.answers)], told[len(one.answers) :]
    bare = msgspec.json.Decoder(bare_type([json.loads(each) for each in messages])).decode
    views = [memoryview(each) for each in messages]
    counted, take = views[FIRST:], to.take

    def begun() -> None:
        venue.open()
        venue.known.clear()  # else all of it would be told again
        for each in itertools.chain(answers, views[:FIRST]):
            take(venue.receive(each, 1))
        to.hand_on()

    best = [float("inf")] * 4
    for _ in range(rounds):
        best[0] = min(best[0], _us(bare, counted))
        for place, at_once in (1, False), (2, False), (3, True):
            to.give(venue.receive, at_once)
            begun()
            best[place] = min(best[place], _us(venue.receive, counted, None if place == 1 else take))
    to.give(venue.receive, False)
    return Costs(*best)


def _us(call: Callable[..., Any], messages: Sequence[memoryview], take: Any = ...) -> float:
    """``take`` gets the items where there are any; None: nobody does, ``...``: it is called with the message alone."""
    began = time.perf_counter_ns()
    if take is ...:
        for each in messages:
            call(each)
    elif take is None:
        for each in messages:
            call(each, 1)
    else:
        for each in messages:
            if items := call(each, 1):
                take(items)
    return (time.perf_counter_ns() - began) / len(messages) / 1000


def venues_table(rounds: int, wanted: Sequence[str] = ()) -> dict[str, float]:
    classes: dict[str, Any] = {name: load(name) for name in sorted(STAND_INS)}
    names = [name for name, each in classes.items() if isinstance(each.venue.framing, ByKey)]
    print(f"\n{'venue':<16}{'stream':<36} {'bytes':>6} {'bare us':>8} {'event us':>9} {'ratio':>6} "
          f"{'published':>10} {'record us':>10} {'ratio':>6}")  # fmt: skip
    found: dict[str, float] = {}
    to = IntoRing()
    for one in recorded([name for name in names if not wanted or name in wanted]):
        us = costs(one, rounds, to)
        size = sum(map(len, one.messages)) / len(one.messages)
        print(
            f"{one.venue:<16}{one.stream:<36} {size:>6.0f} {us.bare:>8.2f} {us.receive:>9.2f} "
            f"{us.receive / us.bare:>6.1f} {us.published:>10.2f} {us.record:>10.2f} {us.record / us.bare:>6.1f}"
        )  # fmt: skip
        found |= {f"{one.venue} {one.stream} {what}": round(cost, 3) for what, cost in us._asdict().items()}
    to.release()
    return found
