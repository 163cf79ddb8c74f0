"""What a reload of the whole application may change, what it refuses by name, and what a failed one leaves behind."""

import errno
import json
import os
import selectors
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listings.test_resolved_feeds import SYMBOLS, keep

from wsadapter import files, log
from wsadapter.audit.hops import totals
from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.config.shards import owner
from wsadapter.errors import ConfigError, SegmentError, WsadapterError
from wsadapter.roles.orders import IngestOrder, MonitorOrder
from wsadapter.roles.supervisor import run as composition
from wsadapter.roles.supervisor import topology
from wsadapter.roles.supervisor.connection_states import carried
from wsadapter.roles.supervisor.run import Run, RunOptions
from wsadapter.shm import ring
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.children import ChildSet
from wsadapter.supervision.instance import Instance, ReloadOutcome, last_reload
from wsadapter.supervision.process import ChildProcess, ChildSpec, open_page, page_name
from wsadapter.supervision.spawn import ForkServer

INSTANCE = f"reload-{os.getpid()}"


class Site:
    """A configuration file, and the run that reads it again."""

    def __init__(self, directory: Path, **wanted: str) -> None:
        self.state = directory / "state"
        self.path = directory / "config.toml"
        self.configure(**wanted)
        self.instance = Instance.claim(str(self.state), 1.0)
        self.run = Run(RunOptions(self.load(), self.load), self.instance, None)

    def configure(self, symbols: str = '"BTCUSDT"', streams: str = '"trade"', more: str = "", shard: str = "") -> None:
        self.path.write_text(
            f'[service]\ninstance = "{INSTANCE}"\nstate_dir = "{self.state}"\nshard = "{shard}"\n'
            "[ring]\ncapacity_bytes = 65536\n"
            f'[[feed]]\nexchange = "binance"\nsymbols = [{symbols}]\nstreams = [{streams}]\n{more}'
        )

    def load(self) -> Config:
        return configuration.load(str(self.path), {}, dotenv=None)

    def segments(self) -> list[str]:
        return [name.removeprefix(f"wsadapter-{INSTANCE}-") for name in listing(f"wsadapter-{INSTANCE}-")]

    def prepare(self, *names: str) -> list[dict[str, int]]:
        """These children of the run, or all, get their pages; what is in them then."""
        cells = []
        for spec in self.run.specs:
            if not names or spec.name in names:
                page = open_page(page_name(INSTANCE, spec.name), spec.page_fields)
                self.run.on_page(spec, page)
                cells.append(page.read())
                page.release()
        return cells

    def leave(self, spec: ChildSpec) -> None:
        page = open_page(page_name(INSTANCE, spec.name), spec.page_fields)
        self.run.on_leave(spec, page, True)
        page.release()
        Segment.unlink(page_name(INSTANCE, spec.name))

    def is_gone(self, connection: str) -> bool:
        """After a beat."""
        self.run._observe_at = 0.0
        self.run.on_beat([])
        return self.run.states.of(connection).gone

    def close(self) -> None:
        self.run.rings.close()
        self.instance.release()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture(autouse=True)
def no_segments() -> Iterator[None]:
    yield
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)


def readers(specs: tuple[ChildSpec, ...]) -> dict[str, int]:
    """Ring -> by how many serializers it is read."""
    names = {spec.ring.name for spec in specs if spec.ring is not None}
    return {name: sum(ref.name == name for spec in specs for ref in spec.rings) for name in names}


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("[process.serializer]\ncount = 2\n", "process.serializer.count"),
        ('[spool]\npath = "/elsewhere"\n', "spool.path"),
        ('[monitor]\nlisten = "127.0.0.1:1"\n', "monitor.listen"),
    ],
)
def test_what_a_reload_cannot_change_is_refused_by_name(site: Site, more: str, key: str) -> None:
    before = site.run.config, site.run.specs
    site.configure(more=more)
    with pytest.raises(ConfigError, match=rf"{key}: .*restart") as refused:
        site.run.reload()
    assert [path for path, _ in refused.value.errors] == [key]
    assert (site.run.config, site.run.specs) == before
    with pytest.raises(ConfigError):  # it does not count as done
        site.run.reload()


def test_every_ring_has_one_reader_after_each_reload(site: Site) -> None:
    for more in (
        "[process.consumer]\ncount = 3\n[process.repairer]\ncount = 0\n",
        "redundancy = 2\n[process.consumer]\ncount = 1\n",
        "redundancy = 3\n",
        "redundancy = 1\n",
        "depth_levels = 0\n[kafka]\npartitions = 2\n[restart]\nintensity = 9\n",
    ):
        site.configure(streams='"trade", "depth"', more=more)
        changed = site.run.reload()
        assert changed is not None
        assert changed[0] == site.run.config
        specs = {spec.name: spec for spec in changed[1]}
        assert len(specs) == len(changed[1])
        assert set(readers(changed[1]).values()) == {1}
        consumers = [spec for spec in changed[1] if spec.role == "consumer"]
        assert len(consumers) == changed[0].process_of("consumer").count
        assert ("repairer" in specs) == bool(changed[0].process_of("repairer").count)


