"""Kraken spot: every recorded frame as another reading of its numbers has it; books, candles, answers, notices."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from frames_path import frames

from wsadapter.client.handover import Handover
from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Depth, Event, Gap, Kline, Ticker, Trade, UpdateType
from wsadapter.events.records import encode
from wsadapter.exchanges import load
from wsadapter.exchanges.checked_book import CheckedBook, DigitsChecksum
from wsadapter.exchanges.kraken import Kraken
from wsadapter.exchanges.values import iso_ns
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Item, Refused, Reply
from wsadapter.metrics import DECODE_ERROR_KINDS

WORDS = ("trade", "depth", "ticker", "kline", "book_ticker")
AT = 1_790_000_000_000_000_000
PAIRS = ("BTC/USD", "ETH/BTC", "BTC/USDT", "DOGE/USDT", "ALGO/USD")


def plans(*symbols: str, **settings: Any) -> list[ConnectionPlan]:
    given = {"streams": WORDS, "intervals": ("1m", "5m"), "depth_levels": 10, **settings}
    return Kraken.plan(Feed(name="k", exchange="kraken", symbols=symbols or ("BTC/USD",), **given))


def opened(*symbols: str, **settings: Any) -> Kraken:
    (plan,) = plans(*symbols, **settings)
    made = Kraken(plan)
    made.open()
    return made


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def lines(name: str) -> list[bytes]:
    return frames(f"kraken/{name}.jsonl").read_bytes().splitlines()


def texts(line: bytes) -> Any:
    """The document with the text of each number in its place."""
    return json.loads(line, parse_float=str, parse_int=str)


# ------------------------------------------------------------------------------------------------------------- the plan


def test_a_ticker_comes_with_the_touch_where_that_is_wanted() -> None:
    (both,), (one,) = plans("BTC/USD", "ETH/USD"), plans(streams=("ticker",))

    assert (both.connection, both.url) == ("k-spot-0", "wss://ws.kraken.com/v2")
    assert [each.name for each in both.subscriptions[:5]] == [
        "trade:BTC/USD", "book:BTC/USD:10", "ticker:BTC/USD:bbo", "ohlc:BTC/USD:1", "ohlc:BTC/USD:5",
    ]  # fmt: skip
    assert [each.name for each in one.subscriptions] == ["ticker:BTC/USD:trades"]
    assert load("kraken").__name__ == "Kraken"


@pytest.mark.parametrize(("wanted", "levels"), [(0, 1000), (5, 10), (10, 10), (20, 25)])
def test_a_book_has_at_least_the_wanted_levels(wanted: int, levels: int) -> None:
    (plan,) = plans(streams=("depth",), depth_levels=wanted)

    assert [each.name for each in plan.subscriptions] == [f"book:BTC/USD:{levels}"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"intervals": ("1m", "3m")}, "3m"), ({"streams": ("funding_rate",)}, "funding_rate"),
        ({"streams": ("raw_trade",)}, "raw_trade"), ({"streams": ("mark_price",)}, "mark_price"),
        ({"testnet": True}, "testnet"), ({"depth_levels": 1001}, "depth_levels"), ({"symbols": ("BTC*",)}, "wildcard"),
        ({"symbols": ("BTC:USD",)}, "symbols"),
    ],
)  # fmt: skip
def test_what_the_venue_does_not_have_is_refused(settings: dict[str, Any], says: str) -> None:
    symbols = settings.pop("symbols", ())
    with pytest.raises(ConfigError, match=says):
        plans(*symbols, **settings)


# -------------------------------------------------------------------------------------------------------- what is asked


def test_a_request_is_about_one_channel_asked_for_in_one_way() -> None:
    (spot,) = plans("BTC/USD", "ETH/USD")
    asked = [json.loads(payload) for payload in Kraken(spot).open()]

    assert [(each["method"], each["req_id"], each["params"]) for each in asked] == [
        ("subscribe", number + 1, {"symbol": ["BTC/USD", "ETH/USD"], **params})
        for number, params in enumerate((
            {"channel": "trade", "snapshot": False}, {"channel": "book", "depth": 10, "snapshot": True},
            {"channel": "ticker", "event_trigger": "bbo", "snapshot": True},
            {"channel": "ohlc", "interval": 1, "snapshot": True}, {"channel": "ohlc", "interval": 5, "snapshot": True},
        ))
    ]  # fmt: skip


def test_answers_come_one_a_pair_and_a_refusal_names_the_pair_only() -> None:
    made = opened("BTC/USD", "XBT/USD")
    ack = {"method": "subscribe", "result": {"channel": "book", "depth": 10, "snapshot": True, "symbol": "BTC/USD"},
           "success": True, "req_id": 2, "time_in": "x", "time_out": "y"}  # fmt: skip
    refusal = {"error": "Currency pair not supported XBT/USD", "method": "subscribe", "success": False,
               "symbol": "XBT/USD", "req_id": 4}  # fmt: skip

    assert made.receive(json.dumps(ack).encode(), AT) == [Acked(("book:BTC/USD:10",))]
    assert made.receive(json.dumps(refusal).encode(), AT) == [
        Refused(("ohlc:XBT/USD:1",), "", "Currency pair not supported XBT/USD")
    ]
    assert made.receive(json.dumps(ack).encode(), AT) == [], "once"


def test_a_whole_list_that_is_refused_is_asked_for_in_halves() -> None:
    made = opened("BTC/USD", "ETH/USD", streams=("trade",))
    refusal = b'{"error":"EGeneral","method":"subscribe","success":false,"req_id":1}'
    halves = [json.loads(item.payload)["params"]["symbol"] for item in made.receive(refusal, AT)
              if isinstance(item, Reply)]  # fmt: skip

    assert halves == [["BTC/USD"], ["ETH/USD"]]


def test_recorded_answers() -> None:
    """Without ids, as those who recorded them gave none."""
    control = lines("examples_control")
    made, bbo = (
        opened(*PAIRS, streams=("trade", "depth", "ticker", "kline")),
        opened("BTC/USD", streams=("book_ticker",)),
    )

    assert [made.receive(line, AT) for line in control[:3]] == [[], [], []], "maintenance in 36 hours is no notice yet"
    assert [made.receive(line, AT) for line in control[3:7]] == [
        [Acked((name,))] for name in ("book:ETH/BTC:10", "trade:BTC/USD", "ticker:BTC/USD:trades", "ohlc:BTC/USD:1")
    ]
    assert bbo.receive(control[5], AT) == [], "of another trigger"
    assert made.receive(control[7], AT) == [Refused((), "", "Currency pair not supported XBT/USD")]
    assert types(made.receive(control[8], AT)) == ["Reply", "Reply"], "the oldest request, in halves"
    assert len(control) == 9


@pytest.mark.parametrize(
    ("seconds", "services", "is_notice"),
    [(599, ["spot_ws"], True), (0, ["spot_rest", "spot_ws"], True), (601, ["spot_ws"], False),
     (-5, ["spot_ws"], False), (10, ["spot_fix"], False), (10, ["all"], True), (10, [], False)],
)  # fmt: skip
def test_maintenance_that_is_near_is_a_notice(seconds: int, services: list[str], is_notice: bool) -> None:
    status = {"channel": "status", "type": "update", "data": [{"system": "online", "upcoming_maintenance": [
        {"affected_services": services, "time_to_start_s": seconds, "title": "Gateway"}]}]}  # fmt: skip

    assert opened().receive(json.dumps(status).encode(), AT) == ([ClosesSoon("Gateway")] if is_notice else [])


def test_the_ping_and_signs_of_life() -> None:
    made = opened()

    assert made.ping() == b'{"method":"ping"}'
    assert made.receive(b'{"method":"pong","req_id":101,"time_in":"x","time_out":"y"}', AT) == []
    assert made.receive(b'{"channel":"heartbeat"}', AT) == []


# --------------------------------------------------------------------------------------------- recorded frames, by text


def test_recorded_trades() -> None:
    (line,) = lines("examples_trade")
    (trade,) = opened().receive(line, AT)
    (said,) = texts(line)["data"]

    assert trade == Trade(
        exchange="kraken", symbol="BTC/USD", event_time_ns=None, transaction_time_ns=iso_ns(said["timestamp"]),
        receive_time_ns=AT, source=1, connection="k-spot-0", last_gap_ns=None, trade_id=said["trade_id"],  # type: ignore[arg-type]
        trade_number=109116693, price=said["price"], quantity=said["qty"], buyer_is_maker=False, first_trade_id=None,
        last_trade_id=None, aggregated=False,
    )  # fmt: skip
    assert (said["price"], said["qty"]) == ("83744.3", "0.00044780")


def test_recorded_books() -> None:
    made = opened(*PAIRS)
    came = [(line, made.receive(line, AT)) for line in lines("examples_book")]

    assert len(came) == 10
    for line, items in came:
        (book,) = items
        (said,), kind = texts(line)["data"], texts(line)["type"]
        assert isinstance(book, Depth)
        assert (book.symbol, book.event_time_ns) == (said["symbol"], iso_ns(said["timestamp"]))
        assert (book.update_type.name, book.level_limit) == (("SNAPSHOT", 10) if kind == "snapshot" else ("DELTA", 0))
        for side in ("bid", "ask"):
            prices, quantities = getattr(book, f"{side}_price"), getattr(book, f"{side}_quantity")
            assert list(prices) == [level["price"] for level in said[f"{side}s"]]
            assert list(quantities) == [level["qty"] for level in said[f"{side}s"]]
        assert book.last_update_id is None


def test_recorded_tickers() -> None:
    for line in lines("examples_ticker"):
        (said,) = texts(line)["data"]
        ticker, touch = opened(said["symbol"]).receive(line, AT)
        assert isinstance(ticker, Ticker)
        assert isinstance(touch, BookTicker)
        assert (
            ticker.last_price, ticker.volume, ticker.weighted_average_price, ticker.low, ticker.high,
            ticker.price_change, ticker.price_change_percent, str(ticker.trade_count),
        ) == tuple(said[name] for name in
                   ("last", "volume", "vwap", "low", "high", "change", "change_pct", "trades"))  # fmt: skip
        assert (ticker.open, ticker.quote_volume, ticker.last_quantity) == (None, None, None)
        assert (touch.bid_price, touch.bid_quantity, touch.ask_price, touch.ask_quantity) == tuple(
            said[name] for name in ("bid", "bid_qty", "ask", "ask_qty")
        )
        assert {ticker.event_time_ns, touch.event_time_ns} == {iso_ns(said["timestamp"])}
        assert touch.update_id is None


def quiet(**changes: str) -> bytes:
    """A pair without trades in the last day, or ever, and without a bid."""
    said = {"bid": "0.0", "bid_qty": "0.00000000", "ask": "84.3", "ask_qty": "1.00000000", "last": "84.3",
            "volume": "0.0", "vwap": "0.0", "low": "0.0", "high": "0.0", "change": "0.0", **changes}  # fmt: skip
    fields = ",".join(f'"{name}":{text}' for name, text in said.items())
    return f'{{"channel":"ticker","type":"snapshot","data":[{{"symbol":"BTC/USD",{fields}}}]}}'.encode()


def test_a_price_of_zero_is_none() -> None:
    made = opened(streams=("ticker", "book_ticker"))
    ticker, touch = made.receive(quiet(), AT)
    assert isinstance(ticker, Ticker)
    assert (ticker.last_price, ticker.volume) == ("84.3", "0.0")
    assert (ticker.weighted_average_price, ticker.low, ticker.high) == (None, None, None)
    assert isinstance(touch, BookTicker)
    assert (touch.bid_price, touch.bid_quantity, touch.ask_price, touch.ask_quantity) == (
        None, None, "84.3", "1.00000000",
    )  # fmt: skip
    (touch,) = made.receive(quiet(last="0.0", bid="84.2", bid_qty="0.5", ask="0", ask_qty="0"), AT)
    assert isinstance(touch, BookTicker)
    assert (touch.bid_price, touch.bid_quantity, touch.ask_price, touch.ask_quantity) == ("84.2", "0.5", None, None)


def test_recorded_candles() -> None:
    count = 0
    for line in lines("examples_ohlc"):
        document = texts(line)
        rows = document["data"]
        items = opened(rows[0]["symbol"]).receive(line, AT)
        told = [item for item in items if isinstance(item, Kline) and not item.closed]
        closed = [item for item in items if isinstance(item, Kline) and item.closed]
        assert types(items) == ["Kline"] * (2 * len(rows) - 1)
        for candle, said in zip(told, rows, strict=True):
            assert (
                candle.open,
                candle.high,
                candle.low,
                candle.close,
                candle.volume,
                str(candle.trade_count),
            ) == tuple(said[name] for name in ("open", "high", "low", "close", "volume", "trades"))
            assert candle.open_time_ns == iso_ns(said["interval_begin"])
            assert candle.close_time_ns == iso_ns(said["timestamp"]) - 1_000_000
            assert candle.event_time_ns == iso_ns(document["timestamp"])
            assert (candle.interval, candle.quote_volume) == ("1m", None)
        assert [(c.open_time_ns, c.close) for c in closed] == [(c.open_time_ns, c.close) for c in told[:-1]]
        count += len(rows)
    assert count == 15


# ---------------------------------------------------------------------------------------------------- numbers of trades


def trade(number: int, symbol: str = "BTC/USD", **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": "sell", "price": 83744.3, "qty": 0.5, "ord_type": "limit", "trade_id": number,
            "timestamp": "2026-09-25T17:48:26.844359Z", **changes}  # fmt: skip


def message(channel: str, *elements: Any, kind: str = "update", **envelope: Any) -> bytes:
    return json.dumps({"channel": channel, "type": kind, "data": elements, **envelope}).encode()


def gaps(items: Sequence[Item]) -> list[tuple[str, int | None, int | None]]:
    return [(gap.symbol, gap.first_missing, gap.last_missing) for gap in items if isinstance(gap, Gap)]


def test_trades_of_a_pair_have_no_holes() -> None:
    made = opened("BTC/USD", "ETH/USD")
    assert types(made.receive(message("trade", trade(5), trade(6), trade(90, "ETH/USD")), AT)) == ["Trade"] * 3
    items = made.receive(message("trade", trade(9), trade(91, "ETH/USD")), AT + 1)

    assert gaps(items) == [("BTC/USD", 7, 8)]
    assert types(made.receive(message("trade", trade(9)), AT + 2)) == ["Trade"], "a repeat is published and counted"
    assert types(made.receive(message("trade", trade(8)), AT + 2)) == ["Trade"]
    assert made.out_of_order["trade"] == 2
    assert types(made.receive(message("trade", trade(10)), AT + 3)) == ["Trade"]
    made.open()
    assert gaps(made.receive(message("trade", trade(40)), AT + 4)) == [], "a socket begins anew"


@pytest.mark.parametrize(
    "bad",
    [trade(6, price="x"), trade(6, side="none"), trade(6, qty=-1), trade(-6), trade(6, timestamp="soon"), 5, None],
)
def test_a_bad_element_costs_only_itself(bad: Any) -> None:
    made = opened()
    items = made.receive(message("trade", trade(5), bad, trade(7)), AT)

    assert sorted(types(items)) == ["Bad", "Gap", "Trade", "Trade"]
    assert gaps(items) == [("BTC/USD", 6, 6)]


def test_a_pair_that_was_not_asked_for() -> None:
    items = opened().receive(message("trade", trade(5), trade(1, "XRP/USD")), AT)

    assert items[1] == Bad("foreign_symbol", "trade:XRP/USD")


# ---------------------------------------------------------------------------------------------------------------- books


def book(line: bytes, **changes: Any) -> bytes:
    """A recorded book with something else in it; its numbers keep their text."""
    for name, value in changes.items():
        head, _, tail = line.partition(f'"{name}":'.encode())
        line = head + f'"{name}":{value}'.encode() + tail[tail.index(b",") :]
    return line


def test_a_change_that_is_lost_costs_its_own_pair_until_the_next_snapshot() -> None:
    _, _, btc, *changes, doge, doge_change, _ = lines("examples_book")
    made = opened(*PAIRS, streams=("depth",))
    for line in (btc, doge):
        made.receive(line, AT)
    bad, *replies = made.receive(changes[1], AT + 1)
    asked = [json.loads(reply.payload) for reply in replies if isinstance(reply, Reply)]

    assert bad == Bad("other", "change before its snapshot")
    assert [(each["method"], each["params"]["symbol"]) for each in asked] == [
        ("unsubscribe", ["BTC/USD"]), ("subscribe", ["BTC/USD"]),
    ]  # fmt: skip
    assert "snapshot" not in asked[0]["params"]
    assert types(made.receive(changes[2], AT + 2)) == ["Bad"], "asked once"
    assert types(made.receive(doge_change, AT + 3)) == ["Depth"], "the others go on"
    ends = [{"method": each["method"], "result": {"channel": "book", "depth": 10, "symbol": "BTC/USD"}, "success": True,
             "req_id": each["req_id"]} for each in asked]  # fmt: skip
    assert [made.receive(json.dumps(each).encode(), AT + 4) for each in ends] == [[], [Acked(("book:BTC/USD:10",))]]
    gap, snapshot = made.receive(btc, AT + 5)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.stream, gap.symbol, gap.started_ns, gap.ended_ns) == (
        "checksum", "depth", "BTC/USD", AT, AT + 5,
    )  # fmt: skip
    assert isinstance(snapshot, Depth)
    assert snapshot.last_gap_ns == AT + 5
    assert types(made.receive(changes[0], AT + 6)) == ["Depth"]


def test_after_a_change_that_cannot_be_read_a_book_waits_for_its_snapshot() -> None:
    """Its sum is of ten levels and would not tell, where more are kept."""
    eth, change, btc, *_ = lines("examples_book")
    made = opened(*PAIRS, streams=("depth",), depth_levels=25)
    for line in (eth, btc):
        made.receive(line, AT)
    bad, *replies = made.receive(change.replace(b'"timestamp":"2026', b'"timestamp":"soon'), AT + 1)
    asked = [json.loads(reply.payload) for reply in replies if isinstance(reply, Reply)]

    assert isinstance(bad, Bad)
    assert [(each["method"], each["params"]["symbol"]) for each in asked] == [
        ("unsubscribe", ["ETH/BTC"]), ("subscribe", ["ETH/BTC"]),
    ]  # fmt: skip
    assert made.receive(change, AT + 2) == [Bad("other", "change before its snapshot")], "asked once"
    assert types(made.receive(eth, AT + 3)) == ["Gap", "Depth"]
    assert types(made.receive(change, AT + 4)) == ["Depth"]


class Market:
    """A pair's book of 25 levels, of which the ten best make the sum."""

    def __init__(self) -> None:
        self.book, self.second = CheckedBook(25), 0
        self.bids = {f"{200 - each}.0": "1.0" for each in range(12)}
        self.asks = {f"{201 + each}.0": "1.0" for each in range(12)}
        self.book.change(self.bids.items(), self.asks.items())

    def snapshot(self) -> bytes:
        return self._said("snapshot", self.bids, self.asks)

    def change(self, price: str, quantity: str) -> bytes:
        self.bids[price] = quantity
        self.book.change([(price, quantity)], [])
        return self._said("update", {price: quantity}, {})

    def _said(self, kind: str, *sides: dict[str, str]) -> bytes:
        self.second += 1
        bids, asks = (",".join(f'{{"price":{p},"qty":{q}}}' for p, q in side.items()) for side in sides)
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],'
            f'"checksum":{self.sum_of(self.book)},"timestamp":"2026-09-25T17:48:{self.second:02}.000000Z"}}]}}'
        ).encode()

    sum_of = DigitsChecksum(10)


