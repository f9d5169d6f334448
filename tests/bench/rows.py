"""The rows of the table: who is measured how, and which goals there are."""

from __future__ import annotations

from typing import Any, Mapping

import attrs

Options = Mapping[str, Any]


@attrs.frozen
class Contender:
    """One that is measured; ``options`` are its own, beside those of the row.

    ``fewer`` are more of them, by size, where it would take too long with what others get.
    """

    label: str
    subject: str
    options: Options = attrs.field(factory=dict)
    fewer: Mapping[str, Options] = attrs.field(factory=dict)


@attrs.frozen
class Line:
    """A line of the table: a figure of ours, and what it is to be at most or at least.

    ``against`` names a peer: then it is our figure divided by the peer's that has a goal.
    """

    text: str
    figure: str
    unit: str
    most: float | None = None
    least: float | None = None
    against: str | None = None
    of: str = "ours"
    go: str = "–"

    @property
    def goal(self) -> str:
        if self.most is None and self.least is None:
            return "–"
        sign, bound = ("≤", self.most) if self.most is not None else ("≥", self.least)
        if self.against is None:
            return f"{sign} {shown(bound, self.unit)}"
        return f"{sign} {bound:.3g} × {self.against}"


@attrs.frozen
class Row:
    """What is run together; ``sizes`` has the options for ``full``, ``quick`` and ``tiny`` runs.

    ``share``: of the runs asked for, where one alone takes long.
    """

    name: str
    measure: str
    contenders: tuple[Contender, ...]
    lines: tuple[Line, ...]
    sizes: Mapping[str, Options]
    pinned: bool = False
    tls: bool = False
    needs: str | None = None  # a module that ours is to use; else it finds none
    share: float = 1.0

    def options(self, size: str, contender: Contender) -> dict[str, Any]:
        return {**self.sizes[size], **contender.options, **contender.fewer.get(size, {})}

    def runs(self, asked: int) -> int:
        return max(1, round(asked * self.share))


def shown(value: float | None, unit: str) -> str:
    """A figure for people, with the unit; seconds are told in what suits them."""
    if value is None:
        return "–"
    if unit == "s":
        for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
            if value * factor >= 0.1 or name == "µs":
                return f"{three(value * factor)} {name}"
    if unit == "MB":
        return f"{three(value / 1e6)} MB"
    return f"{three(value)} {unit}".strip()


