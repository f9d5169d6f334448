"""``examples/testing``: the tests of a sample app, run as its author would."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.programs import ROOT, Program, environment

FOLDER = ROOT / "examples" / "testing"


def outcome_of(tests: Path, cwd: Path) -> tuple[int, str]:
    """Pytest's exit code, and what it printed."""
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
        "-W", "error", str(tests),
    ]  # fmt: skip
    with Program(command, environment(), cwd=cwd) as program:
        code, lines = program.finish()
        return code, "\n".join(lines)


def test_they_pass() -> None:
    """From the project's folder, with the project's settings."""
    code, text = outcome_of(FOLDER, ROOT)

    assert 0 == code, text
    assert "10 passed" in text


@pytest.mark.parametrize("right, wrong, failed, said", [
    ("except CallEndedError as ended:", "except ZeroDivisionError as ended:",
     "test_incident.py::test_the_incident", "assert [] == ["),
    ('channel="office"', 'channel="lobby"',
     "test_frontdesk.py::test_a_caller_with_the_pin", "  <- channel differs"),
    ('return "Unknown"', "return self.ring(number)",
     "test_frontdesk.py::test_the_network_fails_while_it_rings", "'Try again' == 'Unknown'"),
])  # fmt: skip
def test_they_find_what_is_broken(
    tmp_path: Path, right: str, wrong: str, failed: str, said: str
) -> None:
    """The app before its fix, and others that are wrong: what fails is what should, in words."""
    folder = tmp_path / "testing"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    app = (folder / "frontdesk.py").read_text("utf-8")
    assert right in app
    (folder / "frontdesk.py").write_text(app.replace(right, wrong), "utf-8")
    code, text = outcome_of(folder / failed, tmp_path)

    assert 1 == code, text
    assert failed in text
    assert said in text


def test_the_recording_is_no_secret() -> None:
    """It is one that can be kept beside the code."""
    text = (FOLDER / "incident.jsonl").read_text("utf-8")

    assert '"numbers":false,"digits":false' in text
    assert '"token":"***"' in text
