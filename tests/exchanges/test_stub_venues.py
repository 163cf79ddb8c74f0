"""What the venue base can beside what the venues of the tree need: numbers, candles and books spelled in other ways."""

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exchanges.stub_venues import CANDLE, CandleWire, Chained, Envelope, Listed, Plain, channel_key, element_key, plan
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import Depth, Event, Gap, Kline, StreamType, Trade, UpdateType
from wsadapter.events.decimals import NotPlain, plain_number
from wsadapter.events.records import encode
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.mapping import Emit, Step, computed, ordered
from wsadapter.exchanges.values import iso_ns
from wsadapter.exchanges.venue import Acked, Bad, ConnectionPlan, Item, Refused, Reply

FRAMES = (Path(__file__).parent / "checked_book_frames.jsonl").read_bytes().splitlines()
"""Books of Kraken spot as its users published them, digits and checksums as on the wire."""
BTC, DOGE = "book:BTC/USD", "book:DOGE/USDT"
BOOKS = plan((BTC, StreamType.DEPTH, "BTC/USD", ""), (DOGE, StreamType.DEPTH, "DOGE/USDT", ""))
TRADES = plan(*((f"trade:{symbol}", StreamType.TRADE, symbol, "") for symbol in ("BTC/USD", "ETH/USD")))
CANDLES = plan(*((f"ohlc:BTC/USD:{n}", StreamType.KLINE, "BTC/USD", f"{n}m") for n in (1, 5)))
SWAP = "BTC-USDT-SWAP"
CHAIN = plan((f"books:{SWAP}", StreamType.DEPTH, SWAP, ""), (f"trades:{SWAP}", StreamType.TRADE, SWAP, ""))


def types(items: Sequence[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def gaps(items: Sequence[Item]) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap)]


def frame(document: Any, number: str = "") -> bytes:
    """``number``: text in the place of each ``"#"``, as only a writer without floats makes it."""
    return json.dumps(document).replace('"#"', number).encode()


# ---------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("5e-05", "0.00005"), ("1.423e-4", "0.0001423"), ("2.2e3", "2200"), ("2.25e1", "22.5"), ("0.10", "0.10"),
        ("1.50E-1", "0.150"), ("-0.0", "0.0"), ("-0", "0"), ("0e5", "0"), ("0.5e1", "5"), ("1e+2", "100"),
        ("12345678901234567890.123456789", "12345678901234567890.123456789"), ('"0.020"', "0.020"),
    ],
)  # fmt: skip
def test_a_json_number_keeps_its_digits(raw: str, plain: str) -> None:
    assert plain_number(raw.encode()) == plain


@pytest.mark.parametrize(
    "raw", ["", "null", "-1", "+1", ".5", "5.", "1e", "1e100", "007", "nan", '"', "true", "[1]", "1 "]
)
def test_what_is_none_is_refused(raw: str) -> None:
    with pytest.raises(NotPlain):
        plain_number(raw.encode())


@given(
    st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=9), st.booleans()
)
def test_any_number_is_the_same_value(value: Decimal, scientific: bool) -> None:
    raw = f"{value:e}" if scientific else f"{value:f}"
    plain = plain_number(raw.encode(), signed=True)
    assert Decimal(plain) == value
    assert "e" not in plain.lower()


def test_times_are_exact() -> None:
    assert iso_ns("2026-10-06T08:04:56.153890Z") == 1_791_273_896_153_890_000
    assert iso_ns("1970-01-01T00:00:00.000000001+00:00") == 1
    for text in ("2026-10-06", "2026-10-06T08:04:56", "2026-10-06T08:04:56+02:00", "9999-10-06T08:04:56Z", "x",
                 "2026-13-06T08:04:56Z", "1960-10-06T08:04:56Z"):  # fmt: skip
        with pytest.raises(ValueError, match=r"time|month|range"):
            iso_ns(text)


def trade(number: int, symbol: str = "BTC/USD", price: str = "83744.30", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "price": "#", "qty": 0.0004478, "trade_id": number,
            "timestamp": "2026-09-25T17:48:26.844359Z", **more}  # fmt: skip


def trades(*elements: dict[str, Any], price: str = "83744.30") -> bytes:
    return frame({"channel": "trade", "type": "update", "data": elements}, price)


