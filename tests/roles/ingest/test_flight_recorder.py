"""The flight recorder of an ingest process: every frame, or those around a gap, in files; the market is recorded
whatever the disk does, and a reload turns it on and off without a hole."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from eventually import eventually
from msgspec import Raw, structs
from role_process import RoleProcess

from wsadapter import metrics
from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.recordings import NOTE, Frame, Recording
from wsadapter.roles.orders import IngestOrder
from wsadapter.roles.supervisor import topology
from wsadapter.shm import doorbell, ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision import live_order
from wsadapter.supervision.child import RingRef

NUMBERS = itertools.count()
Start = Callable[[str], "Ingest"]


class Ingest:
    """One connection's, whose ring nobody reads. ``record``: the section of the configuration."""

    def __init__(self, directory: Path, venue: LoopbackVenue, record: str) -> None:
        self.directory, self.instance = directory, f"fr{os.getpid()}-{next(NUMBERS)}"
        self.recordings = directory / "state" / "recordings"
        self._url = venue.url
        self.config = self._config(record)
        self.order = self._order(self.config)
        plan = self.order.plan
        self.ring = f"wsadapter-{self.instance}-{plan.connection}"
        ring.create(self.ring, 1 << 24, 1)
        self.bell = doorbell.create()
        self.fields = metrics.ingest(each.name for each in plan.subscriptions)
        self.role = RoleProcess(
            "wsadapter.roles.ingest", "ingest", self.config, self.fields, order=self.order, name=plan.connection,
            ring=RingRef(plan.connection, self.ring, 1, self.bell),
        )  # fmt: skip
        self._orders, theirs = live_order.pair()
        self.role._args = structs.replace(self.role._args, orders_fd=theirs.fileno())
        self.role._fds.append(theirs.fileno())
        self.role.start()
        theirs.close()

    def _config(self, record: str) -> Config:
        path = self.directory / "c.toml"
        path.write_text(
            f'[service]\ninstance = "{self.instance}"\nstate_dir = "{self.directory}/state"\n'
            f'[[feed]]\nexchange = "okx"\nsymbols = ["BTC-USDT-SWAP"]\nstreams = ["trade", "depth"]\n'
            f'depth_levels = 0\nws_url = "{self._url}"\n[record]\n{record}\n'
        )
        return configuration.load(str(path), {}, dotenv=None)

    def _order(self, config: Config) -> IngestOrder:
        (connection,) = topology.assemble(config).connections
        record = topology._recorded(config, connection.feed, connection.plan)
        return IngestOrder(topology._socket(connection.feed), connection.plan, record)

    def reload(self, record: str) -> None:
        """As the supervisor has it done."""
        order = self._order(self._config(record))
        name = self.role.page.name + ".new"
        StatsPage.create(name, self.fields).release()
        args = structs.replace(self.role._args, page=name, order=Raw(msgspec.json.encode(order)))
        live_order.send(self._orders, args)
        # the page of the new order takes the place of the one that there was
        eventually(lambda: not Path("/dev/shm", name).exists(), 30)
        self.role.page.release()
        self.role.page = StatsPage.attach(self.role.page.name)

    def frames(self) -> list[Frame]:
        """Of all recordings."""
        return [frame for path in self.files() for frame in Recording(path)]

    def files(self) -> list[Path]:
        return sorted(self.recordings.glob("*.frames.zst"))

    def close(self) -> None:
        self.role.close()
        self._orders.close()
        os.close(self.bell)
        Segment.unlink(self.ring)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VenueThread]:
    monkeypatch.setenv("WSADAPTER_HOST_DIR", str(tmp_path / "host"))
    with VenueThread(lambda: LoopbackVenue(Options(exchange="okx", rate=100))) as thread:
        yield thread


@pytest.fixture
def start(venue: VenueThread, tmp_path: Path) -> Iterator[Start]:
    made: list[Ingest] = []

    def ingest(record: str) -> Ingest:
        made.append(Ingest(tmp_path, venue.venue, record))
        return made[-1]

    yield ingest
    for each in made:
        each.close()


def payloads(frames: list[Frame]) -> list[bytes]:
    return [frame.payload for frame in frames if frame.socket != NOTE]


