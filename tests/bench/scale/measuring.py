"""What is measured at size: points over processes and calls, and broadcasts over clients."""

from __future__ import annotations

import sys
from statistics import median
from typing import Callable, Iterable, TypeVar

import attrs

from tests.bench.measures import p50, part
from tests.bench.processes import Failed, Servers
from tests.bench.scale.crew import Crew, Figures

#: Of those who are offered calls and do not accept first, in so many processes.
OTHERS_MOST = 3


@attrs.frozen
class Size:
    """How much is measured. Counts are for all processes together, rates are per second."""

    runs: int
    processes: tuple[int, ...]
    calls: tuple[int, ...]
    commands: int
    command_rate: float
    events: int
    event_rate: float
    clients: tuple[int, ...]
    rings: int
    ring_rate: float
    dials: int  # that have no answer yet, at once


SIZES = {
    "full": Size(3, (1, 2, 4, 8), (10, 100, 1_000, 10_000), 600, 200, 3_000, 1_000,
                 (1, 2, 4, 8, 16, 32, 64), 60, 20, 500),
    "quick": Size(1, (1, 8), (10, 1_000), 200, 200, 1_000, 1_000, (1, 16), 20, 20, 100),
    "tiny": Size(1, (1, 2), (10, 20), 16, 200, 40, 1_000, (1, 3), 4, 50, 5),
}  # fmt: skip


@attrs.frozen
class Point:
    """What came of one round with so many processes and calls in all; seconds, and bytes."""

    processes: int
    calls: int
    command: float
    command_slow: float  # p99, as below
    event: float
    event_slow: float
    command_cpu: float  # of the workers, for each
    event_cpu: float
    command_server: float  # of the server, for each
    event_server: float
    empty: float  # the resident set of a process without calls
    call: float  # by how much they grew for each call
    dials: float | None  # a second, while these calls were added


@attrs.frozen
class Broadcast:
    """What came of inbound calls that so many clients were offered; seconds for each call."""

    clients: int
    everyone: bool  # tries to accept; else but one does
    frames: float
    offered: float  # from the write until a client's callback
    offered_slow: float
    accepted: float  # from the first write until an accept was with the server
    accepted_slow: float
    cpu: float | None  # of each client that was not alone in the first process
    server: float


@attrs.define
class Measured:
    """All rounds, and what failed."""

    points: list[Point] = attrs.field(factory=list)
    broadcasts: list[Broadcast] = attrs.field(factory=list)
    waiting: list[float] = attrs.field(factory=list)  # bytes for a dial that has no answer yet
    failures: list[str] = attrs.field(factory=list)

    def smallest(self, point: Point) -> Point:
        """That of the same round with the fewest processes and calls."""
        first = (self.points[0].processes, self.points[0].calls)
        starts = [at for at, each in enumerate(self.points) if at_of(each) == first]
        index = self.points.index(point)
        return self.points[max(start for start in starts if start <= index)]


def at_of(point: Point) -> tuple[int, int]:
    return point.processes, point.calls


T = TypeVar("T", Point, Broadcast)


def middle(some: Iterable[T], figure: Callable[[T], float | None]) -> float | None:
    """The median over rounds, of those that have the figure."""
    values = [value for value in map(figure, some) if value is not None]
    return median(values) if values else None


def measured(size: Size, servers: Servers) -> Measured:
    """Everything, round by round: what disturbs one point disturbs the others of its round."""
    found = Measured()
    for number in range(1, size.runs + 1):
        try:
            for processes in size.processes:
                said(f"round {number}/{size.runs}: {processes} processes")
                found.points += points(processes, size, servers)
            for clients in size.clients:
                said(f"round {number}/{size.runs}: {clients} clients")
                for everyone in (False, True):
                    found.broadcasts.append(broadcast(clients, everyone, size, servers))
            found.waiting.append(waiting(size.dials, servers))
        except Failed as failure:
            found.failures.append(f"round {number}: {failure}")
    return found


def said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def points(processes: int, size: Size, servers: Servers) -> list[Point]:
    """With so many processes: calls are added, and at each number all is measured."""
    found = []
    with Crew(processes, servers) as crew:
        empty = crew.each("share", [{"first": n, "step": processes} for n in range(processes)])
        before = 0
        for calls in size.calls:
            grown = crew.all("grow", calls=calls)
            slowest = max(each["seconds"] for each in grown)
            spent = [crew.first("spent")["cpu"]]
            windows = []
            for do, count, rate in (
                ("commands", size.commands, size.command_rate),
                ("events", size.events, size.event_rate),
            ):
                windows.append(crew.all(do, count=count // processes, rate=rate / processes))
                spent.append(crew.first("spent")["cpu"])
            commands, events = map(joined, windows)
            sent, heard = len(commands), len(events)
            found.append(
                Point(
                    processes, calls, p50(commands), part(commands, 0.99), p50(events),
                    part(events, 0.99),
                    total(windows[0], "cpu") / sent, total(windows[1], "cpu") / heard,
                    (spent[1] - spent[0]) / sent, (spent[2] - spent[1]) / heard,
                    total(empty, "resident") / processes,
                    (total(grown, "resident") - total(empty, "resident")) / calls,
                    (calls - before) / slowest if slowest else None,
                )
            )  # fmt: skip
            before = calls
    return found


def joined(window: Iterable[Figures]) -> list[float]:
    return [seconds for each in window for seconds in each["times"]]


def total(figures: Iterable[Figures], name: str) -> float:
    return float(sum(each[name] for each in figures))


def broadcast(clients: int, everyone: bool, size: Size, servers: Servers) -> Broadcast:
    """Inbound calls for so many clients. One has a process of its own, the others share some."""
    others = [share for share in shared(clients - 1, OTHERS_MOST) if share]
    with Crew(1 + len(others), servers) as crew:
        crew.each(
            "listen",
            [{"clients": 1, "accept": True}]
            + [{"clients": share, "accept": everyone} for share in others],
        )
        crew.all("begin", count=size.rings)
        rung = crew.first("ring", count=size.rings, rate=size.ring_rate, all=everyone)
        ended = crew.all("end")
    delays = [seconds for each in ended for seconds in each["delays"]]
    refused, expected = total(ended, "lost"), size.rings * (clients - 1) * everyone
    if len(rung["times"]) != size.rings or refused != expected:
        raise Failed(
            f"{clients} clients: of {size.rings} calls {len(rung['times'])} were accepted, and "
            f"{refused:g} accepts refused, not {expected}"
        )
    return Broadcast(
        clients, everyone, rung["frames"] / size.rings, p50(delays), part(delays, 0.99),
        p50(rung["times"]), part(rung["times"], 0.99),
        total(ended[1:], "cpu") / (size.rings * (clients - 1)) if others else None,
        rung["cpu"] / size.rings,
    )  # fmt: skip


def waiting(dials: int, servers: Servers) -> float:
    """Bytes for each of so many dials that wait for their answers at once, each in a thread."""
    with Crew(1, servers) as crew:
        crew.first("share", first=0, step=1)
        return float(crew.first("waiting", count=dials)["grown"]) / dials


def shared(count: int, among: int) -> list[int]:
    """*count* in so many parts, as equal as can be."""
    return [(count + number) // among for number in range(among)]
