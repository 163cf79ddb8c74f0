"""From a message straight to its ring records: the octets that the session and the encoder in Python make of it, the
same counts, the same state left behind; of each venue's stand-in, of recorded frames and of frames made at random,
whole and damaged, in order and not."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from conformance.pair import Pair
from exchanges.fuzzing import mutated
from exchanges.scanning import Recording, as_records, built, state, twins
from exchanges.test_binance_scanner import PLAN, frame
from frames_path import FRAMES

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.events import StreamType
from wsadapter.events.streams import BY_EVENT, SPECS
from wsadapter.exchanges import scanner
from wsadapter.exchanges.ordinals import REMEMBERED
from wsadapter.exchanges.venue import ConnectionPlan, Subscription

SECONDS = 2.0
"""Of a market, for each seed."""
LEAST = {"kraken": 0.3}
"""Share of the stand-in's messages that become records at once; of others half. Books that a checksum proves do not."""
AT_NS = 1_790_771_371_000_000_000


def assert_counted(records: Counter[int], recording: Recording) -> None:
    """The page counts what is in the ring, but for what the publisher left to its owner."""
    found, kinds = recording.counts, {spec.kind: spec.name for spec in SPECS}
    records -= Counter(BY_EVENT[type(event)].kind for event in recording.slowly)
    assert found.pop("decoded_total", 0) == records.total() + len(recording.slowly)
    for kind, count in records.items():
        assert found[f'events_total{{stream="{kinds[kind]}"}}'] == count