def test_an_element_names_its_stream() -> None:
    made = Plain(TRADES)
    made.open()
    items = made.receive(trades(trade(1), trade(7, "ETH/USD"), trade(2), trade(1, "XBT/USD"), price="8.37443e4"), 5)

    assert [(i.symbol, i.trade_number, i.price) for i in items if isinstance(i, Trade)] == [
        ("BTC/USD", 1, "83744.3"), ("BTC/USD", 2, "83744.3"), ("ETH/USD", 7, "83744.3"),
    ]  # fmt: skip
    assert items[-1] == Bad("foreign_symbol", "trade:XBT/USD")
    assert made.last_receive_ns == {"trade:BTC/USD": 5, "trade:ETH/USD": 5}
    assert [g.symbol for g in gaps(made.receive(trades(trade(3), trade(9, "ETH/USD")), 6))] == ["ETH/USD"]


def test_a_stream_may_be_asked_for_by_more_than_its_data_say() -> None:
    (channel,) = [each for each in Plain.venue.channels if each.name == "book:{symbol}"]
    longer = structs.replace(channel, name="book:{symbol}:{levels}")
    framing = ByKey(Envelope, channel_key, element_key, lambda name: ":".join(name.split(":")[:2]))

    class Spoken(Plain):
        venue = structs.replace(Plain.venue, channels=(longer,), framing=framing)

    made = Spoken(plan((f"{BTC}:10", StreamType.DEPTH, "BTC/USD", "")))
    assert b"book:BTC/USD:10" in made.open()[0]
    assert types(made.receive(FRAMES[0], 1)) == ["Depth"]
    assert made.last_receive_ns == {f"{BTC}:10": 1}


def test_symbols_have_the_characters_that_the_venue_says() -> None:
    class Slashes(Plain):
        venue = structs.replace(Plain.venue, foreign=frozenset("*"))

    (made,) = Slashes.plan(Feed("f", "stub", ("BTC/USD",), ("trade",)))
    assert made.symbols == ("BTC/USD",)
    for venue, symbol in ((Slashes, "*USD"), (Plain, "BTC/USD"), (Plain, "a@b")):
        with pytest.raises(ConfigError, match="symbols"):
            venue.plan(Feed("f", "stub", (symbol,), ("trade",)))


def test_a_bad_element_costs_itself() -> None:
    made = Plain(TRADES)
    made.open()

    assert types(made.receive(trades(trade(1), trade(2, side=5), trade(3)), 1)) == ["Bad", "Trade", "Gap", "Trade"]
    assert types(made.receive(trades(trade(4), price="-1"), 2)) == ["Bad"]
    assert types(made.receive(trades(trade(5)), 3)) == ["Gap", "Trade"], "of 4, by its number"


def test_acknowledgements_by_channel_and_symbol() -> None:
    made = Plain(TRADES)
    made.open()
    ack = {"method": "subscribe", "result": {"channel": "trade", "symbol": "ETH/USD"}, "success": True}
    refusal = {"error": "Currency pair not supported", "method": "subscribe", "success": False, "symbol": "BTC/USD"}

    assert made.receive(frame(ack), 1) == [Acked(("trade:ETH/USD",))]
    assert made.receive(frame(refusal), 2) == [Refused(("trade:BTC/USD",), "", "Currency pair not supported")]
    assert made.receive(b'{"channel":"heartbeat"}', 3) == []


# ---------------------------------------------------------------------------------------------------------- candles


def candle(minute: int, close: str = "2", interval: int = 1) -> bytes:
    element = {
        "symbol": "BTC/USD",
        "interval": interval,
        "interval_begin": f"2026-09-10T17:{minute:02}:00.000000000Z",
        "timestamp": "2026-09-10T17:59:00Z",
        "open": 1,
        "high": 2,
        "low": 1,
        "close": "#",
        "volume": 5,
    }
    return frame({"channel": "ohlc", "type": "update", "data": [element]}, close)  # fmt: skip


