"""Hyperliquid: every recorded frame gives the events that an independent reading expects; answers that repeat requests,
names that end the connection, trades that are told again."""

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from frames_path import FRAMES
from msgspec import structs

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Depth, Event, FundingRate, Kline, MarkPrice, Trade
from wsadapter.events.records import encode
from wsadapter.exchanges.hyperliquid import CODES, Hyperliquid
from wsadapter.exchanges.venue import Acked, Bad, Item, Refused, Reply

WORDS = ("kline", "depth", "trade", "mark_price", "funding_rate", "open_interest", "book_ticker")
OF_SPOT = ("kline", "depth", "trade", "book_ticker")
MS = 1_000_000
AT = 1_795_000_000_000_000_000
COMMON = ("exchange", "receive_time_ns", "source", "connection", "last_gap_ns", "ordinal", "settled")


def session(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 20) -> Hyperliquid:
    feed = Feed("h", "hyperliquid", symbols or ("BTC",), tuple(streams), depth_levels=levels)
    (plan,) = Hyperliquid.plan(feed)
    return Hyperliquid(plan)


def ack(payload: bytes, **defaults: object) -> bytes:
    """The venue fills in what the request left out."""
    asked = json.loads(payload)
    asked["subscription"] |= {"nSigFigs": None, "mantissa": None, **defaults}
    return message("subscriptionResponse", asked)


def answered(made: Hyperliquid, requests: list[bytes]) -> list[Item]:
    """What all answers give."""
    items: list[Item] = []
    queue = list(requests)
    while queue:
        came = made.receive(ack(queue.pop(0)), AT)
        queue += [item.payload for item in came if isinstance(item, Reply)]
        items += came
    return items


def opened(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 20) -> Hyperliquid:
    made = session(*symbols, streams=streams, levels=levels)
    answered(made, made.open())
    return made


def message(channel: str, data: object) -> bytes:
    return json.dumps({"channel": channel, "data": data}).encode()


def trade(tid: int, coin: str = "BTC", **more: object) -> dict[str, object]:
    return {"coin": coin, "side": "A", "px": "84143.0", "sz": "0.00036", "time": 1_790_232_216_193, "hash": "0x0",
            "tid": tid, **more}  # fmt: skip


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


# ------------------------------------------------------------------------------- what each recorded frame must become


def expected(document: Any) -> list[dict[str, Any]]:
    """The events of a message, without what all events have; what the venue does not say is left out."""
    channel, data = document["channel"], document["data"]
    if channel == "trades":
        return [{"symbol": row["coin"], "transaction_time_ns": int(row["time"]) * MS, "trade_id": row["tid"],
                 "price": row["px"], "quantity": row["sz"], "buyer_is_maker": row["side"] == "A", "aggregated": False}
                for row in data]  # fmt: skip
    if channel == "candle":
        return [{"symbol": data["s"], "interval": data["i"], "open_time_ns": int(data["t"]) * MS, "high": data["h"],
                 "close_time_ns": int(data["T"]) * MS, "open": data["o"], "low": data["l"], "close": data["c"],
                 "volume": data["v"], "trade_count": int(data["n"]), "closed": False}]  # fmt: skip
    common = {"symbol": data["coin"]}
    if channel == "activeAssetCtx":
        ctx = data["ctx"]
        return [
            common | {"mark_price": ctx["markPx"], "index_price": ctx["oraclePx"], "funding_rate": ctx["funding"]},
            common | {"funding_rate": ctx["funding"], "mark_price": ctx["markPx"]},
            common | {"open_interest": ctx["openInterest"]},
        ]
    common["transaction_time_ns"] = int(data["time"]) * MS
    if channel == "bbo":
        bid, ask = [*data["bbo"], None][:2]
        fields = {f"{side}_{ours}": level[theirs] for side, level in (("bid", bid), ("ask", ask)) if level
                  for ours, theirs in (("price", "px"), ("quantity", "sz"))}  # fmt: skip
        return [common | fields]
    columns = {f"{side}_{ours}": [level[theirs] for level in levels]
               for side, levels in zip(("bid", "ask"), data["levels"], strict=True)
               for ours, theirs in (("price", "px"), ("quantity", "sz"))}  # fmt: skip
    return [common | {"update_type": 1, "level_limit": 5 if data.get("fast") else 20, **columns}]


