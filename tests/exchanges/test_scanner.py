"""The scanner in C and the session say the same of every message, and leave the same behind: of each venue's stand-in,
whole and damaged, in order and not."""

import json
import os
import random
import re

import pytest
from conformance.pair import Pair
from exchanges.fuzzing import mutated
from exchanges.scanning import built, state, twins

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.events import Depth
from wsadapter.exchanges import scanner
from wsadapter.exchanges.books import MOST_LEVELS
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import Emit
from wsadapter.exchanges.venue import Candles, Channel, Follows, Latest, Repeats, Rises

VENUES = sorted(STAND_INS)
DIRECT = {
    "binance", "binance_coinm", "binance_spot", "bitget", "bitget_spot", "bybit", "bybit_inverse", "bybit_spot",
    "coinbase",    "deribit", "gate", "hyperliquid", "kraken", "kraken_futures", "okx",
}  # fmt: skip
"""Of these the usual message goes through C."""
SECONDS = float(os.environ.get("WSADAPTER_FUZZ_SECONDS", "4"))
"""Of a market, for each seed."""


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
@pytest.mark.parametrize(("levels", "parts"), [(MOST_LEVELS, 1), (MOST_LEVELS + 1, 2)])
def test_a_change_of_very_many_levels_is_parted(levels: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a book that nothing but the connection's numbers proves."""
    pair = Pair("coinbase", streams=("depth",)).open().run(1.0)
    (line,) = pair.lines
    slowly: list[bytes] = []
    fast, slow = twins(line.plan, monkeypatch, slowly)
    for text in line.texts:
        assert fast.receive(text, 1) == slow.receive(text, 1)
    book = json.loads(line.texts[-1])
    (event,) = book["events"]
    level = {"side": "offer", "event_time": book["timestamp"], "price_level": "1.5", "new_quantity": "0"}
    event |= {"type": "update", "updates": [level] * levels}
    book["sequence_num"] = fast.messages.last + 1
    payload = json.dumps(book).encode()
    del slowly[:]

    made = fast.receive(payload, 1)
    assert made == slow.receive(payload, 1)
    assert state(fast) == state(slow)
    assert [type(each) for each in made] == [Depth] * parts
    assert len(slowly) == parts - 1
    assert fast.receive(payload, 1) == slow.receive(payload, 1), "a number that comes again"
    assert len(slowly) == parts


@built
@pytest.mark.parametrize("nothing", [b'"0"', b'"0.0"', b'""', b'"00"', b"0", b"0.0", b"-0", b"0e0", b"null", b"[]"])
def test_what_is_offered_in_no_usual_spelling(nothing: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair("kraken_futures").open().run(1.0)
    touch = re.compile(rb'"(bid|ask)":[0-9.]+')
    line, text = next((line, text) for line in pair.lines for text in line.texts if len(touch.findall(text)) == 2)
    fast, slow = twins(line.plan, monkeypatch, [])
    fast.open()
    slow.open()
    payload = touch.sub(rb'"\1":' + nothing, text)
    assert fast.receive(payload, 1) == slow.receive(payload, 1)
    assert state(fast) == state(slow)


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
