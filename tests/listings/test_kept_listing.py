"""Listings as they are kept: which are refused, what is delisted, turnovers by one measure, damaged files."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from wsadapter.exchanges import REGISTRY, load_rest
from wsadapter.exchanges.rest_api import Instrument, Turnover
from wsadapter.listings import kept
from wsadapter.listings.kept import KeptListing

HOST = "https://fapi.binance.com"


def instrument(symbol: str, status: str = "TRADING", base: str = "", quote: str = "USDT") -> Instrument:
    absent: dict[str, Any] = dict.fromkeys(Instrument.__struct_fields__[8:17])
    return Instrument(
        exchange="binance", symbol=symbol, receive_time_ns=1, status=status, contract_type=None,
        base_asset=base or symbol.removesuffix(quote), quote_asset=quote, margin_asset=None, **absent,
    )  # fmt: skip


def listing(*symbols: str, status: str = "TRADING", volumes: int = 0) -> KeptListing:
    turned_over = {symbol: Decimal(1) for symbol in symbols[:volumes]}
    return KeptListing(HOST, 1, tuple(instrument(symbol, status) for symbol in symbols), turned_over)


TEN = tuple(f"S{number}USDT" for number in range(10))


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (listing(), "nothing in it is traded"),
        (listing(*TEN, status="BREAK"), "nothing in it is traded"),
        (listing(*TEN[:4]), "only 4 of 10 symbols are left"),
        (listing(*TEN[:5], volumes=5), ""),
        (listing(*TEN, *(f"N{number}" for number in range(90)), volumes=5), ""),
        (listing(*TEN, volumes=4), "only 4 of 10 turnovers are left"),
        (listing(*TEN, volumes=0), "only 0 of 10 turnovers are left"),
    ],
)
def test_what_is_empty_or_has_shrunk_is_refused(after: KeptListing, says: str) -> None:
    assert kept.refused(listing(*TEN, volumes=10), after, {"TRADING"}, ranked=True) == says


def test_turnovers_that_were_not_asked_for_are_no_loss() -> None:
    assert kept.refused(listing(*TEN, volumes=10), listing(*TEN), {"TRADING"}, ranked=False) == ""


def test_the_first_one_is_taken_unless_nothing_is_traded() -> None:
    assert kept.refused(KeptListing(), listing("AUSDT"), {"TRADING"}, ranked=True) == ""
    assert kept.refused(KeptListing(), listing("AUSDT"), {"online"}, ranked=True) == "nothing in it is traded"
    assert kept.refused(KeptListing(), listing("AUSDT"), (), ranked=True) == ""


def test_what_is_listed_no_more_has_a_row_that_says_so_until_it_is_back() -> None:
    before = listing("AUSDT", "BUSDT")
    once = kept.following(before, HOST, [instrument("AUSDT")], {}, 6)
    assert (once.missing, once.gone) == ((instrument("BUSDT"),), ()), "an error of the venue, perhaps"
    assert kept.following(once, HOST, before.instruments, {}, 7) == structs.replace(before, fetched_ns=7)
    after = kept.following(once, HOST, [instrument("AUSDT")], {}, 7)
    assert after.missing == ()
    assert after.gone == (structs.replace(instrument("BUSDT"), status="delisted", receive_time_ns=7),)
    later = kept.following(after, HOST, [instrument("AUSDT")], {}, 8)
    assert later.gone == after.gone, "said again, as it was: somebody may have been killed before"
    assert kept.following(later, HOST, [instrument("AUSDT"), instrument("BUSDT")], {}, 9).gone == ()


def test_turnovers_have_one_measure() -> None:
    instruments = [
        instrument("BTCUSDT"), instrument("ETHBTC", quote="BTC"), instrument("BTCTRY", quote="TRY"),
        instrument("USDTTRY", base="USDT", quote="TRY"), instrument("AXYZ", quote="XYZ"), instrument("NEWUSDT"),
    ]  # fmt: skip
    turnovers = {
        "BTCUSDT": Turnover(Decimal(500), Decimal(50_000)), "ETHBTC": Turnover(Decimal("0.1"), Decimal("0.03")),
        "BTCTRY": Turnover(Decimal(8_000), Decimal(2_000_000)), "USDTTRY": Turnover(Decimal(400), Decimal(40)),
        "AXYZ": Turnover(Decimal(10**9), Decimal(1)),
    }  # fmt: skip
    volumes = kept.in_dollars(instruments, turnovers)
    assert volumes == {"BTCUSDT": 500, "ETHBTC": 5_000, "BTCTRY": 200, "USDTTRY": 10, "AXYZ": 0}


def test_the_live_venue_has_a_file_of_its_own() -> None:
    assert kept.file_name("binance", HOST) == "listing-binance.json"
    assert kept.file_name("binance", "http://127.0.0.1:1") != kept.file_name("binance", "http://127.0.0.1:2")


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / kept.file_name("binance", HOST)
    one = listing("币安人生USDT", volumes=1)
    assert kept.read(str(tmp_path), "binance", HOST) is None
    path.write_bytes(msgspec.json.encode(one))
    assert kept.read(str(tmp_path), "binance", HOST) == one
    for content in (b"", b"{", b'{"host":1}', msgspec.json.encode(structs.replace(one, host="http://other")), b"\xff"):
        path.write_bytes(content)
        assert kept.read(str(tmp_path), "binance", HOST) is None
    path.unlink()
    path.symlink_to("/dev/zero")
    assert kept.read(str(tmp_path), "binance", HOST) is None


@pytest.mark.parametrize("exchange", sorted(REGISTRY))
def test_each_venue_says_which_of_its_words_mean_traded(exchange: str) -> None:
    rest = load_rest(exchange)
    assert rest is not None
    assert rest.trading
    assert not rest.trading & rest.halted
