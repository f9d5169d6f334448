"""``telephony listen``: calls that come in, watched, accepted or rejected."""

from __future__ import annotations

import signal

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import SECONDS, TELEPHONY, Program, account, environment, run
from tests.scripted import ScriptedCM

LISTEN = [*TELEPHONY, "listen"]
DID = "+18005550100"
CALLER = "+15557654321"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_accepts_until_interrupted(cm: Sandbox, number: signal.Signals) -> None:
    """Calls are accepted, their events printed, and hung up when it is interrupted."""
    with Program([*LISTEN, "--accept", "support"], account(cm, DID=DID)) as program:
        program.event("step", step="listen")
        caller = cm.incoming(to=DID, from_=CALLER)
        program.event("call_incoming", to=DID, **{"from": CALLER})
        program.event("agora_bridge_start", channel="support", uid="200")
        caller.press("5")
        program.event("dtmf_received", digits="5", echo=False)
        program.interrupt(number)
        code, _ = program.finish()

    assert (130, "") == (code, program.stderr)
    assert ["hangup"] == [call.ended_by for call in cm.calls]
    assert [DID] == cm.wait_for_command("register")["subscribe_numbers"]
    assert "rtc-token-1" == cm.wait_for_command("accept")["token"]


def test_calls_side_by_side_have_uids_of_their_own(cm: Sandbox) -> None:
    """Two calls in one channel must not throw each other out."""
    with Program([*LISTEN, "--accept", "support", "--uid", "500"], account(cm)) as program:
        program.event("step", step="listen")
        for _ in range(2):
            cm.incoming(to=DID, from_=CALLER)
        for _ in range(2):
            program.event("agora_bridge_start")
        program.interrupt()
        program.finish()

    assert {"500", "501"} == {call.uid for call in cm.calls}


def test_it_rejects(cm: Sandbox) -> None:
    """The reason given is sent."""
    with Program([*LISTEN, "--reject", "closed"], account(cm)) as program:
        program.event("step", step="listen")
        caller = cm.incoming(to=DID, from_=CALLER)
        assert "CALL_REJECTED" == caller.wait_ended(SECONDS)
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert "closed" == cm.wait_for_command("reject")["reason"]


def test_it_only_watches(cm: Sandbox) -> None:
    """Without an option nothing is said to the Call Manager about the call."""
    with Program([*LISTEN, "--did", DID, "--did", "+18005550101"], account(cm)) as program:
        program.event("step", step="listen")
        cm.incoming(to=DID, from_=CALLER)
        program.event("call_incoming")
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert [["+18005550100", "+18005550101"]] == [f["subscribe_numbers"] for f in cm.frames]


def test_a_refused_accept_is_told_and_listening_goes_on(cm: Sandbox) -> None:
    """One call that another client was given ends nothing."""
    cm.refuse("callid not found", action="accept")
    with Program([*LISTEN, "--accept", "support"], account(cm)) as program:
        program.event("step", step="listen")
        cm.incoming(to=DID, from_=CALLER)
        program.event("error", error="CallNotFoundError", action="accept")
        cm.incoming(to=DID, from_=CALLER)
        program.event("agora_bridge_start")
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert ["telephony: "] == [line[:11] for line in program.stderr.splitlines()]


def test_it_ends_after_the_seconds_given(cm: Sandbox) -> None:
    """Then it is done: exit code 0."""
    code, _, _ = run([*LISTEN, "--seconds", "0.2"], account(cm))

    assert 0 == code


def test_a_dropped_connection_is_made_again(cm: Sandbox) -> None:
    """The outage and the way back are printed, and it goes on."""
    with Program(LISTEN, account(cm)) as program:
        program.event("step", step="listen")
        cm.drop_connections()
        assert "connection lost" in program.event("disconnected")["error"]
        program.event("connected", reconnected=True)
        assert [] == program.event("gap")["stale_calls"]
        program.interrupt()
        code, _ = program.finish()

    assert (130, "") == (code, program.stderr)


def test_credentials_revoked_end_it(cm: Sandbox) -> None:
    """Refused for good after a reconnect, it does not go on as if it listened."""
    with Program(LISTEN, account(cm)) as program:
        program.event("step", step="listen")
        cm.refuse("unauthorized", action="register")
        cm.drop_connections()
        program.event("error", error="RegistrationError")
        code, _ = program.finish()

    assert 1 == code
    assert "unauthorized" in program.stderr


def test_a_reader_that_goes_away_ends_it_quietly(cm: Sandbox) -> None:
    """``telephony listen | head`` ends with the next line there would be, without a word."""
    command = f'("{TELEPHONY[0]}" -m telephony listen; echo "exit $?" >&2) | head -n 2'
    with Program(["sh", "-c", command], account(cm)) as program:
        program.event("step", step="listen")
        for _ in range(50):  # head may still have been there for the first of them
            cm.incoming(to=DID, from_=CALLER)
            if program.ended(within=0.5):
                break
        program.finish()

    assert "exit 1\n" == program.stderr


def test_numbers_from_strangers_are_no_commands_to_the_terminal(scripted: ScriptedCM) -> None:
    """A caller's number with an escape sequence in it is shown, not obeyed."""
    env = environment(COLUMNS="140", CM_HOST=scripted.url, AUTH_TOKEN="Basic eA==", APPID="APP")
    with Program(LISTEN, env, terminal=True) as program:
        line = scripted.line()
        line.greet()
        line.event("call_incoming", "call-1", **{"from": "\x1b[2J\u202e1", "to": DID})
        shown = program.line(lambda text: "call_incoming" in text)
        line.event("brand_new", "", token="rtc-secret-77")
        program.line(lambda text: "brand_new" in text)
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert "?[2J?1 -> +18005550100" in shown
    assert shown.isprintable()


def test_unknown_events_are_passed_on_without_secrets(scripted: ScriptedCM) -> None:
    """Programs get a new event whole, except for what looks like a secret."""
    env = environment(CM_HOST=scripted.url, AUTH_TOKEN="Basic eA==", APPID="APP")
    with Program(LISTEN, env) as program:
        line = scripted.line()
        line.greet()
        line.event("brand_new", "", token="rtc-secret-77", colour="blue")
        found = program.event("brand_new")
        program.interrupt()
        program.finish()

    assert ("blue", "***") == (found["raw"]["colour"], found["raw"]["token"])