@pytest.mark.parametrize("comes", ["before the break", "behind the break"])
def test_a_book_that_was_wrong_before_a_hand_over_is_mended_by_a_snapshot_behind_it(comes: str) -> None:
    """What broke on the last socket was recorded wrong before its sum told; the next one's own book is right, but where
    its snapshot came before the break it was a copy, so it is asked for anew."""
    (plan,) = plans(streams=("depth",), depth_levels=25)
    market, out = Market(), list[Event]()
    old: Any = Kraken(plan)
    new: Any = Kraken(plan)
    old.open()
    new.follow(old)
    new.open()
    handover = Handover({Depth: out.append, Gap: out.append}, old.reached, new, Counter())

    def tell(made: Any, text: bytes, at: int) -> list[bytes]:
        items = made.receive(text, AT + at)
        for item in items:
            if isinstance(item, Event):
                (handover.first if made is old else handover.second)(item)
        return [item.payload for item in items if isinstance(item, Reply)]

    tell(old, market.snapshot(), 1)
    market.change("190.0", "7.0")  # the eleventh: the old socket misses it
    if comes == "before the break":
        tell(new, market.snapshot(), 3)
    for at, text in ((4, market.change("200.0", "2.0")), (5, market.change("199.0", "0.0"))):
        assert len(tell(old, text, at)) == (0 if at == 4 else 2), "now that one is the tenth"
        if comes == "before the break":
            assert tell(new, text, at) == []
    if comes == "behind the break":
        tell(new, market.snapshot(), 6)
    new.succeed(old)
    handover.hand_over()
    asked = tell(new, market.change("200.0", "3.0"), 7)
    assert len(asked) == (2 if comes == "before the break" else 0)
    assert tell(new, market.change("198.0", "4.0"), 8) == [], "once"
    if asked:
        tell(new, market.snapshot(), 9)
    assert tell(new, market.change("197.0", "5.0"), 10) == []

    (gap,) = (event for event in out if isinstance(event, Gap))
    assert (gap.cause, gap.started_ns - AT, (gap.ended_ns or 0) - AT) == ("checksum", 4, 9 if asked else 6)
    recorded, (*_, last) = CheckedBook(25), out
    for event in out:
        if isinstance(event, Depth):
            recorded.change(
                zip(event.bid_price, event.bid_quantity, strict=True),
                zip(event.ask_price, event.ask_quantity, strict=True),
            )
    assert market.sum_of(recorded) == market.sum_of(market.book)
    assert isinstance(last, Depth)
    assert last.last_gap_ns == gap.ended_ns