def told(items: list[Item]) -> list[tuple[str, int, str, bool]]:
    minutes = 60 * 10**9
    return [(i.interval, i.open_time_ns // minutes % 60, i.close, i.closed) for i in items if isinstance(i, Kline)]


def test_the_next_candle_closes_the_last_one() -> None:
    """As the venue told of it last; each interval by itself."""
    made = Plain(CANDLES)
    made.open()
    assert told(made.receive(candle(30, "5"), 1)) == [("1m", 30, "5", False)]
    assert told(made.receive(candle(30, "6", 5), 2)) == [("5m", 30, "6", False)]
    assert told(made.receive(candle(30, "7"), 3)) == [("1m", 30, "7", False)]
    items = made.receive(candle(31, "8"), 4)

    assert told(items) == [("1m", 30, "7", True), ("1m", 31, "8", False)]
    assert {item.receive_time_ns for item in items if isinstance(item, Kline)} == {4}
    assert told(made.receive(candle(30, "9"), 5)) == [("1m", 30, "9", True)], "the last state of one that is over"
    assert told(made.receive(candle(32), 6)) == [("1m", 31, "8", True), ("1m", 32, "2", False)]


def test_a_candle_that_was_said_to_be_closed_is_not_closed_again() -> None:
    class Says(Plain):
        venue = structs.replace(
            Plain.venue,
            channels=(structs.replace(Plain.venue.channels[2], emits=(replaced(CANDLE, closed=computed(is_final)),)),),
        )

    made = Says(CANDLES)
    made.open()
    came = [told(made.receive(candle(minute, close), n)) for n, (minute, close) in enumerate(
        [(30, "5"), (30, "9"), (31, "5"), (32, "5")]
    )]  # fmt: skip

    assert came == [
        [("1m", 30, "5", False)], [("1m", 30, "9", True)], [("1m", 31, "5", False)],
        [("1m", 31, "5", True), ("1m", 32, "5", False)],
    ]  # fmt: skip


def is_final(d: CandleWire, e: Envelope) -> bool:
    return bytes(d.close) == b"9"


def replaced(one: Emit, **fields: str | Step) -> Emit:
    return structs.replace(one, fields=ordered(one.event, {**one.fields, **fields}))


def test_a_candle_that_is_left_out_is_a_gap() -> None:
    made = Plain(CANDLES)
    made.open()
    came = [item for n, minute in enumerate((30, 31, 34, 35)) for item in made.receive(candle(minute), n)]

    assert types(came) == ["Kline", "Kline", "Kline", "Kline", "Kline", "Gap", "Kline", "Kline"]
    (gap,) = gaps(came)
    assert gap.missing_count == 2
    assert (gap.first_missing or 0) // 60 // 10**9 % 60 == 32


def test_a_new_socket_closes_no_candle_of_the_old_one() -> None:
    made = Plain(CANDLES)
    made.open()
    made.receive(candle(30), 1)
    made.open()

    assert told(made.receive(candle(40), 2)) == [("1m", 40, "2", False)]


# ------------------------------------------------------------------------------------------------- checked books


def test_books_of_the_venue_are_proven_by_their_checksums() -> None:
    made = Plain(BOOKS)
    made.open()
    items = [item for n, each in enumerate(FRAMES) for item in made.receive(each, n)]

    assert types(items) == ["Depth"] * len(FRAMES)
    first = items[0]
    assert isinstance(first, Depth)
    assert (first.update_type, first.bid_price[0], first.ask_quantity[0]) == (
        UpdateType.SNAPSHOT,
        "85600.4",
        "0.90679198",
    )
    assert first.bid_price[-1] == "85592.0", "with the zero that the checksum needs"


def test_a_change_that_is_lost_is_seen_by_the_next_one() -> None:
    made = Plain(BOOKS)
    made.open()
    snapshot, first, second, third, *_ = FRAMES
    made.receive(snapshot, 1)
    items = made.receive(second, 2)

    assert types(items) == ["Bad", "Reply", "Reply"], "asked for anew"
    assert types(made.receive(third, 3)) == ["Bad"]
    assert types(made.receive(snapshot, 4)) == ["Gap", "Depth"]
    assert types(made.receive(first, 5)) == ["Depth"]
    assert made.last_receive_ns[BTC] == 5


def test_the_gap_of_a_broken_book_names_its_times() -> None:
    made = Plain(BOOKS)
    made.open()
    made.receive(FRAMES[0], 1)
    made.receive(FRAMES[2], 2)
    (gap,) = gaps(made.receive(FRAMES[0], 9))

    assert (gap.cause, gap.stream, gap.symbol, gap.started_ns, gap.ended_ns) == ("checksum", "depth", "BTC/USD", 1, 9)


def test_a_snapshot_that_is_wrong_is_asked_for_once() -> None:
    made = Plain(BOOKS)
    made.open()
    wrong = FRAMES[0].replace(b"817831036", b"1")

    assert types(made.receive(wrong, 1)) == ["Bad", "Reply", "Reply"]
    assert types(made.receive(wrong, 2)) == ["Bad"]
    assert types(made.receive(FRAMES[1], 3)) == ["Bad"]
    assert made.last_receive_ns[BTC] == 0
    assert made.cadences[BTC].reply, "so the stream is stale soon, and asked for again"


def test_a_change_before_its_snapshot_is_nothing() -> None:
    made = Plain(BOOKS)
    made.open()

    assert types(made.receive(FRAMES[1], 1)) == ["Bad"]


prices = st.integers(1, 30)


@given(st.lists(st.tuples(st.booleans(), prices, st.integers(0, 3)), max_size=60), st.integers(1, 8))
def test_a_book_is_what_its_changes_make_of_it(changes: list[tuple[bool, int, int]], depth: int) -> None:
    book, model = CheckedBook(depth), ({}, {})  # type: tuple[CheckedBook, tuple[dict[int, int], dict[int, int]]]
    for is_bid, price, quantity in changes:
        level = [(f"{price / 10:.2f}", f"{quantity}.00")]
        book.change(level if is_bid else [], [] if is_bid else level)
        side = model[0 if is_bid else 1]
        side[price] = quantity
        if not quantity:
            del side[price]
        for far in sorted(side, reverse=is_bid)[depth:]:
            del side[far]
        expected = [
            [(f"{p / 10:.2f}", f"{side[p]}.00") for p in sorted(side, reverse=n == 0)] for n, side in enumerate(model)
        ]
        assert [book.bids.best(depth), book.asks.best(depth)] == expected


# ---------------------------------------------------------------------------------------- one rule for the numbers


def book(number: int, previous: int, action: str = "update") -> bytes:
    element = {"bids": [["64800.5", "0.10", "0", "1"]], "asks": [], "ts": "1791273896153", "seqId": number,
               "prevSeqId": previous}  # fmt: skip
    return frame({"arg": {"channel": "books", "instId": SWAP}, "action": action, "data": [element]})


def test_each_change_names_the_one_before_whatever_its_number() -> None:
    """A smaller number too, when it names ours; one that brings nothing is no event and a sign of life."""
    made = Chained(CHAIN)
    made.open()
    first = made.receive(book(100, -1, "snapshot"), 1)
    assert types(first) == ["Acked", "Depth"]
    assert isinstance(first[1], Depth)
    assert (first[1].bid_price, first[1].bid_quantity) == (["64800.5"], ["0.10"])
    assert types(made.receive(book(107, 100), 2)) == ["Depth"]
    assert made.receive(book(107, 107), 3) == []
    assert made.last_receive_ns[f"books:{SWAP}"] == 3
    assert types(made.receive(book(3, 107), 4)) == ["Depth"], "a reset that the venue may make"
    assert types(made.receive(book(9, 3), 5)) == ["Depth"]
    assert types(made.receive(book(40, 30), 6)) == ["Bad", "Reply", "Reply"]
    (gap, _) = made.receive(book(50, -1, "snapshot"), 7)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.started_ns, gap.ended_ns, gap.first_missing, gap.last_missing) == ("sequence", 5, 7, 10, 49)


def many(number: int, count: int) -> bytes:
    element = {"tradeId": str(number), "count": str(count), "px": "64800.5", "sz": "1", "side": "sell", "ts": "1"}
    return frame({"arg": {"channel": "trades", "instId": SWAP}, "data": [element]})


def test_a_trade_that_stands_for_many_continues_the_one_before_them() -> None:
    made = Chained(CHAIN)
    made.open()
    items = [item for n, each in enumerate((many(10, 3), many(11, 1), many(15, 4), many(20, 2)))
             for item in made.receive(each, n) if not isinstance(item, Acked)]  # fmt: skip

    assert types(items) == ["Trade", "Trade", "Trade", "Gap", "Trade"]
    assert [(g.first_missing, g.last_missing, g.missing_count) for g in gaps(items)] == [(16, 18, 3)]


def test_acknowledgements_by_argument_and_data_before_them() -> None:
    made = Chained(CHAIN)
    (request,) = made.open()
    assert json.loads(request)["args"] == [{"channel": each, "instId": SWAP} for each in ("books", "trades")]
    assert made.receive(many(1, 1), 1)[0] == Acked((f"trades:{SWAP}",))
    widened = {"event": "subscribe", "arg": {"channel": "books"}}
    assert made.receive(frame(widened), 2) == [], "what was not asked for is no answer"
    ack = {"event": "subscribe", "arg": {"channel": "books", "instId": SWAP}}
    assert made.receive(frame(ack), 3) == [Acked((f"books:{SWAP}",))]
    assert made.receive(frame({"event": "subscribe", "arg": {"channel": "trades", "instId": SWAP}}), 4) == []
    refusal = made.receive(frame({"event": "error", "msg": "no such instrument"}), 5)
    assert refusal == [Refused((), "60018", "no such instrument")]
    assert [type(item) for item in made.receive(b'{"event":"notice"}', 6)] == [Bad]
    assert not [item for item in refusal if isinstance(item, Reply)]


# --------------------------------------------------------------------------------------------------- lists of names


def listed(*symbols: str) -> Listed:
    return Listed(plan(*((f"trades.{symbol}", StreamType.TRADE, symbol, "") for symbol in symbols)))


def test_a_list_leaves_out_what_is_refused_and_renames_what_it_takes() -> None:
    made = listed("A", "B")
    made.open()
    assert made.receive(frame({"id": 1, "result": ["trades.A"]}), 1) == [
        Acked(("trades.A",)), Refused(("trades.B",), "", "not among what the venue took"),
    ]  # fmt: skip

    made = listed("A", "B")
    made.open()
    assert made.receive(frame({"id": 1, "result": ["trades.A", "trades.B.raw"]}), 1) == [
        Acked(("trades.A", "trades.B"))
    ]
    data = frame({"channel": "trades.B.raw", "data": [trade(5, "B")]}, "1")
    (event,) = made.receive(data, 2)
    assert isinstance(event, Trade)
    assert (event.symbol, made.last_receive_ns) == ("B", {"trades.A": 0, "trades.B": 2})
    made.open()
    assert made.receive(data, 3) == [Bad("foreign_symbol", "trades.B.raw")], "names are a socket's"


def answered(made: Listed, request: bytes) -> list[Item]:
    document = json.loads(request)
    return made.receive(frame({"id": document["id"], "result": document["channels"]}), 1)


def test_a_name_that_ends_the_connection_is_refused_and_the_others_live() -> None:
    symbols = tuple("ABCDEFGH")
    made, items, sockets, over = listed(*symbols), list[Item](), 0, False
    while not over and sockets < 10:
        queue, items, sockets = made.open(), [], sockets + 1
        while queue and "trades.F" not in json.loads(queue[0])["channels"]:
            came = answered(made, queue.pop(0))
            items += came
            queue += [item.payload for item in came if isinstance(item, Reply)]
        over = not queue

    assert sockets == 6, "three halvings, twice alone, and one without it"
    acked = [name for item in items if isinstance(item, Acked) for name in item.names]
    assert sorted(acked) == [f"trades.{symbol}" for symbol in symbols if symbol != "F"]
    refused = [item for item in items if isinstance(item, Refused)]
    assert refused == [Refused(("trades.F",), "", "the connection ends when it is asked for", again=False)]
    following = listed(*symbols)
    following.follow(made)
    assert "trades.F" not in b"".join(following.open()).decode(), "nor does the next one ask for it"


def numbered(number: int, channel: str, *elements: dict[str, Any], kind: str = "update") -> bytes:
    document = {"channel": channel, "type": kind, "sequence_num": number, "data": elements}
    return frame(document, "1")


def test_a_message_that_is_missing_on_the_connection_may_be_of_any_stream() -> None:
    """Where a stream's own numbers do not tell: there is a gap until it speaks again, and a book is asked for anew."""
    level = [{"price": "#", "qty": "#"}]
    sides = {"symbol": "A", "bids": level, "asks": [], "timestamp": "2026-09-10T17:59:00Z"}
    minute = json.loads(candle(30))["data"][0] | {"symbol": "A", "close": "#"}
    names = ("trades.A", StreamType.TRADE), ("level2.A", StreamType.DEPTH), ("candles.A", StreamType.KLINE)
    made = Listed(plan(*((name, stream, "A", "1m" if "candles" in name else "") for name, stream in names)))
    made.open()
    assert types(made.receive(numbered(8, "level2.A", sides, kind="snapshot"), 1)) == ["Depth"]
    assert types(made.receive(numbered(9, "trades.A", trade(5, "A")), 2)) == ["Trade"]
    assert types(made.receive(numbered(10, "candles.A", minute), 3)) == ["Kline"]
    assert types(made.receive(numbered(12, "trades.A", trade(6, "A")), 4)) == ["Reply", "Reply", "Trade"]
    assert types(made.receive(numbered(13, "level2.A", sides), 5)) == ["Bad"]
    assert types(made.receive(numbered(14, "candles.A", minute), 6)) == ["Gap", "Kline"]
    gap, event = made.receive(numbered(15, "level2.A", sides, kind="snapshot"), 7)

    assert isinstance(gap, Gap)
    assert (gap.cause, gap.stream, gap.started_ns, gap.ended_ns) == ("sequence", "depth", 1, 7)
    assert types([event, *made.receive(numbered(16, "level2.A", sides), 8)]) == ["Depth", "Depth"]
    made.open()
    assert types(made.receive(numbered(1, "trades.A", trade(9, "A")), 9)) == ["Trade"], "a socket begins anew"


# ------------------------------------------------------------------------------------------------- hostile frames


SAMPLES = [
    *FRAMES[:3], trades(trade(1), trade(2), price="1e-5"), candle(30), candle(31, "-0.0"), book(1, -1, "snapshot"),
    book(2, 1), many(3, 2), frame({"id": 1, "result": ["trades.A"]}),
    frame({"event": "subscribe", "arg": {"channel": "books", "instId": SWAP}}),
    frame({"method": "subscribe", "result": {"channel": "trade", "symbol": "BTC/USD"}, "success": True}),
]  # fmt: skip
MIXED = plan(*((s.name, s.stream, s.symbol, s.interval) for p in (BOOKS, TRADES, CANDLES) for s in p.subscriptions))
PLANS = ((Plain, MIXED), (Chained, CHAIN), (Listed, plan(("trades.A", StreamType.TRADE, "A", ""))))
JUNK = [b"null", b"{}", b"[]", b'""', b"-1", b"1e400", b"\xff", b"9" * 30, b'"\\ud800"', b"true", b"[" * 3000]
KNOWN = [
    b'{"id":1,"result":null}', b'{"id":1}', b'{"id":1,"result":[[]]}', b'{"arg":{"channel":"books"},"data":[]}',
    b'{"event":"subscribe"}', b'{"method":"subscribe","result":true}', b"[]", b"1",
    book(1, -1, "snapshot").replace(b'["64800.5", "0.10", "0", "1"]', b'["1"]'),
]  # fmt: skip
"""Found by a longer run of the test below."""


def cut(dice: random.Random, payload: bytes) -> bytes:
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        at = dice.randrange(len(payload) + 1)
        payload = payload[:at] + dice.choice((*JUNK, b"")) + payload[at + dice.randrange(40) :]
    return payload


@pytest.mark.parametrize(("venue", "connection"), PLANS, ids=["plain", "chained", "listed"])
def test_no_frame_raises_and_every_event_can_be_kept(venue: Any, connection: ConnectionPlan) -> None:
    dice = random.Random(7)
    for number in range(60):
        made = venue(connection)
        made.open()
        for at_ns in range(1, 30):
            payload = cut(dice, dice.choice(SAMPLES)) if number else KNOWN[at_ns % len(KNOWN)]
            for item in made.receive(payload, at_ns):
                if isinstance(item, Event):
                    assert encode(item)
        made.close(99)
