"""A serializer that is new sends under the numbers of partitions under which the run before has sent."""

from pathlib import Path

from roles.supervisor.test_reload import INSTANCE, Site

from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import page_name

TRADE, GAP = 'partitions{topic="trade"}', 'partitions{topic="gap"}'


def test_a_new_page_has_the_counts_of_the_first_serializer(tmp_path: Path) -> None:
    site = Site(tmp_path, more="[process]\n[process.serializer]\ncount = 3\n")
    specs = [spec for spec in site.run.specs if spec.role == "serializer"]
    first, second, third = (StatsPage.create(page_name(INSTANCE, spec.name), spec.page_fields) for spec in specs)
    first[TRADE], first[GAP], first["broker_up"] = 4, 1, 1
    third[TRADE] = 5
    for spec, page in zip(specs, (first, second, third), strict=True):
        site.run.on_page(spec, page)
    assert [(page[TRADE], page[GAP]) for page in (first, second, third)] == [(4, 1), (4, 1), (5, 1)]
    assert second["broker_up"] == 0, "nothing else"
    for page in (first, second, third):
        page.release()
    site.run.rings.close()
    site.instance.release()
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)
