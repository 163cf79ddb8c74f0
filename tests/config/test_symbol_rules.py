"""Rules among the symbols of a feed: what they may say, what they match, and what a wrong one is told."""

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.cli.options import exchanges
from wsadapter.config.load import load
from wsadapter.config.symbol_rules import Rules, Top, checked, is_rule, matcher, parsed, spelled
from wsadapter.errors import ConfigError

CHINESE = "币安人生USDT"
TEXTS = st.text(st.sampled_from("ABU1-_/.:币[]*?"), min_size=1, max_size=8)
SYMBOLS = st.text(st.sampled_from("ABU1-_/.:币[]"), max_size=10)


@settings(deadline=None)
@given(TEXTS, SYMBOLS)
def test_a_glob_is_what_a_shell_calls_one(glob: str, symbol: str) -> None:
    """But for brackets, which are themselves."""
    literal = re.sub(r"[\[\]]", lambda found: "[[]" if found[0] == "[" else "[]]", glob)
    assert matcher(glob)(symbol) == fnmatch.fnmatchcase(symbol, literal)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_every_text_is_in_one_part(texts: list[str]) -> None:
    rules = parsed(texts)
    assert len(rules.named) + len(rules.globs) + len(rules.tops) + len(rules.excludes) == len(texts)
    assert all(not is_rule(text) for text in rules.named)
    assert rules.any == any(map(is_rule, texts))


def test_the_parts() -> None:
    rules = parsed(["BTCUSDT", "*USDC", CHINESE, "top:50", "top:20:*BTC", "!1000*", "!XYZUSDC"])
    assert rules == Rules(("BTCUSDT", CHINESE), ("*USDC",), (Top(50), Top(20, "*BTC")), ("1000*", "XYZUSDC"))


@pytest.mark.parametrize("text", ["BTCUSDT", "*", "A?C*", "top:1", "top:10000", "top:5:*-SWAP", "!A*", "!ABC", CHINESE])
def test_what_is_a_rule_or_a_symbol(text: str) -> None:
    assert checked(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("top:", "must be top:N or top:N:GLOB, N from 1 to 10000"),
        ("top:0", "must be top:N or top:N:GLOB, N from 1 to 10000"),
        ("top:x", "must be top:N or top:N:GLOB, N from 1 to 10000"),
        ("top:10001", "must be top:N or top:N:GLOB, N from 1 to 10000"),
        ("top:5:", "top:5: and no glob"),
        ("!", "! and nothing to leave out"),
        ("!top:5", "after ! stands a symbol or a glob"),
        ("!!A", "after ! stands a symbol or a glob"),
    ],
)
def test_what_is_not(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        checked(text)


def test_what_a_venue_spells_is_symbols_alone() -> None:
    written = ("btcusdt", "*usdt", "top:5:*usdt", "Top:7", "!xyz*")
    assert [spelled(text, str.upper) for text in written] == ["BTCUSDT", "*USDT", "top:5:*USDT", "top:7", "!XYZ*"]


def symbols_of(text: str, exchange: str = "binance") -> tuple[str, ...]:
    environ = {"WEBSOCKET_SYMBOLS": text, "WEBSOCKET_EXCHANGES": exchange}
    return load(None, environ, dotenv=None, exchanges=exchanges()).feed[0].symbols


def test_the_environment_says_them_too() -> None:
    assert symbols_of("btcusdt,*usdc,top:5,!x*") == ("BTCUSDT", "*USDC", "top:5", "!X*")
    assert symbols_of("BTC-USDT-SWAP,*-USDC-SWAP", "okx") == ("BTC-USDT-SWAP", "*-USDC-SWAP")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("top:0", "must be top:N or top:N:GLOB, N from 1 to 10000"),
        ("!ABC", "!ABC leaves out of nothing: add a rule, * for all that the venue trades"),
        ("ABC,*,!ABC", "'ABC' is named and left out (!ABC)"),
    ],
)
def test_a_wrong_one_is_told_with_its_key(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        symbols_of(text)
    (one,) = [message for path, message in refused.value.errors if path.startswith("WEBSOCKET_SYMBOLS")]
    assert one == says