@built
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("exchange", sorted(STAND_INS))
def test_records_are_those_of_the_events(exchange: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    pair = Pair(exchange, changes=seed % 2 == 1).open().run(SECONDS)
    for line in pair.lines:
        fast, slow = twins(line.plan, monkeypatch, [])
        recording = Recording(fast)
        assert fast.open() == slow.open()
        came: Counter[int] = Counter()
        try:
            for number, text in enumerate(line.texts):
                at_ns = AT_NS + number
                payloads = [text] * (dice.choice((0, 2)) if dice.random() < 0.002 * seed else 1)
                if dice.random() < 0.1 * seed:
                    payloads.append(mutated(text, dice))
                if dice.random() < 0.05 * seed:
                    payloads.append(text.replace(b",", b" , ").replace(b":", b" :"))
                for payload in payloads:
                    expected = as_records(slow.receive(payload, at_ns))
                    assert recording.receive(memoryview(payload), at_ns) == expected, payload
                    assert state(fast) == state(slow), payload
                    came.update(kind for kind, _ in expected[0])
                if dice.random() < 0.002 * seed:
                    assert fast.open() == slow.open()
                if dice.random() < 0.005 * seed:
                    fast.last_gap_ns = slow.last_gap_ns = at_ns
            assert_counted(came, recording)
            if seed == 0 and len(line.texts) > 50:
                least = LEAST.get(exchange, 0.5) * len(line.texts)
                assert recording.straight > least, "hardly a message became records at once"
        finally:
            recording.release()


@built
@pytest.mark.parametrize("seed", range(3))
def test_of_frames_made_at_random(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice, ids = random.Random(seed), {}  # type: ignore[var-annotated]
    fast, slow = twins(PLAN, monkeypatch, [])
    recording = Recording(fast)
    try:
        for at_ns in range(1, 2500):
            payload = frame(dice, ids)
            assert recording.receive(payload, at_ns) == as_records(slow.receive(payload, at_ns)), payload
            assert state(fast) == state(slow), payload
            if dice.random() < 0.01:
                fast.last_gap_ns = slow.last_gap_ns = at_ns
            if dice.random() < 0.003:
                name = dice.choice(list(fast.subscriptions))
                assert fast.silent(name, 1, at_ns) == slow.silent(name, 1, at_ns)
        assert recording.straight > 200
    finally:
        recording.release()


def recorded_frames() -> Iterator[bytes]:
    assert FRAMES is not None
    for path in sorted((FRAMES / "binance_usdm").glob("*_cf2021.jsonl")):
        yield from path.read_bytes().splitlines()[:400]


@built
@pytest.mark.skipif(FRAMES is None, reason="the recorded frames (../shared/frames) are not here")
def test_of_recorded_frames_and_damaged_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"aggTrade": StreamType.TRADE, "bookTicker": StreamType.BOOK_TICKER, "depth@100ms": StreamType.DEPTH}
    symbols = ("BTCUSDT", "ETHUSDT")
    plan = ConnectionPlan(
        "c-0", "binance", "",
        tuple(Subscription(f"{s.lower()}@{name}", word, s) for s in symbols for name, word in words.items()), symbols,
    )  # fmt: skip
    fast, slow = twins(plan, monkeypatch, [])
    recording, dice = Recording(fast), random.Random(5)
    try:
        for at_ns, text in enumerate(recorded_frames(), AT_NS):
            for payload in (text, mutated(text, dice)) if dice.random() < 0.3 else (text,):
                assert recording.receive(payload, at_ns) == as_records(slow.receive(payload, at_ns)), payload
                assert state(fast) == state(slow), payload
    finally:
        recording.release()


def next_tickers(count: int) -> list[bytes]:
    return [
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":%d,"s":"BTCUSDT","b":"1.5","B":"2","a":"3",'
        b'"A":"4","T":1723161256313,"E":1723161256313}}' % number
        for number in range(1, count + 1)
    ]


@built
def test_who_is_held_gets_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a gap that they do not know of they are marked one by one."""
    fast, slow = twins(PLAN, monkeypatch, [])
    recording, tickers = Recording(fast), next_tickers(9)
    try:
        for payload in tickers[:3]:
            assert recording.receive(payload, 7) == as_records(slow.receive(payload, 7))
        assert recording.straight == 2, "the first one asks for room"
        recording.publisher.held = 1
        made, _ = recording.receive(tickers[3], 8)
        assert (made, recording.slowly[1:]) == ([], slow.receive(tickers[3], 8))
        recording.publisher.held = 0
        assert recording.receive(tickers[4], 9) == as_records(slow.receive(tickers[4], 9))
        assert recording.straight == 3
        assert recording.counts["decoded_total"] == 5
        assert recording.counts["last_receive_ns"] == 9
    finally:
        recording.release()


@built
def test_a_full_ring_gets_no_part_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit are events, for who counts what is dropped; nothing is told twice."""
    fast, slow = twins(PLAN, monkeypatch, [])
    recording, tickers = Recording(fast, 1 << 12), next_tickers(200)
    try:
        expected = [record for payload in tickers for record in as_records(slow.receive(payload, 7))[0]]
        for payload in tickers:
            for item in fast.receive(payload, 7):
                recording.publisher(item)
        made: list[Any] = [*recording.slowly]
        dropped, _ = as_records(made)
        written = recording.read()
        assert 10 < len(written) < 100
        assert set(written) | set(dropped) == set(expected)
        assert written == expected[: len(written)]
        assert state(fast) == state(slow)
    finally:
        recording.release()


@built
def test_without_handlers_there_are_events_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who looks at samples of messages, and while two sockets become one sequence."""
    fast, slow = twins(PLAN, monkeypatch, [])
    recording, tickers = Recording(fast), next_tickers(5)
    try:
        recording.receive(tickers[0], 7)
        assert slow.receive(tickers[0], 7)
        for given, payload in zip((True, False, False, True), tickers[1:], strict=True):
            if given:
                recording.give()
            else:
                scanner.give_records(fast.receive, {})
            expected = slow.receive(payload, 7)
            assert fast.receive(payload, 7) == ([] if given else expected)
            assert recording.read() == (as_records(expected)[0] if given else [])
    finally:
        recording.release()


@built
@pytest.mark.parametrize("exchange", ["bybit", "kraken"])
def test_times_that_are_forgotten_cost_no_event(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of events without ids the last times are known; where they are full half of them go, in the same pass."""
    line = next(line for line in Pair(exchange).open().run(SECONDS).lines if b"ticker" in b"".join(line.texts))
    fast, slow = twins(line.plan, monkeypatch, [])
    recording = Recording(fast, 1 << 22)  # at the end of a lap events are made
    try:
        assert fast.open() == slow.open()
        for payload in line.texts:
            assert recording.receive(payload, AT_NS) == as_records(slow.receive(payload, AT_NS))
        told = [text for text in line.texts if b'"tickers.' in text or b'"channel":"ticker"' in text][-1]
        before, count = recording.straight, 3 * REMEMBERED
        for number in range(count):
            if exchange == "bybit":
                payload = re.sub(rb'"ts":\d+', b'"ts":%d' % (1_790_771_500_000 + number), told)
            else:
                payload = re.sub(rb"\.\d{6}Z", b".%06dZ" % (600_000 + number), told)
            assert recording.receive(payload, AT_NS + number) == as_records(slow.receive(payload, AT_NS + number))
            assert state(fast) == state(slow)
        assert recording.straight == before + count
    finally:
        recording.release()
