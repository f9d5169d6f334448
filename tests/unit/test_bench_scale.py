"""The measurements at size run, notice what goes wrong, and write what the page includes."""

from __future__ import annotations

import contextlib
import json
import math
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree

import attrs
import pytest

from telephony import Event, TelephonyError
from telephony.client import Health
from telephony.contrib.prometheus import PrometheusHooks
from tests.bench.processes import ROOT, Failed, Servers, environment
from tests.bench.scale import measuring
from tests.bench.scale.crew import Crew
from tests.bench.scale.measuring import (
    SIZES,
    Broadcast,
    Measured,
    Point,
    broadcast,
    points,
    shared,
    waiting,
)
from tests.bench.scale.paper import Facts, papers
from tests.bench.scale.worker import Share, delays
from tests.bench.subjects.base import Wrong
from tests.bench.table import machine

TINY = SIZES["tiny"]
PAGE = ROOT / "docs" / "understand" / "size.rst"


@pytest.fixture(scope="module")
def servers():
    with Servers("tests.bench.scale.server") as started:
        started.place()
        yield started


# --- what is measured ------------------------------------------------------------------------


def test_points(servers):
    """Two processes share the calls, and every figure of each number of calls is there."""
    found = points(2, TINY, servers)
    assert [(2, 10), (2, 20)] == [(point.processes, point.calls) for point in found]
    for point in found:
        assert all(math.isfinite(value) for value in attrs.astuple(point)), point
        assert 0 < point.command <= point.command_slow
        assert 0 < point.event <= point.event_slow


def test_more_processes_than_calls(servers):
    """Some have none then, and there is nothing to measure in them."""
    with pytest.raises(Failed, match="of 1 calls there is none for this process"):
        points(2, attrs.evolve(TINY, calls=(1,)), servers)


@pytest.mark.parametrize("everyone, frames", [(False, 3 + 2), (True, 3 + 3 + 3)])
def test_broadcast(servers, everyone, frames):
    """Every client is offered each call; one accepts, or all do and all but one are refused."""
    found = broadcast(3, everyone, TINY, servers)
    assert (3, everyone, frames) == (found.clients, found.everyone, found.frames)
    assert found.cpu > 0


def test_a_client_alone(servers):
    """Nobody else is there to be counted."""
    found = broadcast(1, False, TINY, servers)
    assert (3, None) == (found.frames, found.cpu)


def test_dials_without_an_answer(servers):
    """They wait side by side, and all are answered in the end."""
    assert math.isfinite(waiting(5, servers))


def test_what_a_worker_cannot_do_is_told(servers):
    """With its reason, by the one who asked."""
    with Crew(1, servers) as crew, pytest.raises(Failed, match="grow: AttributeError"):
        crew.first("grow", calls=1)


def test_clients_that_are_gone_are_offered_nothing(servers):
    """One broadcast after another: the frames are those of its own clients."""
    assert [5, 4] == [broadcast(n, False, TINY, servers).frames for n in (3, 2)]


@pytest.mark.parametrize(
    "action, fields",
    [("flow", {"count": 10**6, "rate": 10**6}),
     ("ring", {"count": 10**6, "rate": 10**6, "all": False})],
)  # fmt: skip
def test_a_client_that_leaves_in_the_middle(servers, action, fields):
    """What was for it goes nowhere, and the others are served as before."""
    with contextlib.closing(Share(servers.place(), 0, 1)) as share:
        share.connect()
        share.grow(1)
        came = threading.Event()
        share.client.on(Event, lambda event: came.set())
        thread = threading.Thread(target=ask_in_vain, args=(share, action, fields))
        thread.start()
        assert came.wait(30)
    thread.join()
    assert 3 == broadcast(1, False, TINY, servers).frames


def ask_in_vain(share, action, fields):
    with contextlib.suppress(TelephonyError):
        share.ask(action, **fields)


