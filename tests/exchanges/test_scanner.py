"""The scanner in C and the session say the same of every message, and leave the same behind: of each venue's stand-in,
whole and damaged, in order and not."""

import os
import random
from typing import Any

import pytest
from conformance.pair import Pair
from exchanges.fuzzing import mutated
from msgspec import Struct, structs

from wsadapter import native
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.exchanges import by_key, by_tag, load, scanner
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.fast_path import receiver_in_python
from wsadapter.exchanges.mapping import Emit
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Candles, Channel, ConnectionPlan, Follows, Item, Latest, Receive, Repeats, Rises

VENUES = sorted(STAND_INS)
DIRECT = {
    "binance", "binance_coinm", "binance_spot", "bitget", "bitget_spot", "bybit", "bybit_inverse", "bybit_spot",
    "deribit", "gate", "hyperliquid", "kraken", "kraken_futures", "okx",
}  # fmt: skip
"""Of these the usual message goes through C."""
SECONDS = float(os.environ.get("WSADAPTER_FUZZ_SECONDS", "4"))
"""Of a market, for each seed."""
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
        made.message_number, made.known, made.published,
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
        patched.setattr(by_tag, "receiver", receiver_in_python)
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", lambda framing, session, streams, otherwise, marks=None: otherwise)
        slow = made(plan)
    with monkeypatch.context() as patched:
        for module in (by_key, by_tag):
            patched.setattr(module, "scanner", counted)
        fast = made(plan)
    return fast, slow


@built
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("exchange", VENUES)
def test_both_ways_are_one(exchange: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    pair = Pair(exchange, changes=seed % 2 == 1).open().run(SECONDS)
    for line in pair.lines:
        slowly: list[bytes] = []
        fast, slow = twins(line.plan, monkeypatch, slowly)
        assert fast.open() == slow.open()
        for number, text in enumerate(line.texts):
            at_ns = 1_790_771_371_000_000_000 + number
            payloads = [text] * (dice.choice((0, 2)) if dice.random() < 0.002 * seed else 1)
            if dice.random() < 0.1 * seed:
                payloads.append(mutated(text, dice))
            if dice.random() < 0.05 * seed:
                payloads.append(text.replace(b",", b" , ").replace(b":", b" :"))
            for payload in payloads:
                expected = slow.receive(payload, at_ns)
                assert fast.receive(memoryview(payload), at_ns) == expected, payload
                assert state(fast) == state(slow), payload
            if dice.random() < 0.002 * seed:
                assert fast.open() == slow.open()
            if dice.random() < 0.005 * seed:
                fast.last_gap_ns = slow.last_gap_ns = at_ns
            if dice.random() < 0.002 * seed:
                name = dice.choice(list(fast.subscriptions))
                assert fast.silent(name, 1, at_ns) == slow.silent(name, 1, at_ns)
        if seed == 0 and exchange in DIRECT and len(line.texts) > 50:
            assert len(slowly) < len(line.texts) / 3, "hardly anything went through C"


@built
def test_single_trades_are_events_where_only_they_are_wanted() -> None:
    """Their word is another one than their table's."""
    pair = Pair("binance_spot", streams=("raw_trade",)).open().run(2.0)

    assert pair.made == pair.counts.sent
    assert pair.made["trade"] > 100


def test_all_that_tables_can_say_is_known() -> None:
    """A rule of the session that C knows nothing of would be a difference: whoever adds one looks here."""
    for kind in (ByKey, Channel, Emit, Follows, Candles, Latest, Repeats, Rises):
        assert set(scanner.KNOWN[kind.__name__].split()) == set(kind.__struct_fields__), kind.__name__
