"""What a poll brought becomes the kept listing, or is refused; a poll with turnovers, failures and its pace in virtual
time."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from listings.test_kept_listing import HOST, instrument
from roles.repairer.driven import Driven

from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Turnover
from wsadapter.files import StateDirectory
from wsadapter.listings import kept
from wsadapter.listings.feeds import ListingSource
from wsadapter.roles.repairer.instruments import InstrumentPoll
from wsadapter.roles.repairer.listings import ListingFiles

TEN = [instrument(f"S{number}USDT") for number in range(10)]
TURNOVERS = {each.symbol: Turnover(Decimal(5), Decimal(1)) for each in TEN}


class Rig:
    def __init__(self, state: Path, ranked: bool = True) -> None:
        self.state, self.page = str(state), Counter[str]()
        source = ListingSource("binance", HOST, 600.0, ranked)
        self.files = ListingFiles(StateDirectory(self.state), cast(Any, self.page), [source])

    def put(self, rows: list[Any], now_ns: int = 1, turnovers: Mapping[str, Turnover] | None = None) -> list[str]:
        return [row.symbol for row in self.files.put("binance", HOST, rows, turnovers or {}, now_ns)]

    @property
    def symbols(self) -> list[str]:
        listing = kept.read(self.state, "binance", HOST)
        return [each.symbol for each in listing.instruments] if listing else []


def test_a_listing_is_kept_and_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert (rig.put(TEN), rig.page["listings_total"], len(rig.symbols)) == ([], 1, 10)
    assert rig.put(TEN[1:], 2) == []
    assert rig.put(TEN[1:], 3) == ["S0USDT"], "its last row"
    again = Rig(tmp_path)
    assert again.put(TEN[1:], 4) == ["S0USDT"], "of a process that was killed"
    assert again.put(TEN, 5) == []


@pytest.mark.parametrize("rows", [[], TEN[:4], [instrument("S0USDT", "BREAK")]])
def test_one_that_has_shrunk_is_refused_and_the_old_one_stays(tmp_path: Path, rows: list[Any]) -> None:
    Rig(tmp_path).put(TEN)
    rig = Rig(tmp_path)
    assert rig.put(rows, 2) == []
    assert (rig.page["listings_refused_total"], rig.page["listings_total"], len(rig.symbols)) == (1, 0, 10)
    assert rig.put(TEN[:6], 3) == []
    assert rig.put(TEN[:6], 4) == ["S6USDT", "S7USDT", "S8USDT", "S9USDT"]
    assert rig.page["listings_total"] == 2


def test_turnovers_that_nobody_asks_for_any_more_are_no_loss(tmp_path: Path) -> None:
    """The last rule ``top:`` is gone; one that comes back waits for new ones."""
    Rig(tmp_path).put(TEN, turnovers=TURNOVERS)
    rig = Rig(tmp_path, ranked=False)
    assert rig.put([*TEN, instrument("NEWUSDT")], 2) == []
    assert (rig.page["listings_refused_total"], rig.page["listings_total"], len(rig.symbols)) == (0, 1, 11)
    listing = kept.read(rig.state, "binance", HOST)
    assert listing is not None
    assert listing.volumes == {}, "old ones must not rank"
    again = Rig(tmp_path)
    again.put(TEN, 3, TURNOVERS)
    again.put(TEN, 4)
    assert (again.page["listings_refused_total"], again.page["listings_total"]) == (1, 1), "asked for, and not there"


def test_a_disk_that_takes_nothing_changes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    rig = Rig(state)
    state.rmdir()
    assert (rig.put(TEN), rig.page["listings_total"]) == ([], 0)
    state.mkdir()
    rig.put(TEN, 2)
    assert (rig.page["listings_total"], len(rig.symbols)) == (1, 10)


def test_a_damaged_file_is_set_aside_and_written_anew(tmp_path: Path) -> None:
    (tmp_path / "listing-binance.json").write_bytes(b"{no")
    rig = Rig(tmp_path)
    rig.put(TEN)
    assert len(rig.symbols) == 10
    assert [each.name[:29] for each in tmp_path.glob("*.damaged-*")] == ["listing-binance.json.damaged-"]


def test_files_of_addresses_that_nobody_asks_go(tmp_path: Path) -> None:
    names = ("listing-binance-0a1b2c3d.json", "listing-okx-0a1b2c3d.json", "listing-okx.json", "symbols.json")
    for name in names:
        (tmp_path / name).write_text("{}")
    Rig(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["listing-okx.json", "symbols.json"]


SYMBOLS = msgspec.json.encode({"rateLimits": [], "symbols": [
    {"symbol": "AUSDT", "status": "TRADING", "baseAsset": "A", "quoteAsset": "USDT", "filters": []}
]})  # fmt: skip
TICKERS = b'[{"symbol":"AUSDT","lastPrice":"2.5","quoteVolume":"1000.5"},{"symbol":"no"}]'


def test_it_is_asked_for_with_turnovers_each_period_and_sooner_after_a_failure() -> None:
    poll = InstrumentPoll("binance", BinanceFuturesRest(), lambda limit: None, every=600.0, ranked=True)
    driven = Driven(poll)

    def asked(now: float) -> str:
        request = driven.at(now)
        return request.path.rpartition("/")[2] if request is not None else ""

    assert asked(0.0) == "exchangeInfo"
    driven.answer(b"<html>", 1)
    assert (poll.errors, asked(1.0), asked(4.0)) == (1, "", "exchangeInfo")
    driven.answer(SYMBOLS, 1)
    assert (asked(4.0), poll.result) == ("24hr", None)
    driven.answer(b"[{}]", 1)
    assert (poll.errors, poll.result, asked(4.1)) == (2, None, ""), "nothing without turnovers"
    assert asked(100.0) == "exchangeInfo"
    driven.answer(SYMBOLS, 1)
    driven.answer(TICKERS, 1)
    assert [row.symbol for row in poll.result or ()] == ["AUSDT"]
    assert {symbol: str(each.quote_volume) for symbol, each in poll.turnovers.items()} == {"AUSDT": "1000.5"}
    assert (asked(699.0), asked(700.0)) == ("", "exchangeInfo")