def notes(frames: list[Frame]) -> list[dict[str, object]]:
    return [msgspec.json.decode(frame.payload) for frame in frames if frame.socket == NOTE]


def test_every_frame_of_the_venue_is_in_a_recording(start: Start) -> None:
    ingest = start('mode = "all"')
    page = ingest.role.page
    eventually(lambda: page["frames_total"] > 100, 30)
    assert ingest.role.stop() == 0
    frames = ingest.frames()
    assert len(payloads(frames)) == page["frames_total"] == page["recorded_frames_total"]
    assert page["recorded_bytes_total"] == sum(path.stat().st_size for path in ingest.files())
    assert any(b'"event":"subscribe"' in each for each in payloads(frames))
    header = Recording(ingest.files()[0]).header
    assert (header.exchange, header.symbols, header.streams) == ("okx", ("BTC-USDT-SWAP",), ("trade", "depth"))


def test_what_is_around_a_gap_is_kept_and_nothing_else(start: Start, venue: VenueThread) -> None:
    ingest = start('mode = "around"\nbefore = "60s"\nafter = "1s"')
    page = ingest.role.page
    eventually(lambda: page["frames_total"] > 50, 30)
    assert ingest.files() == []
    venue.call(lambda one: one.say('{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"broken'))
    eventually(lambda: page["recorded_frames_total"] > 50, 30)
    ingest.role.stop()
    frames = ingest.frames()
    assert str(notes(frames)[0]["around"]).startswith("json: ")
    broken = next(place for place, each in enumerate(payloads(frames)) if each.endswith(b"broken"))
    assert broken >= 50, "what was before it"
    assert page["recording_missing_total"] == 0


def test_a_disk_that_refuses_costs_no_event(start: Start, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "recordings").write_text("in the way")
    ingest = start('mode = "all"')
    page = ingest.role.page
    eventually(lambda: page["recording_failures_total"] > 0 and page["frames_total"] > 50, 30)
    assert ingest.role.stop() == 0
    assert page["recording_missing_total"] == page["frames_total"]
    assert page["recorded_frames_total"] == page['gaps_total{cause="decode"}'] == 0
    assert page["decoded_total"] > 40


def test_a_reload_turns_it_on_and_off_without_a_hole(start: Start) -> None:
    ingest = start('mode = "off"')
    eventually(lambda: ingest.role.page["frames_total"] > 20, 30)
    assert not ingest.recordings.exists()
    ingest.reload('mode = "all"')
    eventually(lambda: ingest.role.page["recorded_frames_total"] > 20, 30)
    ingest.reload('mode = "off"')
    rotated = 'reconnects_total{reason="rotation"}'
    eventually(lambda: ingest.role.page[rotated] == 2, 30)
    (file,) = ingest.files()
    size = file.stat().st_size
    frames = ingest.role.page["frames_total"]
    eventually(lambda: ingest.role.page["frames_total"] > frames + 20, 30)
    assert file.stat().st_size == size
    recording = Recording(file)
    assert (len(list(recording)) > 20, recording.damage) == (True, "")
    assert all(ingest.role.page[f'gaps_total{{cause="{cause}"}}'] == 0 for cause in ("disconnect", "sequence"))
    shutil.rmtree(ingest.recordings)


def test_a_field_that_the_venue_has_added_is_found_by_a_running_process(start: Start, venue: VenueThread) -> None:
    ingest = start('mode = "off"')
    page = ingest.role.page
    cell = 'drift_total{kind="field"}'
    eventually(lambda: page["frames_total"] > 20, 30)
    told = (
        '{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"%d","px":"1",'
        '"sz":"1","side":"buy","ts":"1790771371858","count":"1","zzNew":"1"}]}'
    )
    numbers = itertools.count(10**9)

    def found() -> bool:
        """One message in so many is looked at."""

        def burst(one: LoopbackVenue) -> None:
            for _ in range(200):
                one.say(told % next(numbers))

        venue.call(burst)
        return page[cell] == 1

    eventually(found, 60)
    (kept,) = (ingest.directory / "state" / "drift").iterdir()
    assert kept.name == "okx-field-trade_zzNew.txt"
    assert ingest.role.stop() == 0