def test_the_ring_of_a_connection_that_went_is_unlinked_when_its_serializer_is_exchanged(site: Site) -> None:
    for streams in ('"trade", "depth"', '"trade"', '"trade", "kline"'):
        site.configure(streams=streams)
        assert site.run.reload() is not None
    more = '[[feed]]\nname = "b"\nexchange = "binance"\nsymbols = ["ETHUSDT"]\nstreams = ["trade"]\n'
    site.configure(more=more)
    changed = site.run.reload()
    assert changed is not None
    assert set(readers(changed[1]).values()) == {1}
    gone = "binance-public-0"
    assert all(gone not in ref.name for spec in changed[1] for ref in spec.rings)
    assert gone in site.segments()

    (spec,) = [spec for spec in changed[1] if spec.role == "serializer"]
    page = open_page(page_name(INSTANCE, spec.name), spec.page_fields)
    site.run.on_page(spec, page)
    page.release()
    assert gone not in site.segments()
    assert {"binance-market-0", "b-market-0", "repair"} <= set(site.segments())


def test_a_connection_is_gone_when_the_reload_that_took_it_is_over(site: Site) -> None:
    site.configure(streams='"trade", "depth"')
    assert site.run.reload() is not None
    before = {spec.name: spec for spec in site.run.specs}
    site.prepare()
    assert not site.is_gone("binance-public-0")
    site.configure()
    assert site.run.reload() is not None
    assert not site.is_gone("binance-public-0"), "its process may run yet"
    site.leave(before["binance-public-0"])
    assert not site.is_gone("binance-public-0"), "whoever takes its streams over has no page yet"
    site.prepare()
    assert site.is_gone("binance-public-0")


def binance(name: str, symbols: str, streams: str = '"trade"') -> str:
    return f'[[feed]]\nname = "{name}"\nexchange = "binance"\nsymbols = [{symbols}]\nstreams = [{streams}]\n'


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted still", "not any more"])
def test_a_reload_while_a_child_waits_for_memory_does_not_end_the_one_before(site: Site, wanted: bool) -> None:
    site.configure(streams='"trade", "depth"')
    assert site.run.reload() is not None
    before = {spec.name: spec for spec in site.run.specs}
    site.prepare()
    new, third = binance("new", '"BTCUSDT"', '"depth"'), binance("third", '"ETHUSDT"')
    site.configure(more=new)
    assert site.run.reload() is not None
    site.leave(before["binance-public-0"])
    site.prepare(*(spec.name for spec in site.run.specs if spec.name != "new-public-0"))
    assert not site.is_gone("binance-public-0")

    site.configure(more=new + third if wanted else third)
    assert site.run.reload() is not None
    site.prepare(*(spec.name for spec in site.run.specs if spec.name != "new-public-0"))
    assert site.is_gone("binance-public-0") == (not wanted)
    if wanted:
        (page,) = site.prepare("new-public-0")
        assert page["by_reload"] == 1
        assert site.is_gone("binance-public-0")


def test_what_a_connection_has_is_kept_as_soon_as_it_has_it(site: Site) -> None:
    site.prepare()
    assert not site.is_gone("binance-market-0")
    site.instance.state.flush()
    site.configure(symbols='"ETHUSDT"')
    assert site.run.reload() is not None
    site.prepare()
    site.run.on_beat([])
    site.instance.state.flush()

    assert carried(site.instance.state)["binance-market-0"] == ["binance:ethusdt@aggTrade"]


def test_what_waits_for_its_listing_at_a_start_is_not_gone(tmp_path: Path) -> None:
    first = Site(tmp_path, more=binance("ruled", '"ETHUSDT", "SOLUSDT"') + binance("other", '"ETHUSDT"'))
    first.prepare()
    for name in ("ruled-market-0", "other-market-0"):
        first.run.states.of(name).received = 5
    first.run.states.close()
    first.close()
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)

    site = Site(tmp_path, more=binance("ruled", '"*USDT"'))
    site.prepare()
    assert not site.is_gone("ruled-market-0")
    keep(tmp_path / "state", *SYMBOLS)
    assert site.run.apply(site.load()) is not None
    (page,) = site.prepare("ruled-market-0")
    assert page["last_receive_ns"] == 5, "with symbols that were never seen"
    site.prepare()
    assert site.is_gone("other-market-0")
    site.close()


