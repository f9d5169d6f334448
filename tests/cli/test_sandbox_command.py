"""``telephony sandbox``: a Call Manager for a shell."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess

import pytest

from telephony import Client
from tests.cli.programs import TELEPHONY, Program, environment, run

SANDBOX = [*TELEPHONY, "sandbox"]
COUNT = 8


def exports(program: Program) -> dict[str, str]:
    """The variables it prints for a shell."""
    found = {}
    for _ in range(COUNT):
        (word, assignment) = shlex.split(program.line())
        assert "export" == word
        name, _, value = assignment.partition("=")
        found[name] = value
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("terminal", [False, True])
def test_it_serves_whoever_has_its_environment(
    number: signal.Signals, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it prints is all a client needs, and a signal ends it with 0."""
    with Program([*SANDBOX, "--time-scale", "50"], environment(), terminal=terminal) as program:
        variables = exports(program)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with Client.from_env(proxy=False) as client:
            with client.dial(
                to=os.environ["TO_NUMBER"],
                from_=os.environ["FROM_NUMBER"],
                region=os.environ["REGION"],
                channel="room",
                uid="1",
                token="rtc-token",
            ) as call:
                call.wait_answered(timeout=10)
        program.interrupt(number)
        code, rest = program.finish()

    assert (0, []) == (code, rest)
    assert variables["CM_HOST"].startswith("ws://127.0.0.1:")
    assert "NORMAL_CLEARING" == call.hangup_cause


def test_a_shell_can_read_it() -> None:
    """The token has a space in it, and survives."""
    with Program(SANDBOX, environment()) as program:
        lines = [program.line() for _ in range(COUNT)]
        script = "\n".join([*lines, 'printf %s "$AUTH_TOKEN"'])
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("Basic ")


def test_one_object_with_json() -> None:
    """Programs that ask for it get one object."""
    with Program([*SANDBOX, "--json"], environment()) as program:
        found = json.loads(program.line())
        program.interrupt()
        code, _ = program.finish()

    assert (0, "sandbox") == (code, found["event"])
    assert {"CM_HOST", "AUTH_TOKEN", "APPID"} < set(found)


def test_port_app_ids_and_dids() -> None:
    """The port asked for is the port, and every App ID serves the DIDs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--app-id", "a", "--app-id", "b", "--did", "+18005550111"]
    with Program([*SANDBOX, "--time-scale", "50", *options], environment()) as program:
        found = exports(program)
        url, token = found["CM_HOST"], found["AUTH_TOKEN"]
        for app_id in ("a", "b"):
            with Client(url, token, None, app_id, proxy=False) as client:
                assert client.connected
        program.interrupt()
        program.finish()

    assert f"ws://127.0.0.1:{port}/v1/ws/events" == url
    assert ("a", "+18005550111") == (found["APPID"], found["DID"])


def test_open_to_the_network_it_has_a_token_of_its_own() -> None:
    """Two such sandboxes have different ones."""
    tokens = set()
    for _ in range(2):
        with Program([*SANDBOX, "--host", "0.0.0.0"], environment()) as program:
            tokens.add(exports(program)["AUTH_TOKEN"])
    with Program(SANDBOX, environment()) as program:
        tokens.add(exports(program)["AUTH_TOKEN"])

    assert 3 == len(tokens)


def test_a_port_that_is_taken() -> None:
    """One line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, lines, stderr = run([*SANDBOX, "--port", port], environment())

    assert (1, []) == (code, [line for line in lines if not line.startswith('{"event": "error"')])
    assert 1 == len(stderr.splitlines())
    assert port in stderr
