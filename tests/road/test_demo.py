"""`make run`: stand-ins and venue, a table that can be queried meanwhile, an account that balances, exit 0. (FOR=:
test_adoption. Here everything is waited for, however long that takes.)"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import http_get, query, unique
from road_site import Site
from stored.quant_script import quant_script

from wsadapter.embedded.exchange import DEMO
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.rest_api import Hole

pytestmark = pytest.mark.integration
TABLES = (
    "kline", "ticker", "depth", "trade", "funding_rate", "mark_price", "liquidation", "book_ticker", "open_interest",
    "gap",
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_the_demo_balances(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.start("--demo").ready()
    eventually(
        lambda: all(int(query(site.clickhouse, f"SELECT count() FROM market.{t}")[0][0]) for t in TABLES), 40, "rows"
    )
    venues = "SELECT DISTINCT exchange FROM market.trade"
    eventually(lambda: {row[0] for row in query(site.clickhouse, venues)} == set(DEMO), 20, "every venue of the demo")
    settled = "SELECT DISTINCT exchange FROM market.funding_settled"
    pays = {word for word in DEMO if (rest := load_rest(word)) and rest.repair(Hole("funding_rate", "X", 0, 0))}
    eventually(lambda: {row[0] for row in query(site.clickhouse, settled)} == pays != set(), 40, "settled funding")
    assert http_get(site.clickhouse, {"query": "SELECT 40 + 2"}).strip() == "42"
    assert all(final for _, final in unique(site.clickhouse).values() if final) is True
    exec(quant_script(site.clickhouse), {})
    assert "correlation" in capsys.readouterr().out

    assert site.stop() == 0, site.said()
    assert "lost 0  duplicates 0" in site.said()