def test_a_repeated_change_that_changes_nothing_is_proven_and_one_in_the_wrong_order_is_not() -> None:
    eth, change, btc, first, second, *_ = lines("examples_book")
    made = opened(*PAIRS, streams=("depth",))
    made.receive(eth, AT)

    assert [types(made.receive(change, AT)) for _ in range(2)] == [["Depth"], ["Depth"]]
    made.receive(btc, AT)
    made.receive(first, AT)
    assert types(made.receive(second, AT)) == ["Depth"]
    assert types(made.receive(first, AT)) == ["Bad", "Reply", "Reply"], "after the second one its sum is another"


def test_a_snapshot_without_a_checksum_is_unchecked_and_not_broken() -> None:
    eth, change, *_ = lines("examples_book")
    bare = eth.replace(b'"checksum":3619791617,', b"")
    made = opened("ETH/BTC")

    assert types(made.receive(bare, AT)) == ["Depth"]
    assert types(made.receive(change, AT)) == ["Depth"]
    assert types(made.receive(book(change, checksum=1), AT)) == ["Bad", "Reply", "Reply"]


@pytest.mark.parametrize("levels", [10, 20, 0])
def test_the_sum_is_of_ten_levels_whatever_the_depth(levels: int) -> None:
    _, _, *session = lines("examples_book")
    made = opened(depth_levels=levels)

    assert [types(made.receive(line, AT)) for line in session[:5]] == [["Depth"]] * 5


