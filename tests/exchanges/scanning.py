"""A session with the scanner in C beside one without, and what both must leave behind."""

from typing import Any

import pytest
from msgspec import Struct, structs

from wsadapter import native
from wsadapter.exchanges import by_key, by_tag, load, scanner
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import ConnectionPlan, Item, Receive

built = pytest.mark.skipif(native.extension is None, reason="the C extension is not built")


def state(made: VenueSession) -> list[Any]:
    s = made.sequences
    series = [
        (one.next, one.at_ns, one.gap_ns, one.behind, one.run, one.waiting, one.grid)
        for by_symbol in s._all()
        for one in by_symbol.values()
    ]
    times = [ordinals.times for ordinals in made.ordinals.values()]
    states = {key: structs.asdict(each) for key, each in made.states.items() if isinstance(each, Struct)}
    books = {key: (book.bids.best(9999), book.asks.best(9999))
             for key, book in made.states.items() if isinstance(book, CheckedBook)}  # fmt: skip
    return [
        books, series, made.last_receive_ns, made.outages.pending, made.requests.unheard, times, states, s.out_of_order,
        made.messages.last, made.known, made.published,
    ]  # fmt: skip


def twins(plan: ConnectionPlan, monkeypatch: pytest.MonkeyPatch, slowly: list[bytes]) -> tuple[Any, Any]:
    """With C and without; what C passes on goes into ``slowly``."""
    made = load(plan.exchange)

    def counted(framing: Any, session: Any, streams: Any, otherwise: Receive, marks: Any = None) -> Receive:
        def pass_on(payload: bytes | memoryview, at_ns: int) -> list[Item]:
            slowly.append(bytes(payload))
            return otherwise(payload, at_ns)

        return scanner.scanner(framing, session, streams, pass_on, marks)

    with monkeypatch.context() as patched:
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", lambda framing, session, streams, otherwise, marks=None: otherwise)
        slow = made(plan)
    with monkeypatch.context() as patched:
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", counted)
        fast = made(plan)
    return fast, slow
