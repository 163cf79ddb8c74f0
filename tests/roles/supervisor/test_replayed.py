"""Which feeds record a replayed file: the symbols that it names, and what the venue offers of each."""

from pathlib import Path

import pytest

from wsadapter.config.model import Config, Feed, ServiceConfig
from wsadapter.embedded.demo import StandIns
from wsadapter.embedded.exchange.recording import recogniser, symbols_in
from wsadapter.embedded.market.streams import Offered
from wsadapter.errors import ConfigError
from wsadapter.roles.supervisor.replayed import feeds, with_feeds

TRADE = '{"topic":"publicTrade.%s","type":"snapshot","ts":1,"data":[{"T":1,"s":"%s","S":"Buy"}]}\n'


def test_symbols_of_the_file_and_all_intervals_of_the_venue(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text("".join(TRADE % (symbol, symbol) for symbol in ("ETHUSDT", "BTCUSDT", "BTCUSDT")))
    (feed,) = feeds("bybit", path)
    assert (feed.name, feed.exchange, feed.symbols) == ("bybit", "bybit", ("BTCUSDT", "ETHUSDT"))
    assert {"trade", "depth", "open_interest"} <= set(feed.streams)
    assert "1M" in feed.intervals
    assert "8h" not in feed.intervals, "the venue has none"


def test_many_symbols_have_one_interval(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(TRADE % (f"A{n}USDT", f"A{n}USDT") for n in range(30)))
    (feed,) = feeds("bybit", path)
    assert (len(feed.symbols), feed.intervals) == (30, ("1m",))


def test_a_file_of_nothing_is_refused_and_a_configured_feed_stays(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text('{"s":"x"}\n')
    with pytest.raises(ConfigError, match="names no symbol"):
        feeds("bybit", path)
    config = Config(ServiceConfig("i", str(tmp_path)), feed=(Feed(name="f", exchange="bybit", symbols=("BTCUSDT",)),))
    assert with_feeds(config, StandIns(demo=True, replay=str(path), exchange="bybit")) is config
    assert with_feeds(Config(ServiceConfig("i", str(tmp_path))), StandIns(demo=True)).feed == ()


@pytest.mark.parametrize(
    ("line", "symbols"),
    [
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}', {b"BTC-USDT"}),
        (b'{"channel":"book","data":[{"symbol":"BTC/USD"}]}', {b"BTC/USD"}),
        (b'{"params":{"channel":"chart.trades.BTC-PERPETUAL.1","data":{}}}', {b"BTC-PERPETUAL"}),
        (b'{"stream":"btcusdt@depth20@100ms","data":{}}', {b"BTCUSDT"}),
        (b'{"channel":"futures.candlesticks","result":[{"n":"1m_BTC_USDT"}]}', {b"BTC_USDT"}),
        (b'{"channel":"l2Book","data":{"coin":"BTC"}}', {b"BTC"}),
    ],
)
def test_symbols_stand_under_the_keys_that_venues_use(line: bytes, symbols: set[bytes]) -> None:
    assert symbols <= set(symbols_in(line))


@pytest.mark.parametrize("line", [b'{"s":"1m"}', b'{"s":"SELL"}', b'{"n":"148500002"}'])
def test_ids_intervals_and_sides_are_none(line: bytes) -> None:
    assert symbols_in(line) == []


def test_a_frame_goes_to_the_class_of_its_stream() -> None:
    def offered(name: str) -> Offered | None:
        return Offered(name, "business", "candle", "X", 0) if name == "candle1m:X" else None

    recognised = recogniser(lambda document: document["arg"], offered)
    one, other, broken = (
        recognised(line, 5) for line in (b'{"arg":"candle1m:X"}', b'{"event":"subscribe"}', b"{broken")
    )
    assert one is not None
    assert (one.route, one.push.stream, one.at_ns) == ("business", "candle1m:X", 5)
    for plain in (other, broken):
        assert plain is not None
        assert (plain.route, plain.push.stream, plain.push.events) == ("", "", ())
