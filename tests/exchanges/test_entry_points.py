"""A venue of somebody else's package: installed beside ours, it is a word of the configuration like any other, and its
stand-in one of the commands and of the conformance suite."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
VENUE = '''
"""A venue that numbers nothing."""

from msgspec import Raw, Struct
from msgspec.json import decode, encode

from wsadapter.events import Trade
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import computed, constant, decimal, emit, mapped, ms
from wsadapter.exchanges.values import Text, Time
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Answer, AttemptLimit, Channel, Hosts, Limits, Requests, Venue


class Envelope(Struct):
    channel: str = ""
    data: Raw = Raw()


class Deal(Struct):
    symbol: Text
    px: Text
    sz: Text
    at: Time
    side: str


DEAL = emit(
    Trade, event_time_ns=ms("at"), price=decimal("px"), quantity=decimal("sz"), aggregated=constant(False),
    buyer_is_maker=mapped("side", {"buy": False, "sell": True}), trade_id=computed(lambda d, e: str(d.at)),
    absent=("transaction_time_ns", "trade_number", "first_trade_id", "last_trade_id"),
)


def control(payload):
    names = decode(payload).get("taken")
    return None if names is None else [Answer(None, names=tuple(names), everything=True)]


class Tiny(VenueSession):
    venue = Venue(
        word="tiny",
        hosts=Hosts("wss://tiny.invalid", "wss://tiny.invalid", {"": "/feed"}),
        limits=Limits(streams=100, message_interval=0.1, attempts=AttemptLimit(10, 10.0)),
        requests=Requests(lambda begin, names, identity: encode([begin, *names]), most=10, octets=1000),
        framing=ByKey(
            Envelope, lambda e: f"{e.channel}:" if bytes(e.data) else "", lambda e, d: f"{e.channel}:{d.symbol}"
        ),
        channels=(Channel(("trade",), "trade:{symbol}", Deal, (DEAL,), many=True),),
        control=control,
        cadences={},
    )
'''
STAND_IN = '''
"""Its counterpart."""

from msgspec.json import encode

from wsadapter.config.model import Feed
from wsadapter.embedded.exchange import StandIn
from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.dialect import declared
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.channels import Trades
from wsadapter.embedded.market.rest_tables import RestPaths, reply

TINY = StandIn(Feed(name="tiny", exchange="tiny", symbols=("BTC", "ETH"), streams=("trade",)), "tiny_stand_in:DIALECT")


def deal(s, prints, now_ms):
    rows = [
        {"symbol": s.symbol, "px": s.i.price_text(p.price), "sz": s.i.quantity_text(p.quantity), "at": p.time_ms,
         "side": "sell" if p.seller else "buy"}
        for p in prints
    ]
    return encode({"channel": "trade", "data": rows}).decode()


DIALECT = declared(
    routes={"/feed": ""},
    symbol="[A-Z]{2,9}",
    channels=(Trades(name="trade:{symbol}", frame=deal),),
    requests=Requests(
        read=lambda document, connection_id: Ask(tuple(document[1:]), document[0], None),
        replies=lambda ask, taken, bad, standing, connection_id: [encode({"taken": taken}).decode()],
        malformed=lambda connection_id: Say(),
        unknown=Unknown.ALONE,
    ),
    rest=RestPaths(paths={}, error=lambda error, now_ms: reply({}, 400)),
    limits=VenueLimits(ping_interval=0, life=0, messages=0),
    stream_of=lambda message: f"trade:{message['data'][0]['symbol']}",
)
'''
USE = """
from wsadapter.config.model import Feed
from wsadapter.exchanges import OURS, REGISTRY, load, load_rest

assert OURS["binance"] == REGISTRY["binance"]
(plan,) = load("tiny").plan(Feed(name="t", exchange="tiny", symbols=("XY",), streams=("trade",)))
session = load("tiny")(plan)
assert session.open() == [b'[true,"trade:XY"]'], session.open()
(trade,) = session.receive(
    b'{"channel":"trade","data":[{"symbol":"XY","px":"1.50","sz":"2","at":5,"side":"buy"}]}', 7)
assert (trade.exchange, trade.symbol, trade.price, trade.receive_time_ns) == ("tiny", "XY", "1.50", 7)
assert load_rest("tiny") is None
"""
USE_STAND_IN = """
from wsadapter.embedded.exchange import DEFAULT, STAND_INS
from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.errors import WsadapterError