def test_shares():
    """Nothing is lost, and none has two more than another."""
    assert [0, 0, 1] == shared(1, 3)
    assert [21, 21, 21] == shared(63, 3)


def test_calls_are_measured_upwards():
    """Calls are added to those there are; the first point is what others are compared with."""
    for size in SIZES.values():
        assert list(size.calls) == sorted(size.calls)
        assert 1 == size.processes[0] == size.clients[0]
        assert max(size.processes) <= size.calls[0]
        assert all(0 == size.commands % each == size.events % each for each in size.processes)


# --- what goes wrong is noticed --------------------------------------------------------------


def test_delays():
    """Of each event, whichever call it is of."""
    assert [2.0, 1.0] == delays([("a", 2 * 10**9, 4 * 10**9), ("b", 10**9, 2 * 10**9)])


@pytest.mark.parametrize("second", [1, 2])
def test_events_out_of_order_are_noticed(second):
    """And those that come twice."""
    with pytest.raises(Wrong, match="the events of a came out of order, or twice"):
        delays([("a", 2, 3), ("b", 1, 3), ("a", second, 3)])


class Told:
    """A crew of two whose answers are made up."""

    refused = 4.0
    accepted = 4

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def each(self, do, asked):
        return [{}, {}]

    def first(self, do, **asked):
        return {"times": [0.001] * self.accepted, "frames": 24, "cpu": 0.001}

    def all(self, do, **asked):
        return [{"delays": [0.001], "cpu": 0.001, "lost": self.refused / 2}] * 2


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({}, None),
        ({"refused": 2.0}, "2 clients: of 4 calls 4 were accepted, and 2 accepts refused, not 4"),
        ({"accepted": 3}, "of 4 calls 3 were accepted"),
    ],
)
def test_calls_that_nobody_or_two_had_are_noticed(wrong, message, monkeypatch):
    """Of all who try to accept a call one has it, and each other is told so."""
    monkeypatch.setattr(measuring, "Crew", type("Crew", (Told,), wrong))
    if message is None:
        assert 6 == broadcast(2, True, TINY, None).frames
    else:
        with pytest.raises(Failed, match=message):
            broadcast(2, True, TINY, None)


# --- what is said ----------------------------------------------------------------------------


def a_point(processes, calls, seconds):
    return Point(processes, calls, *[seconds] * 8, empty=25e6, call=1_500.0, dials=3_000.0)


def made_up():
    """Two rounds, the second on a machine that has become ten times as slow."""
    found = Measured()
    for slow in (1, 10):
        for processes in (1, 2):
            for calls in (10, 100):
                found.points.append(a_point(processes, calls, slow * processes * calls * 1e-5))
        for everyone in (False, True):
            found.broadcasts.append(Broadcast(1, everyone, 3.0, *[slow * 1e-3] * 4, None, 1e-3))
            found.broadcasts.append(Broadcast(64, everyone, 66.0, *[slow * 1e-2] * 5, 1e-3))
        found.waiting.append(20_000.0)
    return found


def rows_of(text):
    """The cells of a simple table, without its heading."""
    core = pytest.importorskip("docutils.core")
    nodes = pytest.importorskip("docutils.nodes")
    (table,) = core.publish_doctree(text, settings_overrides={"halt_level": 2}).findall(nodes.table)
    (body,) = table.findall(nodes.tbody)
    return [[cell.astext() for cell in row.findall(nodes.entry)] for row in body.findall(nodes.row)]