@pytest.mark.parametrize("rule", ["", '"PUMP*USDT"'], ids=["another exchange waits", "its rule fits nothing"])
def test_a_feed_that_waits_for_good_holds_back_only_whom_it_may_take_over(tmp_path: Path, rule: str) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    keep(tmp_path / "state", *SYMBOLS)
    bybit = SECOND_FEED.replace("BTCUSDT", "*USDT")
    waits = binance("ruled", rule) if rule else bybit
    site = Site(tmp_path, more=waits + binance("other", '"ETHUSDT"'))
    assert len(site.run._assembly.resolved.waiting) == 1
    site.prepare()
    site.run.states.of("b-linear-0").carries = ["bybit:publicTrade.BTCUSDT"]
    other = next(spec for spec in site.run.specs if spec.name == "other-market-0")
    site.configure(more=waits)
    assert site.run.reload() is not None
    site.leave(other)
    site.prepare()

    assert site.is_gone("other-market-0")
    assert site.is_gone("b-linear-0") == bool(rule), "it may get its symbol back"
    site.configure()
    assert site.run.reload() is not None
    site.prepare()
    assert site.is_gone("b-linear-0"), "nobody waits any more"
    site.close()


def test_a_rule_that_comes_while_a_feed_runs_stops_nothing(site: Site) -> None:
    site.configure(symbols='"*USDT"')
    changed = site.run.reload()
    assert changed is not None
    (order,) = (spec.order for spec in changed[1] if isinstance(spec.order, IngestOrder))
    assert order.plan.symbols == ("BTCUSDT",)
    (monitor,) = (spec.order for spec in changed[1] if isinstance(spec.order, MonitorOrder))
    assert [(each.feed, "it goes on with what it has" in each.reason) for each in monitor.waiting] == [
        ("binance", True)
    ]
    assert site.run.reload() is None, "the same once more"


