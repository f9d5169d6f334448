"""What was measured at size, as tables and charts for the page about it."""

from __future__ import annotations

from datetime import date
from statistics import median
from typing import Callable, Iterable, Mapping, Sequence

import attrs

from tests.bench.rows import shown, three
from tests.bench.scale.measuring import Broadcast, Measured, Point, Size, T, at_of, middle
from tests.bench.svg import Chart
from tests.bench.table import drawn, machine

#: Calls for which it is worked out what they take: events, commands and seconds of each.
KINDS = {
    "a reminder of half a minute": (7, 2, 30),
    "a conversation of three minutes": (7, 2, 180),
    "a menu, 20 digits in a minute": (27, 4, 60),
}
#: How much of a core a process may be given to do, for that.
BUSY = 0.5


@attrs.frozen
class Facts:
    """How it was measured."""

    size: str
    seconds: float
    kept: float  # the share of its time that the host of a virtual machine kept

    def told(self, runs: int) -> str:
        about = machine()
        cores = "1 core" if about["cores"] == 1 else f"{about['cores']} cores"
        versions = ", ".join(
            f"{name} {about['libraries'][name]}" for name in ("websocket-client", "attrs")
        )
        lines = [
            f"Measured on {date.today():%d %B %Y}: {about['cpu']}, {cores}; {about['system']};",
            f"CPython {about['python']}, {versions}. Medians of {runs} round{'s' * (runs > 1)}, "
            f"{self.seconds:.0f} s in all.",
        ]
        if self.kept >= 0.005:
            lines.append(
                f"The host of this virtual machine kept {self.kept:.0%} of its time to itself."
            )
        if self.size != "full":
            lines.append("Shortened: not to be quoted.")
        return "\n".join(lines)


def papers(found: Measured, size: Size, facts: Facts) -> dict[str, str]:
    """Each file by its name. Tables are ``.txt``, so that Sphinx takes none for a page."""
    return {
        "machine.txt": facts.told(size.runs) + "\n",
        "commands.txt": points(found, "command") + "\n",
        "events.txt": points(found, "event") + "\n",
        "costs.txt": costs(found) + "\n",
        "arithmetic.txt": arithmetic(found) + "\n",
        "broadcast.txt": broadcasts(found) + "\n",
        "commands.svg": curves(
            found, "A command and its answer, by calls and processes", lambda point: point.command
        ),
        "events.svg": curves(
            found, "An event, from write to callback, by calls and processes",
            lambda point: point.event,
        ),
        "broadcast.svg": offers(found),
    }  # fmt: skip


def by_place(found: Measured) -> Mapping[tuple[int, int], list[Point]]:
    """The rounds of each point."""
    places: dict[tuple[int, int], list[Point]] = {}
    for point in found.points:
        places.setdefault(at_of(point), []).append(point)
    return places


# --- tables ----------------------------------------------------------------------------------


def points(found: Measured, name: str) -> str:
    """A line for each point, of commands or events; times are milliseconds.

    ``×`` is beside the smallest point of the same round.
    """
    rows = []
    for (processes, calls), rounds in by_place(found).items():
        cells = [f"{processes}", f"{calls:,}"]
        for figure in (name, f"{name}_slow"):
            cells += [milliseconds(rounds, figure), three(times(found, rounds, figure))]
        rows.append([*cells, milliseconds(rounds, f"{name}_cpu")])
    headings = ["processes", "calls", "p50, ms", "×", "p99, ms", "×", "CPU, ms"]
    return drawn(rows, headings)


def milliseconds(rounds: Iterable[T], figure: str) -> str:
    """The median, without its unit."""
    value = middle(rounds, lambda each: getattr(each, figure))
    return "–" if value is None else three(1e3 * value)


def seconds(rounds: Iterable[T], figure: str) -> str:
    return shown(middle(rounds, lambda each: getattr(each, figure)), "s")


def times(found: Measured, rounds: Sequence[Point], figure: str) -> float:
    """How many times that of the smallest point; the median over rounds."""
    return middle(
        rounds, lambda point: getattr(point, figure) / getattr(found.smallest(point), figure)
    ) or 0.0  # fmt: skip


