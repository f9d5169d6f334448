"""The three examples, run as programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import ROOT, Program, account, environment, run

NAMES = ("connect", "outbound", "inbound")
DID = "+18005550100"


def example(name: str) -> list[str]:
    """The command that runs it."""
    return [sys.executable, f"examples/{name}.py"]


EXPECTED = {
    "connect": ["connected", "disconnected", "connected", "gap", "disconnected"],
    "outbound": [
        "connected",
        "call_initiated",
        "call_ringing",
        "call_answered",
        "agora_bridge_start",
        *["dtmf_received"] * 4,
        "agora_bridge_end",
        "call_hangup",
        "disconnected",
    ],
    "inbound": [
        "connected",
        "call_incoming",
        "call_answered",
        "agora_bridge_start",
        *["dtmf_received"] * 3,
        "agora_bridge_end",
        "call_hangup",
        "disconnected",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_on_a_sandbox_of_its_own(name: str) -> None:
    """Without CM_HOST it says where it runs, prints each event as JSON, and ends with 0."""
    code, lines, stderr = run(example(name), environment())

    assert 0 == code, stderr
    assert "CM_HOST is not set: running against a sandbox" in stderr.splitlines()[0]
    # The connection's events and a call's come side by side: only each kind is in order.
    events = [json.loads(line) for line in lines]
    own = ["connected", "disconnected", "gap"]
    assert [e for e in EXPECTED[name] if e in own] == [
        found["event"] for found in events if "call_id" not in found
    ]
    assert [e for e in EXPECTED[name] if e not in own] == [
        found["event"] for found in events if "call_id" in found
    ]


def test_from_another_folder(tmp_path: Path) -> None:
    """The installed package and the files are all it takes."""
    command = [sys.executable, str(ROOT / "examples" / "inbound.py")]
    code, _, stderr = run(command, environment(), cwd=tmp_path)

    assert 0 == code, stderr


def test_connect_to_a_call_manager(cm: Sandbox) -> None:
    """It stays until Ctrl-C, and says what becomes of the connection."""
    with Program(example("connect"), account(cm)) as program:
        program.event("connected", reconnected=False)
        cm.drop_connections()
        program.event("connected", reconnected=True)
        program.interrupt()
        program.event("disconnected")
        code, _ = program.finish()

    assert 0 == code, program.stderr


def test_outbound_to_a_call_manager(cm: Sandbox) -> None:
    """It dials whom and from where the environment says, and hangs up."""
    env = account(cm, SIP="10.0.0.1:5081;transport=tls") | {"TO_NUMBER": "+18005550177"}
    with Program(example("outbound"), env) as program:
        program.event("dtmf_received", digits="1234#")
        (call,) = cm.calls
        cm.peer(call.call_id).press("7#")
        program.event("call_hangup", hangup_cause="NORMAL_CLEARING")
        code, _ = program.finish()

    assert 0 == code, program.stderr
    frame = cm.wait_for_command("outbound")
    assert ("+18005550177", "+15551234567", "10.0.0.1:5081;transport=tls", "rtc-token-1") == (
        frame["to"], frame["from"], frame["sip"], frame["token"]
    )
    assert ("endcall", "1234#") == (cm.calls[0].ended_by, cm.calls[0].heard)


def test_inbound_from_a_call_manager(cm: Sandbox) -> None:
    """It accepts the call to its DID, prints digits, and ends with the call."""
    with Program(example("inbound"), account(cm, DID=DID, CHANNEL="lobby")) as program:
        program.event("connected")
        assert cm.incoming(to="+18005550999", from_="+15557654321").ended  # not subscribed
        caller = cm.incoming(to=DID, from_="+15557654321")
        program.event("agora_bridge_start")
        caller.press("9")
        program.event("dtmf_received", digits="9")
        caller.hang_up()
        program.event("call_hangup")
        code, _ = program.finish()

    assert 0 == code, program.stderr
    assert "lobby" == cm.wait_for_command("accept")["channel"]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("connect", "AUTH_TOKEN"),
        ("connect", "APPID"),
        ("outbound", "TO_NUMBER"),
        ("outbound", "FROM_NUMBER"),
        ("inbound", "DID"),
    ],
)
def test_a_missing_variable_is_named(cm: Sandbox, name: str, variable: str) -> None:
    """In one line, and nothing is sent."""
    env = account(cm, DID=DID)
    del env[variable]
    code, lines, stderr = run(example(name), env)

    assert (1, []) == (code, lines)
    assert f"set {variable} in the environment\n" == stderr
    assert [] == cm.frames


@pytest.mark.parametrize("name", ["connect", "outbound"])
def test_refused_credentials_are_one_line(cm: Sandbox, name: str) -> None:
    """What goes wrong is said without a traceback."""
    env = account(cm, DID=DID) | {"AUTH_TOKEN": "Basic d3Jvbmc="}
    code, lines, stderr = run(example(name), env)

    assert (1, []) == (code, lines)
    assert 1 == len(stderr.splitlines())
    assert "unauthorized" in stderr


@pytest.mark.parametrize("name", ["outbound", "inbound"])
def test_an_interruption_hangs_up(cm: Sandbox, name: str) -> None:
    """Ctrl-C in the middle of a call leaves none behind."""
    with Program(example(name), account(cm, DID=DID)) as program:
        program.event("connected")
        if name == "inbound":
            cm.incoming(to=DID, from_="+15557654321")
        program.event("agora_bridge_start")
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert [True] == [call.ended for call in cm.calls]
    assert cm.calls[0].ended_by in ("endcall", "hangup")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_readable_in_a_minute(name: str) -> None:
    """Forty lines at most, and nothing of the package but its public names."""
    text = (ROOT / "examples" / f"{name}.py").read_text()

    assert 40 >= len(text.splitlines())
    assert [] == [
        line
        for line in text.splitlines()
        if "telephony" in line and line.startswith(("import", "from"))
        and not line.startswith(("from telephony import", "from telephony.sandbox import"))
    ]
