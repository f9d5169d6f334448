"""The benchmarks run, notice what goes wrong, and say what they found; no time is judged."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tests.bench.__main__ import reported
from tests.bench.frames import PRESSED, misplaced, presses
from tests.bench.processes import ROOT, Servers, environment
from tests.bench.rows import ROWS, Contender, Line, Row, shown, sizes
from tests.bench.scaling import SCALES
from tests.bench.subjects import Missing
from tests.bench.subjects.base import Ear, Wrong
from tests.bench.svg import Chart, decades, steps
from tests.bench.table import Result, drawn, judged, verdicts, written
from tests.bench.worker import measured


@pytest.fixture(scope="module")
def servers():
    with Servers() as started:
        started.place()
        started.place(tls=True)
        yield started


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_gives_figures(row, servers):
    """Whoever is measured in it does what it is to do, and all figures of its lines are there."""
    place = servers.place(row.tls)
    for contender in row.contenders:
        options = row.options("tiny", contender)
        if options.get("calls", 0) > 20:
            options["calls"] = 20
        try:
            figures = measured(row.measure, contender.subject, *place, options)
        except Missing:
            assert contender.subject in ("websockets", "picows")
            continue
        for line in row.lines:
            assert math.isfinite(figures[line.figure]), (contender, line)


def test_every_size_and_scale_names_the_same_options():
    """What is shortened is still the same."""
    rows = [*ROWS, *(scale.row for scale in SCALES)]
    for row in rows:
        assert {"full", "quick", "tiny"} == set(row.sizes)
        assert 1 == len({frozenset(options) for options in row.sizes.values()}), row.name


# --- what goes wrong is noticed ------------------------------------------------------------


def heard(count=30, calls=3, bunch=1):
    """What reaches an ear if all goes well."""
    ear = Ear(count)
    for frame in presses(count, calls, bunch):
        told = json.loads(frame[frame.index(b"{"):])
        ear.heard[told["callid"]].append(told["digits"])
    return ear


@pytest.mark.parametrize("bunch", [1, 5])
def test_what_is_right_passes(bunch):
    """Calls take turns, and each hears the digits from the first on."""
    ear = heard(bunch=bunch)
    assert [list(PRESSED[:10])] * 3 == list(ear.heard.values())
    assert 0 == ear.check(ordered=True)


def test_two_that_changed_places_are_noticed():
    ear = heard()
    digits = next(iter(ear.heard.values()))
    digits[4], digits[5] = digits[5], digits[4]
    with pytest.raises(Wrong, match="2 of 30 events came out of order"):
        ear.check(ordered=True)
    assert 2 == ear.check(ordered=False)
    assert 2 == misplaced(ear.heard)


@pytest.mark.parametrize("change", [list.pop, lambda digits: digits.append("1")])
def test_a_wrong_count_is_noticed(change):
    """Be it too few or too many; where no order is kept too."""
    ear = heard()
    change(next(iter(ear.heard.values())))
    with pytest.raises(Wrong, match="events came instead of 30"):
        ear.check(ordered=False)


def test_a_lost_call_is_noticed():
    """One call's digits counted for another's are out of order."""
    ear = heard()
    first, second, _ = ear.heard
    ear.heard[first] += ear.heard.pop(second)
    with pytest.raises(Wrong, match="out of order"):
        ear.check(ordered=True)


def test_what_failed_decides_the_exit_code(capsys):
    """And nothing else does."""
    assert 0 == reported([])
    assert 1 == reported(["events: ours: 9 of 10 events came"])
    assert "FAILED: events: ours: 9 of 10 events came\n" == capsys.readouterr().out


# --- what is said --------------------------------------------------------------------------


def result_of(ours, bare, *lines):
    row = Row("row", "events", (Contender("ours", "ours"), Contender("bare", "bare")), lines,
              sizes({}, {}, {}))  # fmt: skip
    result = Result(row)
    for contender, values in (("ours", ours), ("bare", bare)):
        for value in values:
            result.add(contender, {"rate": value})
    return result


@pytest.mark.parametrize(
    "goal, ratio, met",
    [
        (dict(least=10, against="bare"), 10.0, True),
        (dict(least=10.1, against="bare"), 10.0, False),
        (dict(most=0.5, against="bare"), 10.0, False),
        (dict(most=300), None, True),
        (dict(most=299), None, False),
        (dict(against="bare"), 10.0, None),
    ],
)
def test_a_goal_is_judged_by_medians(goal, ratio, met):
    result = result_of([100, 300, 900], [30, 20, 31], Line("events", "rate", "/s", **goal))
    (verdict,) = verdicts([result])
    assert (300, {"bare": 30}, ratio, met) == (
        verdict.value, verdict.peers, verdict.ratio, verdict.met,
    )  # fmt: skip


def test_who_is_missing_has_no_figure():
    """And nothing is judged by it."""
    result = result_of([1], [], Line("events", "rate", "/s", least=2, against="bare"))
    result.add("bare", {"missing": "websocket"})
    assert {"bare": "websocket"} == result.missing
    cells = judged(result, result.row.lines[0]).cells()
    assert ("events", "1 /s", "bare –", "–", "≥ 2 × bare", "–", "–") == cells


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (12.34, "s", "12.3 s"),
        (0.19, "s", "0.19 s"),
        (0.005, "s", "5 ms"),
        (0.0000281, "s", "28.1 µs"),
        (217_345, "/s", "217,000 /s"),
        (30e6, "MB", "30 MB"),
        (0, "", "0"),
        (None, "s", "–"),
    ],
)
def test_figures_are_told_shortly(value, unit, text):
    assert text == shown(value, unit)


def test_the_table_is_restructured_text():
    """What is printed can stand in the documentation."""
    core = pytest.importorskip("docutils.core")
    lines = [line for row in ROWS for line in row.lines]
    result = result_of([1], [2], *[Line(line.text, "rate", "/s", go=line.go) for line in lines])
    text = drawn([verdict.cells() for verdict in verdicts([result])])
    published = core.publish_doctree(text, settings_overrides={"halt_level": 2})
    assert 1 + len(lines) == str(published).count("<row>")


def test_the_json_has_every_run():
    result = result_of([1, 2], [4], Line("events", "rate", "/s", most=1, against="bare"))
    result.failures.append("naive: it broke")
    told = json.loads(json.dumps(written([result], {"size": "tiny"})))
    row = told["rows"]["row"]
    assert [{"rate": 1}, {"rate": 2}] == row["runs"]["ours"]
    assert ["naive: it broke"] == row["failures"]
    assert (0.375, True) == (row["lines"][0]["ratio"], row["lines"][0]["met"])
    assert {"cpu", "cores", "system", "python", "libraries"} == set(told["machine"])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_is_drawn(logarithmic):
    """Each curve with its points and its name, all of it on the paper."""
    curves = {"ours": [(1, 1000), (128, 9000)], "a < b": [(1, 20), (128, 30)]}
    chart = Chart("title", "callers", "commands/s", curves, logarithmic)
    root = ElementTree.fromstring(chart.drawn())
    circles = [item for item in root.iter() if item.tag.endswith("circle")]
    assert 4 == len(circles)
    assert all(0 <= float(item.attrib["cx"]) <= 640 for item in circles)
    assert all(0 <= float(item.attrib["cy"]) <= 360 for item in circles)
    texts = {item.text for item in root.iter() if item.tag.endswith("text")}
    assert {"ours", "a < b", "title", "callers", "commands/s", "1", "128"} <= texts


def test_axes_have_round_numbers():
    assert [0, 2000, 4000, 6000, 8000, 10_000] == steps(9000)
    assert [0, 0.5, 1.0, 1.5] == steps(1.3)
    assert [0.01, 0.1, 1.0] == decades(0.03, 0.9)


# --- all of it -----------------------------------------------------------------------------


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", "--tiny", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_the_command(tmp_path):
    """It runs in processes of their own, prints the table and writes the figures."""
    file = tmp_path / "bench.json"
    done = bench("--only", "connect", "--json", str(file))
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "connect, register and close, p50" in done.stdout
    told = json.loads(file.read_text(encoding="utf-8"))
    assert ["connect"] == list(told["rows"])
    assert 1 == len(told["rows"]["connect"]["runs"]["bare"])


def test_a_row_that_is_not_there():
    done = bench("--only", "nothing")
    assert 2 == done.returncode
    assert "there are only round-trip, " in done.stderr
