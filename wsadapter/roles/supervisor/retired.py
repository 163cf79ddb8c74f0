"""What the processes counted that a reload has taken out of the run: the run's sums go on with it.

A stats page for each role, made when the first of its processes goes for good, with the sums of what
`wsadapter.audit.hops` adds up over all processes of the role. It is the supervisor's to write; the monitor reads it
beside the pages of the children. Like those it outlives a supervisor that is killed, and is kept or dropped with them.
"""

from typing import Final

from wsadapter.audit.hops import COUNTING_ROLES, is_summed
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import open_page, page_name

NAME: Final = "retired"


def retired_page(instance: str, role: str) -> str:
    return page_name(instance, f"{NAME}-{role}")


class RetiredCounters:
    def __init__(self, instance: str) -> None:
        self._instance = instance

    def add(self, role: str, page: StatsPage) -> None:
        """A process has gone for good."""
        if role not in COUNTING_ROLES:
            return
        name, counted = retired_page(self._instance, role), [f for f in page.fields if is_summed(role, f)]
        sums = open_page(name, sorted({*self.read(role), *counted}))
        for field in counted:
            sums[field] += page[field]
        sums.release()

    def read(self, role: str) -> dict[str, int]:
        """Empty where no process of the role has gone."""
        name = retired_page(self._instance, role)
        if not Segment.exists(name):
            return {}
        page = StatsPage.attach(name)
        cells = page.read()
        page.release()
        return cells

    def close(self, keep: bool) -> None:
        for role in () if keep else COUNTING_ROLES:
            Segment.unlink(retired_page(self._instance, role))
