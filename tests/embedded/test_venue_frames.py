"""The venue's frames look like the real ones: same keys, same JSON types, same envelope, nothing made up."""

import gzip
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from frames_path import frames
from msgspec import Struct

from wsadapter.embedded.exchange.binance_requests import SocketSubscriptions
from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets

# fields that only the documentation of 2026 lists (PROTOCOLS 1.4, 1.5)
NEWER = {
    "aggTrade": {"nq", "st"},
    "bookTicker": {"ps", "st"},
    "depthUpdate": {"ps", "st"},
    "24hrTicker": {"ps", "st"},
    "24hrMiniTicker": {"ps", "st"},
    "markPriceUpdate": {"ap", "st"},
    "forceOrder": {"ps", "st"},
}
SYMBOL_STREAMS = [
    f"btcusdt@{channel}"
    for channel in (
        "aggTrade", "trade", "bookTicker", "depth", "depth@0ms", "depth@100ms", "depth5", "depth10@500ms",
        "depth20@100ms", "kline_1m", "kline_1M", "ticker", "miniTicker", "markPrice", "markPrice@1s", "forceOrder",
    )
]  # fmt: skip
WHOLE_STREAMS = [
    "!ticker@arr",
    "!miniTicker@arr",
    "!markPrice@arr",
    "!markPrice@arr@1s",
    "!forceOrder@arr",
    "!bookTicker",
]


def elements(frame: Any) -> Iterable[dict[str, Any]]:
    data = frame.get("data", frame) if isinstance(frame, dict) else frame
    yield from data if isinstance(data, list) else [data]


def shape(event: dict[str, Any]) -> dict[str, set[str]]:
    """Key -> JSON types, the nested objects' keys dotted, levels as one."""
    found: dict[str, set[str]] = {}
    for key, value in event.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": types for inner, types in shape(value).items()}
        elif isinstance(value, list):
            found[key] = {",".join(type(part).__name__ for part in level) for level in value}
        else:
            found[key] = {type(value).__name__}
    return found


def recorded_lines() -> Iterable[bytes]:
    for path in sorted(frames("binance_usdm").glob("*.jsonl")):
        yield from path.read_bytes().splitlines()
    with gzip.open(frames("binance_usdm/mixed_btcusdt_20240808.jsonl.gz")) as lines:
        yield from (line for line, _ in zip(lines, range(2000), strict=False))


class Real(Struct):
    """An event type as recorded and documented: the keys that every frame has, and the types of all keys."""

    always: set[str]
    ever: dict[str, set[str]]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Real]:
    found: dict[str, Real] = {}
    for line in filter(bytes.strip, recorded_lines()):
        for event in elements(msgspec.json.decode(line)):
            if isinstance(event, dict) and "e" in event:
                types = shape(event)
                real = found.setdefault(event["e"], Real(set(types), defaultdict(set)))
                real.always &= set(types)
                for key in types:
                    real.ever[key] |= types[key]
    return found


@pytest.fixture(scope="module")
def pushed() -> dict[str, list[Any]]:
    """Stream -> what the venue pushed on it in 75 seconds of market time."""
    now = [1_790_771_371_000]
    floor = Markets(("BTCUSDT", "ETHUSDT"), 400, 3, MarketState(), lambda: now[0])
    for name in SYMBOL_STREAMS + WHOLE_STREAMS:
        stream = offered(name)
        assert stream, name
        floor.subscribe(stream)
    found: dict[str, list[Any]] = defaultdict(list)
    for _ in range(1500):
        now[0] += 50
        for push in floor.advance(now[0]):
            found[push.stream].append(msgspec.json.decode(push.data))
    return found


def test_every_offered_stream_pushes(pushed: dict[str, list[Any]]) -> None:
    assert {name for name in SYMBOL_STREAMS + WHOLE_STREAMS if not pushed[name]} == set()


@pytest.mark.parametrize("name", SYMBOL_STREAMS + WHOLE_STREAMS)
def test_keys_and_types_are_the_recorded_ones(
    name: str, pushed: dict[str, list[Any]], recorded: dict[str, Real]
) -> None:
    for frame in pushed[name]:
        for event in elements(frame):
            real, ours = recorded[event["e"]], shape(event)
            assert set(ours) >= real.always
            assert set(ours) - set(real.ever) <= NEWER.get(event["e"], set())
            assert {key for key, types in ours.items() if types - real.ever.get(key, types)} == set()


def test_all_market_streams_are_arrays_where_the_venue_has_arrays(pushed: dict[str, list[Any]]) -> None:
    arrays = {name for name in WHOLE_STREAMS if all(isinstance(frame, list) for frame in pushed[name])}
    assert arrays == {"!ticker@arr", "!miniTicker@arr", "!markPrice@arr", "!markPrice@arr@1s"}


def test_all_market_streams_bring_coin_margined_symbols(pushed: dict[str, list[Any]]) -> None:
    for name in ("!ticker@arr", "!markPrice@arr@1s", "!bookTicker"):
        types = {(event["s"], event["st"]) for frame in pushed[name] for event in elements(frame)}
        assert ("BTCUSD_PERP", 2) in types
        assert ("BTCUSDT", 1) in types


def test_replies_look_like_the_documented_ones() -> None:
    documented = [
        msgspec.json.decode(line)
        for line in frames("binance_usdm/docs_examples.jsonl").read_bytes().split(b"\n")
        if line
    ]
    requests = [one for one in documented if isinstance(one, dict) and "method" in one]
    answers = {one["id"]: one for one in documented if isinstance(one, dict) and set(one) == {"result", "id"}}
    connection = SocketSubscriptions(["btcusdt@aggTrade"], True, 1024)
    assert len(requests) >= 5
    for request in requests:
        reply = msgspec.json.decode(connection.answer(msgspec.json.encode(request)).replies[0])
        assert reply == answers[request["id"]]


def test_refusals_carry_the_documented_codes_and_words() -> None:
    documented = {
        (one["code"], one["msg"].split("%s")[0].split(" at line")[0])
        for line in frames("binance_usdm/docs_examples.jsonl").read_bytes().split(b"\n")
        if line and isinstance(one := msgspec.json.decode(line), dict) and set(one) == {"code", "msg"}
    }
    wrong = (
        '{"method":"SET_PROPERTY","params":["wrong",true],"id":1}',
        '{"method":"SET_PROPERTY","params":["combined","true"],"id":1}',
        '{"method":"GET_PROPERTY","params":[1],"id":1}',
        '{"method":"LIST_SUBSCRIPTIONS","id":"a"}',
        '{"method":"WRONG","id":1}',
        '{"method":"GET_PROPERTY","params":["combined","combined"],"id":1}',
        '{"id":1}',
        "{",
    )
    connection = SocketSubscriptions((), True, 1024)
    errors = [msgspec.json.decode(connection.answer(request.encode()).replies[0]) for request in wrong]
    assert [one.get("id") for one in errors] == [1, 1, 1, None, 1, 1, 1, None]
    for code, words in documented:
        assert any(one["error"]["code"] == code and one["error"]["msg"].startswith(words) for one in errors), words
