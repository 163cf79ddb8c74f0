"""Plots as SVG, written by hand: bars with their values, and lines over a counted axis. Readable on light and dark."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 760
LEFT: Final = 250
BAR, SPACE = 22, 12
COLOURS: Final = ("#2a78d6", "#8a8f98", "#1f9d6b", "#d1772b")
INK: Final = "#6b7280"


class Bar:
    """``parts``: name -> length, stacked; ``ours`` bars take their colours, the others are grey."""

    def __init__(self, label: str, parts: Mapping[str, float], ours: bool) -> None:
        self.label, self.parts, self.ours = label, dict(parts), ours

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def bars(title: str, unit: str, groups: Mapping[str, Sequence[Bar]], note: str = "") -> str:
    """Horizontal bars, one group under a heading each, every group on its own scale."""
    body: list[str] = [text(16, 28, title, size=16, weight="bold")]
    y = 48
    names = dict.fromkeys(name for group in groups.values() for bar in group if bar.ours for name in bar.parts)
    colours = dict(zip(names, (c for c in COLOURS if c != COLOURS[1]), strict=False))
    for heading, group in groups.items():
        y += 20
        body.append(text(16, y, heading, weight="bold"))
        y += 10
        scale = (WIDTH - LEFT - 110) / max(bar.total for bar in group)
        for bar in group:
            body.append(text(LEFT - 10, y + 15, bar.label, anchor="end"))
            x = float(LEFT)
            for name, length in bar.parts.items():
                fill = colours[name] if bar.ours else COLOURS[1]
                body.append(f'<rect x="{x:.1f}" y="{y}" width="{length * scale:.1f}" height="{BAR}" fill="{fill}">'
                            f"<title>{escape(name)}: {length:.3g} {escape(unit)}</title></rect>")  # fmt: skip
                x += length * scale
            body.append(text(x + 6, y + 15, f"{bar.total:.3g} {unit}"))
            y += BAR + SPACE
    if len(names) > 1:
        body += legend(y + 14, colours)
        y += 24
    return document(y + 26, [*body, text(16, y + 18, note, size=11)])


def lines(title: str, x_label: str, y_label: str, xs: Sequence[float], series: Mapping[str, Sequence[float]],
          note: str = "") -> str:  # fmt: skip
    """One line a name over ``xs``, which are spaced evenly: they were chosen, not measured. The y axis begins at 0."""
    top, height, right = 60, 240, WIDTH - 40
    left = 70
    highest = nice(max(value for values in series.values() for value in values))
    body = [text(16, 28, title, size=16, weight="bold"), text(16, 50, y_label, size=11)]
    for step in range(5):
        y = top + height - height * step / 4
        body.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{INK}" stroke-opacity="0.25"/>')
        body.append(text(left - 8, y + 4, f"{highest * step / 4:.3g}", anchor="end", size=11))
    places = [left + 20 + (right - left - 40) * i / max(1, len(xs) - 1) for i in range(len(xs))]
    for x, value in zip(places, xs, strict=True):
        body.append(text(x, top + height + 18, f"{value:g}", anchor="middle", size=11))
    body.append(text((left + right) / 2, top + height + 36, x_label, anchor="middle", size=11))
    colours = dict(zip(series, COLOURS, strict=False))
    for name, values in series.items():
        points = [(x, top + height - height * value / highest) for x, value in zip(places, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2.5"/>')
        for (x, y), value in zip(points, values, strict=True):
            body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colours[name]}"/>')
            body.append(text(x, y - 8, f"{value:.3g}", anchor="middle", size=10))
    y = top + height + 60
    return document(y + 42, [*body, *legend(y, colours), text(16, y + 30, note, size=11)])


def legend(y: float, colours: Mapping[str, str]) -> list[str]:
    made, x = [], 16.0
    for name, colour in colours.items():
        made.append(f'<rect x="{x:.0f}" y="{y - 10:.0f}" width="12" height="12" fill="{colour}"/>')
        made.append(text(x + 17, y, name, size=11))
        x += 17 + 7.2 * len(name) + 18
    return made


def nice(value: float) -> float:
    """The next number that four steps divide well."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if power * step >= value)


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{escape(words)}</text>")  # fmt: skip


def document(height: float, body: Sequence[str]) -> str:
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="system-ui, sans-serif" fill="{INK}">')  # fmt: skip
    return "\n".join([head, *body, "</svg>", ""])
