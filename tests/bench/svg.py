"""Line charts as SVG, by hand: a few curves over a logarithmic axis."""

from __future__ import annotations

import math
from typing import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

import attrs

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 80, 25, 48, 50  # margins, in which the texts are
#: They can be told from each other by those who see no red or green as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@attrs.frozen
class Chart:
    """What is drawn: ``curves`` by name. The first axis is logarithmic, the second if asked."""

    title: str
    across: str
    up: str
    curves: Mapping[str, Points]
    logarithmic: bool = False

    def drawn(self) -> str:
        """The SVG."""
        xs = sorted({x for points in self.curves.values() for x, _ in points})
        ys = [y for points in self.curves.values() for _, y in points]
        ticks = decades(min(ys), max(ys)) if self.logarithmic else steps(max(ys))
        x_at = _scale(xs[0], xs[-1], LEFT, WIDTH - RIGHT, math.log)
        y_at = _scale(
            ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, math.log if self.logarithmic else float
        )
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            _text(WIDTH / 2, 20, self.title, size=14),
            _text(WIDTH / 2, HEIGHT - 10, self.across),
            f'<g transform="translate(16 {HEIGHT / 2}) rotate(-90)">{_text(0, 0, self.up)}</g>',
        ]
        for y in ticks:
            parts.append(_line([(LEFT, y_at(y)), (WIDTH - RIGHT, y_at(y))], "#dddddd", 1))
            parts.append(_text(LEFT - 6, y_at(y) + 4, f"{y:,.6g}", "end"))
        parts += [_text(x_at(x), HEIGHT - BOTTOM + 18, f"{x:,.6g}") for x in xs]
        for number, (name, points) in enumerate(self.curves.items()):
            colour = COLOURS[number % len(COLOURS)]
            places = [(x_at(x), y_at(y)) for x, y in sorted(points)]
            parts.append(_line(places, colour, 2))
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                      for x, y in places]  # fmt: skip
            parts.append(_text(LEFT + 10 + 110 * number, TOP - 8, name, "start", colour))
        return "\n".join([*parts, "</svg>", ""])


def steps(most: float) -> list[float]:
    """Round numbers from nought to *most* or a little more."""
    magnitude = 10 ** math.floor(math.log10(most)) if most > 0 else 1.0
    step = next(part * magnitude for part in (0.1, 0.2, 0.5, 1, 2) if most <= 6 * part * magnitude)
    return [step * n for n in range(math.ceil(most / step) + 1)]


def decades(least: float, most: float) -> list[float]:
    """Powers of ten around all from *least* to *most*."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0**n for n in range(first, max(last, first + 1) + 1)]


def _scale(
    low: float, high: float, start: float, end: float, measure: Callable[[float], float]
) -> Callable[[float], float]:
    """Where on the paper, from *start* to *end*, a value from *low* to *high* is."""
    width = (measure(high) - measure(low)) or 1.0
    return lambda value: start + (end - start) * (measure(value) - measure(low)) / width


def _line(places: Points, colour: str, width: int) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(
    x: float, y: float, text: str, anchor: str = "middle", colour: str = "#333333", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
