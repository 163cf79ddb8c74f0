"""A look into the log waits for what is recorded and not in the log yet: in the ring of a redundant connection whose
serializer stands still, on a spool."""

import os
from collections.abc import Iterator

import pytest
from roles.repairer.driven import Driven
from roles.repairer.fake_log import CONNECTION, EPOCH, MS, FakeLog
from samples import trade

from wsadapter import metrics
from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap, Source, Trade
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Series
from wsadapter.roles.orders import WatchedRing
from wsadapter.roles.repairer.gap_repair import PATIENCE_SECONDS, SETTLE_SECONDS, GapRepair
from wsadapter.roles.repairer.undelivered import STILL_SECONDS, Undelivered
from wsadapter.shm import ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

START = 1_795_000_000_000
TWIN = f"{CONNECTION}-r2"
RING, PAGE = (f"wsadapter-un{os.getpid()}-{word}" for word in ("twin", "serializer-0"))
SECONDS = 1_000


class Site:
    """Trades 1,000 to 1,089, one each second; our connection missed thirty of them, its twin none."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        ring.create(RING, 1 << 20, 3)
        self.writer, self.reader = RingWriter.attach(RING), RingReader.attach(RING)
        self.page = StatsPage.create(PAGE, metrics.serializer(["binance"]))
        self._own(range(1_000, 1_030))
        begin = log.place()
        end = log.place()
        for _ in range(1_000, 1_090):
            assert self.writer.try_write(BY_EVENT[Trade].kind, encode(trade(1)))
        self.writer.publish()
        self._own(range(1_060, 1_090))
        started, ended = START + 29 * SECONDS, START + 60 * SECONDS
        gap = Gap(
            "binance", "", None, None, ended * MS, Source.WEBSOCKET, CONNECTION, None, f"{EPOCH}:{begin}", 2,
            "", "", "restart", started * MS, ended * MS, None, None, None, "open",
        )  # fmt: skip
        undelivered = Undelivered({"binance": [WatchedRing(TWIN, RING)]}, [PAGE])
        self.job = GapRepair(
            gap, BinanceFuturesRest(), (Series("trade", "BTCUSDT"),), KafkaConfig(), 0.0, (EPOCH, end),
            undelivered=undelivered,
        )  # fmt: skip
        self.driven = Driven(self.job)

    def _own(self, numbers: range) -> None:
        for number in numbers:
            at = START + (number - 1_000) * SECONDS
            self.log.trade(number, at, at)

    def deliver(self, numbers: range) -> None:
        """As the serializer does: what our connection has published is a copy."""
        self.reader.poll(len(numbers))
        for number in set(numbers) & set(range(1_030, 1_060)):
            at = START + (number - 1_000) * SECONDS
            self.log.trade(number, at, at, connection=TWIN)
        self.reader.commit(self.reader.position)

    def asks(self, until: float, since: float = 0.0) -> bool:
        """Whether the venue is asked, or all is done, in that time."""
        for tenth in range(round(since * 10), round(until * 10)):
            if self.driven.at(tenth / 10) is not None or self.driven.is_done:
                return True
        return False

    def close(self) -> None:
        self.writer.release()
        self.reader.release()
        self.page.release()
        Segment.unlink(RING)
        Segment.unlink(PAGE)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(FakeLog(monkeypatch))
    yield made
    made.close()


def test_what_the_twins_ring_holds_is_not_fetched(site: Site) -> None:
    """Its serializer was killed, and comes back after half a minute."""
    assert not site.asks(30.0)
    site.deliver(range(1_000, 1_060))
    assert not site.asks(50.0, since=30.0), "not all of it is in the log"
    site.deliver(range(1_060, 1_090))
    assert site.asks(60.0, since=50.0)
    assert site.driven.is_done
    assert site.job.outcome == "repaired"
    assert [type(event) for event in site.driven.events] == [Gap]


def test_what_came_later_is_not_waited_for(site: Site) -> None:
    """A ring that is written to all the time is never empty."""
    assert not site.asks(10.0)
    site.deliver(range(1_000, 1_090))
    assert site.writer.try_write(BY_EVENT[Trade].kind, encode(trade(1)))
    site.writer.publish()
    assert site.asks(11.0, since=10.0)
    assert site.driven.is_done


def test_what_is_on_the_spool_is_waited_for(site: Site) -> None:
    """A head moves over it before it is in the log."""
    site.page["spool_records"] = 30
    site.deliver(range(1_000, 1_030))
    site.reader.poll(100)
    site.reader.commit(site.reader.position)
    assert not site.asks(40.0)
    site.deliver(range(1_030, 1_060))
    site.page["spool_records"] = 0
    assert site.asks(41.0, since=40.0)
    assert site.driven.is_done
    assert site.job.outcome == "repaired"


def test_a_ring_that_nobody_can_read_holds_up_no_repair_for_ever(site: Site) -> None:
    assert not site.asks(SETTLE_SECONDS + STILL_SECONDS - 1)
    assert site.asks(SETTLE_SECONDS + STILL_SECONDS + PATIENCE_SECONDS, since=SETTLE_SECONDS + STILL_SECONDS - 1)
    assert not site.driven.is_done, "it asks for what it does not find"


def test_rings_and_pages_that_are_gone_have_nothing(site: Site) -> None:
    Segment.unlink(RING)
    Segment.unlink(PAGE)
    assert site.asks(SETTLE_SECONDS + 1)
