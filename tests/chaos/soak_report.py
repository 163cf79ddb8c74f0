"""What a soak found: how fast each role's memory grows, and whether descriptors and segments stay what they were.

The slope is that of a least squares line through the longest life of each role, without its beginning. Descriptors
rise and fall (a rotation has two sockets for a moment), so that the least number of the last third is compared with
that of the first third: a leak raises it.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from chaos.soak_samples import Sample, Surroundings
from msgspec import Struct

SETTLED: Final = 1800.0
"""Seconds that a run takes to settle; a shorter one gets a quarter of itself."""
CHILD_SETTLED: Final = 600.0
"""Of a child that was started later: its caches are smaller than the run's history."""
LONG_ENOUGH: Final = 1200.0
"""Seconds of a line from which on its slope says something."""
COLOURS: Final = (
    "#2a78d6",
    "#1f9d6b",
    "#d1772b",
    "#8e44ad",
    "#c0392b",
    "#16a085",
    "#7f8c8d",
    "#b7950b",
    "#34495e",
    "#e67e22",
)


class Row(Struct, frozen=True):
    """The longest life of a role after it settled. ``slope``: MB an hour, None where the life is too short to say."""

    role: str
    judged: bool
    minutes: float
    first_mb: float
    last_mb: float
    slope: float | None
    descriptors: tuple[int, int]
    threads: int

    @property
    def grows(self) -> bool:
        return self.judged and self.slope is not None and self.slope >= 1.0

    @property
    def leaks_descriptors(self) -> bool:
        return self.judged and self.slope is not None and self.descriptors[1] > self.descriptors[0]


def rows(samples: Sequence[Sample], seconds: float) -> list[Row]:
    """``seconds``: how long the run was to be."""
    lives: dict[tuple[str, int], list[Sample]] = {}
    for one in samples:
        lives.setdefault((one.role, one.pid), []).append(one)
    made: dict[str, Row] = {}
    for (role, _), life in lives.items():
        row = row_of(role, settled(life, seconds))
        if role not in made or row.minutes > made[role].minutes:
            made[role] = row
    return sorted(made.values(), key=lambda row: (not row.judged, row.role))


def settled(life: Sequence[Sample], seconds: float) -> Sequence[Sample]:
    """Without its beginning; all of it where nothing else is left."""
    run = min(SETTLED, seconds / 4)
    begin = max(run, life[0].second + min(CHILD_SETTLED, seconds / 8) if life[0].second > run / 4 else 0.0)
    return [one for one in life if one.second >= begin] or life


def row_of(role: str, life: Sequence[Sample]) -> Row:
    span = life[-1].second - life[0].second
    slope = (
        least_squares([(one.second / 3600, one.private_kib / 1024) for one in life]) if span >= LONG_ENOUGH else None
    )
    third = max(1, len(life) // 3)
    least = [min(one.descriptors for one in part) for part in (life[:third], life[-third:])]
    first, last = life[0].private_kib / 1024, life[-1].private_kib / 1024
    return Row(role, life[0].judged, span / 60, first, last, slope, (least[0], least[1]), life[-1].threads)


def least_squares(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def constant(around: Sequence[Surroundings], seconds: float) -> tuple[int, int]:
    """The least number of segments in the first and the last third, once settled."""
    later = [one.segments for one in around if one.second >= min(SETTLED, seconds / 4)] or [around[-1].segments]
    third = max(1, len(later) // 3)
    return min(later[:third]), min(later[-third:])


def table(found: Sequence[Row]) -> str:
    """Fits 80 columns; ``*``: a stand-in, which is not judged."""
    head = f"{'role':<18}{'minutes':>8}{'first MB':>10}{'last MB':>9}{'MB/h':>8}{'descriptors':>14}{'threads':>9}"
    lines = [head]
    for row in found:
        slope = "-" if row.slope is None else f"{row.slope:+.2f}"
        name = row.role if row.judged else f"{row.role} *"
        counts = f"{row.descriptors[0]} -> {row.descriptors[1]}"
        lines.append(
            f"{name[:18]:<18}{row.minutes:>8.0f}{row.first_mb:>10.1f}{row.last_mb:>9.1f}{slope:>8}{counts:>14}"
            f"{row.threads:>9}"
        )
    return "\n".join(lines)


def plot(samples: Sequence[Sample]) -> str:
    """Private memory of the judged roles over time, an SVG."""
    width, height, left, top = 760, 300, 60, 20
    lives: dict[tuple[str, int], list[Sample]] = {}
    for one in samples:
        if one.judged:
            lives.setdefault((one.role, one.pid), []).append(one)
    highest = max(one.private_kib for life in lives.values() for one in life) / 1024 * 1.05
    longest = max(one.second for life in lives.values() for one in life) or 1.0
    colours = colours_of(lives)

    def place(one: Sample) -> str:
        x = left + (width - left - 20) * one.second / longest
        return f"{x:.1f},{top + height - height * one.private_kib / 1024 / highest:.1f}"

    body = []
    for step in range(5):
        y = top + height - height * step / 4
        body.append(
            f'<line x1="{left}" y1="{y:.0f}" x2="{width - 20}" y2="{y:.0f}" stroke="#6b7280" stroke-opacity=".25"/>'
        )
        body.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{highest * step / 4:.0f} MB</text>')
    for (role, _), life in lives.items():
        points = " ".join(place(one) for one in life)
        body.append(f'<polyline points="{points}" fill="none" stroke="{colours[role]}" stroke-width="1.5"/>')
    body.append(f'<text x="{width - 20}" y="{top + height + 16}" text-anchor="end">{longest / 60:.0f} minutes</text>')
    for number, (role, colour) in enumerate(colours.items()):
        x, y = left + number % 4 * 170, top + height + 40 + number // 4 * 18
        body.append(f'<text x="{x}" y="{y}" fill="{colour}">{escape(role)}</text>')
    total = top + height + 60 + len(colours) // 4 * 18
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" font-family="sans-serif" font-size="11"'
    )
    return "\n".join([f'{head} fill="#6b7280">', *body, "</svg>", ""])


def colours_of(lives: Mapping[tuple[str, int], object]) -> dict[str, str]:
    names = dict.fromkeys(role for role, _ in lives)
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
