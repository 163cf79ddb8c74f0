"""The order of a stop in virtual time."""

from wsadapter.supervision.drain import Drain, Stage, group


class FakeProcess:
    def __init__(self) -> None:
        self.alive = True
        self.told: float | None = None

    def order_stop(self, stop_by: float) -> None:
        self.told = stop_by


def test_next_group_is_told_when_the_one_before_is_gone() -> None:
    writers, readers = [FakeProcess(), FakeProcess()], [FakeProcess()]
    drain = Drain([group("writers", writers), group("readers", readers)], now=100.0, seconds=20.0)
    assert not drain.step()
    assert [writer.told for writer in writers] == [118.0, 118.0]
    assert readers[0].told is None

    writers[0].alive = False
    assert not drain.step()
    assert readers[0].told is None

    writers[1].alive = False
    assert not drain.step()
    assert readers[0].told == 120.0

    readers[0].alive = False
    assert drain.step()
    assert drain.stage is None


def test_dead_groups_are_passed_in_one_step() -> None:
    gone = FakeProcess()
    gone.alive = False
    last = FakeProcess()
    drain = Drain([group("a", [gone]), group("b", []), group("c", [last])], now=0.0, seconds=10.0)
    assert not drain.step()
    assert last.told == 10.0


def test_every_stage_keeps_a_share_for_those_behind_it() -> None:
    deadlines: list[float] = []
    stages = [Stage(str(n), deadlines.append, lambda: True) for n in range(5)]
    assert Drain(stages, now=0.0, seconds=10.0).step()
    assert deadlines == [6.0, 7.0, 8.0, 9.0, 10.0]


def test_nothing_to_stop() -> None:
    assert Drain([], now=0.0, seconds=1.0).step()
