"""A venue that tells its newest trades again: how many are known, in C and in Python, over more than are."""

import json

import pytest
from exchanges.scanning import built, state, twins

from wsadapter.events import StreamType, Trade
from wsadapter.exchanges.venue import ConnectionPlan, Repeats, Subscription

PLAN = ConnectionPlan("c-0", "hyperliquid", "", (Subscription("trades:BTC", StreamType.TRADE, "BTC"),), ("BTC",))
MOST = Repeats("tid").most


def trades(*ids: int) -> bytes:
    told = [{"coin": "BTC", "side": "A", "px": "84143.0", "sz": "0.1", "time": 1790232216193 + number, "hash": "0x",
             "tid": number, "users": ["0x1", "0x2"]} for number in ids]  # fmt: skip
    return json.dumps({"channel": "trades", "data": told}, separators=(",", ":")).encode()


@built
def test_the_same_are_known_in_c_and_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    slowly: list[bytes] = []
    fast, slow = twins(PLAN, monkeypatch, slowly)
    for made in fast, slow:
        made.open()
        made.receive(b'{"channel":"subscriptionResponse","data":{"method":"subscribe",'
                     b'"subscription":{"type":"trades","coin":"BTC"}}}', 1)  # fmt: skip
    sizes = set[int]()
    for number in range(0, 5 * MOST, 3):
        payload = trades(number, number + 1, number + 2)
        found = fast.receive(payload, number + 2), slow.receive(payload, number + 2)
        assert found[0] == found[1]
        assert sum(isinstance(item, Trade) for item in found[0]) == 3
        assert state(fast) == state(slow)
        sizes.add(len(fast.known["trades:BTC"]))
    assert min(size for size in sizes if size >= MOST) <= MOST + 3
    assert max(sizes) <= MOST + MOST // 8

    last = 5 * MOST // 3 * 3
    repeated = trades(*range(last - 5, last))
    assert fast.receive(repeated, 1_000_000) == slow.receive(repeated, 1_000_000) == []
    assert len(slowly) < 3, "only what stands before the first trades goes the other way"
