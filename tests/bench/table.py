"""Figures of many runs, made into a table and into JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from statistics import median
from typing import Any, Iterable, Mapping, Sequence

import attrs

from tests.bench.rows import Line, Row, shown, three

LIBRARIES = ("websocket-client", "attrs", "websockets", "picows", "msgspec", "orjson")
HEADINGS = ("what", "ours", "peers", "ratio", "goal", "met", "Go SDK")


@attrs.define
class Result:
    """What came of one row: per contender the figures of each run, and what went wrong."""

    row: Row
    runs: dict[str, list[dict[str, float]]] = attrs.field(factory=dict)
    missing: dict[str, str] = attrs.field(factory=dict)  # contender → what is not installed
    failures: list[str] = attrs.field(factory=list)

    def add(self, contender: str, figures: dict[str, Any]) -> None:
        if "missing" in figures:
            self.missing[contender] = figures["missing"]
        else:
            self.runs.setdefault(contender, []).append(figures)

    def middle(self, contender: str, figure: str) -> float | None:
        """The median of all runs; None if there was none."""
        runs = self.runs.get(contender)
        return median(run[figure] for run in runs) if runs else None


@attrs.frozen
class Verdict:
    """A line with its figures: ours, those of the peers, and whether the goal is met."""

    line: Line
    value: float | None
    peers: dict[str, float | None]
    ratio: float | None
    met: bool | None  # None: no goal, or no figure

    def cells(self) -> tuple[str, ...]:
        peers = ", ".join(
            f"{name} {shown(value, self.line.unit)}" for name, value in self.peers.items()
        )
        met = {True: "yes", False: "NO", None: "–"}[self.met]
        return (
            self.line.text,
            shown(self.value, self.line.unit),
            peers or "–",
            "–" if self.ratio is None else three(self.ratio),
            self.line.goal,
            met,
            self.line.go,
        )


def judged(result: Result, line: Line) -> Verdict:
    """How far one line's goal is reached."""
    value = result.middle(line.of, line.figure)
    peers = {
        contender.label: result.middle(contender.label, line.figure)
        for contender in result.row.contenders
        if contender.label != line.of
    }
    against = peers[line.against] if line.against else 1.0
    quotient = None if value is None or not against else value / against
    met = None
    if quotient is not None and line.most is not None:
        met = quotient <= line.most
    elif quotient is not None and line.least is not None:
        met = quotient >= line.least
    return Verdict(line, value, peers, quotient if line.against else None, met)


def verdicts(results: Iterable[Result]) -> list[Verdict]:
    return [judged(result, line) for result in results for line in result.row.lines]


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def stolen() -> tuple[int, int]:
    """Of the machine's time so far, what the host of a virtual one kept, and all of it."""
    try:
        with open("/proc/stat") as lines:
            ticks = [int(tick) for tick in lines.readline().split()[1:9]]
    except OSError:
        return 0, 0
    return ticks[7], sum(ticks)


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def drawn(rows: Sequence[Sequence[str]], headings: Sequence[str] = HEADINGS) -> str:
    """A simple table of reStructuredText, which is also one on a terminal."""
    columns = list(zip(headings, *rows))
    widths = [max(map(len, column)) for column in columns]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
        for cells in (headings, *rows)
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def written(results: Sequence[Result], how: Mapping[str, Any]) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "machine": machine(),
        **how,
        "rows": {
            result.row.name: {
                "pinned": result.row.pinned,
                "runs": result.runs,
                "missing": result.missing,
                "failures": result.failures,
                "lines": [
                    {
                        "what": verdict.line.text,
                        "figure": verdict.line.figure,
                        "ours": verdict.value,
                        "peers": verdict.peers,
                        "ratio": verdict.ratio,
                        "goal": verdict.line.goal,
                        "met": verdict.met,
                    }
                    for verdict in verdicts([result])
                ],
            }
            for result in results
        },
    }
