"""The pytest plugin, in test suites of its users' own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

PLUGIN = "telephony.testing.plugin"

TEST_THEIR_SERVICE = """
    import telephony

    def test_dialling(telephony_sandbox, telephony_client):
        assert telephony_client.connected
        telephony_sandbox.script_dial(outcome="busy")
        try:
            telephony_client.dial(
                to="+1800", from_="+1555", channel="c", uid=1, token="rtc-token", region="NA"
            )
        except telephony.DialFailedError as error:
            assert error.reason == "Busy"
        else:
            assert False, "not refused"

    def test_being_called(telephony_sandbox, telephony_client):
        telephony_client.on(
            telephony.CallIncoming,
            lambda event: event.call.accept(channel="c", uid=1, token="rtc-token"),
        )
        caller = telephony_sandbox.incoming(to="+1800", from_="+1555")
        assert caller.wait_accepted(timeout=10)

    def test_each_test_has_its_own(telephony_sandbox):
        assert telephony_sandbox.frames == []
        assert telephony_sandbox.calls == []

    def test_a_proxy_is_not_asked(monkeypatch, request):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert request.getfixturevalue("telephony_client").connected
"""

TEST_AFTERWARDS = """
    import threading
    import pytest

    kept = []

    def test_one(telephony_client, telephony_sandbox):
        kept.extend([telephony_client, telephony_sandbox])

    def test_two():
        client, sandbox = kept
        assert client.closed
        with pytest.raises(RuntimeError):
            sandbox.url
        assert [t.name for t in threading.enumerate() if "telephony" in t.name] == []
"""

TEST_NOTHING = """
    import sys

    def test_nothing_of_the_sandbox_is_loaded():
        assert "telephony.testing.plugin" in sys.modules
        assert [n for n in sys.modules if n.partition(".")[0] == "aiohttp"] == []
        assert [n for n in sys.modules if n.startswith("telephony.sandbox")] == []
"""

TEST_WITHOUT_AIOHTTP = """
    def test_it(telephony_client):
        pass
"""


def pytest_run(
    folder: Path, tests: str, *options: str, **variables: str
) -> tuple[int, str]:
    """Run *tests* as somebody's test suite; pytest's exit code and what it printed.

    The plugin is loaded by its entry point, or by name where the package is not installed.
    """
    (folder / "test_theirs.py").write_text(textwrap.dedent(tests))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    named = [] if _has_entry_point() else ["-p", PLUGIN]
    # Hypothesis takes seconds to load, and is not what is tested.
    quick = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *named, *quick, *options, "-q", "test_theirs.py"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


def _has_entry_point() -> bool:
    from importlib.metadata import entry_points

    return any(found.value == PLUGIN for found in entry_points(group="pytest11"))


def test_the_fixtures_are_there(tmp_path: Path) -> None:
    """A user's tests need no import and no conftest to have a Call Manager and a client."""
    code, text = pytest_run(tmp_path, TEST_THEIR_SERVICE)

    assert 0 == code, text
    assert re.search(r"\b4 passed\b", text)


def test_they_are_closed_after_the_test(tmp_path: Path) -> None:
    """No thread and no connection goes over into the next test."""
    code, text = pytest_run(tmp_path, TEST_AFTERWARDS)

    assert 0 == code, text
    assert re.search(r"\b2 passed\b", text)


def test_a_suite_that_does_not_use_them_loads_no_sandbox(tmp_path: Path) -> None:
    """The plugin is loaded by every pytest run on the machine, with next to nothing."""
    code, text = pytest_run(tmp_path, TEST_NOTHING)

    assert 0 == code, text
    assert re.search(r"\b1 passed\b", text)


def test_without_aiohttp_only_the_tests_that_use_them_fail(tmp_path: Path) -> None:
    """And they say what to install."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "aiohttp.py").write_text("raise ImportError('not here')")
    code, text = pytest_run(tmp_path, TEST_WITHOUT_AIOHTTP, PYTHONPATH=str(hidden))

    assert 1 == code, text
    assert 'pip install "agora-telephony[sandbox]"' in text


def test_they_are_documented(tmp_path: Path) -> None:
    """``pytest --fixtures`` says what they are."""
    _, text = pytest_run(tmp_path, TEST_NOTHING, "--fixtures", "-v")

    assert re.search(r"telephony_sandbox.*\n +A Call Manager for this test", text)
    assert re.search(r"telephony_client.*\n +A client connected to", text)
