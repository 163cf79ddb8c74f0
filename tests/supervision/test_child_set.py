"""What a child is started with, and a reload while there is no shared memory left: nothing ends."""

import fcntl
import os
import selectors
import time
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import msgspec
import pytest
from eventually import eventually

from wsadapter.config.model import Config, ServiceConfig
from wsadapter.errors import SegmentError
from wsadapter.metrics import CHILD
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildState
from wsadapter.supervision.children import ChildSet, PageObserver
from wsadapter.supervision.counters import SupervisorPage, restarts_cell, up_cell
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildProcess, ChildSpec

HERE = Path(__file__).resolve().parent
INSTANCE = f"child-set-{os.getpid()}"


@pytest.fixture(autouse=True)
def no_segments() -> Iterator[None]:
    yield
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)


def spec(name: str) -> ChildSpec:
    return ChildSpec(name, "ingest", "no.such.module", CHILD, 10)


def no_room(name: str, fields: Sequence[str]) -> StatsPage:
    raise SegmentError(f"segment {name}: no space")


def test_a_child_without_memory_for_its_page_is_added_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(ServiceConfig(INSTANCE, str(tmp_path)))
    instance = Instance.claim(str(tmp_path), 1.0)
    with selectors.DefaultSelector() as selector:
        kept = ChildSet(config, [], instance, selector, -1, lambda: 0.5)
        kept.replace(config, [spec("a")])
        with monkeypatch.context() as patched:
            patched.setattr(StatsPage, "create", no_room)
            kept.step(0.0, 0.0)
        assert kept.missing() == ["a"]
        assert len(kept) == 1
        assert kept.all() == []
        assert kept.due(0.0) < float("inf")

        monkeypatch.setattr(ChildProcess, "start", lambda *_: (_ for _ in ()).throw(OSError(11, "no task")))
        kept.step(kept.due(0.0), 0.0)
        assert [child.spec.name for child in kept.all()] == ["a"]
        assert up_cell(spec("a")) in kept.counters.page
        kept.release(lambda _: False)
    instance.release()


class Watcher(PageObserver):
    """Notes what it is shown, and that no process can be writing to it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def on_page(self, spec: ChildSpec, page: StatsPage) -> None:
        self.seen.append(("page", spec.name, spec.fingerprint))
        page["started_ns"] += 1

    def on_leave(self, spec: ChildSpec, page: StatsPage, for_good: bool) -> None:
        self.seen.append(("leave", spec.name, "for good" if for_good else f"follows {page['started_ns']}"))

    def on_renew(self, lost: Set[str]) -> None:
        self.seen.append(("renew", *(name.removeprefix(f"wsadapter-{INSTANCE}-stats-") for name in sorted(lost))))


def test_pages_are_shown_before_a_child_is_started_and_after_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChildProcess, "start", lambda *_: (_ for _ in ()).throw(OSError(11, "no task")))
    config = Config(ServiceConfig(INSTANCE, str(tmp_path)))
    instance, watcher = Instance.claim(str(tmp_path), 1.0), Watcher()
    with selectors.DefaultSelector() as selector:
        kept = ChildSet(config, [spec("a"), spec("b"), spec("c")], instance, selector, -1, lambda: 0.5, watcher)
        assert watcher.seen == [("page", "a", ""), ("page", "b", ""), ("page", "c", "")]
        watcher.seen.clear()
        kept.replace(config, [msgspec.structs.replace(spec("a"), fingerprint="other"), spec("b")])
        kept.step(0.0, 0.0)
        assert watcher.seen == [("leave", "a", "follows 1"), ("leave", "c", "for good"), ("page", "a", "other")]

        watcher.seen.clear()
        Segment.unlink(page := f"wsadapter-{INSTANCE}-stats-b")
        assert kept.lost_pages() == [page]
        kept.renew({page})
        kept.step(0.0, 0.0)
        assert watcher.seen == [("leave", "b", "follows 1"), ("renew", "b"), ("page", "b", "")]
        assert kept.lost_pages() == []
        assert {name: page["started_ns"] for (name, page) in ((s.name, p) for s, p in kept.pages())} == {"a": 2, "b": 2}
        kept.release(lambda _: False)
    instance.release()


def test_arguments_of_any_length_reach_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe of more than 1 MiB takes a privilege."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    many = ChildSpec(
        "a", "ingest", "fake_child", CHILD, 10, order={"events": str(tmp_path / "events"), "x": "x" * 5_000_000}
    )
    child = ChildProcess(many, INSTANCE)

    def refuse(fd: object, number: int, *rest: object) -> int:
        assert number != fcntl.F_SETPIPE_SZ
        return 0

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    child.start(Config(ServiceConfig(INSTANCE, str(tmp_path))), -1, -1)
    eventually(lambda: child.state == ChildState.RUNNING)
    child.order_stop(time.monotonic() + 60)
    os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
    assert child.reap().code == 0
    child.release(keep_page=False)


def test_a_page_that_cannot_be_replaced_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    page = SupervisorPage(INSTANCE, [spec("a")])
    page.restarted(spec("a"), "exit")
    with monkeypatch.context() as patched:
        patched.setattr(StatsPage, "create", no_room)
        page.replace([spec("a"), spec("b")])
    page.up(spec("b"), True)
    page.restarted(spec("b"), "exit")
    page.up(spec("a"), True)
    assert page.page[up_cell(spec("a"))] == 1

    page.replace([spec("a"), spec("b")])
    page.up(spec("b"), True)
    attached = StatsPage.attach(f"wsadapter-{INSTANCE}-stats-supervisor")
    assert attached[up_cell(spec("b"))] == 1
    assert attached[restarts_cell(spec("a"), "exit")] == 1
    attached.release()
    page.release()
    assert listing(f"wsadapter-{INSTANCE}-") == []
