"""What a strategy sees of the whole road while its parts are killed: each event once, and a gap before every hole.

One redundant connection and one that is alone, on a real broker; kill -9 of ingest and serializer, a new supervisor.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.reader import Event, Gap, Position, Reader, Source, Trade

pytestmark = pytest.mark.integration
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
REDUNDANT = "BTCUSDT"
PATIENCE = 60.0
"""A gap whose serializer was killed behind the event that names it comes with the next serializer, however long that
takes to start here."""
FEEDS = """
[restart]
backoff_min = 0.1
intensity = 50
[[feed]]
name = "two"
exchange = "binance"
symbols = ["BTCUSDT"]
streams = ["trade", "depth"]
depth_levels = 0
redundancy = 2
ws_url = "{url}"
[[feed]]
name = "one"
exchange = "binance"
symbols = ["ETHUSDT"]
streams = ["trade", "book_ticker"]
ws_url = "{url}"
[process.repairer]
count = 0
"""


@pytest.fixture
def site(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=400))) as venue:
        extra = FEEDS.format(url=venue.venue.url)
        made = Site(tmp_path, kafka, clickhouse, extra, database=fresh("reader"))
        yield made
        made.close()


class Strategy(threading.Thread):
    """Reads from the beginning, and is itself stopped and started again in between: it goes on at its position."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._arguments = {"bootstrap_servers": site.kafka, "topic_prefix": f"{site.database}."}
        self.events: list[Event] = []
        self.readers = 0
        self.failure: BaseException | None = None
        self._is_over = threading.Event()
        self._reader: Reader | None = None

    def run(self) -> None:
        try:
            position: Position | None = None
            while not self._is_over.is_set():
                self.readers += 1
                with self.reader(position) as self._reader:
                    for count, batch in enumerate(self._reader.batches()):
                        self.events += batch.events
                        position = batch.position
                        if count == 20 or self._is_over.is_set():
                            break
            with self.reader(position, follow=False) as reader:
                self.events += [*reader]
        except BaseException as error:
            self.failure = error

    def reader(self, position: Position | None, follow: bool = True) -> Reader:
        start = "earliest" if position is None else Position.parse(str(position))
        streams = ["trade", "depth", "book_ticker"]
        options = {"streams": streams, "start": start, "follow": follow, "gap_seconds": PATIENCE}
        return Reader(**self._arguments, **options)  # type: ignore[arg-type]

    def finish(self) -> list[Event]:
        self._is_over.set()
        eventually(self._ended, 60, "the strategy has read to the end")
        if self.failure is not None:
            raise self.failure
        return self.events

    def _ended(self) -> bool:
        if (reader := self._reader) is not None:
            reader.stop()
        self.join(0.1)
        return not self.is_alive()

    def trades(self, symbol: str) -> int:
        return sum(type(event) is Trade and event.symbol == symbol for event in list(self.events))


def moved(strategy: Strategy) -> Callable[[], bool]:
    """Both symbols have gone on by some trades."""
    before = [strategy.trades(symbol) for symbol in SYMBOLS]
    return lambda: all(
        strategy.trades(symbol) > count + 30 for symbol, count in zip(SYMBOLS, before, strict=True)
    ) or bool(strategy.failure)  # fmt: skip


def test_each_event_once_and_a_gap_before_every_hole(site: Site) -> None:
    site.start().ready()
    strategy = Strategy(site)
    strategy.start()
    eventually(moved(strategy), 60, "events of both")
    names = sorted(name for name, child in site.children().items() if child["role"] == "ingest")
    for name in (*names, "serializer-0"):  # all of them, so that the redundant ones have a hole, too
        site.kill(name)
    eventually(moved(strategy), 60, "events after kill -9 of every connection")
    site.kill("serializer-0")
    site.kill(next(name for name in names if name.endswith("-r2")))
    eventually(moved(strategy), 60, "events after kill -9 of one of two")
    assert site.stop() == 0, site.said()
    site.start().ready()
    eventually(moved(strategy), 60, "events after a restart of the supervisor")
    assert site.stop() == 0, site.said()
    events = strategy.finish()

    assert strategy.readers > 1
    identities = [
        (event.symbol, event.trade_id, event.aggregated, event.source) for event in events if type(event) is Trade
    ]
    assert len(identities) == len(set(identities)), "each once"
    assert not [event for event in events if isinstance(event, Gap) and event.cause == "unknown"]
    holes = 0
    for symbol in SYMBOLS:
        last, is_warned = 0, True
        for event in events:
            if isinstance(event, Gap) and event.symbol in ("", symbol) and event.stream in ("", "trade"):
                is_warned = True
            elif type(event) is Trade and event.symbol == symbol and event.source is Source.WEBSOCKET:
                number = event.trade_number or 0
                if number < last and symbol == REDUNDANT:
                    continue  # what only one of the two connections had comes late
                if number != last + 1:
                    assert number > last
                    assert is_warned, f"{symbol}: nothing said of what is missing between {last} and {number}"
                    holes += bool(last)
                last, is_warned = number, False
    assert holes >= 2, "the kills left none: nothing was tested"
    causes = {event.cause for event in events if isinstance(event, Gap)}
    assert "restart" in causes or "connect" in causes, causes