def test_tables():
    """They are restructured text, with a row for everything, and figures of one round compared."""
    files = papers(made_up(), TINY, Facts("full", 600.0, 0.25))
    for name in ("commands.txt", "events.txt"):
        rows = rows_of(files[name])
        assert [["1", "10"], ["1", "100"], ["2", "10"], ["2", "100"]] == [row[:2] for row in rows]
        assert ["1", "10", "2", "20"] == [row[3] for row in rows]
        assert ["0.55", "5.5", "1.1", "11"] == [row[-1] for row in rows]
    assert [["1", "one"], ["64", "one"], ["1", "all"], ["64", "all"]] == [
        row[:2] for row in rows_of(files["broadcast.txt"])
    ]
    costs = dict(rows_of(files["costs.txt"]))
    assert ("1,500 B", "25 MB") == (
        costs["a call, of 100, resident set"], costs["a process without calls, resident set"],
    )  # fmt: skip
    assert "20 kB" == costs["a dial that has no answer yet, with its thread, resident set"]


def test_arithmetic():
    """Half a core, divided by what the events and the commands of a call take."""
    found = Measured()
    found.points.append(a_point(1, 10, 1e-3))
    files = papers(attrs.evolve(made_up(), points=found.points), TINY, Facts("full", 1.0, 0.0))
    first = rows_of(files["arithmetic.txt"])[0]
    assert ["7", "2", "9 ms", "55.6", "1,670"] == first[1:]


def test_how_it_was_measured():
    """The machine, the rounds, and what makes the figures worth less."""
    told = papers(made_up(), SIZES["full"], Facts("full", 600.0, 0.25))["machine.txt"]
    assert machine()["cpu"] in told
    assert "Medians of 3 rounds, 600 s in all." in told
    assert "kept 25% of its time" in told
    assert "not to be quoted" not in told
    assert "not to be quoted" in papers(made_up(), TINY, Facts("tiny", 6.0, 0.0))["machine.txt"]


def test_charts():
    """A curve for each number of processes, and for who accepts, with their points."""
    files = papers(made_up(), TINY, Facts("full", 600.0, 0.0))
    for name, curves in (
        ("commands.svg", {"1 process", "2 processes"}),
        ("events.svg", {"1 process", "2 processes"}),
        ("broadcast.svg", {"one accepts", "all accept"}),
    ):
        root = ElementTree.fromstring(files[name])
        texts = {item.text for item in root.iter() if item.tag.endswith("text")}
        assert curves <= texts
        assert 4 == sum(item.tag.endswith("circle") for item in root.iter())


def test_what_the_page_says_to_watch_is_there():
    """Each field of ``health()``, and each metric that is the library's."""
    _, _, watched = PAGE.read_text("utf-8").partition("What to watch")
    words = set(re.findall(r"``([a-z_]+)``", watched))
    metrics = {word for word in words if word.startswith("telephony_")}
    fields = words & set(attrs.fields_dict(Health))
    assert metrics and metrics <= set(re.findall(r"``(\w+)``", PrometheusHooks.__doc__))
    others = {"accept", "call_incoming", "end", "process_cpu_seconds_total", "refused",
              "send_dtmf", "unknown", "workers"}  # fmt: skip
    assert words == metrics | fields | others


# --- all of it -------------------------------------------------------------------------------


def test_the_command(tmp_path):
    """It writes every file that the page includes, and every figure of each round."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.scale", "--tiny", "--write", tmp_path / "size",
         "--json", tmp_path / "size.json"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    written = {path.name for path in (tmp_path / "size").iterdir()}
    page = PAGE.read_text("utf-8")
    assert {name for name in written if f":: size/{name}" in page} == written
    assert written == {path.name for path in PAGE.with_suffix("").iterdir()}
    told = json.loads((tmp_path / "size.json").read_text("utf-8"))
    assert (4, 4, 1) == tuple(len(told[name]) for name in ("points", "broadcasts", "waiting"))


def test_what_failed_decides_the_exit_code(monkeypatch, capsys):
    """And then there are no tables, in which a figure may be missing."""
    from tests.bench.scale import __main__ as program

    monkeypatch.setattr(
        program, "measured", lambda size, servers: Measured(failures=["round 1: it broke"])
    )
    assert 1 == program.main(["--tiny"])
    assert "FAILED: round 1: it broke\n" == capsys.readouterr().out