def test_a_level_that_was_pushed_out_is_gone() -> None:
    """The venue says nothing of it: of eleven asks the last one went, so ten are left when the first one goes."""
    _, _, *session = lines("examples_book")
    made = opened()
    for line in session[:5]:
        made.receive(line, AT)
    (kept,) = made.states.values()

    assert [price for price, _ in kept.asks.best(20)][-2:] == ["85606.2", "85607.7"]
    assert len(kept.asks) == 10


def test_a_book_that_nobody_asked_for_has_the_ten_levels_of_the_venue() -> None:
    made = opened(*PAIRS, streams=("trade",))
    items = [item for line in lines("examples_book") for item in made.receive(line, AT)]

    assert types(items) == ["Depth"] * 10
    assert [item.level_limit for item in items if isinstance(item, Depth)] == [10, 0, 10, 0, 0, 0, 0, 10, 0, 0]


def test_books_of_other_depths_say_theirs() -> None:
    eth, *_ = lines("examples_book")
    (snapshot,) = opened("ETH/BTC", depth_levels=0).receive(eth, AT)

    assert isinstance(snapshot, Depth)
    assert (snapshot.update_type, snapshot.level_limit) == (UpdateType.SNAPSHOT, 1000)


# -------------------------------------------------------------------------------------------------------------- candles


