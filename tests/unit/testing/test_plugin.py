"""The pytest plugin, in test suites of its users' own, each with a pytest of its own."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import Any

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "telephony.testing.plugin"
DIAL = 'dict(to="+1800", from_="+1555", channel="c", uid=1, token="rtc-token-1", region="NA")'


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a suite of tests, as a user would, with marks and settings taken strictly."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers")
    # By its entry point, as it is installed. Hypothesis takes seconds to load.
    found = importlib.metadata.entry_points(group="pytest11")
    assert PLUGIN in {each.value for each in found}
    quick = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-p", "no:celery"]

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(f"import pytest, telephony\nDIAL = {DIAL}\n\n" + tests)
        return pytester.runpytest_subprocess(*quick, *options, timeout=100)

    return run


def test_the_fixtures_are_there(suite: Any) -> None:
    """A user's tests need no import and no conftest to have a Call Manager and a client."""
    tests = """
def test_dialling(telephony_sandbox, telephony_client):
    assert telephony_client.connected
    telephony_sandbox.script_dial(outcome="busy")
    with pytest.raises(telephony.DialFailedError, match="Busy"):
        telephony_client.dial(**DIAL)
    telephony_sandbox.assert_dialed(to="+1800")

def test_being_called(telephony_sandbox, telephony_client):
    telephony_client.on(
        telephony.CallIncoming,
        lambda event: event.call.accept(channel="c", uid=1, token="rtc-token-1"),
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
    suite(tests).assert_outcomes(passed=4)


def test_they_are_closed_after_the_test(suite: Any) -> None:
    """No thread and no connection goes over into the next test."""
    tests = """
import threading

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
    suite(tests).assert_outcomes(passed=2)


def test_the_environment_leads_to_the_sandbox(suite: Any, monkeypatch: Any) -> None:
    """For the test, and no longer."""
    monkeypatch.setenv("CM_HOST", "wss://production.invalid")
    monkeypatch.setenv("CLIENT_ID", "production")
    monkeypatch.delenv("APPID", raising=False)
    tests = """
import os

def test_in_it(telephony_environ, telephony_sandbox):
    assert telephony_environ == telephony_sandbox.environ
    assert {**os.environ, **telephony_environ} == os.environ
    with telephony.Client.from_env() as client:
        assert client.connected
    assert telephony_sandbox.frames[0]["client_id"] != "production"

def test_after_it():
    assert os.environ["CM_HOST"] == "wss://production.invalid"
    assert os.environ["CLIENT_ID"] == "production"
    assert "APPID" not in os.environ
"""
    suite(tests).assert_outcomes(passed=2)


def test_the_marker(suite: Any) -> None:
    """On a module, a class and a function; the nearest wins, for each keyword."""
    tests = """
pytestmark = pytest.mark.telephony(app_ids=["A", "B"], dids=["+1800"], client=dict(workers=3))

def served(sandbox, number):
    return not sandbox.incoming(to=number, from_="+1555").ended

def test_of_the_module(telephony_sandbox, telephony_client):
    assert telephony_sandbox.app_ids == ("A", "B")
    assert served(telephony_sandbox, "+1800") and not served(telephony_sandbox, "+1900")
    assert telephony_client.options.workers == 3

@pytest.mark.telephony(dids=["+1900"])
class TestAll:
    def test_of_the_class(self, telephony_sandbox, telephony_client):
        assert telephony_sandbox.app_ids == ("A", "B")
        assert served(telephony_sandbox, "+1900") and not served(telephony_sandbox, "+1800")
        assert telephony_client.options.workers == 3

    @pytest.mark.telephony(app_ids=["C"], client=dict(command_timeout=7))
    def test_of_the_function(self, telephony_sandbox, telephony_client):
        assert telephony_sandbox.app_ids == ("C",)
        assert served(telephony_sandbox, "+1900")
        assert telephony_client.options.workers == 16
        assert telephony_client.options.command_timeout == 7

@pytest.mark.telephony(time_scale=1)
def test_real_time(telephony_sandbox):
    assert telephony_sandbox._settings.lookup_hold == 15

@pytest.mark.telephony(lookup_hold=2000)
def test_a_long_hold(telephony_sandbox):
    assert telephony_sandbox._settings.lookup_hold == 2000
"""
    suite(tests).assert_outcomes(passed=5)


@pytest.mark.parametrize("marker, why", [
    ("time_scal=5", "the marker telephony has no keyword 'time_scal'; it takes those of Sandbox "
                    "(host, port, "),
    ("['+1800']", "the marker telephony takes keywords only, not (['+1800'],)"),
    ("client=3", "the marker telephony: client must be a dict, not 3"),
    ("client=dict(wrkers=1)", "the marker telephony: there is no option wrkers"),
    ("time_scale=0", "the marker telephony: time_scale must be more than 0, is 0"),
    ("client=dict(worker=5)", "there is no option worker"),
])  # fmt: skip
def test_a_marker_that_is_wrong(suite: Any, marker: str, why: str) -> None:
    """Named in the error of the test that has it."""
    result = suite(f"@pytest.mark.telephony({marker})\ndef test_it(telephony_client):\n    pass\n")
    result.assert_outcomes(errors=1)
    assert why in result.stdout.str()


