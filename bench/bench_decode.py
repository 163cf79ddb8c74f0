"""What decoding costs: us per frame from bytes to checked event, against bare typed msgspec decoding of the same frame.

    python bench/bench_decode.py [--rounds 200] [--venue okx]

Prints three tables and one line of JSON. ``bare`` only decodes (texts unchecked, levels as tuples, no event): nothing
that decodes with msgspec can be below it. ``ratio`` is what the checks and the event add; ``published`` is with the
event's ring record, ``record`` that record in one pass, without an event. The second table compares the ways to check
texts and to take a book apart; the first of each group is the one in use. The third is of the venues whose messages
name their streams (`bench/keyed.py`). All candidates take turns within a round and the best round
counts, because the machine is shared; quote ratios.
"""

import argparse
import itertools
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wsadapter.events import StreamType
from wsadapter.events.decimals import are_plain, plain_in_python, split_book, split_in_python
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import ConnectionPlan, Subscription

CALLS = 50
Candidate = Callable[[], object]


def levels(count: int) -> list[list[str]]:
    return [[f"{61800 - n / 10:.2f}", f"{n * 7 % 19 / 8:.3f}"] for n in range(count)]


def depth(name: str, count: int) -> bytes:
    book = {"e": "depthUpdate", "E": 1723161256299, "T": 1723161256298, "s": "BTCUSDT", "U": 5123107832006}
    rest = {"u": 5123107837557, "pu": 5123107831937, "b": levels(count), "a": levels(count)}
    return msgspec.json.encode({"stream": name, "data": {**book, **rest}})


FRAMES: Mapping[str, bytes] = {
    "aggTrade": b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1723161256322,"s":"BTCUSDT","a":2376473811,'
    b'"p":"61800.30","q":"0.006","nq":"0.006","f":5266583935,"l":5266583935,"T":1723161256322,"m":false,"st":1}}',
    "bookTicker": b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}',
    "depth20": depth("btcusdt@depth20@100ms", 20),
    "depth diff, 4 levels": depth("btcusdt@depth@100ms", 2),
    "kline": b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1790771371858,"s":"BTCUSDT","k":{"t":1790771340000,'
    b'"T":1790771399999,"s":"BTCUSDT","i":"1m","f":8132503391,"L":8132505633,"o":"83896.40","c":"83860.20",'
    b'"h":"83920.00","l":"83860.10","v":"114.602","n":2239,"x":false,"q":"9615538.66780","V":"48.488",'
    b'"Q":"4068722.10360","B":"0"}}}',
    "24hrTicker": b'{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1653813900353,"s":"BTCUSDT","p":"213.70",'
    b'"P":"0.740","w":"28973.36","c":"29093.90","Q":"0.017","o":"28880.20","h":"29265.70","l":"28755.00",'
    b'"v":"173254.241","q":"5019757418.36","O":1653727500000,"C":1653813900348,"F":2299852977,"L":2301666553,'
    b'"n":1813560}}',
    "markPriceUpdate": b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1617308820003,'
    b'"s":"BTCUSDT","p":"58940.14924532","P":"58905.14663658","i":"58857.26693664","r":"0.00058455",'
    b'"T":1617321600000}}',
    "forceOrder": b'{"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT",'
    b'"S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014",'
    b'"T":1568014460893}}}',
}


def bare_decoder() -> Callable[[bytes], object]:
    """Typed Structs without ranges, checks or events, built from the frames above."""

    def struct(name: str, fields: Mapping[str, Any], tag: str | None = None) -> Any:
        hints = []
        for key, value in fields.items():
            if isinstance(value, dict):
                hints.append((key, struct(key, value)))
            elif key != "e":
                hints.append((key, list[tuple[str, str]] if isinstance(value, list) else type(value)))
        return msgspec.defstruct(name, hints, tag=tag, tag_field="e" if tag else None, gc=False)

    union: Any = None
    for number, fields in enumerate({f["e"]: f for f in (json.loads(f)["data"] for f in FRAMES.values())}.values()):
        kind = struct(f"Bare{number}", fields, fields["e"])
        union = kind if union is None else union | kind
    envelope: Any = msgspec.defstruct("Envelope", [("data", union), ("stream", str)], gc=False)
    decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(type=envelope)
    return decoder.decode


def best_us(
    candidates: Mapping[str, Candidate], rounds: int, begin: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """us per call of each, the loop's own cost taken off. ``begin`` is called before each round of each."""
    best = dict.fromkeys(("", *candidates), float("inf"))
    calls: dict[str, Candidate] = {"": lambda: None, **candidates}
    for _ in range(rounds):
        for name, call in calls.items():
            begin()
            began = time.perf_counter_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.perf_counter_ns() - began) / CALLS / 1000)
    return {name: best[name] - best[""] for name in candidates}


def successive(frame: bytes) -> list[bytes]:
    """The frame, with which its series begins, and those that follow it without a hole: one round's worth."""
    document, found = json.loads(frame), []
    for _ in range(CALLS + 1):
        found.append(msgspec.json.encode(document))
        data = document["data"]
        if data["e"] == "aggTrade":
            data["a"] += 1
        elif data["e"] == "bookTicker":
            data["u"] += 1
        elif data["e"] == "depthUpdate":
            data["pu"], data["u"] = data["u"], data["u"] + 1
    return found


