"""Streams that send all once, then what changed: the last state of each symbol, and the events that a change makes.

For the session, see `wsadapter.exchanges.session`.
"""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from wsadapter.events.decimals import NotPlain, are_plain
from wsadapter.exchanges.books import UNBEGUN
from wsadapter.exchanges.second_look import FAILURES, failure
from wsadapter.exchanges.values import says
from wsadapter.exchanges.venue import Bad, Channel, Item, Subscription

if TYPE_CHECKING:
    from wsadapter.exchanges.accepting import Accept
    from wsadapter.exchanges.session import VenueSession


def accept_latest(session: "VenueSession", channel: Channel, accepts: list["Accept"]) -> "Accept":
    """Elements that hold what changed. A value that is no number changes nothing, an event that cannot be made
    costs only itself."""
    latest, fields = channel.latest, sorted(frozenset[str]().union(*(one.on_change for one in channel.emits)))
    assert latest is not None
    kind = attrgetter(latest.kind)
    read = attrgetter(*fields) if len(fields) > 1 else lambda d: (getattr(d, fields[0]),)
    emits = [(one.event.stream_type.value, one, accept) for one, accept in zip(channel.emits, accepts, strict=True)]

    def accept(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        key = channel.name, symbol
        items: list[Item] = []
        changed = {name: value for name, value in zip(fields, read(d), strict=True) if value is not None}
        if not (are_plain(*changed.values()) or _are_numbers(*changed.values())):
            for name in [name for name, value in changed.items() if not _are_numbers(value)]:
                del changed[name]
                setattr(d, name, None)
                items.append(Bad("decimal", name))
                for word, one, _ in emits:
                    if name in one.on_change:
                        session.outages.failed(word, symbol, stream, received)
        if kind(e) == latest.snapshot:
            state = session.states[key] = d
        elif (state := session.states.get(key)) is None:
            return [*items, UNBEGUN]
        else:
            for name, value in changed.items():
                setattr(state, name, value)
        wanted = sub.feeds if sub else ()
        for word, one, accept_one in emits:
            if wanted and word not in wanted:
                continue
            if one.on_change.isdisjoint(changed) or not all(says(getattr(state, name)) for name in one.needs):
                continue
            try:
                items += accept_one(state, e, sub, stream, symbol, received)
            except FAILURES as error:
                session.outages.failed(word, symbol, stream, received)
                items.append(Bad("decimal", str(error)) if isinstance(error, NotPlain) else failure(error))
        return items

    return accept


def _are_numbers(*texts: str) -> bool:
    """Decimals of either sign, or empty."""
    return all(are_plain(text.removeprefix("-") or "0") for text in texts)
