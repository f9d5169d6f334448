"""``telephony sandbox``: a Call Manager for a shell."""

from __future__ import annotations

import base64
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from telephony import CallIncoming, Client, RegistrationError
from tests.cli.programs import SECONDS, TELEPHONY, Program, environment, run

SANDBOX = [*TELEPHONY, "sandbox"]
COUNT = 8
SHOP, DESK = "+18005550111", "+18005550122"


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


def exported(lines: list[str]) -> dict[str, str]:
    """The variables in lines for a shell."""
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


def test_tokens_made_up_are_base64() -> None:
    """As those of an account are; what is not is suspected by ``check``."""
    apps = [f"--app-id=app-{number}" for number in range(20)]
    with Program([*SANDBOX, "--own-tokens", *apps], environment()) as program:
        found = exported([program.line() for _ in range(COUNT + 3 * 19)])
        program.interrupt()
        program.finish()

    tokens = [value for name, value in found.items() if name.startswith("AUTH_TOKEN")]
    assert 20 == len(set(tokens))
    for token in tokens:
        scheme, _, rest = token.partition(" ")
        assert ("Basic", 18) == (scheme, len(base64.b64decode(rest, validate=True)))


def test_several_app_ids_with_dids_and_tokens_of_their_own() -> None:
    """What is printed for each lets a client in, and its calls are offered to nobody else."""
    options = ["--did", f"shop={SHOP}", "--did", f"desk={DESK}", "--own-tokens", "--hold", "0.1"]
    with Program([*SANDBOX, *options], environment()) as program:
        found = exported([program.line() for _ in range(COUNT + 3)])
        clients, offered = [], queue.SimpleQueue()
        for end in ("", "_2"):
            client = Client(
                found["CM_HOST"],
                found[f"AUTH_TOKEN{end}"],
                None,
                found[f"APPID{end}"],
                proxy=False,
            )
            client.on(CallIncoming, lambda event: offered.put(event.call.app_id))
            client.connect()
            clients.append(client)
        for did in (SHOP, DESK):
            lookup(found["CM_HTTP"], did)
            assert {SHOP: "shop", DESK: "desk"}[did] == offered.get(timeout=SECONDS)
        with pytest.raises(RegistrationError):
            Client(
                found["CM_HOST"], found["AUTH_TOKEN_2"], None, "shop", proxy=False
            ).connect()
        for client in clients:
            client.close()
        program.interrupt()
        program.finish()

    assert ("shop", "desk", SHOP, DESK) == tuple(
        found[name] for name in ("APPID", "APPID_2", "DID", "DID_2")
    )
    assert offered.empty()


def lookup(url: str, did: str) -> int:
    """Ask for a DID as a gateway does, with a hold that ends soon; the answer's status."""
    body = json.dumps({"action": "lookup", "did": did, "pin": "", "callerid": "1"}).encode()
    request = urllib.request.Request(f"{url}/v1/api/service", body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_how_long_a_caller_waits() -> None:
    """``--hold`` is of the call clock; a shorter one is over sooner."""
    waited = []
    for hold in ("50", "1"):
        options = ["--hold", hold, "--time-scale", "25"]
        with Program([*SANDBOX, *options], environment()) as program:
            found = exports(program)
            with Client(
                found["CM_HOST"], found["AUTH_TOKEN"], None, found["APPID"], proxy=False
            ):
                began = time.monotonic()
                assert 404 == lookup(found["CM_HTTP"], SHOP)
                waited.append(time.monotonic() - began)
            program.interrupt()
            program.finish()
    assert waited[1] < waited[0]


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