def candle(minute: int, close: str = "2", interval: int = 1) -> dict[str, Any]:
    begin = f"2026-09-10T17:{minute:02}:00.000000000Z"
    return {"symbol": "BTC/USD", "open": 1, "high": 3, "low": 1, "close": float(close), "trades": 4, "volume": 0.5,
            "vwap": 2, "interval_begin": begin, "interval": interval, "timestamp": begin}  # fmt: skip


def test_the_next_candle_closes_the_last_one_and_minutes_without_trades_are_none() -> None:
    made = opened()
    at = "2026-09-10T17:35:52.114514810Z"
    told = [
        [(i.interval, i.close, i.closed) for i in made.receive(message("ohlc", each, timestamp=at), AT)
         if isinstance(i, Kline)]
        for each in (candle(35, "2.5"), candle(35, "2.7"), candle(35, "9", 5), candle(39, "3.5"), candle(35, "9"))
    ]  # fmt: skip

    assert told == [
        [("1m", "2.5", False)], [("1m", "2.7", False)], [("5m", "9.0", False)],
        [("1m", "2.7", True), ("1m", "3.5", False)], [("1m", "9.0", True)],
    ]  # fmt: skip
    assert made.out_of_order["kline"] == 1, "told late: that is how it ended"


# ----------------------------------------------------------------------------------------------------- hostile messages


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"[" * 100_000, "type"),
        (b'{"channel":"trade"}', "json"), (b'{"channel":"trade","data":5}', "type"),
        (b'{"channel":"instrument","type":"snapshot","data":{}}', "type"), (b'{"channel":5}', "type"),
        (b'{"channel":"executions","data":[]}', "unknown_event"), (b'{"Error":"Exceeded msg rate"}', "unknown_event"),
        (b'{"method":"subscribe"}', "unknown_event"), (b'{"method":5}', "type"),
        (b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":1,"qty":1,"trade_id":'
         b'99999999999999999999,"timestamp":"2026-09-25T17:48:26.844359Z"}]}', "range"),
        (b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":"nan","qty":1,'
         b'"trade_id":1,"timestamp":"2026-09-25T17:48:26.844359Z"}]}', "decimal"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    assert [item.kind for item in opened().receive(payload, AT) if isinstance(item, Bad)] == [kind]


SAMPLES = ("examples_book", "examples_control", "examples_ohlc", "examples_ticker", "examples_trade")
SPICE = (b'"', b"[", b"]", b"{", b"}", b",", b"-", b".", b"e9", b"\\", b"\xff", b"9" * 30, b"null", b"nan", b"true",
         b'"update"', b"-0.0", b"1e-400", b"")  # fmt: skip


def damaged(dice: random.Random, frame: bytes) -> bytes:
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        at = dice.randrange(len(frame) + 1)
        frame = frame[:at] + dice.choice(SPICE) + frame[at + dice.randrange(12) :]
    return frame


def test_whatever_comes_nothing_is_raised_and_every_event_can_be_kept() -> None:
    dice, samples = random.Random(7), [line for name in SAMPLES for line in lines(name)]
    for _ in range(20):
        made = opened(*PAIRS)
        for at_ns in range(1, 150):
            for item in made.receive(memoryview(damaged(dice, dice.choice(samples))), at_ns):
                if isinstance(item, Event):
                    assert encode(item)
                    assert isinstance(item, Gap) or item.symbol in PAIRS
                elif isinstance(item, Bad):
                    assert item.kind in DECODE_ERROR_KINDS
        made.close(999)