def three(value: float) -> str:
    """Three digits of a number."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def of(*names: str) -> tuple[Contender, ...]:
    return tuple(Contender(name, name) for name in names)


def sizes(full: Options, quick: Options, tiny: Options, **common: Any) -> dict[str, Options]:
    return {
        name: {**common, **options}
        for name, options in (("full", full), ("quick", quick), ("tiny", tiny))
    }


def _counts(full: int, quick: int, tiny: int, **common: Any) -> dict[str, Options]:
    return sizes({"count": full}, {"count": quick}, {"count": tiny}, **common)


def _of_calls(full: int, quick: int, **common: Any) -> dict[str, Options]:
    """So many events of 100 calls, in a tiny run 100 of 10."""
    tiny = {"count": 100, "calls": 10}
    return sizes({"count": full, "calls": 100}, {"count": quick, "calls": 100}, tiny, **common)


def _commands(callers: int, least: float, go: str) -> Row:
    text = f"commands/s, {callers} caller{'s' if callers > 1 else ''}"
    return Row(
        f"commands-{callers}",
        "commands",
        of("ours", "naive"),
        (Line(text, "rate", "/s", least=least, against="naive", go=f"{go} × naive"),),
        _counts(5_120, 1_280, 128, callers=callers),
    )


_FEWER = {"full": {"count": 10_000}, "quick": {"count": 4_000}}


def _events(name: str, text: str, peers: str, least: float | None, go: str, **options: Any) -> Row:
    return Row(
        name,
        "events",
        tuple(
            Contender(name, name, fewer=_FEWER if name in ("bare", "naive") else {})
            for name in ["ours", *peers.split()]
        ),
        (Line(text, "rate", "/s", least=least, against="bare", go=go), *options.pop("lines", ())),
        _of_calls(40_000, 20_000),
        **options,
    )


def _slow(name: str, each: int, lines: tuple[Line, ...]) -> Row:
    return Row(
        name,
        "slow_callbacks",
        of("ours", "naive"),
        lines,
        sizes({"calls": 1000}, {"calls": 1000}, {"calls": 20}, each=each, pause=0.005, workers=32),
    )


ROWS = (
    Row(
        "round-trip",
        "round_trip",
        of("ours", "bare", "picows"),
        (
            Line("round trip, one caller, p50", "p50", "s", most=0.75, against="bare",
                 go="0.56–0.79 × bare"),
            Line("the same", "p50", "s", most=1.25, against="picows"),
        ),
        _counts(5_000, 1_000, 50),
    ),
    Row(
        "round-trip-under-load",
        "round_trip_under_load",
        of("ours", "naive"),
        (
            Line("round trip while 10,000 events/s come in, p50", "p50", "s", most=0.17,
                 against="naive", go="0.17 × naive"),
            Line("the same, p99", "p99", "s", most=0.08, against="naive", go="0.08 × naive"),
            Line("the same, events/s that were heard", "heard", "/s"),
        ),
        _of_calls(15_000, 5_000, rate=10_000),
    ),
    _commands(1, 1.8, "1.8"),
    _commands(8, 3.6, "7"),
    _commands(32, 4.5, "9"),
    _commands(128, 5.4, "12"),
    _events("events", "events/s to a callback, pinned", "bare naive websockets picows", 10,
            "9.5 × bare", pinned=True, lines=(
                Line("CPU for 100,000 events, pinned", "cpu", "s", most=0.40 / 7.2,
                     against="naive", go="0.45 s (0.063 × naive)"),
                Line("the same in seconds", "cpu", "s", most=0.40, go="0.45 s"),
            )),
    _events("events-free", "events/s to a callback, free", "bare naive websockets picows", None,
            "–"),
    _events("events-tls", "events/s over TLS, pinned", "bare websockets picows", 8, "–",
            pinned=True, tls=True),
    _events("events-orjson", "events/s with orjson, pinned", "bare picows", 14, "–",
            pinned=True, needs="orjson"),
    Row(
        "paced-events",
        "paced_events",
        of("ours", "naive"),
        (
            Line("CPU for 100,000 events, 5,000/s one by one, pinned", "cpu", "s",
                 most=2.2 / 10.8, against="naive", go="1.8 s (0.17 × naive)"),
            Line("the same in seconds", "cpu", "s", most=2.2, go="1.8 s"),
        ),
        _of_calls(25_000, 5_000, rate=5_000),
        pinned=True,
    ),
    _slow("slow-callbacks", 1, (
        Line("1,000 calls × 1 event, callbacks of 5 ms, 32 workers", "seconds", "s", most=0.19,
             go="5.3 s"),
        Line("a command meanwhile, p50", "command", "s", most=0.005, go="5.3 s"),
        Line("the same, the slowest", "worst", "s"),
    )),
    _slow("slow-callbacks-5", 5, (
        Line("1,000 calls × 5 events, the same", "seconds", "s", most=0.9,
             go="loses the connection"),
        Line("of these out of order", "misplaced", "", most=0),
    )),
    Row(
        "command-in-callback",
        "command_in_callback",
        of("ours"),
        (Line("a command inside a callback ÷ outside, p50", "ratio", "", most=2,
              go="times out at 30 s"),),
        _counts(2_000, 300, 20),
    ),
    Row(
        "memory",
        "memory",
        of("ours"),
        (Line("heap of a tracked call, of 10,000", "heap", "B", most=600, go="300 B"),),
        sizes({"calls": 10_000}, {"calls": 10_000}, {"calls": 20}),
    ),
    Row(
        "resident",
        "resident",
        of("ours"),
        (Line("the same, by the resident set", "resident", "B"),),
        sizes({"calls": 10_000}, {"calls": 10_000}, {"calls": 20}),
    ),
    Row(
        "idle",
        "idle",
        of("ours"),
        (
            Line("idle for a minute, CPU", "cpu", "s", most=0.010, go="7 ms"),
            Line("the same, resident set", "resident", "MB", most=30e6, go="8.5 MB"),
            Line("the same, threads", "threads", "", most=2, go="5"),
        ),
        sizes({"seconds": 60}, {"seconds": 5}, {"seconds": 0.2}),
        share=0.3,
    ),
    Row(
        "connect",
        "connect",
        of("ours", "bare"),
        (Line("connect, register and close, p50", "p50", "s", most=1.5, against="bare",
              go="0.6 × bare"),),
        _counts(200, 50, 3),
    ),
    Row(
        "import",
        "importing",
        (
            Contender("ours", "ours", {"what": "ours"}),
            Contender("used", "ours", {"what": "used"}),
            Contender("bare", "bare", {"what": "bare"}),
        ),
        (
            Line("import telephony ÷ import websocket, attr, json", "p50", "s", most=1.15,
                 against="bare"),
            Line("the same with the interpreter's start and end", "process", "s",
                 against="bare"),
            Line("from telephony import Client ÷ import websocket, attr, json", "p50", "s",
                 against="bare", of="used"),
        ),
        _counts(5, 3, 1),
    ),
    Row(
        "growth",
        "events",
        (
            Contender("10,000 calls", "ours", {"calls": 10_000}),
            Contender("10 calls", "ours", {"calls": 10}),
        ),
        (Line("CPU for 100,000 events of 10,000 calls ÷ of 10", "cpu", "s", most=1.10,
              against="10 calls", of="10,000 calls"),),
        _counts(50_000, 20_000, 100),
        pinned=True,
    ),
)  # fmt: skip
