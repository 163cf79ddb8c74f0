"""The scanner in C and the session say the same of every message, and leave the same behind: of each venue's stand-in,
whole and damaged, in order and not."""

import os
import random

import pytest
from conformance.pair import Pair
from exchanges.fuzzing import mutated
from exchanges.scanning import built, state, twins

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.exchanges import scanner
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import Emit
from wsadapter.exchanges.venue import Candles, Channel, Follows, Latest, Repeats, Rises

VENUES = sorted(STAND_INS)
DIRECT = {
    "binance", "binance_coinm", "binance_spot", "bitget", "bitget_spot", "bybit", "bybit_inverse", "bybit_spot",
    "deribit", "gate", "hyperliquid", "kraken", "kraken_futures", "okx",
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
def test_single_trades_are_events_where_only_they_are_wanted() -> None:
    """Their word is another one than their table's."""
    pair = Pair("binance_spot", streams=("raw_trade",)).open().run(2.0)

    assert pair.made == pair.counts.sent
    assert pair.made["trade"] > 100


def test_all_that_tables_can_say_is_known() -> None:
    """A rule of the session that C knows nothing of would be a difference: whoever adds one looks here."""
    for kind in (ByKey, Channel, Emit, Follows, Candles, Latest, Repeats, Rises):
        assert set(scanner.KNOWN[kind.__name__].split()) == set(kind.__struct_fields__), kind.__name__
