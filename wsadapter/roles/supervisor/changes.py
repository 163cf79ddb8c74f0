"""What a reload changes, in words for the operator. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from wsadapter.exchanges.venue import ConnectionPlan, Subscription
from wsadapter.roles.orders import IngestOrder
from wsadapter.supervision.process import ChildSpec
from wsadapter.text import some

NAMED: Final = 10
"""Symbols and connections named in one phrase."""


def changes(before: Sequence[ChildSpec], after: Sequence[ChildSpec]) -> list[str]:
    """One phrase for each connection that has other subscriptions or settings, is new or gone, and one for the other
    processes that are started again; empty: nothing changed."""
    old, new = _by_name(before), _by_name(after)
    phrases = [_changed(_plan(old[name]), _plan(new[name]), name) for name in old.keys() & new.keys()
               if _is_connection(new[name]) and old[name] != new[name]]  # fmt: skip
    phrases += [f"added {_subjects(_plan(new[name]).subscriptions)} on {name}, which is new"
                for name in new.keys() - old.keys() if _is_connection(new[name])]  # fmt: skip
    phrases += [f"removed {_subjects(_plan(old[name]).subscriptions)} with {name}"
                for name in old.keys() - new.keys() if _is_connection(old[name])]  # fmt: skip
    others = [name for name in {**old, **new} if old.get(name) != new.get(name) and name not in _connections(old, new)]
    return sorted(phrases) + ([f"started again: {' '.join(sorted(others))}"] if others else [])


def _changed(before: ConnectionPlan, after: ConnectionPlan, name: str) -> str:
    gone = [each for each in before.subscriptions if each not in after.subscriptions]
    come = [each for each in after.subscriptions if each not in before.subscriptions]
    parts = [f"{word} {_subjects(some)}" for word, some in (("added", come), ("removed", gone)) if some]
    return f"{', '.join(parts) or 'other settings'} on {name}"


def _subjects(subscriptions: Iterable[Subscription]) -> str:
    """``SOLUSDT trade, depth; ETHUSDT trade``; symbols with the same streams together."""
    words: dict[str, dict[str, None]] = {}
    for each in subscriptions:
        said = [f"{word} {each.interval}".rstrip() for word in each.feeds or (each.stream.value,)]
        words.setdefault(each.symbol or "all symbols", {}).update(dict.fromkeys(said))
    symbols: dict[tuple[str, ...], list[str]] = {}
    for symbol, said_of_it in words.items():
        symbols.setdefault(tuple(said_of_it), []).append(symbol)
    return "; ".join(f"{some(names, NAMED, ' ')} {', '.join(streams)}" for streams, names in symbols.items())


def _by_name(specs: Iterable[ChildSpec]) -> dict[str, ChildSpec]:
    return {spec.name: spec for spec in specs}


def _connections(*of: Mapping[str, ChildSpec]) -> set[str]:
    return {name for specs in of for name, spec in specs.items() if _is_connection(spec)}


def _is_connection(spec: ChildSpec) -> bool:
    return isinstance(spec.order, IngestOrder)


def _plan(spec: ChildSpec) -> ConnectionPlan:
    assert isinstance(spec.order, IngestOrder), "asked of connections only"
    return spec.order.plan
