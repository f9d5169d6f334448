"""The soak ends well when nothing grows, and tells when something does."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.soak.cm import ROOT
from tests.soak.figures import FEWEST, Sample, growth


def run_of(values, name="objects"):
    """Samples ten seconds apart that differ in one figure."""
    usual = dict(threads=20, descriptors=30, rss=50_000, tracked=5, objects=40_000)
    return [
        Sample(elapsed=10.0 * number, **{**usual, name: value})
        for number, value in enumerate(values)
    ]


STEADY = [40_000 + 90 * (number % 3) for number in range(24)]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(STEADY, id="steady"),
        pytest.param([20_000 + 2500 * n for n in range(8)] + STEADY[8:], id="fills up first"),
        pytest.param(STEADY[:-3] + [90_000] * 3, id="high at the end"),
        pytest.param([60_000 - 500 * number for number in range(24)], id="falls"),
        pytest.param(STEADY[:12] + [60_000] * 3 + STEADY[15:], id="a spike"),
    ],
)
def test_no_growth(values):
    """What fills up, falls or comes and goes is no growth."""
    assert [] == growth(run_of(values))


@pytest.mark.parametrize(
    "name, values",
    [
        ("objects", [40_000 + 100 * number for number in range(24)]),
        ("objects", [40_000 + 100 * number + 900 * (number % 2) for number in range(24)]),
        ("rss", [50_000 + 500 * number for number in range(24)]),
        ("threads", [20 + number for number in range(24)]),
        ("descriptors", [30 + number for number in range(24)]),
        ("tracked", [5 + 3 * number for number in range(24)]),
    ],
)
def test_growth(name, values):
    """What rises to the end is told by its name, be it slow or uneven."""
    (told,) = growth(run_of(values, name))
    assert told.startswith(f"{name} grew from ")


def test_too_few_samples_say_nothing():
    """A run that was not measured does not pass."""
    (told,) = growth(run_of(STEADY[:FEWEST - 1]))
    assert f"only {FEWEST - 1} samples, {FEWEST} are wanted" == told


def soaked(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", "2", "--seed", "7", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_a_short_soak():
    """Calls are placed, the line breaks, nothing grows and nothing is lost."""
    done = soaked()
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    last = done.stdout.splitlines()[-3]
    figures = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", last)}
    assert figures["placed"] and figures["ended"] and figures["reconnects"], done.stdout


def test_a_leak_is_found():
    """Keeping every event is enough to fail."""
    done = soaked("--leak")
    assert 1 == done.returncode, done.stdout
    assert "FAILED: objects grew" in done.stdout
