"""Which of a feed's connections carries which stream: where it was, so that a change touches few of them. Pure.

Guarantees: no connection has more streams or octets than the venue allows; a stream that stays is not moved; the
streams of a symbol that is new go to one connection, the emptiest with room for all of them.
"""

from collections.abc import Mapping, Sequence

from wsadapter.exchanges.protocol import cut, octets_of

Placement = Mapping[str, Sequence[str]]
"""Connection -> names of its streams."""


def place(
    symbols: Mapping[str, str], before: Mapping[int, Sequence[str]], most: int, most_octets: int
) -> dict[int, tuple[str, ...]]:
    """Number of a connection -> its streams. ``symbols``: name -> what it is about. ``before``: as it was, empty where
    there was nothing: then they are cut in their order."""
    if not before:
        return dict(enumerate(cut(symbols, most, most_octets)))
    carried = {number: [name for name in names if name in symbols] for number, names in before.items()}
    carried = {number: names for number, names in carried.items() if names}
    octets = {number: sum(map(octets_of, names)) for number, names in carried.items()}
    settled = {name for names in carried.values() for name in names}

    def put(names: Sequence[str], may_open: bool) -> bool:
        size = sum(map(octets_of, names))
        fitting = [
            (len(some), number)
            for number, some in carried.items()
            if len(some) + len(names) <= most and octets[number] + size <= most_octets
        ]
        if not fitting and not (may_open and len(names) <= most and size <= most_octets):
            return False
        number = min(fitting)[1] if fitting else min(set(range(len(carried) + 1)) - carried.keys())
        carried.setdefault(number, []).extend(names)
        octets[number] = octets.get(number, 0) + size
        return True

    fresh: dict[str, list[str]] = {}
    for name, symbol in symbols.items():
        if name not in settled:
            fresh.setdefault(symbol, []).append(name)
    for names in fresh.values():
        if not put(names, may_open=True):  # more than any connection takes
            for name in names:
                put((name,), may_open=True)
    return {number: tuple(carried[number]) for number in sorted(carried)}