assert [*STAND_INS][-2:] == ["tiny", "wrong"] and len(STAND_INS) == len([*STAND_INS])
assert STAND_INS["tiny"].feed.symbols == ("BTC", "ETH") and dialect("tiny").offered("trade:XY")
assert STAND_INS[DEFAULT].feed.exchange == DEFAULT == "binance"
for word, said in ("wrong", "must be a StandIn"), ("tinny", "no stand-in speaks like 'tinny', only: binance "):
    try:
        dialect(word)
    except WsadapterError as error:
        assert said in str(error), error
    else:
        raise AssertionError(word)
"""
CONFIG = """
[service]
state_dir = "{directory}/state"
[[feed]]
exchange = "{exchange}"
symbols = ["XY"]
streams = ["trade"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a package as pip would have installed it."""
    made = tmp_path / "site"
    info = made / "tiny_venue-1.0.dist-info"
    info.mkdir(parents=True)
    (made / "tiny_venue.py").write_text(VENUE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-venue\nVersion: 1.0\n")
    (made / "tiny_stand_in.py").write_text(STAND_IN)
    (info / "entry_points.txt").write_text(
        "[wsadapter.exchanges]\ntiny = tiny_venue:Tiny\nbinance = tiny_venue:Tiny\n"
        "[wsadapter.stand_ins]\ntiny = tiny_stand_in:TINY\nbinance = tiny_stand_in:TINY\n"
        "wrong = tiny_stand_in:DIALECT\n"
    )
    return made


def python(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": f"{site}:{CHECKOUT}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_installed_venue_is_loaded_by_its_word_and_takes_none_of_ours(site: Path) -> None:
    done = python(site, "-c", USE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("class Tiny", "class Teeny", "AttributeError: module 'tiny_venue' has no attribute 'Tiny'"),
        ("import Text, Time", "import Text, Tame", "ImportError: cannot import name 'Tame'"),
        ('Channel(("trade",)', 'Channel(("trades",)', "TypeError: tiny: channel 'trade:{symbol}': 'trades' is no word"),
        ('{"": "/feed"}', '{"public": "/feed"}', "TypeError: tiny: channel 'trade:{symbol}': root '' is none of"),
        ("    venue = Venue(", '    rest = "tiny_venue:TinyRest"\n    venue = Venue(', "no attribute 'TinyRest'"),
    ],
)
def test_a_broken_one_is_an_error_of_the_configuration(
    site: Path, tmp_path: Path, old: str, new: str, says: str
) -> None:
    """The line of `validate` names venue and package."""
    assert VENUE.count(old) == 1
    (site / "tiny_venue.py").write_text(VENUE.replace(old, new))
    config = tmp_path / "wsadapter.toml"
    config.write_text(CONFIG.format(directory=tmp_path, exchange="tiny"))
    done = python(site, "-m", "wsadapter.cli.main", "--config", str(config), "validate")
    assert done.returncode == 78, done.stderr
    assert "exchange: venue 'tiny' of tiny-venue: " in done.stderr
    assert says in done.stderr


def test_its_stand_in_is_loaded_by_its_word_and_takes_none_of_ours(site: Path) -> None:
    done = python(site, "-c", USE_STAND_IN)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("exchange", "code", "said"), [("tiny", 0, " passed"), ("tinny", 4, "only: binance ")])
def test_the_conformance_suite_takes_it_in(site: Path, exchange: str, code: int, said: str) -> None:
    done = python(
        site, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(CHECKOUT / "tests/conformance"),
        "--exchange", exchange, "-k", "not socket",
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(("exchange", "code"), [("tiny", 0), ("tinny", 78)])
def test_a_configuration_may_name_it(site: Path, tmp_path: Path, exchange: str, code: int) -> None:
    config = tmp_path / "wsadapter.toml"
    config.write_text(CONFIG.format(directory=tmp_path, exchange=exchange))
    done = python(site, "-m", "wsadapter.cli.main", "--config", str(config), "validate")
    assert done.returncode == code, done.stderr
    if code:
        assert "feed[0].exchange: tinny is an unknown exchange, must be one of: " in done.stderr
        assert "tiny" in done.stderr
    else:
        assert "wss://tiny.invalid/feed" in done.stdout
