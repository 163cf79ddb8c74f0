"""The table at the end: what was measured against what it should be.

A target is an upper bound, or with ``more`` a lower one. Ratios are the median of the ratios within rounds, with their
range: both programs of a round saw the same machine.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.accounts import median

MISSED, REACHED, STRETCHED, OPEN = "miss", "pass", "pass, stretch", "-"
STYLES: Final = {MISSED: "red", REACHED: "green", STRETCHED: "bold green", OPEN: "dim"}


class Row(Struct, frozen=True):
    """``value`` is what ``target`` and ``stretch`` bound; ``shown`` what it was made from."""

    what: str
    value: float | None
    unit: str
    target: float | None = None
    stretch: float | None = None
    more: bool = False
    shown: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None or self.target is None:
            return OPEN
        if self.stretch is not None and self._within(self.stretch):
            return STRETCHED
        return REACHED if self._within(self.target) else MISSED

    def _within(self, bound: float) -> bool:
        assert self.value is not None
        return self.value >= bound if self.more else self.value <= bound

    def bound(self, limit: float | None) -> str:
        return "" if limit is None else f"{'>=' if self.more else '<='} {limit:.3g}{_suffix(self.unit)}"

    def plain(self) -> dict[str, Any]:
        return {"what": self.what, "value": self.value, "unit": self.unit, "target": self.target,
                "stretch": self.stretch, "verdict": self.verdict, "shown": self.shown}  # fmt: skip


def _suffix(unit: str) -> str:
    return unit if unit in ("x", "%") else f" {unit}"


def ratios(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], figure: str) -> list[float]:
    return [mine[figure] / yours[figure] for mine, yours in zip(ours, theirs, strict=True)]


def compared(
    what: str, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], figure: str,
    target: float | None = None, stretch: float | None = None, *, more: bool = False,
) -> Row:  # fmt: skip
    """A ratio of ours to a yardstick's. Shown: the best round of each, and the range of the ratio."""
    if not ours or not theirs:
        return Row(what, None, "x", target, stretch, more, "not measured")
    found = ratios(ours, theirs, figure)
    best = max if more else min
    unit = "/s" if figure == "per_s" else " us"
    mine, yours = (best(run[figure] for run in runs) for runs in (ours, theirs))
    text = f"{mine:,.4g}{unit} : {yours:,.4g}{unit}" if figure != "per_s" else f"{mine:,.0f}/s : {yours:,.0f}/s"
    spread = f" ({min(found):.2f}-{max(found):.2f})" if len(found) > 1 else ""
    return Row(what, median(found), "x", target, stretch, more, text + spread)


def table(rows: Iterable[Row], title: str) -> Table:
    made = Table(title=title, title_justify="left")
    made.add_column("what")
    for heading in ("measured", "ours : yardstick, best round (range)", "target", "stretch"):
        made.add_column(heading, justify="right")
    made.add_column("verdict")
    for row in rows:
        value = "" if row.value is None else f"{row.value:.3g}{_suffix(row.unit)}"
        verdict = row.verdict
        made.add_row(row.what, value, row.shown, row.bound(row.target), row.bound(row.stretch),
                     f"[{STYLES[verdict]}]{verdict}[/]")  # fmt: skip
    return made


def markdown(rows: Iterable[Row]) -> str:
    lines = ["| what | measured | ours : yardstick | target | stretch | verdict |", "|---|--:|--:|--:|--:|---|"]
    for row in rows:
        value = "" if row.value is None else f"{row.value:.3g}{_suffix(row.unit)}"
        cells = (row.what, value, row.shown, row.bound(row.target), row.bound(row.stretch), row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def show(console: Console, rows: Iterable[Row], notes: Iterable[str], title: str) -> None:
    console.print(table(rows, title))
    for note in notes:
        console.print(f"[dim]not measured:[/] {note}", highlight=False)
