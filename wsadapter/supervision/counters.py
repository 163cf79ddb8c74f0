"""The supervisor's own stats page: which children are up and how often each was started again, and why.

The supervisor is its only writer. The page is replaced when the set of children changes; counts of children that stay
are carried over. A reader attaches again then (the monitor is started again by such a change).
"""

import os
import time
from collections.abc import Iterable
from typing import Final

from wsadapter import log
from wsadapter.errors import SegmentError
from wsadapter.files import StateDirectory
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import ChildSpec, open_page, page_name

NAME: Final = "supervisor"
REASONS: Final = ("exit", "signal", "hung", "config")


def fields(specs: Iterable[ChildSpec]) -> tuple[str, ...]:
    """Names of the cells, as exposed."""
    return (
        "heartbeat_ns",
        "state",
        "pid",
        "started_ns",
        "reloads_total",
        "reload_failures_total",
        "config_last_reload_successful",
        "config_last_reload_success_ns",
        "state_write_failures_total",
        "state_files_damaged_total",
        "rings_damaged_total",
        "segments_lost_total",
        *(
            cell
            for spec in specs
            for cell in (up_cell(spec), *(restarts_cell(spec, reason) for reason in REASONS))
        ),
    )  # fmt: skip


def up_cell(spec: ChildSpec) -> str:
    return f'child_up{{role="{spec.role}",name="{spec.name}"}}'


def restarts_cell(spec: ChildSpec, reason: str) -> str:
    return f'child_restarts_total{{role="{spec.role}",name="{spec.name}",reason="{reason}"}}'


class SupervisorPage:
    def __init__(self, instance: str, specs: Iterable[ChildSpec]) -> None:
        self._name = page_name(instance, NAME)
        self.page = open_page(self._name, fields(specs))
        self.page["pid"] = os.getpid()
        self.page["started_ns"] = time.time_ns()
        self.reloaded()

    def replace(self, specs: Iterable[ChildSpec]) -> None:
        """A page for another set of children. Where there is no memory for it the old one stays, and children that
        it does not know are not in it."""
        wanted = fields(specs)
        if wanted == self.page.fields:
            return
        beside = f"{self._name}.new"
        Segment.unlink(beside)
        try:
            page = StatsPage.create(beside, wanted)
        except SegmentError as error:
            log.get_logger().error(
                "page of the supervisor stays as it was, new children are not in it", reason=str(error)
            )
            return
        before = self.page.read()
        for field in wanted:
            page[field] = before.get(field, 0)
        self.page.release()
        page.release()
        Segment.replace(beside, self._name)
        self.page = StatsPage.attach(self._name, writable=True)

    def restore(self) -> None:
        """Its name was removed from outside: the same page anew."""
        if not self.page.is_named:
            content = self.page.content()
            try:
                Segment.create(self._name, len(content), content).close()
            except SegmentError as error:
                log.get_logger().error("page of the supervisor cannot be seen by anybody", reason=str(error))
                return
            self.page.release()
            self.page = StatsPage.attach(self._name, writable=True)

    def reloaded(self) -> None:
        """The configuration that is in force was read now."""
        self.page["config_last_reload_successful"] = 1
        self.page["config_last_reload_success_ns"] = time.time_ns()

    def reload_failed(self) -> None:
        self.page["config_last_reload_successful"] = 0
        self.page["reload_failures_total"] += 1

    def up(self, spec: ChildSpec, up: bool) -> None:
        if (cell := up_cell(spec)) in self.page:
            self.page[cell] = int(up)

    def restarted(self, spec: ChildSpec, reason: str) -> None:
        if (cell := restarts_cell(spec, reason)) in self.page:
            self.page[cell] += 1

    def beat(self, state: int, directory: StateDirectory, damaged_rings: int) -> None:
        """``directory``: what is counted there is shown here."""
        self.page["heartbeat_ns"] = time.monotonic_ns()
        self.page["state"] = state
        self.page["state_write_failures_total"] = directory.write_failures
        self.page["state_files_damaged_total"] = directory.damaged
        self.page["rings_damaged_total"] = damaged_rings

    def release(self) -> None:
        self.page.release()
        Segment.unlink(self._name)
