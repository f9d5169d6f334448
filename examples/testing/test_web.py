"""The app in another process, which is told the sandbox by its environment."""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

WEB = Path(__file__).with_name("web.py")


@pytest.fixture
def web(telephony_environ):
    """Rings a number up through the app's web server."""
    with subprocess.Popen(
        [sys.executable, str(WEB)],
        env={**os.environ, **telephony_environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/ring"

        def ring(number):
            form = urllib.parse.urlencode({"to": number}).encode()
            with urllib.request.urlopen(url, form, timeout=10) as response:
                return json.load(response)["result"]

        yield ring
        server.terminate()


def test_ringing_from_the_web(web, telephony_sandbox):
    assert web("+18005551234") == "Answered"
    telephony_sandbox.script_dial(outcome="busy", to="+18005550000")
    assert web("+18005550000") == "Busy"
    telephony_sandbox.assert_dialed(to="+18005551234", times=1)
