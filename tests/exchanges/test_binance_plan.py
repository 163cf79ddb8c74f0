"""What is subscribed to, where, and in which requests."""

import json

import pytest

from wsadapter.client.client import ConnectionConfig, StreamConfig
from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import StreamType
from wsadapter.exchanges import load
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.venue import ConnectionPlan, FeedSettings, Subscription

WORDS = ("kline", "ticker", "depth", "trade", "funding_rate", "mark_price", "liquidation", "book_ticker", "raw_trade")


def plan(feed: FeedSettings) -> dict[str, ConnectionPlan]:
    return {plan.connection: plan for plan in load("binance").plan(feed)}


def feed(**changes: object) -> Feed:
    settings = {"name": "binance", "exchange": "binance", "symbols": ("BTCUSDT",), "streams": WORDS, **changes}
    return Feed(**settings)  # type: ignore[arg-type]


def names(plan: ConnectionPlan) -> list[str]:
    return [subscription.name for subscription in plan.subscriptions]


def test_one_connection_carries_one_class() -> None:
    plans = plan(feed(intervals=("1m", "1M")))

    assert {name: plans[name].url for name in plans} == {
        "binance-public-0": "wss://fstream.binance.com/public/stream",
        "binance-market-0": "wss://fstream.binance.com/market/stream",
    }
    assert names(plans["binance-public-0"]) == ["btcusdt@depth20@100ms", "btcusdt@bookTicker", "btcusdt@trade"]
    assert names(plans["binance-market-0"]) == [
        *("btcusdt@kline_1m", "btcusdt@kline_1M", "btcusdt@ticker", "btcusdt@aggTrade", "btcusdt@markPrice@1s"),
        "btcusdt@forceOrder",
    ]


def test_subscriptions_say_what_they_are() -> None:
    plans = plan(feed(streams=("kline", "trade", "funding_rate"), intervals=("8h",)))

    assert plans["binance-market-0"].subscriptions == (
        Subscription("btcusdt@kline_8h", StreamType.KLINE, "BTCUSDT", "8h"),
        Subscription("btcusdt@aggTrade", StreamType.TRADE, "BTCUSDT"),
        Subscription("btcusdt@markPrice@1s", StreamType.FUNDING_RATE, "BTCUSDT", feeds=("funding_rate",)),
    )


@pytest.mark.parametrize(
    ("levels", "speed", "name"),
    [
        *((20, "100ms", "@depth20@100ms"), (5, "500ms", "@depth5@500ms"), (10, "250ms", "@depth10")),
        *((20, "", "@depth20"), (0, "100ms", "@depth@100ms"), (0, "0ms", "@depth@0ms"), (0, "", "@depth")),
    ],
)
def test_depth_names(levels: int, speed: str, name: str) -> None:
    plans = plan(feed(streams=("depth",), depth_levels=levels, depth_speed=speed))

    assert names(plans["binance-public-0"]) == [f"btcusdt{name}"]


