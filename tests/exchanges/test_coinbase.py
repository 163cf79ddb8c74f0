"""Coinbase: two feeds under one word, recorded frames by text, numbered connections, lists of what stands."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from exchanges.fuzzing import check, mutated
from frames_path import frames

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Depth, Event, Gap, Kline, Ticker, Trade
from wsadapter.exchanges import load
from wsadapter.exchanges.coinbase import Coinbase, CoinbaseAdvanced
from wsadapter.exchanges.values import iso_ns
from wsadapter.exchanges.venue import Acked, Bad, ConnectionPlan, Item, Refused, Reply

WORDS = ("trade", "ticker", "book_ticker", "depth")
BTC = "BTC-USD"
AT = 1_790_000_000_000_000_000


def plans(*symbols: str, **settings: Any) -> list[ConnectionPlan]:
    given = {"streams": WORDS, **settings}
    return Coinbase.plan(Feed(name="c", exchange="coinbase", symbols=symbols or (BTC,), **given))


def opened(*symbols: str, root: str = "exchange", **settings: Any) -> Coinbase:
    (plan,) = [each for each in plans(*symbols, **settings) if each.root == root]
    made = Coinbase(plan)
    made.open()
    return made


def advanced(*symbols: str) -> Coinbase:
    return opened(*symbols, root="advanced")


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def heard(items: Iterable[Item]) -> list[Item]:
    """Without the acceptance that data are."""
    return [item for item in items if not isinstance(item, Acked)]


def lines(feed: str, name: str) -> list[bytes]:
    return frames(f"coinbase_{feed}/examples_{name}.jsonl").read_bytes().splitlines()


def encoded(**document: Any) -> bytes:
    return json.dumps(document).encode()


# ------------------------------------------------------------------------------------------------------------- the plan


def test_books_have_a_feed_of_their_own() -> None:
    exchange, books = plans(BTC, "ETH-USD")

    assert (exchange.connection, exchange.url) == ("c-exchange-0", "wss://ws-feed.exchange.coinbase.com/")
    assert (books.connection, books.url) == ("c-advanced-0", "wss://advanced-trade-ws.coinbase.com/")
    assert [each.name for each in exchange.subscriptions] == [
        "matches:BTC-USD", "ticker:BTC-USD", "matches:ETH-USD", "ticker:ETH-USD",
    ]  # fmt: skip
    assert [each.name for each in books.subscriptions] == ["level2:BTC-USD", "level2:ETH-USD"]
    assert [type(Coinbase(plan)) for plan in (exchange, books)] == [Coinbase, CoinbaseAdvanced]
    assert load("coinbase").__name__ == "Coinbase"


def test_thirty_books_a_connection() -> None:
    symbols = [f"A{number}-USD" for number in range(61)]

    assert [len(plan.subscriptions) for plan in plans(*symbols, streams=("depth",))] == [30, 30, 1]


def test_the_sandbox_has_the_books_of_exchange_only() -> None:
    (plan,) = plans(testnet=True)

    assert plan.url == "wss://ws-feed-public.sandbox.exchange.coinbase.com/"
    assert "level2_batch:BTC-USD" in [each.name for each in plan.subscriptions]


@pytest.mark.parametrize("stream", ["funding_rate", "mark_price", "open_interest", "liquidation", "raw_trade"])
def test_what_the_venue_does_not_have_is_refused(stream: str) -> None:
    with pytest.raises(ConfigError, match=stream):
        plans(streams=(stream,), intervals=("1m",))


def test_candles_are_of_five_minutes_and_not_in_the_sandbox() -> None:
    (plan,) = plans(streams=("kline",), intervals=("5m",))
    assert [(each.name, each.interval, each.by_successor) for each in plan.subscriptions] == [
        ("candles:BTC-USD", "5m", True)
    ]
    with pytest.raises(ConfigError, match="unknown interval '1m', only: 5m"):
        plans(streams=("kline",), intervals=("1m", "5m"))
    with pytest.raises(ConfigError, match="kline is not offered"):
        plans(streams=("kline",), intervals=("5m",), testnet=True)


@pytest.mark.parametrize("stream", ["depth", "kline"])
def test_what_advanced_sends_in_usd_is_not_asked_for_in_usdc(stream: str) -> None:
    says = f"no depth or kline of BTC-USDC: the venue sends those of {BTC} in its place"
    with pytest.raises(ConfigError, match=says):
        plans(BTC, "BTC-USDC", streams=("trade", stream), intervals=("5m",))
    (books,) = plans("USDT-USDC", "EURC-USDC", streams=(stream,), intervals=("5m",))
    assert [each.symbol for each in books.subscriptions] == ["USDT-USDC", "EURC-USDC"]


def test_exchange_has_products_in_usdc() -> None:
    (trades,) = plans("BTC-USDC", streams=("trade", "ticker"))
    assert [each.name for each in trades.subscriptions] == ["matches:BTC-USDC", "ticker:BTC-USDC"]
    assert [each.root for each in plans("BTC-USDC", testnet=True)] == ["exchange"]


# -------------------------------------------------------------------------------------------------------- what is asked


def test_exchange_answers_with_all_that_the_connection_has() -> None:
    (plan, _) = plans(BTC, "ETH-USD")
    made = Coinbase(plan)
    asked = [json.loads(payload) for payload in made.open()]
    assert asked == [
        {"type": "subscribe", "product_ids": [BTC, "ETH-USD"], "channels": [channel]}
        for channel in ("matches", "ticker")
    ]
    both = [BTC, "ETH-USD"]
    listed = [{"name": name, "product_ids": both, "account_ids": None} for name in ("matches", "ticker")]

    assert made.receive(encoded(type="subscriptions", channels=listed[:1]), AT) == [
        Acked(("matches:BTC-USD", "matches:ETH-USD"))
    ]
    assert made.receive(encoded(type="subscriptions", channels=listed), AT) == [
        Acked(("ticker:BTC-USD", "ticker:ETH-USD"))
    ]
    assert made.receive(encoded(type="subscriptions", channels=listed), AT) == []


def test_exchange_refuses_a_request_for_one_product() -> None:
    made, refused, acked = opened(BTC, "NO-SUCH", "ETH-USD", streams=("trade",)), list[Item](), set[str]()
    asked, standing = [{"product_ids": [BTC, "NO-SUCH", "ETH-USD"]}], list[str]()
    while asked:
        wanted = asked.pop(0)["product_ids"]
        standing += [] if "NO-SUCH" in wanted else wanted
        answer = {"type": "error", "message": "Failed to subscribe", "reason": "NO-SUCH is not a valid product"}
        if "NO-SUCH" not in wanted:
            answer = {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": standing}]}  # type: ignore[dict-item]
        for item in made.receive(encoded(**answer), AT):
            if isinstance(item, Reply):
                asked.append(json.loads(item.payload))
            elif isinstance(item, Acked):
                acked.update(item.names)
            else:
                refused.append(item)

    assert refused == [Refused(("matches:NO-SUCH",), "", "Failed to subscribe NO-SUCH is not a valid product")]
    assert acked == {"matches:BTC-USD", "matches:ETH-USD"}


def standing(number: int, *products: str, beats: bool = False) -> bytes:
    found: dict[str, list[str]] = {"level2": list(products)} if products else {}
    found |= {"heartbeats": ["heartbeats"]} if beats else {}
    return encoded(channel="subscriptions", timestamp="2026-09-05T22:10:29.562097895Z", sequence_num=number,
                   events=[{"subscriptions": found}])  # fmt: skip


def test_advanced_leaves_out_what_it_does_not_know() -> None:
    (_, plan) = plans(BTC, "NO-SUCH")
    made = Coinbase(plan)
    asked = [json.loads(payload) for payload in made.open()]

    assert asked == [
        {"type": "subscribe", "product_ids": [BTC, "NO-SUCH"], "channel": "level2"},
        {"type": "subscribe", "channel": "heartbeats"},
    ]
    assert made.receive(standing(0, BTC), AT) == [
        Acked(("level2:BTC-USD",)), Refused(("level2:NO-SUCH",), "", "not among what the venue took"),
    ]  # fmt: skip
    assert made.receive(standing(1, BTC, beats=True), AT) == []
    assert made.ping() is None


def test_after_an_error_the_answer_to_heartbeats_is_none_to_the_halves_of_the_list() -> None:
    made = advanced(BTC, "ETH-USD", "SOL-USD", "NO-SUCH")
    items = made.receive(encoded(type="error", message="rate limit exceeded"), AT)
    assert [json.loads(item.payload)["product_ids"] for item in items if isinstance(item, Reply)] == [
        [BTC, "ETH-USD"], ["SOL-USD", "NO-SUCH"],
    ]  # fmt: skip
    assert made.receive(standing(0, beats=True), AT) == []
    assert made.receive(standing(1, BTC, "ETH-USD", beats=True), AT) == [Acked(("level2:BTC-USD", "level2:ETH-USD"))]
    assert made.receive(standing(2, BTC, "ETH-USD", "SOL-USD", beats=True), AT) == [
        Acked(("level2:SOL-USD",)), Refused(("level2:NO-SUCH",), "", "not among what the venue took"),
    ]  # fmt: skip


def test_data_before_the_answer_are_one() -> None:
    made = advanced("SOL-USD")
    snapshot, change, _ = lines("advanced", "l2_data")

    assert types(made.receive(snapshot, AT)) == ["Acked", "Depth"]
    assert types(made.receive(change, AT)) == ["Depth"]
    assert made.receive(standing(2, "SOL-USD"), AT) == []


def test_recorded_answers() -> None:
    batch, ticker, refusal = lines("exchange", "control")
    made = opened(streams=("trade", "ticker"))
    assert made.receive(batch, AT) == [Acked(("matches:BTC-USD",))]
    assert made.receive(ticker, AT) == [], "ticker_1000 is another channel"
    assert opened(testnet=True, streams=("depth",)).receive(batch, AT) == [Acked(("level2_batch:BTC-USD",))]
    reason = "level2, level3, and full channels now require authentication. "
    (refused,) = opened(streams=("trade",)).receive(refusal, AT)
    assert isinstance(refused, Refused)
    assert refused.names == ("matches:BTC-USD",)
    assert refused.message.startswith(f"Failed to subscribe {reason}"[:60])
    *numbered, beat, private, most = lines("advanced", "control")
    for line in numbered:
        assert types(advanced("BTC-PERP-INTX").receive(line, AT)) == ["Refused"], "the ticker alone stands there"
    assert advanced().receive(beat, AT) == []
    for line, message in ((private, "authentication failure"),
                          (most, "too many L2 streams requested in a single session")):  # fmt: skip
        assert advanced().receive(line, AT) == [Refused(("level2:BTC-USD",), "", message)]


def test_recorded_heartbeats_are_signs_of_life() -> None:
    assert [opened().receive(line, AT) for line in lines("exchange", "heartbeat")] == [[], [], []]


# --------------------------------------------------------------------------------------------- recorded frames, by text


def same_trade(trade: Item, said: dict[str, Any]) -> None:
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.trade_id, trade.trade_number, trade.price, trade.quantity) == (
        said["product_id"], str(said["trade_id"]), said["trade_id"], said["price"], said["size"],
    )  # fmt: skip
    assert trade.buyer_is_maker is (said["side"] == "buy"), "the side is the maker's"
    assert (trade.transaction_time_ns, trade.event_time_ns) == (iso_ns(said["time"]), None)


def same_ticker(items: list[Item], said: dict[str, Any]) -> None:
    touch, ticker = items
    assert isinstance(ticker, Ticker)
    assert isinstance(touch, BookTicker)
    assert (ticker.last_price, ticker.open, ticker.high, ticker.low, ticker.volume, ticker.last_quantity) == tuple(
        said[name] for name in ("price", "open_24h", "high_24h", "low_24h", "volume_24h", "last_size")
    )
    assert (touch.bid_price, touch.bid_quantity, touch.ask_price, touch.ask_quantity) == tuple(
        said.get(name) for name in ("best_bid", "best_bid_size", "best_ask", "best_ask_size")
    )
    assert (ticker.last_trade_id, touch.update_id) == (said["trade_id"], said["sequence"])
    assert {ticker.event_time_ns, touch.event_time_ns} == {iso_ns(said["time"])}
    assert (ticker.price_change, ticker.quote_volume) == (None, None)


def same_batch(book: Item, said: dict[str, Any]) -> None:
    assert isinstance(book, Depth)
    if said["type"] == "snapshot":
        sides = {side: said[f"{side}s"] for side in ("bid", "ask")}
    else:
        of = {"bid": "buy", "ask": "sell"}
        sides = {side: [c[1:] for c in said["changes"] if c[0] == of[side]] for side in of}
    for side, levels in sides.items():
        assert list(getattr(book, f"{side}_price")) == [level[0] for level in levels]
        assert list(getattr(book, f"{side}_quantity")) == [level[1] for level in levels]
    assert (book.update_type.name, book.level_limit) == ("SNAPSHOT" if said["type"] == "snapshot" else "DELTA", 0)
    assert book.event_time_ns == (iso_ns(said["time"]) if "time" in said else None)


def test_recorded_trades_and_tickers() -> None:
    made = opened()
    for line in lines("exchange", "matches"):
        (trade,) = heard(made.receive(line, AT))
        same_trade(trade, json.loads(line))
    (line,) = lines("exchange", "ticker")
    same_ticker(heard(made.receive(line, AT)), json.loads(line))


def test_recorded_books_of_exchange() -> None:
    made = opened(testnet=True)
    for line in lines("exchange", "level2_batch"):
        (book,) = heard(made.receive(line, AT))
        same_batch(book, json.loads(line))


def test_a_recorded_session_has_every_message_and_no_hole() -> None:
    session = gzip.decompress(frames("coinbase_exchange/mixed_cf2021_first.jsonl.gz").read_bytes()).splitlines()
    products = sorted({said["product_id"] for line in session if "product_id" in (said := json.loads(line))})
    made, counts = opened(*products, testnet=True), Counter[str]()
    for number, line in enumerate(session):
        said, items = json.loads(line), heard(made.receive(line, AT + number))
        counts.update(types(items))
        match said["type"]:
            case "match" | "last_match":
                (trade,) = items
                same_trade(trade, said)
            case "ticker":
                same_ticker(items, said)
            case "snapshot" | "l2update":
                (book,) = items
                same_batch(book, said)
            case _:
                assert items == []
    assert counts == {"Depth": 4888, "Trade": 41, "Ticker": 41, "BookTicker": 41}
    assert made.out_of_order == Counter()


def test_recorded_books_of_advanced() -> None:
    for some in (lines("advanced", "l2_data")[:2], lines("advanced", "l2_data")[2:]):
        product = json.loads(some[0])["events"][0]["product_id"]
        made = advanced(product)
        if json.loads(some[0])["events"][0]["type"] == "update":
            made.receive(
                some[0].replace(b'"update"', b'"snapshot"').replace(b'"sequence_num":1', b'"sequence_num":0'), 1
            )
        for line in some:
            (book,) = heard(made.receive(line, AT))
            (said,) = json.loads(line)["events"]
            assert isinstance(book, Depth)
            for ours, theirs in (("bid", "bid"), ("ask", "offer")):
                levels = [(u["price_level"], u["new_quantity"]) for u in said["updates"] if u["side"] == theirs]
                prices, quantities = getattr(book, f"{ours}_price"), getattr(book, f"{ours}_quantity")
                assert list(zip(prices, quantities, strict=True)) == levels
            assert book.event_time_ns == iso_ns(json.loads(line)["timestamp"])
            assert (book.update_type.name == "SNAPSHOT") is (said["type"] == "snapshot")
            assert (book.last_update_id, book.level_limit) == (None, 0)


def test_recorded_frames_of_channels_that_are_not_taken_from_there() -> None:
    """Trades and tickers come from Exchange."""
    for name in ("market_trades", "ticker"):
        for line in lines("advanced", name):
            items = advanced().receive(line, AT)
            is_answer = json.loads(line)["channel"] == "subscriptions"
            assert types(items) == (["Refused"] if is_answer else ["Bad"])
            assert is_answer or [item.kind for item in items if isinstance(item, Bad)] == ["unknown_event"]


# ------------------------------------------------------------------------------------------------------- numbers, holes


def match(number: int, kind: str = "match", **changes: Any) -> bytes:
    said = {"type": kind, "trade_id": number, "side": "sell", "size": "0.5", "price": "80691.53", "product_id": BTC,
            "sequence": 7, "time": "2026-08-25T03:35:57.198335Z", **changes}  # fmt: skip
    return json.dumps(said).encode()


def test_trades_have_no_holes_and_the_last_one_is_told_again() -> None:
    made = opened()
    assert types(heard(made.receive(match(5, "last_match"), AT))) == ["Trade"]
    assert types(made.receive(match(6), AT)) == ["Trade"]
    assert made.receive(match(6, "last_match"), AT) == []
    gap, _ = made.receive(match(9), AT + 1)
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing, gap.symbol) == (7, 8, BTC)
    gap, _ = made.receive(match(12, "last_match"), AT + 2)
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing) == (10, 11)
    assert types(made.receive(match(12), AT + 3)) == ["Trade"]
    assert made.out_of_order["trade"] == 1
    made.open()
    assert heard(made.receive(match(12, "last_match"), AT + 4)) == [], "another socket tells it, too"
    assert types(made.receive(match(13), AT + 5)) == ["Trade"]


def message(number: int, product: str = BTC, kind: str = "update", price: str = "63211.05") -> bytes:
    level = {"side": "bid", "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": "0"}
    event = {"type": kind, "product_id": product, "updates": [level]}
    return encoded(channel="l2_data", timestamp="2026-07-06T04:17:46.374702991Z", sequence_num=number, events=[event])


def test_a_message_that_is_missing_makes_every_book_of_the_connection_doubtful() -> None:
    made = advanced(BTC, "ETH-USD")
    made.receive(standing(0, BTC, "ETH-USD"), AT)
    assert types(made.receive(message(1, kind="snapshot"), AT)) == ["Depth"]
    assert types(made.receive(message(2, "ETH-USD", "snapshot"), AT)) == ["Depth"]
    assert made.receive(encoded(channel="heartbeats", timestamp="", sequence_num=3, events=[]), AT) == []
    assert types(made.receive(message(4), AT)) == ["Depth"]
    items = made.receive(message(6), AT + 1)

    asked = [json.loads(item.payload) for item in items if isinstance(item, Reply)]
    assert asked == [
        {"type": verb, "product_ids": [BTC, "ETH-USD"], "channel": "level2"} for verb in ("unsubscribe", "subscribe")
    ]
    assert types(items)[-1] == "Bad"
    assert types(made.receive(message(7, "ETH-USD"), AT + 2)) == ["Bad"]
    gap, book = made.receive(message(8, "ETH-USD", "snapshot"), AT + 3)[-2:]
    assert isinstance(gap, Gap)
    assert (gap.symbol, gap.cause, gap.stream, gap.started_ns, gap.ended_ns) == (
        "ETH-USD", "sequence", "depth", AT, AT + 3,
    )  # fmt: skip
    assert isinstance(book, Depth)
    assert types(made.receive(message(9), AT + 4)) == ["Bad"], "each book waits for its own snapshot"
    made.receive(standing(10, BTC, "ETH-USD"), AT + 5)
    assert types(made.receive(message(11, kind="snapshot"), AT + 6)) == ["Gap", "Depth"]
    assert types(made.receive(message(12), AT + 7)) == ["Depth"]
    made.open()
    assert types(heard(made.receive(message(0, kind="snapshot"), AT + 8))) == ["Depth"], "a socket begins anew"


@pytest.mark.parametrize("is_answered", [True, False])
def test_the_end_of_a_book_is_answered_or_not(is_answered: bool) -> None:
    made = advanced(BTC, "ETH-USD")
    made.receive(standing(0, BTC, "ETH-USD"), AT)
    assert types(Reply(payload) for payload in made.resubscribe(("level2:BTC-USD",))) == ["Reply", "Reply"]
    if is_answered:
        assert made.receive(standing(1, "ETH-USD"), AT) == []
    assert made.receive(standing(1 + is_answered, BTC, "ETH-USD"), AT) == [Acked(("level2:BTC-USD",))]


def test_a_book_of_very_many_levels_is_a_snapshot_and_changes_that_complete_it() -> None:
    levels = [
        (side, f"{price}.5") for side, most in (("bid", 12_001), ("offer", 5_000)) for price in range(1, most + 1)
    ]
    updates = [{"side": side, "event_time": "", "price_level": price, "new_quantity": "1"} for side, price in levels]
    event = {"type": "snapshot", "product_id": BTC, "updates": updates}
    at = "2026-07-06T04:17:46.374702991Z"
    made = advanced()
    line = encoded(channel="l2_data", timestamp=at, sequence_num=0, events=[event])
    books = [item for item in made.receive(line, AT) if isinstance(item, Depth)]

    assert [(book.update_type.name, len(book.bid_price), len(book.ask_price)) for book in books] == [
        ("SNAPSHOT", 5000, 5000), ("DELTA", 5000, 0), ("DELTA", 2001, 0),
    ]  # fmt: skip
    assert [price for book in books for price in book.bid_price] == [price for side, price in levels if side == "bid"]
    assert [book.ordinal or 0 for book in books] == [0, 0, 1], "none of their keys is another's"
    assert {book.event_time_ns for book in books} == {iso_ns(at)}


NO_PRICE = json.loads(message(0, price="x"))["events"][0]


@pytest.mark.parametrize(
    ("bad", "asked_for"),
    [(NO_PRICE, [BTC]), (NO_PRICE | {"product_id": 5}, [BTC, "ETH-USD"]), (5, [BTC, "ETH-USD"])],
)
def test_after_a_change_that_cannot_be_read_a_book_waits_for_its_snapshot(bad: Any, asked_for: list[str]) -> None:
    """Where it does not say its product it may be that of any book."""
    made = advanced(BTC, "ETH-USD", "SOL-USD")
    made.receive(standing(0, BTC, "ETH-USD", "SOL-USD"), AT)
    made.receive(message(1, kind="snapshot"), AT)
    made.receive(message(2, "ETH-USD", kind="snapshot"), AT)  # SOL has not begun
    lost = encoded(channel="l2_data", timestamp="2026-07-06T04:17:46.374702991Z", sequence_num=3, events=[bad])
    items = made.receive(lost, AT + 1)

    asked = [json.loads(item.payload) for item in items if isinstance(item, Reply)]
    assert sum(types(items).count(name) for name in ("Bad", "Reply")) == len(items)
    assert sorted(product for each in asked for product in each["product_ids"]) == sorted(2 * asked_for)
    assert {each["type"] for each in asked} == {"unsubscribe", "subscribe"}
    assert types(made.receive(message(4), AT + 2)) == ["Bad"], "asked once"
    assert types(made.receive(message(5, "ETH-USD"), AT + 2)) == (["Bad"] if len(asked_for) > 1 else ["Depth"])
    made.receive(standing(6, BTC, "ETH-USD", "SOL-USD"), AT + 3)
    gap, book = made.receive(message(7, kind="snapshot"), AT + 4)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.stream, gap.symbol, gap.started_ns, gap.ended_ns) == ("decode", "depth", BTC, AT, AT + 4)
    assert isinstance(book, Depth)
    assert types(made.receive(message(8), AT + 5)) == ["Depth"]


def test_a_book_that_broke_on_the_last_socket_is_whole_on_the_one_that_takes_over() -> None:
    """It had its own snapshot; and one that has not waits for that and not for another one."""
    old = advanced(BTC, "ETH-USD")
    old.receive(message(0, kind="snapshot"), AT)
    old.receive(message(1, "ETH-USD", kind="snapshot"), AT)
    assert types(old.receive(message(2, price="x"), AT + 1))[0] == "Bad"
    assert types(old.receive(message(3, "ETH-USD", price="x"), AT + 1))[0] == "Bad"
    new = advanced(BTC, "ETH-USD")
    new.receive(message(0, kind="snapshot"), AT + 2)
    new.succeed(old)

    gap, book = new.receive(message(1), AT + 3)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.symbol, gap.started_ns, gap.ended_ns) == ("decode", BTC, AT, AT + 3)
    assert isinstance(book, Depth)
    assert types(new.receive(message(2), AT + 4)) == ["Depth"]
    assert types(new.receive(message(3, "ETH-USD"), AT + 5)) == ["Acked", "Bad"]
    assert types(new.receive(message(4, "ETH-USD", kind="snapshot"), AT + 6)) == ["Gap", "Depth"]


def test_a_change_before_its_snapshot_is_nothing() -> None:
    assert types(heard(advanced().receive(message(0), AT))) == ["Bad"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z", None])
def test_books_of_exchange_without_a_time(time: str | None) -> None:
    made = opened(testnet=True)
    made.receive(encoded(type="snapshot", product_id=BTC, bids=[], asks=[]), AT)
    (book,) = made.receive(encoded(type="l2update", product_id=BTC, changes=[["buy", "1", "0"]], time=time), AT)

    assert isinstance(book, Depth)
    assert book.event_time_ns is None


# -------------------------------------------------------------------------------------------------------- hostile input


@pytest.mark.parametrize(
    ("root", "payload", "kind"),
    [
        *((root, payload, kind) for root in ("exchange", "advanced") for payload, kind in (
            (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"[" * 100_000, "type"),
        )),
        ("exchange", match(5, side="both"), "other"), ("exchange", match(5, size="0.-10000"), "decimal"),
        ("exchange", match(5, price=5), "type"), ("exchange", match(2**63), "range"),
        ("exchange", match(5, time="soon"), "other"), ("exchange", match(5, product_id="ETH-USD"), "foreign_symbol"),
        ("exchange", b'{"type":"l2update","product_id":"BTC-USD","changes":[["both","1","1"]]}', "other"),
        ("exchange", b'{"type":"received"}', "unknown_event"), ("advanced", message(0, "ETH-USD"), "foreign_symbol"),
        ("advanced", message(0, kind="none"), "other"), ("advanced", message(0, kind="snapshot", price="x"), "decimal"),
        ("advanced", b'{"channel":"l2_data","sequence_num":0}', "json"), ("advanced", b'{"sequence_num":-1}', "range"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(root: str, payload: bytes, kind: str) -> None:
    assert [item.kind for item in opened(root=root).receive(payload, AT) if isinstance(item, Bad)] == [kind]


@pytest.mark.parametrize(
    ("root", "feed", "names"),
    [("exchange", "exchange", ("control", "heartbeat", "level2_batch", "matches", "ticker")),
     ("advanced", "advanced", ("control", "l2_data", "market_trades", "ticker"))],
)  # fmt: skip
def test_whatever_comes_nothing_is_raised_and_every_event_can_be_kept(
    root: str, feed: str, names: tuple[str, ...]
) -> None:
    dice, samples = random.Random(7), [line for name in names for line in lines(feed, name)]
    symbols = [BTC, "SOL-USD", "ETH-USD"]
    for _ in range(20):
        made = opened(*symbols, root=root)
        for at_ns in range(1, 150):
            sample = dice.choice(samples)
            items = made.receive(memoryview(mutated(sample, dice) if at_ns % 3 else sample), at_ns)
            check(items, symbols)
            assert all(isinstance(item, Gap) or item.symbol in symbols for item in items if isinstance(item, Event))
        check([*made.close(999)], symbols)


# -------------------------------------------------------------------------------------------------------------- candles


def bar(start: int, close: str = "1866.81", product: str = BTC, **more: str) -> dict[str, str]:
    return {"start": str(start), "high": "1867.72", "low": "1865.63", "open": "1867.38", "close": close,
            "volume": "0.20269406", "product_id": product} | more  # fmt: skip


def candles(number: int, *bars: dict[str, str], kind: str = "update") -> bytes:
    return encoded(channel="candles", client_id="", timestamp="2023-07-10T12:10:35.39625135Z", sequence_num=number,
                   events=[{"type": kind, "candles": list(bars)}])  # fmt: skip


def candle_feed(*symbols: str) -> Coinbase:
    return opened(*symbols, root="advanced", streams=("kline",), intervals=("5m",))


def told(items: Iterable[Item]) -> list[tuple[str, int, str, bool]]:
    return [
        (item.symbol, item.open_time_ns // 10**9, item.close, item.closed) for item in items if isinstance(item, Kline)
    ]


def test_a_candle_as_documented() -> None:
    made = candle_feed("ETH-USD")
    (candle,) = heard(made.receive(candles(0, bar(1688998200, product="ETH-USD"), kind="snapshot"), AT))
    assert isinstance(candle, Kline)
    assert (candle.open, candle.high, candle.low, candle.close) == ("1867.38", "1867.72", "1865.63", "1866.81")
    assert (candle.volume, candle.interval, candle.closed) == ("0.20269406", "5m", False)
    assert candle.close_time_ns - candle.open_time_ns == 299_999_000_000
    assert candle.event_time_ns == iso_ns("2023-07-10T12:10:35.39625135Z")


def test_the_next_candle_closes_one_and_a_snapshot_may_come_newest_first() -> None:
    made = candle_feed(BTC, "ETH-USD")
    snapshot = bar(900, "3"), bar(600, "2"), bar(300, "1"), bar(600, "7", "ETH-USD")
    assert told(made.receive(candles(0, *snapshot, kind="snapshot"), AT)) == [
        (BTC, 300, "1", False), (BTC, 300, "1", True), (BTC, 600, "2", False), (BTC, 600, "2", True),
        (BTC, 900, "3", False), ("ETH-USD", 600, "7", False),
    ]  # fmt: skip
    # nobody traded for an hour: no candle, and no gap
    assert told(made.receive(candles(1, bar(900, "4")), AT)) == [(BTC, 900, "4", False)]
    items = made.receive(candles(2, bar(4500, "5")), AT)
    assert told(items) == [(BTC, 900, "4", True), (BTC, 4500, "5", False)]
    assert not [item for item in items if isinstance(item, Gap)]


def test_a_bad_candle_costs_itself() -> None:
    made = candle_feed(BTC)
    items = made.receive(candles(0, bar(300), bar(600, open="1e5"), {"start": "x"}, bar(900)), AT)
    assert [each[1] for each in told(items) if not each[3]] == [300, 900]
    assert len([item for item in items if isinstance(item, Bad)]) == 2
    assert types(made.receive(encoded(channel="candles", sequence_num=1, timestamp="x", events={"a": 1}), AT)) == [
        "Bad"
    ]


def test_a_missing_message_of_the_connection_is_a_gap_of_candles_too() -> None:
    made = candle_feed(BTC)
    made.receive(candles(0, bar(300)), AT)
    items = made.receive(candles(2, bar(300, "2")), AT + 1)
    assert [(item.stream, item.symbol) for item in items if isinstance(item, Gap)] == [("kline", BTC)]


def test_a_candle_whose_last_message_may_be_missing_is_not_closed_as_it_was() -> None:
    """The repairer finds it open, and fetches it."""
    made = candle_feed(BTC)
    made.receive(candles(0, bar(300, "1")), AT)
    assert told(made.receive(candles(2, bar(600, "3")), AT + 1)) == [(BTC, 600, "3", False)]
    made.receive(candles(4, bar(600, "4")), AT + 2)  # told again: that is its state
    assert told(made.receive(candles(5, bar(900, "5")), AT + 3)) == [(BTC, 600, "4", True), (BTC, 900, "5", False)]


def test_the_answer_lists_books_and_candles() -> None:
    made = opened(BTC, root="advanced", streams=("depth", "kline"), intervals=("5m",))
    answers = [{"level2": [BTC]}, {"level2": [BTC], "candles": [BTC]}]
    acked = [
        item.names
        for number, answer in enumerate(answers)
        for item in made.receive(
            encoded(channel="subscriptions", timestamp="2026-09-05T22:10:29Z", sequence_num=number,
                    events=[{"subscriptions": answer}]), AT)
        if isinstance(item, Acked)
    ]  # fmt: skip
    assert acked == [("level2:BTC-USD",), ("candles:BTC-USD",)]