def test_a_test_that_fails_says_what_was_sent(suite: Any) -> None:
    """Secrets masked; a test that passes, or that has no sandbox, says nothing."""
    tests = """
def test_failing(telephony_sandbox, telephony_client):
    telephony_client.dial(**DIAL)
    telephony_sandbox.assert_dialed(to="+1900")

def test_passing(telephony_client):
    assert telephony_client.connected

def test_without():
    assert False
"""
    result = suite(tests)
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert 1 == text.count("telephony: sent by clients")
    sent = text.partition("telephony: sent by clients")[2]
    assert re.search(r"register auth_token=… client_id='\S+' app_id='sandbox-app'\n", sent)
    assert "outbound to='+1800' from_='+1555' channel='c' uid='1' token=… region='NA'" in sent
    assert "E       AssertionError: no client sent outbound to='+1900'" in text
    assert "assertions.py" not in text  # where the assertion is raised is no help
    assert "rtc-token" not in sent


def test_only_the_last_frames_are_shown(suite: Any) -> None:
    """Fifty of them."""
    result = suite("""
def test_failing(telephony_client):
    for number in range(55):
        with pytest.raises(telephony.CommandRefusedError):
            telephony_client.command(f"c{number}")
    assert False
""")
    assert re.search(r"sent by clients -+\n\(6 before\)\nc5\n", result.stdout.str())


def test_on_several_processes(suite: Any) -> None:
    """With pytest-xdist; what was sent is in the report of a worker's test too."""
    tests = """
@pytest.mark.telephony(app_ids="A")
@pytest.mark.parametrize("number", range(4))
def test_it(telephony_client, number):
    assert telephony_client.options.app_id == "A"
    assert number != 3
"""
    result = suite(tests, "-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    assert "register auth_token=…" in result.stdout.str()


def test_a_suite_that_does_not_use_them_loads_nothing(suite: Any) -> None:
    """The plugin is loaded by every pytest run on the machine: itself, and two empty packages."""
    tests = """
import sys

def test_what_is_loaded():
    ours = {n for n in sys.modules if n.split(".")[0] == "telephony"}
    assert ours == {
        "telephony", "telephony._version", "telephony.testing", "telephony.testing.plugin",
    }
    assert "aiohttp" not in sys.modules
    assert "websocket" not in sys.modules
"""
    suite(tests).assert_outcomes(passed=1)


def test_what_it_loads_itself(pytester: pytest.Pytester) -> None:
    """No module besides pytest's: not asyncio, not ssl, not attrs."""
    code = (
        f"import sys, pytest; before = set(sys.modules); import {PLUGIN}; "
        "print(*sorted(set(sys.modules) - before))"
    )
    result = pytester.run(sys.executable, "-c", code)
    assert (
        "telephony telephony._version telephony.testing telephony.testing.plugin"
        == result.stdout.str().strip()
    )


def test_without_the_plugin(suite: Any) -> None:
    """``-p no:telephony`` takes all of it away; the package works on."""
    tests = """
def test_the_package():
    from telephony.sandbox import Sandbox
    with Sandbox() as sandbox, sandbox.client() as client:
        assert client.connected

def test_a_fixture(telephony_sandbox):
    pass
"""
    result = suite(tests, "-p", "no:telephony")
    result.assert_outcomes(passed=1, errors=1)
    assert "fixture 'telephony_sandbox' not found" in result.stdout.str()


def test_without_aiohttp_only_the_tests_that_use_them_fail(
    suite: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And they say what to install."""
    hidden = pytester.mkdir("hidden")
    (hidden / "aiohttp.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    result = suite("def test_one(telephony_client):\n    pass\n\ndef test_two():\n    pass\n")
    result.assert_outcomes(passed=1, errors=1)
    assert 'pip install "agora-telephony[sandbox]"' in result.stdout.str()


def test_they_are_documented(suite: Any) -> None:
    """``pytest --fixtures`` and ``--markers`` say what they are."""
    text = suite("", "--fixtures", "-v").stdout.str()
    assert re.search(r"telephony_sandbox.*\n +A Call Manager for this test", text)
    assert re.search(r"telephony_client.*\n +A client connected to", text)
    assert re.search(r"telephony_environ.*\n +``os.environ`` leads to", text)
    text = suite("", "--markers").stdout.str()
    assert "@pytest.mark.telephony(**options): how telephony_sandbox is made" in text
