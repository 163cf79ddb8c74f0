"""What a person sees until there is something to see: a line a service, replaced in place.

Told what the stats pages say; knows no clock and no terminal. A service's time is from the start of the command.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wsadapter.metrics import SERVICE_STAGES
from wsadapter.supervision.child import ChildState

ROLES: Final[Mapping[str, str]] = {"exchange": "venues", "clickhouse": "ClickHouse", "kafka": "Kafka"}
"""Stand-ins in the order in which they are there, as their lines call them."""
ROWS: Final = "first row"
BAR_COLUMNS: Final = 24
ROW_SECONDS: Final = 30.0
SERVICE_SECONDS: Final = 120.0
"""After so long the table with its reasons helps more than a line that says what is waited for."""
Pages = Mapping[str, Sequence[Mapping[str, int]]]
"""Role -> the stats page of each of its processes."""


class Startup:
    """``roles``: which of the stand-ins there are."""

    def __init__(self, roles: Sequence[str]) -> None:
        self._roles = [role for role in ROLES if role in roles]
        self._ready: dict[str, float] = {}
        """Line -> when it was ready, seconds after the start of the command."""
        self._told: set[str] = set()
        self._pages: Pages = {}
        self._now = 0.0

    def observe(self, pages: Pages, rows: int, now: float) -> None:
        """``rows``: so many were inserted in this run, at ``now`` seconds after the start of the command."""
        self._pages, self._now = pages, now
        for role in self._roles:
            if all(page["state"] == ChildState.RUNNING for page in pages.get(role, ())):
                self._ready.setdefault(role, now)
        if rows:
            self._ready.setdefault(ROWS, now)

    @property
    def is_over(self) -> bool:
        """A row can be queried, or it is late: from then on the table says more."""
        if ROWS in self._ready:
            return True
        up = max((self._ready[role] for role in self._roles), default=0.0) if self._is_up else self._now
        return self._now > up + ROW_SECONDS or (self._now > SERVICE_SECONDS and not self._is_fetching)

    @property
    def _is_up(self) -> bool:
        return all(role in self._ready for role in self._roles)

    @property
    def _is_fetching(self) -> bool:
        return any(page.get("stage") == SERVICE_STAGES.index("fetching") for page in self._pages.get("kafka", ()))

    def news(self) -> list[str]:
        """What became ready since this was asked last, as lines where there is no terminal."""
        fresh = {line: seconds for line, seconds in self._ready.items() if line not in self._told}
        self._told |= fresh.keys()
        return [
            f"{ROLES.get(line, line)} {'after' if line == ROWS else 'ready'} {s:.1f} s" for line, s in fresh.items()
        ]

    @property
    def first_row_seconds(self) -> float | None:
        return self._ready.get(ROWS)

    def lines(self) -> RenderableType:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        for role in self._roles:
            table.add_row(Text(ROLES[role], "bold"), self._state(role))
        if self._is_up:
            table.add_row(Text(ROWS, "bold"), self._row())
        return Group(table)

    def _state(self, role: str) -> RenderableType:
        pages = self._pages.get(role, ())
        if role in self._ready:
            return Text(f"ready {self._ready[role]:.1f} s", "green")
        if len(pages) > 1:
            up = sum(page["state"] == ChildState.RUNNING for page in pages)
            return Text(f"starting, {up} of {len(pages)} ready", "yellow")
        page = pages[0] if pages else {}
        stage, percent = SERVICE_STAGES[page.get("stage", 0)] or "starting", page.get("stage_percent", 0)
        if stage != "fetching":
            return Text(stage, "yellow")
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text("fetching once", "yellow"), ProgressBar(100, percent, width=BAR_COLUMNS), Text(f"{percent} %")
        )
        return line

    def _row(self) -> Text:
        seconds = self.first_row_seconds
        return Text("on its way", "yellow") if seconds is None else Text(f"after {seconds:.1f} s", "green")
