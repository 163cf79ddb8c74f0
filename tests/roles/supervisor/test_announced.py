"""Which child waits for which stand-in of its run; the same over reloads, so that a reload touches nobody for it."""

from wsadapter.roles.supervisor.announced import Announced
from wsadapter.supervision.process import ChildSpec


def spec(role: str) -> ChildSpec:
    return ChildSpec(role, role, f"wsadapter.{role}", (), 10)


def test_clients_wait_for_the_stand_ins_that_there_are() -> None:
    announced = Announced()
    children = announced.connect(map(spec, ("kafka", "ingest", "serializer", "consumer", "monitor")))
    waits = {child.name: [one.service for one in child.awaits] for child in children}

    assert waits == {"kafka": [], "ingest": [], "serializer": ["kafka"], "consumer": ["kafka"], "monitor": []}
    assert [child.name for child in children if child.announces >= 0] == ["kafka"]
    assert children == announced.connect(map(spec, ("kafka", "ingest", "serializer", "consumer", "monitor")))
    announced.close()


def test_of_several_brokers_all_are_waited_for() -> None:
    brokers = [ChildSpec(f"kafka-{number}", "kafka", "wsadapter.kafka", (), 10) for number in (1, 2, 3)]
    announced = Announced()
    *children, serializer = announced.connect([*brokers, spec("serializer")])

    assert [(one.service, one.fd) for one in serializer.awaits] == [("kafka", child.announces) for child in children]
    assert len({child.announces for child in children}) == 3
    announced.close()


def test_without_stand_ins_nobody_waits() -> None:
    children = tuple(map(spec, ("serializer", "consumer")))

    assert Announced().connect(children) == children