def test_a_listing_that_changes_nothing_of_the_own_share_is_none_to_apply(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    keep(tmp_path / "state", *SYMBOLS)
    site = Site(tmp_path, symbols='"*USDT"', shard="1/2")
    asked: list[Config] = []
    site.run.ask = asked.append
    spec = next(spec for spec in site.run.specs if spec.role == "repairer")
    page = StatsPage.create(page_name(INSTANCE, spec.name), spec.page_fields)

    def listed(*more: str) -> list[Config]:
        keep(tmp_path / "state", *SYMBOLS, *more)
        page["listings_total"] += 1
        site.run.on_beat([(spec, page)])
        return asked

    own, other = (next(f"{n}USDT" for n in range(100) if owner("binance", f"{n}USDT", 2) == whose) for whose in (1, 2))
    assert listed() == []
    assert listed(other) == []
    assert listed(own) == [site.load()]
    page.release()
    site.run.rings.close()
    site.instance.release()


@pytest.mark.parametrize("early", [False, True], ids=["while it reads", "before it reads"])
def test_a_signal_during_the_start_has_the_configuration_read_again_and_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """No child is started here, and no fork server."""
    site = Site(tmp_path)
    site.run.rings.close()
    site.instance.release()
    monkeypatch.setattr(log, "setup", lambda *_, **__: None)
    monkeypatch.setattr(ChildProcess, "start", lambda *_: (_ for _ in ()).throw(OSError(errno.EAGAIN, "no task")))
    sent: list[signal.Signals | None] = [None, None, signal.SIGTERM] if early else [signal.SIGHUP, signal.SIGTERM]
    before = signal.getsignal(signal.SIGHUP)

    def send(number: signal.Signals | None) -> None:
        if number is not None:
            os.kill(os.getpid(), number)

    def fork_server(_: ForkServer) -> None:
        if early and len(sent) == 3:
            sent.pop(0)
            send(signal.SIGHUP)

    def load() -> Config:
        send(sent.pop(0))
        return site.load()

    monkeypatch.setattr(ForkServer, "start", fork_server)
    try:
        assert composition.run(RunOptions(site.load(), load, duration=60.0)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert sent == [], "it was read twice"
    assert last_reload(str(site.state)).refused == ""
    assert last_reload(str(site.state)) != ReloadOutcome(), "whoever asked is told"


def test_a_ring_without_a_reader_refuses_the_reload(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.run.rings, "of_serializer", lambda number: ())
    site.configure(symbols='"BTCUSDT", "ETHUSDT"')
    with pytest.raises(WsadapterError, match="market-0: read by 0 serializers"):
        site.run.reload()
    assert site.run.config.feed[0].symbols == ("BTCUSDT",)


def test_a_reload_that_fails_late_is_tried_again_and_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = site.segments()
    create: Callable[..., None] = ring.create

    def full(name: str, capacity: int, epoch: int) -> None:
        if len(site.segments()) > len(segments):
            raise SegmentError(f"segment {name}: no space")
        create(name, capacity, epoch)

    site.configure(
        more='[[feed]]\nname = "b"\nexchange = "binance"\nsymbols = ["ETHUSDT"]\nstreams = ["trade", "depth"]\n'
    )
    with monkeypatch.context() as patched:
        patched.setattr(ring, "create", full)
        with pytest.raises(SegmentError):
            site.run.reload()
    assert site.segments() == segments
    assert len(site.run.config.feed) == 1

    changed = site.run.reload()
    assert changed is not None
    assert len(site.run.config.feed) == 2
    assert len(site.segments()) == len(segments) + 2
    assert set(readers(changed[1]).values()) == {1}


def test_a_full_disk_stops_neither_start_nor_reload_nor_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name in ("rings.json", "connections.json"):
        (state / name).write_bytes(b'["\xff"]')

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "replace", full)
    site = Site(tmp_path)
    site.configure(streams='"trade", "depth"')
    changed = site.run.reload()
    assert changed is not None
    assert set(readers(changed[1]).values()) == {1}
    failures = site.instance.state.write_failures
    assert failures
    assert site.instance.state.damaged == 2

    monkeypatch.undo()
    site.instance.state.retry()
    site.instance.state.flush()
    assert len(json.loads((state / "rings.json").read_bytes())) == 3
    assert site.run.rings.close() == 0
    assert site.segments() == []
    assert site.instance.state.write_failures == failures
    site.instance.release()


SECOND_FEED = '[[feed]]\nname = "b"\nexchange = "bybit"\nsymbols = ["BTCUSDT"]\nstreams = ["trade"]\n'


def replacing(site: Site, selector: selectors.BaseSelector, published: str, inserted: int) -> ChildSet:
    """A reload of the file has begun: who goes has been told. ``published``: by this child 1,000 events were."""
    run = site.run
    children = ChildSet(run.config, run.specs, site.instance, selector, -1, lambda: 0.5, run)
    for spec, page in children.pages():
        if spec.name == published:
            page['events_total{stream="trade"}'] = 1000
        elif spec.role == "consumer":
            page['accepted_rows_total{stream="trade"}'] = inserted
    changed = run.reload()
    assert changed is not None
    children.replace(*changed)
    return children


def test_a_stop_before_new_children_are_there(site: Site) -> None:
    site.configure(more=SECOND_FEED)
    with selectors.DefaultSelector() as selector:
        children = replacing(site, selector, "binance-market-0", 999)
        assert len(site.run.counters("ingest")) == 1, "that of b has no page"
        children.release(site.run.keeps_page)
    assert site.run.is_unfinished
    assert [name for name in site.segments() if name.startswith("stats-binance")] == ["stats-binance-market-0"]


def test_what_a_child_counted_that_goes_stays_in_the_sums_at_a_stop_meanwhile(tmp_path: Path) -> None:
    site = Site(tmp_path, more=SECOND_FEED)
    site.configure()
    with selectors.DefaultSelector() as selector:
        children = replacing(site, selector, "b-linear-0", 1000)
        published = totals(("ingest", page) for page in site.run.counters("ingest"))["events"]
        assert published == {"trade": 1000}, "while it goes"
        children.release(site.run.keeps_page)
    assert not site.run.is_unfinished, "all that was published has come out"
    site.run.retired.close(keep=site.run.is_unfinished)
    site.run.rings.close()
    site.instance.release()
    assert site.segments() == []


def test_what_a_child_counted_whose_next_one_never_found_memory_stays_in_the_sums(tmp_path: Path) -> None:
    site = Site(tmp_path, more=SECOND_FEED)
    site.prepare()
    page = StatsPage.attach(page_name(INSTANCE, "b-linear-0"), writable=True)
    page['events_total{stream="trade"}'] = 1000
    page.release()
    for more in (SECOND_FEED + 'ws_url = "ws://127.0.0.1:1"\n', ""):
        site.configure(more=more)
        assert site.run.reload() is not None

    assert totals(("ingest", page) for page in site.run.counters("ingest"))["events"] == {"trade": 1000}
    site.close()


def test_specs_that_cannot_be_made_refuse_the_reload(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = site.segments()
    site.configure(symbols='"BTCUSDT", "ETHUSDT"', streams='"trade", "depth"')
    with monkeypatch.context() as patched:
        patched.setattr(topology, "specs", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            site.run.reload()
    assert site.segments() == segments
    assert site.run.reload() is not None