def word_of(name: str) -> StreamType:
    """Of a Binance stream."""
    for channel in BinanceFutures.venue.channels:
        if name.removeprefix("btcusdt").startswith(channel.name.removeprefix("{lower}").partition("{")[0]):
            return stream_type(channel.words[0])
    raise ValueError(name)


def frames_table(rounds: int) -> dict[str, float]:
    from bench.into_ring import IntoRing

    names = [json.loads(frame)["stream"] for frame in FRAMES.values()]
    asked = tuple(Subscription(name, word_of(name), "BTCUSDT", "1m" if "kline" in name else "") for name in names)
    venue = BinanceFutures(ConnectionPlan("bench-0", "binance", "", asked, ("BTCUSDT",)))
    bare, receive, to = bare_decoder(), venue.receive, IntoRing()
    take = to.take
    candidates: dict[str, Candidate] = {}
    all_views = {name: [memoryview(each) for each in successive(frame)] for name, frame in FRAMES.items()}

    def begin() -> None:
        venue.sequences.reset()
        for first, *_ in all_views.values():
            take(receive(first, 1))
        to.hand_on()

    for name, views in all_views.items():
        assert "exchange" in receive(views[0], 1)[0].__struct_fields__
        turns = [itertools.cycle(views[1:]) for _ in range(3)]
        candidates[f"{name} bare"] = lambda turn=turns[0]: bare(next(turn))  # type: ignore[misc]
        candidates[f"{name} receive"] = lambda turn=turns[1]: receive(next(turn), 1)  # type: ignore[misc]
        candidates[f"{name} published"] = lambda turn=turns[2]: take(receive(next(turn), 1))  # type: ignore[misc]
    found = best_us(candidates, rounds, begin)
    to.give(receive, True)
    at_once: dict[str, Candidate] = {
        f"{name} record": lambda turn=turn: (items := receive(next(turn), 1)) and take(items)  # type: ignore[misc]
        for name, turn in ((name, itertools.cycle(views[1:])) for name, views in all_views.items())
    }
    found |= best_us(at_once, rounds, begin)
    to.release()
    print(f"{'frame':<22} {'bytes':>6} {'bare us':>8} {'event us':>9} {'ratio':>6} {'published':>10} {'record us':>10} "
          f"{'ratio':>6}")  # fmt: skip
    for name, frame in FRAMES.items():
        low, event, published, record = (found[f"{name} {what}"] for what in ("bare", "receive", "published", "record"))
        print(f"{name:<22} {len(frame):>6} {low:>8.2f} {event:>9.2f} {event / low:>6.1f} {published:>10.2f} "
              f"{record:>10.2f} {record / low:>6.1f}")  # fmt: skip
    return {name: round(us, 3) for name, us in found.items()}


def ways_table(rounds: int) -> dict[str, float]:
    p, q = "61800.30", "0.006"
    one = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch
    two = re.compile(r"[0-9]++(?:\.[0-9]++)?,[0-9]++(?:\.[0-9]++)?").fullmatch
    side = msgspec.json.encode(levels(20))
    pairs = msgspec.json.Decoder(list[tuple[str, str]]).decode

    def by_float() -> bool:
        float(p), float(q)
        joined = f".{p}.{q}."
        return ".." not in joined and joined.isascii() and joined.replace(".", "").isdecimal()

    def by_pairs() -> object:
        columns = []
        for each in (pairs(side), pairs(side)):
            columns += [[price for price, _ in each], [quantity for _, quantity in each]]
        return all(one(text) for column in columns for text in column) and columns

    ways: dict[str, Candidate] = {
        "2 texts": lambda: are_plain(p, q),
        "2 texts: JSON array": lambda: plain_in_python(p, q),
        "2 texts: one expression": lambda: two(f"{p},{q}"),
        "2 texts: an expression each": lambda: one(p) and one(q),
        "2 texts: float and characters": by_float,
        "4 texts": lambda: are_plain(p, q, p, q),
        "4 texts: JSON array": lambda: plain_in_python(p, q, p, q),
        "8 texts": lambda: are_plain(p, q, p, q, p, q, p, q),
        "8 texts: JSON array": lambda: plain_in_python(p, q, p, q, p, q, p, q),
        "40 levels": lambda: split_book(side, side),
        "40 levels, looked at": lambda: [list(column) for column in split_book(side, side)],
        "40 levels: flat text": lambda: split_in_python(side, side),
        "40 levels: tuples, an expression each": by_pairs,
        "40 levels: tuples, unchecked": lambda: (pairs(side), pairs(side)),
    }
    found = best_us(ways, rounds)
    print(f"\n{'way':<40} {'us':>7}")
    for name, took in found.items():
        print(f"{name:<40} {took:>7.2f}")
    return {name: round(took, 3) for name, took in found.items()}


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))  # it is run as a file, too
    from bench.keyed import venues_table

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument(
        "--venue", action="append", default=[], help="in the third table only this one (several times)"
    )
    rounds, venues = (parsed := options.parse_args()).rounds, parsed.venue
    result: dict[str, Any] = {
        "bench": "decode",
        "python": platform.python_version(),
        "msgspec": msgspec.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "us": {**frames_table(rounds), **ways_table(rounds), **venues_table(max(rounds // 5, 1), venues)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
