"""Rules of a configuration: what is refused at once, what waits, what the kept listing makes of them."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from listings.test_kept_listing import HOST, instrument

from wsadapter.cli.main import run_command
from wsadapter.config.model import Config, Feed, ProcessConfig, ServiceConfig
from wsadapter.errors import ConfigError
from wsadapter.exchanges import load
from wsadapter.listings import feeds, kept
from wsadapter.listings.feeds import FeedSymbols, ListingSource, WaitingFeed, resolved
from wsadapter.listings.kept import KeptListing
from wsadapter.roles.supervisor.topology import Assembly, assemble

CHINESE = "币安人生USDT"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XYZUSDT", CHINESE)


def config(state: Path, *feeds: Feed, repairer: int = 1) -> Config:
    process = {"repairer": ProcessConfig(count=repairer)}
    return Config(ServiceConfig(instance="unit", state_dir=str(state)), feeds, process=process)


def feed(*symbols: str, **changes: Any) -> Feed:
    return Feed(**{"name": "um", "exchange": "binance", "symbols": symbols, "streams": ("trade",), **changes})


def keep(state: Path, *symbols: str, exchange: str = "binance", host: str = HOST) -> None:
    volumes = {symbol: Decimal(100 - place) for place, symbol in enumerate(symbols)}
    listing = KeptListing(host, time.time_ns(), tuple(map(instrument, symbols)), volumes)
    (state / kept.file_name(exchange, host)).write_bytes(msgspec.json.encode(listing))


def test_a_configuration_without_rules_is_itself(tmp_path: Path) -> None:
    plain = config(tmp_path, feed("BTCUSDT"))
    assert resolved(plain).config is plain


def test_a_feed_without_a_listing_waits_and_the_others_run(tmp_path: Path) -> None:
    assembly = assemble(config(tmp_path, feed("*USDT", name="ruled"), feed("BTCUSDT", name="plain")))
    assert [each.feed.name for each in assembly.connections] == ["plain"]
    reason = f"no listing of binance yet, asked for at {HOST}"
    assert assembly.resolved.waiting == (WaitingFeed("ruled", "binance", reason),)
    assert assembly.resolved.sources == (ListingSource("binance", HOST, 600.0, False),)


def test_without_a_listing_named_symbols_run_and_what_ran_with_the_same_rules(tmp_path: Path) -> None:
    wanted = config(tmp_path, feed("BTCUSDT", "top:50"))
    first = resolved(wanted, {})
    assert [each.symbols for each in first.config.feed] == [("BTCUSDT",)]
    assert [each.feed for each in first.waiting] == ["um"]

    before = {"um": FeedSymbols(("BTCUSDT", "top:50"), ("BTCUSDT", "ETHUSDT"), {"top:50": ("ETHUSDT",)})}
    again = resolved(wanted, before)
    assert [each.symbols for each in again.config.feed] == [("BTCUSDT", "ETHUSDT")]
    assert (again.waiting, again.symbols) == ((), before)
    other = {"um": FeedSymbols(("BTCUSDT", "top:5"), ("BTCUSDT", "ETHUSDT"))}
    assert [each.symbols for each in resolved(wanted, other).config.feed] == [("BTCUSDT",)]


def test_the_kept_listing_says_which_symbols(tmp_path: Path) -> None:
    keep(tmp_path, *SYMBOLS)
    assembly = assemble(config(tmp_path, feed("NAMEDUSDT", "top:2", "?YZ*", "!XYZUSDT"), feed("*", "!?TC*", name="b")))
    by_name = {each.name: each.symbols for each in assembly.config.feed}
    assert by_name["um"] == ("NAMEDUSDT", "BTCUSDT", "ETHUSDT")
    assert set(by_name["b"]) == {*SYMBOLS} - {"BTCUSDT"}
    assert [each.name for plan in assembly.plans for each in plan.subscriptions if "币" in each.name]
    assert assembly.resolved.sources == (ListingSource("binance", HOST, 600.0, True),), "once for both"
    assert assembly.declared.feed[0].symbols == ("NAMEDUSDT", "top:2", "?YZ*", "!XYZUSDT")


def test_what_they_stood_for_before_goes_in(tmp_path: Path) -> None:
    keep(tmp_path, *SYMBOLS)
    wanted = config(tmp_path, feed("top:1"))
    before = {"um": FeedSymbols(("top:1",), ("ETHUSDT",), {"top:1": ("ETHUSDT",)})}
    assert resolved(wanted, before).config.feed[0].symbols == ("ETHUSDT",), "rank 2 is within the margin"
    (tmp_path / feeds.SYMBOLS_FILE).write_bytes(msgspec.json.encode(before))
    assert resolved(wanted).symbols == before, "as the supervisor kept it"
    (tmp_path / feeds.SYMBOLS_FILE).write_bytes(b"no")
    assert resolved(wanted).config.feed[0].symbols == ("BTCUSDT",)


def test_a_feed_that_runs_is_never_left_without_a_symbol(tmp_path: Path) -> None:
    keep(tmp_path, *SYMBOLS)
    nothing = config(tmp_path, feed("GONE*"))
    before = {"um": FeedSymbols(("GONE*",), ("GONEUSDT",))}
    assert resolved(nothing, before).config.feed[0].symbols == ("GONEUSDT",)
    other_rules = {"um": FeedSymbols(("*",), SYMBOLS)}
    (waits,) = resolved(nothing, other_rules).waiting
    assert waits.reason == "its rules fit no symbol that binance trades"


def reloaded(
    state: Path, before: Feed | Config, now: Feed, stood_for: dict[str, FeedSymbols] | None = None
) -> Assembly:
    """As `Run` does with a configuration that it reads while it runs."""
    then = assemble(config(state, before) if isinstance(before, Feed) else before, stood_for or {})
    wanted = config(state, now)
    return assemble(wanted, feeds.at_reload(wanted, then.whole, then.resolved.symbols), then.placement)


@pytest.mark.parametrize("rules", [("*USDT",), ("top:50",), ("SOLUSDT", "*USDC", "!X*")])
def test_a_feed_that_gets_a_rule_while_it_runs_goes_on_until_its_listing_is_there(
    tmp_path: Path, rules: tuple[str, ...]
) -> None:
    named = tuple(rule for rule in rules if rule == "SOLUSDT")
    after = reloaded(tmp_path, feed("BTCUSDT", "ETHUSDT"), feed(*rules))
    assert [each.symbols for each in after.config.feed] == [(*named, "BTCUSDT", "ETHUSDT")]
    goes_on = f"it goes on with what it has, symbols: {2 + len(named)}"
    reason = f"no listing of binance yet, asked for at {HOST}; {goes_on}"
    assert after.resolved.waiting == (WaitingFeed("um", "binance", reason),)
    for kept_symbols in (after.resolved.symbols, feeds.at_reload(after.declared, after.whole, after.resolved.symbols)):
        again = resolved(after.declared, kept_symbols)
        assert (again.config, again.waiting) == (after.config, after.resolved.waiting), "looked at again, or restarted"

    keep(tmp_path, "BTCUSDT", "XRPUSDT", "ADAUSDC")
    listed = resolved(after.declared, after.resolved.symbols)
    assert not listed.waiting
    assert listed.config.feed[0].symbols == {
        "*USDT": ("BTCUSDT", "XRPUSDT"), "top:50": ("BTCUSDT", "XRPUSDT", "ADAUSDC"), "SOLUSDT": ("SOLUSDT", "ADAUSDC")
    }[rules[0]]  # fmt: skip
    assert not any(each.waits for each in listed.symbols.values())


def test_a_feed_that_runs_goes_on_where_its_new_rules_fit_nothing_or_want_turnovers(tmp_path: Path) -> None:
    keep(tmp_path, "BTCUSDT", "ETHUSDT")
    typo = reloaded(tmp_path, feed("*USDT"), feed("*USDTT"))
    assert typo.config.feed[0].symbols == ("BTCUSDT", "ETHUSDT")
    (waits,) = typo.resolved.waiting
    assert waits.reason.startswith("its rules fit no symbol that binance trades; it goes on with what it has")

    file = tmp_path / kept.file_name("binance", HOST)
    listing = msgspec.structs.replace(msgspec.json.decode(file.read_bytes(), type=KeptListing), volumes={})
    file.write_bytes(msgspec.json.encode(listing))
    ranked = reloaded(tmp_path, feed("*USDT"), feed("top:1"))
    assert ranked.config.feed[0].symbols == ("BTCUSDT", "ETHUSDT")
    assert ranked.resolved.waiting[0].reason.startswith("no turnovers of binance yet")
    elsewhere = reloaded(tmp_path, feed("*USDT"), feed("*USDT", rest_url="https://rest.example"))
    assert elsewhere.config.feed[0].symbols == ("BTCUSDT", "ETHUSDT")


@pytest.mark.parametrize("changes", [{"exchange": "bybit"}, {"testnet": True}, {"name": "other"}])
def test_symbols_of_another_market_are_not_gone_on_with(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert reloaded(tmp_path, feed("BTCUSDT"), feed("*USDT", **changes)).config.feed == ()
    same_rules = {"um": FeedSymbols(("*USDT",), ("BTCUSDT",))}
    after = reloaded(tmp_path, config(tmp_path, feed("*USDT")), feed("*USDT", **changes), same_rules)
    assert after.config.feed == ()


def test_a_feed_goes_on_with_what_the_venue_offers_for_its_streams(tmp_path: Path) -> None:
    before = feed("BTC-USDT", "BTC-USDT-SWAP", exchange="okx")
    after = reloaded(tmp_path, before, feed("*-USDT*", exchange="okx", streams=("trade", "funding_rate")))
    assert after.config.feed[0].symbols == ("BTC-USDT-SWAP",)


def coins(count: int) -> tuple[str, ...]:
    return tuple(f"C{number}" for number in range(count))


def test_rules_that_fit_more_than_an_address_may_have_change_nothing(tmp_path: Path) -> None:
    host = "https://api.hyperliquid.xyz"
    wanted = config(tmp_path, feed("*", exchange="hyperliquid"))
    listed = [msgspec.structs.replace(instrument(coin, "listed"), exchange="hyperliquid") for coin in coins(1001)]
    (tmp_path / kept.file_name("hyperliquid", host)).write_bytes(
        msgspec.json.encode(KeptListing(host, 1, tuple(listed)))
    )
    (waits,) = resolved(wanted).waiting
    assert "1001 subscriptions, and hyperliquid allows 1000 an address" in waits.reason
    after = resolved(wanted, {"um": FeedSymbols(("*",), coins(1000))})
    assert after.config.feed[0].symbols == coins(1000)


@pytest.mark.parametrize(("redundancy", "feeds"), [(2, 1), (1, 2)])
def test_what_all_connections_ask_of_an_address_is_refused_by_name(tmp_path: Path, redundancy: int, feeds: int) -> None:
    some = [
        feed(*coins(600), name=f"h{number}", exchange="hyperliquid", streams=(stream,), redundancy=redundancy)
        for number, stream in enumerate(("trade", "book_ticker")[:feeds])
    ]
    with pytest.raises(ConfigError, match=r"h0.*: 1200 subscriptions, and hyperliquid allows 1000 an address"):
        assemble(config(tmp_path, *some))


def test_a_symbol_that_one_listing_does_not_have_stays(tmp_path: Path) -> None:
    listing = KeptListing(HOST, 1, (instrument("AUSDT"),), missing=(instrument("BUSDT"), instrument("CUSDT")))
    (tmp_path / kept.file_name("binance", HOST)).write_bytes(msgspec.json.encode(listing))
    before = {"um": FeedSymbols(("*",), ("BUSDT",))}
    assert resolved(config(tmp_path, feed("*")), before).config.feed[0].symbols == ("BUSDT", "AUSDT")


def test_a_symbol_that_the_venue_does_not_offer_is_left_out(tmp_path: Path) -> None:
    host = "https://openapi.okx.com"
    listed = [
        msgspec.structs.replace(instrument(symbol, "live"), exchange="okx")
        for symbol in ("BTC-USDT", "BTC-USDT-SWAP", "ETH-USDT-SWAP")
    ]
    (tmp_path / kept.file_name("okx", host)).write_bytes(msgspec.json.encode(KeptListing(host, 1, tuple(listed))))
    wanted = feed("*", exchange="okx", streams=("trade", "funding_rate"))
    (one,) = resolved(config(tmp_path, wanted)).ruled
    assert one.selection is not None
    assert [*one.selection.symbols] == ["BTC-USDT-SWAP", "ETH-USDT-SWAP"]
    assert one.selection.unoffered == {"BTC-USDT": "funding_rate is not offered for BTC-USDT"}
    (waits,) = resolved(config(tmp_path, feed("*-USDT", exchange="okx", streams=("funding_rate",)))).waiting
    assert waits.reason == "no symbol of okx fits; BTC-USDT: funding_rate is not offered for BTC-USDT"


@pytest.mark.parametrize(
    "symbol",
    ['A",B', "A,B", "A'B", "A\\B", "A B", "A\nB", "A\x1b[2J", "A\u202eB", "A" * 5_000, "", "A*", "!A", "top:5"],
)
@pytest.mark.parametrize("before", [(), ("BTCUSDT", 'A",B')])
def test_a_listed_symbol_that_no_configuration_could_name_is_left_out(
    tmp_path: Path, symbol: str, before: tuple[str, ...]
) -> None:
    keep(tmp_path, "BTCUSDT", symbol, CHINESE)
    stood = {"um": FeedSymbols(("*",), before)} if before else {}
    everything = resolved(config(tmp_path, feed("*")), stood)
    assert set(everything.config.feed[0].symbols) == {"BTCUSDT", CHINESE}
    selection = everything.ruled[0].selection
    assert selection is not None
    ((told, reason),) = selection.unoffered.items()
    assert all(text.isprintable() and text.isascii() and len(text) < 200 for text in (told, reason))
    assert resolved(config(tmp_path, feed("top:9")), {}).config.feed[0].symbols == ("BTCUSDT", CHINESE)
    (other,) = resolved(config(tmp_path, feed("BTC*")), {}).ruled
    assert other.selection is not None
    assert not other.selection.unoffered, "of what the rules do not stand for nothing is said"


LISTING_NEEDED = "rules need a listing, which"


@pytest.mark.parametrize(
    ("one", "repairer", "path", "says"),
    [
        (feed("*", ws_url="ws://127.0.0.1:1"), 1, "symbols",
         f"{LISTING_NEEDED} comes by REST: set rest_url beside ws_url"),
        (feed("*"), 0, "symbols", f"{LISTING_NEEDED} the repairer asks for: process.repairer.count is 0"),
        (feed("top:5", exchange="kraken"), 1, "symbols",
         "top: goes by turnover, and no list of kraken says that of all symbols"),
        (feed("*", streams=("kline",), intervals=("7m",)), 1, "intervals", "unknown interval '7m', only: 1m"),
    ],
)  # fmt: skip
def test_what_no_listing_would_mend_is_refused(tmp_path: Path, one: Feed, repairer: int, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        assemble(config(tmp_path, feed("BTCUSDT", name="first"), one, repairer=repairer))
    ((where, message),) = refused.value.errors
    assert (where, message[: len(says)]) == (f"feed[1].{path}", says)


def test_a_client_names_each_symbol() -> None:
    with pytest.raises(ConfigError, match="name each symbol"):
        load("hyperliquid").plan(feed("top:5", exchange="hyperliquid"))


FILE = """[service]
instance = "unit"
state_dir = "{state}"
[[feed]]
exchange = "binance"
symbols = ["*USDT", "top:2", "!SOL*"]
streams = ["trade"]
"""


def test_the_commands_say_what_they_stand_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wsadapter.toml"
    file.write_text(FILE.format(state=tmp_path))

    def said(*arguments: str) -> tuple[int, str]:
        code = run_command([*arguments, "--config", str(file)])
        return code, "".join(capsys.readouterr())

    waits = f"feed binance: *USDT top:2 !SOL*: no listing of binance yet, asked for at {HOST}"
    assert waits in said("validate")[1]
    assert "waits       no listing of binance yet" in said("plan")[1]
    assert waits in said("check")[1]

    keep(tmp_path, *SYMBOLS)
    assert "resolved    *USDT: 4 symbols: BTCUSDT ETHUSDT XYZUSDT 币安人生USDT" in said("plan")[1]
    planned = said("plan", "--json")[1]
    assert {f'"symbol": "{symbol}"' in planned for symbol in {*SYMBOLS} - {"SOLUSDT"}} == {True}
    assert '"symbol": "SOLUSDT"' not in planned
    assert "4 symbols, listing of" in said("validate")[1]
    file.write_text(FILE.format(state=tmp_path).replace("top:2", "top:two"))
    code, refused = said("validate")
    assert (code, "feed[0].symbols[1]: must be top:N" in refused) == (78, True)
