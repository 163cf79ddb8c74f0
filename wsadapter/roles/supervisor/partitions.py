"""The numbers of partitions under which a run before has sent what is still in the rings, for a serializer that is new.

Where the number of serializers has changed, one that has no page of an earlier run is given rings of those that had.
What is sent of them again must go where it went (`wsadapter.roles.serializer.partitioning`), so it begins with the
counts of the first serializer, which every run has. They differ from another one's only while partitions are added.
"""

from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import page_name


def inherit(page: StatsPage, instance: str) -> None:
    """Fill in what is not known yet; before the page's process is started."""
    first = StatsPage.attach(page_name(instance, "serializer-0"))
    for field, count in first.read().items():
        if field.startswith("partitions{") and not page[field]:
            page[field] = count
    first.release()