@pytest.mark.parametrize("speed", ["1000ms", "50ms", "fast"])
@pytest.mark.parametrize("exchange", ["binance", "binance_coinm"])
def test_a_speed_that_the_futures_do_not_have_is_refused(exchange: str, speed: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(exchange).plan(feed(exchange=exchange, streams=("depth",), depth_speed=speed))

    assert [path for path, _ in raised.value.errors] == ["depth_speed"]


def test_all_intervals() -> None:
    every = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")

    assert len(names(plan(feed(streams=("kline",), intervals=every))["binance-market-0"])) == 15


def test_symbols_are_the_venues_text_whatever_was_typed() -> None:
    plans = plan(feed(symbols=("btcusdt", "BTCUSDT", "币安人生USDT", "BTCUSDT_261225"), streams=("ticker",)))
    market = plans["binance-market-0"]

    assert market.symbols == ("BTCUSDT", "币安人生USDT", "BTCUSDT_261225")
    assert names(market) == ["btcusdt@ticker", "币安人生usdt@ticker", "btcusdt_261225@ticker"]


def test_a_connection_takes_1024_streams() -> None:
    symbols = tuple(f"S{n}USDT" for n in range(1500))
    plans = plan(feed(symbols=symbols, streams=("trade",)))

    assert [(name, len(plans[name].subscriptions)) for name in plans] == [
        ("binance-market-0", 1024),
        ("binance-market-1", 476),
    ]
    assert plans["binance-market-1"].symbols == symbols[1024:]


def test_another_order_of_symbols_changes_no_connection() -> None:
    symbols = tuple(f"S{n}USDT" for n in range(1500))
    before = plan(feed(symbols=symbols, streams=("trade",)))
    where = {name: names(each) for name, each in before.items()}

    assert before["binance-market-0"].symbols == symbols[:1024]
    found = BinanceFutures.plan(feed(symbols=symbols[::-1], streams=("trade",)), where)
    assert {each.connection: each for each in found} == before


def test_addresses() -> None:
    assert next(iter(plan(feed(testnet=True)).values())).url == "wss://demo-fstream.binance.com/public/stream"
    assert next(iter(plan(feed(ws_url="ws://127.0.0.1:81/")).values())).url == "ws://127.0.0.1:81/public/stream"


def test_open_interest_is_no_stream() -> None:
    assert plan(feed(streams=("open_interest",))) == {}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = feed(symbols=("*",), streams=("kline", "trades"), intervals=("7m",), depth_levels=7, depth_speed="fast")

    with pytest.raises(ConfigError) as raised:
        plan(wrong)

    assert [path for path, _ in raised.value.errors] == [
        "streams", "intervals", "symbols", "depth_levels", "depth_speed",
    ]  # fmt: skip


def test_requests_are_batched_and_small() -> None:
    symbols = tuple(f"ALONGSYMBOL{n:04}USDT" for n in range(1024))
    (market,) = plan(feed(symbols=symbols, streams=("trade",))).values()
    requests = BinanceFutures(market).open()
    documents = [json.loads(request) for request in requests]

    assert [name for document in documents for name in document["params"]] == names(market)
    assert [document["id"] for document in documents] == list(range(1, len(documents) + 1))
    assert all(document["method"] == "SUBSCRIBE" for document in documents)
    assert all(len(request) <= 4096 for request in requests)
    assert all(len(document["params"]) <= 200 for document in documents)


def test_names_outside_ascii_travel_as_utf8() -> None:
    (market,) = plan(feed(symbols=("币安人生USDT",), streams=("trade",))).values()

    assert "币安人生usdt@aggTrade".encode() in BinanceFutures(market).open()[0]


def test_a_connection_config_is_a_feed() -> None:
    config = ConnectionConfig(
        symbols=["BTCUSDT"],
        streams=["trade", StreamConfig("kline", intervals=("5m",)), StreamConfig("depth", depth_levels=0)],
    )
    plans = plan(config.feed())

    assert names(plans["binance-market-0"]) == ["btcusdt@kline_5m", "btcusdt@aggTrade"]
    assert names(plans["binance-public-0"]) == ["btcusdt@depth@100ms"]
    of_plan = ConnectionConfig.of_plan(plans["binance-public-0"], feed(ping_interval=3.0))
    assert (of_plan.ping_interval, of_plan.feed().symbols) == (3.0, ("BTCUSDT",))


def test_a_text_is_not_a_list_of_names() -> None:
    with pytest.raises(ConfigError) as raised:
        ConnectionConfig(symbols="BTCUSDT", streams="trade", ping_interval=0).feed()

    assert [path for path, _ in raised.value.errors] == ["symbols", "streams", "ping_interval"]


@pytest.mark.parametrize("url", ["ws://example.com", "http://127.0.0.1", "wss://", "ws://127.0.0.1:99999", "x"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="ws_url"):
        ConnectionConfig(symbols=["BTCUSDT"], ws_url=url).feed()


def test_an_unknown_venue_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="is not implemented"):
        load("mtgox")
