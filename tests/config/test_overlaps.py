"""One series is one venue's and comes once: what two feeds of one exchange may not, or should not, both ask for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.config.overlaps import may_meet
from wsadapter.config.symbol_rules import matcher
from wsadapter.config.warnings import warnings
from wsadapter.errors import ConfigError

ELSEWHERE = "testnet = true\n", 'ws_url = "wss://other.example"\n', 'rest_url = "https://other.example"\n'


def loaded(directory: Path, *feeds: str) -> Config:
    """Each feed: its symbols, and further lines."""
    path = directory / "wsadapter.toml"
    path.write_text(
        "".join(f'[[feed]]\nname = "f{n}"\nexchange = "binance"\nsymbols = {feed}' for n, feed in enumerate(feeds))
    )
    return configuration.load(str(path), {}, dotenv=None)


def twice(config: Config) -> list[str]:
    return [line for line in warnings(config, {}, None) if "twice" in line]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('["BTCUSDT", "ETHUSDT"]\nstreams = ["trade"]\n', '["ETHUSDT"]\nstreams = ["ticker", "trade"]\n'),
        ('["BTCUSDT"]\nstreams = ["trade"]\n', '["BTCUSDT"]\nstreams = ["raw_trade"]\n'),
        ('["BTCUSDT"]\nstreams = ["depth"]\n', '["BTCUSDT"]\nstreams = ["depth"]\ndepth_levels = 0\n'),
        ('["BTCUSDT"]\nstreams = ["kline"]\n', '["BTCUSDT"]\nstreams = ["kline"]\nintervals = ["1h", "1m"]\n'),
        ('["*USDT"]\nstreams = ["trade"]\n', '["BTCUSDT"]\nstreams = ["trade"]\n'),
        ('["top:50"]\nstreams = ["trade"]\n', '["BTC*"]\nstreams = ["trade"]\n'),
    ],
)
def test_one_series_of_two_addresses_is_refused(tmp_path: Path, first: str, second: str, elsewhere: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, first, second + elsewhere)
    ((path, message),) = refused.value.errors
    assert path == "feed[1].symbols"
    assert "feed f0" in message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('["BTCUSDT"]\nstreams = ["trade"]\n', '["ETHUSDT"]\nstreams = ["trade"]\n'),
        ('["BTCUSDT"]\nstreams = ["trade"]\n', '["BTCUSDT"]\nstreams = ["ticker"]\n'),
        ('["BTCUSDT"]\nstreams = ["kline"]\n', '["BTCUSDT"]\nstreams = ["kline"]\nintervals = ["1h"]\n'),
        ('["*USDT"]\nstreams = ["trade"]\n', '["*USDC", "BTCUSD"]\nstreams = ["trade"]\n'),
        ('["*USDT", "!BTC*"]\nstreams = ["trade"]\n', '["BTCUSDT"]\nstreams = ["trade"]\n'),
        ('["*", "!*USDT"]\nstreams = ["trade"]\n', '["top:20:*USDT"]\nstreams = ["trade"]\n'),
    ],
)
@pytest.mark.parametrize("elsewhere", ["", *ELSEWHERE])
def test_different_series_may_come_from_wherever(tmp_path: Path, first: str, second: str, elsewhere: str) -> None:
    assert twice(loaded(tmp_path, first, second + elsewhere)) == []


def test_series_of_two_feeds_of_one_address_is_warned_about(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        '["BTCUSDT", "ETHUSDT"]\nstreams = ["trade", "depth"]\n',
        '["ETHUSDT"]\nstreams = ["ticker", "trade", "depth"]\ndepth_levels = 0\n',
        '["top:5"]\nstreams = ["ticker"]\n',
    )
    assert [line.partition(", too: ")[0] for line in twice(config)] == [
        "feed[1].symbols: ETHUSDT is in feed f0 (trade)",
        "feed[2].symbols: top:5 may stand for the same symbol as ETHUSDT of feed f1 (ticker)",
    ]


def test_address_without_history_is_the_same_address(tmp_path: Path) -> None:
    same = '["BTCUSDT"]\nstreams = ["trade"]\nws_url = "wss://other.example"\n'
    config = loaded(tmp_path, same, same + 'rest_url = "https://other.example"\n')
    assert len(twice(config)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('ws_url = "wss://other.example/x"\n', 'ws_url = "WSS://Other.Example:443/x/"\n'),
        ('rest_url = "https://other.example:443"\n', 'rest_url = "https://OTHER.example/"\n'),
        ('ws_url = "ws://127.0.0.1"\n', 'ws_url = "ws://127.0.0.1:80"\n'),
    ],
)
def test_one_address_may_be_written_in_two_ways(tmp_path: Path, first: str, second: str) -> None:
    same = '["BTCUSDT"]\nstreams = ["trade"]\n'
    assert len(twice(loaded(tmp_path, same + first, same + second))) == 1


@pytest.mark.parametrize("other", ["wss://other.example:444/x", "wss://other.example/X", "wss://other.example"])
def test_another_port_or_path_is_another_address(tmp_path: Path, other: str) -> None:
    same = '["BTCUSDT"]\nstreams = ["trade"]\nws_url = '
    with pytest.raises(ConfigError, match="another address, perhaps another venue"):
        loaded(tmp_path, f'{same}"wss://other.example/x"\n', f'{same}"{other}"\n')


GLOBS = st.text(alphabet="AB*?", max_size=6)


@given(GLOBS, GLOBS, st.text(alphabet="AB", max_size=8))
def test_two_globs_that_fit_one_symbol_may_meet(a: str, b: str, symbol: str) -> None:
    if matcher(a)(symbol) and matcher(b)(symbol):
        assert may_meet(a, b)


@pytest.mark.parametrize(
    ("a", "b", "meets"),
    [("*USDT", "*USDC", False), ("BTC*", "*USDT", True), ("A?", "A", False), ("A?", "?B", True), ("", "*", True)],
)
def test_what_may_meet(a: str, b: str, meets: bool) -> None:
    assert may_meet(a, b) is may_meet(b, a) is meets