def told(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = {name: value for name, value in structs.asdict(event).items() if name not in COMMON}
    if isinstance(event, Depth):
        fields |= {name: list(fields[name]) for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")}
    return {name: value for name, value in fields.items() if value is not None}


def check_events(items: Iterable[Item], document: Any, *more: str) -> None:
    events = [item for item in items if isinstance(item, Event)]
    for event in events:
        assert event.exchange == "hyperliquid"
        assert encode(event)
    assert [told(event) for event in events] == expected(document), document
    assert [item for item in items if isinstance(item, Bad)] == []


def lines_of(pattern: str) -> list[Any]:
    paths = sorted((FRAMES / "hyperliquid").glob(pattern)) if FRAMES else []
    return [pytest.param(line, id=f"{path.stem}-{number}") for path in paths
            for number, line in enumerate(path.read_bytes().splitlines())
            if not path.stem.endswith(("_acks", "_rest"))]  # fmt: skip


def coin_of(data: Any) -> str:
    one = data[0] if isinstance(data, list) else data
    coin: str = one.get("coin") or one["s"]
    return coin


@pytest.mark.parametrize("line", lines_of("examples_*.jsonl"))
def test_an_example_frame_gives_its_events(line: bytes) -> None:
    document = json.loads(line, parse_float=str, parse_int=str)
    coin = coin_of(document["data"])
    made = opened(coin, streams=OF_SPOT if coin.startswith("@") else WORDS)
    if document["channel"] == "activeSpotAssetCtx":
        assert types(made.receive(line, AT)) == ["Bad"], "spot has neither a mark that counts nor funding"
        return

    check_events(made.receive(line, AT), document)


@pytest.mark.skipif(FRAMES is None, reason="the recorded frames (../shared/frames) are not here")
@pytest.mark.parametrize("levels", [5, 20])
def test_a_recorded_session_gives_its_events(levels: int) -> None:
    """Books of both speeds name one channel."""
    assert FRAMES
    made = opened(levels=levels)
    lines = (FRAMES / "hyperliquid/mixed_btc_20250126_first.jsonl").read_bytes().splitlines()
    for number, line in enumerate(lines):
        check_events(made.receive(line, AT + number), json.loads(line, parse_float=str, parse_int=str))

    assert len(lines) == 27
    assert made.out_of_order == {"depth": 1}, "one book says the time of the one before"


@pytest.mark.skipif(FRAMES is None, reason="the recorded frames (../shared/frames) are not here")
def test_the_answers_of_the_examples() -> None:
    assert FRAMES
    lines = (FRAMES / "hyperliquid/examples_acks.jsonl").read_bytes().splitlines()
    found = []
    for line in lines:
        made = session("BTC", "SOL", levels=5 if b'"fast":true' in line else 20)
        made.open()
        found.append([item for item in made.receive(line, AT) if not isinstance(item, Reply)])

    assert found == [
        [Acked(("l2BookFast:BTC",))], [], [Acked(("l2Book:SOL",))],
        [Refused((), "", json.loads(lines[3])["data"][:64])], [Acked(("bbo:BTC",))],
        [Refused((), "", json.loads(lines[5])["data"][:64])],
        [Acked(("activeAssetCtx:BTC",))], [Acked(("trades:BTC",))], [Acked(("candle:1m:BTC",))], [],
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the plan


def test_the_plan_names_every_stream_once_and_keeps_the_coins_letters() -> None:
    made = session("kPEPE", "xyz:TSLA", "BTC", levels=5)

    assert list(made.last_receive_ns)[:5] == [
        "trades:kPEPE", "l2BookFast:kPEPE", "candle:1m:kPEPE", "activeAssetCtx:kPEPE", "bbo:kPEPE",
    ]  # fmt: skip
    subscriptions = [json.loads(request)["subscription"] for request in made.open()]
    assert {"type": "l2Book", "coin": "xyz:TSLA", "fast": True} in subscriptions
    assert {"type": "candle", "coin": "xyz:TSLA", "interval": "1m"} in subscriptions
    assert {"type": "activeAssetCtx", "coin": "BTC"} in subscriptions
    assert len(subscriptions) == 15
    assert "6h" not in CODES


@pytest.mark.parametrize(
    ("setting", "where"),
    [({"depth_levels": 0}, "depth_levels"), ({"depth_levels": 50}, "depth_levels"),
     ({"intervals": ("6h",)}, "intervals"),
     ({"streams": ("ticker",)}, "streams"), ({"streams": ("liquidation",)}, "streams"),
     ({"symbols": ("PURR/USDC",), "streams": ("funding_rate",)}, "not offered for PURR/USDC")],
)  # fmt: skip
def test_what_the_venue_does_not_offer_is_refused(setting: dict[str, Any], where: str) -> None:
    settings: dict[str, Any] = {"symbols": ("BTC",), "streams": ("kline", "depth"), **setting}
    with pytest.raises(ConfigError, match=where):
        Hyperliquid.plan(Feed(name="h", exchange="hyperliquid", **settings))


def test_a_testnet() -> None:
    (plan,) = Hyperliquid.plan(Feed("h", "hyperliquid", ("@107", "PURR/USDC", "#250"), ("trade",), testnet=True))

    assert plan.url == "wss://api.hyperliquid-testnet.xyz/ws"
    assert [each.name for each in plan.subscriptions] == ["trades:@107", "trades:PURR/USDC", "trades:#250"]


# --------------------------------------------------------------------------------------------- answers and refusals


def test_an_answer_is_known_by_what_it_repeats() -> None:
    made = session("xyz:TSLA", "BTC", levels=5)
    requests = made.open()
    items = answered(made, requests[::-1])

    assert sorted(name for item in items if isinstance(item, Acked) for name in item.names) == sorted(
        made.last_receive_ns
    )
    assert made.receive(ack(requests[0]), AT) == [], "nobody asked"
    assert types(made.receive(message("error", "Already unsubscribed: {}"), AT)) == []


def test_a_request_that_is_refused_is_the_one_that_the_error_repeats() -> None:
    made = session(streams=("trade", "book_ticker"))
    _, bbo = made.open()
    text = f"Error parsing JSON into valid websocket request: {bbo.decode()}"

    (refused,) = made.receive(message("error", text), AT)
    assert isinstance(refused, Refused)
    assert (refused.names, refused.message) == (("bbo:BTC",), text[:64])


def test_too_many_messages_are_a_matter_of_pace() -> None:
    """The venue names no request, and says it of each: each is made once more, later."""
    made = session("BTC", "ETH", streams=("trade",))
    requests = made.open()
    text = "Cannot send more than 2000 messages per minute."
    items = [item for _ in requests for item in made.receive(message("error", text), AT)]

    assert types(items) == ["Reply", "Reply"]
    again = [item for item in items if isinstance(item, Reply)]
    assert [each.payload for each in again] == requests
    assert {each.pause for each in again} == {1.0}
    assert types(answered(made, requests)) == ["Acked", "Acked"]


def test_what_is_beyond_the_limit_of_the_address_is_given_up_and_says_why() -> None:
    """Nothing waits for an answer then, so that the socket stands with the others."""
    made = session("BTC", "ETH", streams=("trade",))
    first, _ = made.open()
    made.receive(ack(first), AT)
    text = "Cannot subscribe to more than 1000 channels."

    (refused,) = made.receive(message("error", text), AT)
    assert isinstance(refused, Refused)
    assert (refused.names, refused.message) == (("trades:ETH",), text)


def test_more_than_an_address_may_have_is_refused_with_its_number() -> None:
    feed = Feed("h", "hyperliquid", tuple(f"C{number}" for number in range(501)), ("trade", "book_ticker"))
    with pytest.raises(ConfigError, match="1002 subscriptions, and hyperliquid allows 1000 an address"):
        Hyperliquid.plan(feed)
    some = structs.replace(feed, symbols=feed.symbols[:500])
    assert [len(plan.subscriptions) for plan in Hyperliquid.plan(some)] == [1000]
    assert sum(len(plan.subscriptions) for plan in Hyperliquid.plan(structs.replace(feed, ws_url="ws://x"))) == 1002


def test_a_coin_that_ends_the_connection_is_found_and_the_others_live() -> None:
    coins = ("BTC", "btc", "ETH", "SOL")
    made, acked, refused, sockets = session(*coins, streams=("trade",)), set[str](), list[Refused](), 0
    over = False
    while not over and sockets < 12:
        queue, sockets, over = made.open(), sockets + 1, True
        while queue:
            if b'"btc"' in queue[0]:
                over = False
                break
            items = made.receive(ack(queue.pop(0)), AT)
            queue += [item.payload for item in items if isinstance(item, Reply)]
            acked |= {name for item in items if isinstance(item, Acked) for name in item.names}
            refused += [item for item in items if isinstance(item, Refused)]

    assert acked == {"trades:BTC", "trades:ETH", "trades:SOL"}
    assert {name for item in refused for name in item.names} == {"trades:btc"}
    assert sockets <= 5


def test_the_ping_and_what_says_nothing() -> None:
    made = opened()

    assert (made.ping(), made.ping_every) == (b'{"method":"ping"}', 30.0)
    assert made.receive(b'{"channel":"pong"}', AT) == []
    assert made.receive(b"Websocket connection established.", AT) == []
    assert types(made.receive(b"Websocket connection lost.", AT)) == ["Bad"]


# --------------------------------------------------------------------------------------------------------- streams


def test_trades_that_are_told_again_are_passed_over() -> None:
    made = opened(streams=("trade",))
    assert types(made.receive(message("trades", [trade(5), trade(3)]), AT)) == ["Trade", "Trade"]
    made.open()
    items = made.receive(message("trades", [trade(5), trade(3), trade(9)]), AT + 1)

    assert [item.trade_id for item in items if isinstance(item, Trade)] == ["9"]
    following = session(streams=("trade",))
    following.follow(made)
    following.open()
    assert types(following.receive(message("trades", [trade(9), trade(11)]), AT + 2)) == ["Trade"]
    assert following.last_receive_ns == {"trades:BTC": AT + 2}


def test_only_the_last_ones_are_remembered() -> None:
    made = opened(streams=("trade",))
    for tid in range(1000):
        assert len(made.receive(message("trades", [trade(tid)]), AT)) == 1

    assert made.receive(message("trades", [trade(801)]), AT) == []
    assert len(made.receive(message("trades", [trade(0)]), AT)) == 1


def test_one_message_may_be_of_several_coins() -> None:
    made = opened("BTC", "ETH", streams=("trade",))
    items = made.receive(message("trades", [trade(1), trade(2, "ETH"), trade(3, "XRP")]), AT)

    assert [item.symbol for item in items if isinstance(item, Trade)] == ["BTC", "ETH"]
    assert items[-1] == Bad("foreign_symbol", "trades:XRP")


def test_a_candle_is_closed_by_the_next_one_and_may_be_missing() -> None:
    def candle(minute: int, close: str = "1.5", interval: str = "1m") -> bytes:
        opened_ms = 1_790_232_180_000 + minute * 60_000
        prices = {"o": "1", "c": close, "h": "2", "l": "1", "v": "14.27847", "n": 114}
        return message("candle", {"t": opened_ms, "T": opened_ms + 59_999, "s": "BTC", "i": interval, **prices})

    made = opened(streams=("kline",))
    made.receive(candle(0), AT)
    made.receive(candle(0, "1.75"), AT + 1)
    closed, after = made.receive(candle(5), AT + 2)
    assert isinstance(closed, Kline)
    assert isinstance(after, Kline)
    assert (closed.closed, closed.close, after.closed, after.trade_count) == (True, "1.75", False, 114)
    (other,) = made.receive(candle(6, interval="5m"), AT)
    assert isinstance(other, Kline)
    assert other.interval == "5m", "nobody asked for it"


def context(**fields: object) -> bytes:
    return message("activeAssetCtx", {"coin": "BTC", "ctx": {"markPx": "84148.0", **fields}})


def test_a_rate_comes_when_it_changes() -> None:
    made = opened(streams=("funding_rate",))
    rates = ["0.0000125", "0.0000125", "-0.0000018952", "0.0"]
    items = [item for rate in rates for item in made.receive(context(funding=rate), AT)]

    assert [item.funding_rate for item in items if isinstance(item, FundingRate)] == [rates[0], *rates[2:]]
    (mark,) = opened().receive(context(oraclePx=None, midPx=None), AT)
    assert isinstance(mark, MarkPrice)
    assert (mark.mark_price, mark.index_price, mark.funding_rate, mark.event_time_ns) == ("84148.0", None, None, None)


@pytest.mark.parametrize("sides", ["[null,%s]", "[%s]", "[null]", "[]", "[null,null]"])
def test_a_side_without_offers_is_absent(sides: str) -> None:
    level = '{"px":"107575.0","sz":"3.87947","n":17}'
    data = '{"coin":"BTC","time":1,"bbo":%s}' % (sides % level if "%" in sides else sides)
    (event,) = opened().receive(f'{{"channel":"bbo","data":{data}}}'.encode(), AT)

    assert isinstance(event, BookTicker)
    assert event.bid_price == ("107575.0" if sides == "[%s]" else None)
    assert event.ask_quantity == ("3.87947" if sides == "[null,%s]" else None)


def test_an_older_book_is_counted() -> None:
    made = opened()
    for time in (5, 6, 6, 4):
        items = made.receive(message("l2Book", {"coin": "BTC", "time": time, "levels": [[], []]}), AT)
        assert types(items) == ["Depth"]

    assert made.out_of_order["depth"] == 2


# --------------------------------------------------------------------------------------------------- hostile frames


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"[" * 100_000, "type"), (b'{"channel":5}', "type"),
        (message("notification", {}), "unknown_event"), (message("trades", 5), "type"),
        (message("trades", [5]), "type"), (message("trades", [trade(1, "OTHER")]), "foreign_symbol"),
        (message("trades", [trade(1, px="1e5")]), "decimal"),
        (message("trades", [trade(1, side="X")]), "other"), (message("trades", [trade(2**63)]), "range"),
        (message("l2Book", {"coin": "BTC", "time": 1, "levels": [[]]}), "type"),
        (message("l2Book", {"coin": "BTC", "time": 1, "levels": [[{"px": "-1", "sz": "1"}], []]}), "decimal"),
        (message("bbo", {"coin": "BTC", "time": 1, "bbo": [{"px": "nan", "sz": "1"}]}), "decimal"),
        (message("subscriptionResponse", 5), "type"), (message("subscriptionResponse", {}), "unknown_event"),
        (message("error", 5), "type"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = session().receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]
    assert not [item for item in items if isinstance(item, Event)]


def test_a_bad_trade_costs_only_itself() -> None:
    items = opened(streams=("trade",)).receive(message("trades", [trade(1), trade(2, px="x"), trade(3)]), AT)

    assert types(items) == ["Trade", "Bad", "Gap", "Trade"]


SAMPLES = [
    message("trades", [trade(1), trade(2)]), context(funding="0.1", openInterest="5"),
    message("l2Book", {"coin": "BTC", "time": 1, "levels": [[{"px": "1", "sz": "1", "n": 1}], []], "fast": True}),
    message("bbo", {"coin": "BTC", "time": 1, "bbo": [{"px": "1", "sz": "1", "n": 1}, None]}), b'{"channel":"pong"}',
    message("error", 'Already subscribed: {"type":"bbo","coin":"BTC"}'), message("error", "no"),
    message("error", "Cannot subscribe to more than 1000 channels."),
    message("error", "Cannot send more than 2000 messages per minute."),
    message("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}),
    message("candle", {"t": 0, "T": 59_999, "s": "BTC", "i": "1m", **dict.fromkeys("ochlv", "1"), "n": 1}),
]  # fmt: skip
JUNK = [b"null", b"{}", b"[]", b'""', b"-1", b"1e400", b"\xff", b"9" * 30, b'"\\ud800"', b"[" * 3000, b"", b"\\"]


@pytest.mark.parametrize("seed", range(30))
def test_no_frame_raises_and_every_event_can_be_kept(seed: int) -> None:
    dice, made = random.Random(seed), session()
    made.open()
    for at_ns in range(1, 40):
        payload = dice.choice(SAMPLES)
        for _ in range(dice.choice((0, 1, 1, 2))):
            at = dice.randrange(len(payload) + 1)
            payload = payload[:at] + dice.choice(JUNK) + payload[at + dice.randrange(40) :]
        for item in made.receive(memoryview(payload), at_ns):
            if isinstance(item, Event):
                assert encode(item)
    made.close(99)