def most(found: Measured) -> list[Point]:
    """The rounds of one process with all calls."""
    processes = min(point.processes for point in found.points)
    calls = max(point.calls for point in found.points)
    return by_place(found)[processes, calls]


def costs(found: Measured) -> str:
    """What one thing takes in one process."""
    full = most(found)
    calls = full[0].calls
    servers = [middle(full, lambda point: point.command_server),
               middle(full, lambda point: point.event_server)]  # fmt: skip
    rows = [
        ("a process without calls, resident set", shown(middle(full, lambda p: p.empty), "MB")),
        (f"a call, of {calls:,}, resident set", memory(middle(full, lambda p: p.call))),
        ("a dial that has no answer yet, with its thread, resident set",
         memory(median(found.waiting))),
        (f"a command, CPU, with {calls:,} calls", seconds(full, "command_cpu")),
        (f"an event, CPU, with {calls:,} calls", seconds(full, "event_cpu")),
        ("dials a second, one after the other", shown(middle(full, lambda p: p.dials), "/s")),
        ("the stand-in's CPU for a command", shown(servers[0], "s")),
        ("the stand-in's CPU for an event", shown(servers[1], "s")),
    ]  # fmt: skip
    return drawn(rows, ("what", "takes"))


def memory(count: float | None) -> str:
    """Bytes, or thousands of them."""
    if count is None or count < 10_000:
        return shown(count, "B")
    return f"{three(count / 1e3)} kB"


def arithmetic(found: Measured) -> str:
    """How many calls of a kind keep one process as busy as it should be, from what was measured."""
    full = most(found)
    command = middle(full, lambda point: point.command_cpu) or 0.0
    event = middle(full, lambda point: point.event_cpu) or 0.0
    rows = []
    for kind, (events, commands, lasting) in KINDS.items():
        takes = events * event + commands * command
        rows.append((
            kind, f"{events}", f"{commands}", shown(takes, "s"),
            three(BUSY / takes), three(BUSY / takes * lasting),
        ))  # fmt: skip
    headings = ("a call", "events", "commands", "CPU", "calls/s", "at once")
    return drawn(rows, headings)


def broadcasts(found: Measured) -> str:
    """A line for each number of clients, with one that accepts and with all; milliseconds."""
    rows = []
    for (everyone, clients), rounds in sorted(by_clients(found).items()):
        rows.append([
            f"{clients}", "all" if everyone else "one",
            three(middle(rounds, lambda each: each.frames) or 0.0),
            *(milliseconds(rounds, figure) for figure in (
                "offered", "offered_slow", "accepted", "accepted_slow", "cpu", "server")),
        ])  # fmt: skip
    headings = (
        "clients", "accept", "frames", "offered p50, ms", "p99, ms", "accepted p50, ms", "p99, ms",
        "CPU of each other, ms", "CPU of the server, ms",
    )  # fmt: skip
    return drawn(rows, headings)


def by_clients(found: Measured) -> Mapping[tuple[bool, int], list[Broadcast]]:
    places: dict[tuple[bool, int], list[Broadcast]] = {}
    for each in found.broadcasts:
        places.setdefault((each.everyone, each.clients), []).append(each)
    return places


# --- charts ----------------------------------------------------------------------------------


def curves(found: Measured, title: str, figure: Callable[[Point], float]) -> str:
    """Milliseconds by calls, a curve for each number of processes."""
    drawn_: dict[str, list[tuple[float, float]]] = {}
    for (processes, calls), rounds in by_place(found).items():
        name = "1 process" if processes == 1 else f"{processes} processes"
        drawn_.setdefault(name, []).append((calls, 1e3 * (middle(rounds, figure) or 0.0)))
    return Chart(title, "calls in all", "ms, p50", drawn_).drawn()


def offers(found: Measured) -> str:
    """Milliseconds until an inbound call is accepted, by clients."""
    drawn_: dict[str, list[tuple[float, float]]] = {}
    for (everyone, clients), rounds in sorted(by_clients(found).items()):
        name = "all accept" if everyone else "one accepts"
        accepted = middle(rounds, lambda each: each.accepted)
        drawn_.setdefault(name, []).append((clients, 1e3 * (accepted or 0.0)))
    title = "An inbound call, from the first offer to the accept"
    return Chart(title, "clients that are offered it", "ms, p50", drawn_).drawn()
