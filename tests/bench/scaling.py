"""How figures change with the calls tracked, the callers and the workers: curves."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Sequence

import attrs

from tests.bench.processes import Servers
from tests.bench.rows import Contender, Options, Row, sizes
from tests.bench.running import measured
from tests.bench.svg import Chart, Points

PAUSE_SECONDS = 0.005


@attrs.frozen
class Scale:
    """One chart: each of ``subjects`` is measured with the option ``across`` at each of ``at``."""

    name: str
    title: str
    labels: tuple[str, str]
    row: Row
    subjects: tuple[str, ...]
    across: str
    at: Sequence[int]
    figure: str
    ideal: Callable[[int, int], float] | None = None  # from the value across and the calls
    logarithmic: bool = False

    def chart(self, size: str, runs: int, servers: Servers) -> tuple[Chart, list[str]]:
        """What was measured, and what failed."""
        row = attrs.evolve(
            self.row,
            contenders=tuple(
                Contender(f"{subject} {value}", subject, {self.across: value})
                for value in self.at
                for subject in self.subjects
            ),
        )
        result = measured(row, size, runs, servers)
        curves: dict[str, Points] = {}
        for subject in self.subjects:
            found = [(x, result.middle(f"{subject} {x}", self.figure)) for x in self.at]
            curves[subject] = [(x, y) for x, y in found if y is not None]
        if self.ideal is not None:
            calls = row.sizes[size]["calls"]
            curves["ideal"] = [(x, self.ideal(x, calls)) for x in self.at]
        chart = Chart(self.title, *self.labels, curves, self.logarithmic)
        return chart, [f"{self.name}: {failure}" for failure in result.failures]


def _row(name: str, measure: str, options: Mapping[str, Options], pinned: bool) -> Row:
    return Row(name, measure, (), (), options, pinned=pinned)


SCALES = (
    Scale(
        "calls", "Events to a callback, by the calls that are tracked (pinned)",
        ("calls tracked", "events/s"),
        _row("calls", "events",
             sizes({"count": 50_000}, {"count": 20_000}, {"count": 500}), True),
        ("ours",), "calls", (10, 100, 1_000, 10_000), "rate",
    ),
    Scale(
        "callers", "Commands, by the threads that send them", ("callers", "commands/s"),
        _row("callers", "commands",
             sizes({"count": 5_120}, {"count": 2_560}, {"count": 128}), False),
        ("ours", "naive"), "callers", (1, 2, 4, 8, 16, 32, 64, 128), "rate",
    ),
    Scale(
        "workers", "One event each of 1,000 calls, callbacks of 5 ms",
        ("workers", "seconds until all have run"),
        _row("workers", "slow_callbacks",
             sizes({"calls": 1000}, {"calls": 1000}, {"calls": 20}, each=1, pause=PAUSE_SECONDS),
             False),
        ("ours", "naive"), "workers", (4, 8, 16, 32, 64, 128), "seconds",
        ideal=lambda workers, calls: -(-calls // workers) * PAUSE_SECONDS, logarithmic=True,
    ),
)  # fmt: skip


def draw(folder: Path, size: str, runs: int) -> list[str]:
    """Measure all, and write a chart of each to *folder*; returns what failed."""
    failures: list[str] = []
    with Servers() as servers:
        for scale in SCALES:
            chart, failed = scale.chart(size, runs, servers)
            failures += failed
            if not failed:
                path = folder / f"{scale.name}.svg"
                path.write_text(chart.drawn(), encoding="utf-8")
                print(path)
    return failures
