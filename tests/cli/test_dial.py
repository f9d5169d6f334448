"""``telephony dial``: a call placed from the shell."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from telephony.cli.output import HELD
from telephony.sandbox import Sandbox
from tests.cli.programs import SECONDS, TELEPHONY, Program, account, run
from tests.cli.terminal import Terminal

DIAL = [*TELEPHONY, "dial"]


def test_it_hangs_up_after_the_seconds_given(cm: Sandbox) -> None:
    """Every event is one JSON line, digits are sent, and a summary ends it."""
    code, lines, stderr = run([*DIAL, "--seconds", "0.3", "--digits", "12#"], account(cm))

    objects = [json.loads(line) for line in lines]
    assert (0, "") == (code, stderr)
    names = [found["event"] for found in objects]
    assert ("connected", "summary") == (names[0], names[-1])
    called = [found["event"] for found in objects if found.get("direction") == "outbound"]
    assert ["call_initiated", "call_ringing", "call_answered"] == called[:3]
    assert {"dtmf_received", "agora_bridge_start"} < set(called)
    assert "call_hangup" == called[-1]
    assert ("NORMAL_CLEARING", True) == (objects[-1]["hangup_cause"], objects[-1]["ok"])
    (call,) = cm.calls
    assert ("endcall", "12#", call.call_id) == (call.ended_by, call.heard, objects[-1]["call_id"])


def test_the_frame_is_what_the_environment_and_the_arguments_say(cm: Sandbox) -> None:
    """Arguments go before variables; SIP and the token come from the environment only."""
    env = account(cm, SIP="10.0.0.1:5081;transport=tls;password=hunter2x", CHANNEL="other")
    options = ["--to", "+18005550177", "--channel", "mine", "--uid", "7", "--ring", "20"]
    code, lines, stderr = run([*DIAL, *options, "--seconds", "0.1"], env)

    assert 0 == code
    frame = cm.wait_for_command("outbound")
    del frame["request_id"]
    assert {
        "action": "outbound",
        "to": "+18005550177",
        "from": "+15551234567",
        "channel": "mine",
        "uid": "7",
        "token": "rtc-token-1",
        "region": "AREA_CODE_NA",
        "sip": "10.0.0.1:5081;transport=tls;password=hunter2x",
        "timeout": "20",
        "appid": cm.app_id,
    } == frame
    said = "\n".join(lines) + stderr
    assert [] == [secret for secret in ("hunter2x", "rtc-token-1") if secret in said]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_hangs_up(cm: Sandbox, number: signal.Signals) -> None:
    """Ctrl-C and its like end the call at the Call Manager, print its end, and exit with 130."""
    with Program(DIAL, account(cm)) as program:
        program.event("agora_bridge_start")
        program.interrupt(number)
        program.event("call_hangup", hangup_cause="NORMAL_CLEARING")
        code, _ = program.finish()

    # The event can be printed before the dial has returned: then the hangup is held until it has.
    assert program.stderr in ("", f"telephony: {HELD}\n")
    assert 130 == code
    assert ["endcall"] == [call.ended_by for call in cm.calls]


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_terminal_that_is_closed_while_it_rings(cm: Sandbox, term: str) -> None:
    """That it cannot print either is no second interruption: the call is hung up."""
    cm.script_dial(ring=50)  # a second here
    with Terminal([*TELEPHONY, "dial"], account(cm), term=term) as terminal:
        terminal.wait_text("call_ringing")
        terminal.close()
        code = terminal.wait()

    assert code in (1, 130)  # whichever is noticed first
    assert ["endcall"] == [call.ended_by for call in cm.calls]


def test_an_output_that_cannot_be_written(cm: Sandbox, tmp_path: Path) -> None:
    """One line says so, and the call is hung up: here a file may grow by a block or two."""
    # What counts coverage would write a larger file.
    limited = ["sh", "-c", 'unset COVERAGE_PROCESS_CONFIG; ulimit -f 1; exec "$@"', "sh", *DIAL]
    with open(tmp_path / "calls", "w") as file:
        done = subprocess.run(
            limited,
            env=account(cm), stdout=file, stderr=subprocess.PIPE, text=True, timeout=SECONDS,
        )

    failure, *more = done.stderr.splitlines()
    assert "telephony: cannot write to the standard output: File too large" == failure
    assert (1, []) == (done.returncode, [line for line in more if HELD not in line])
    assert ["endcall"] == [call.ended_by for call in cm.calls]


def test_an_output_that_is_full(cm: Sandbox) -> None:
    """As well where nothing at all can be written."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*TELEPHONY, "check"],
            env=account(cm), stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS,
        )

    said = "telephony: cannot write to the standard output: No space left on device\n"
    assert (1, said) == (done.returncode, done.stderr)


def test_without_a_terminal_it_goes_on(cm: Sandbox) -> None:
    """Under nohup a call outlives the terminal, as is asked for."""
    with Program(["nohup", *DIAL], account(cm)) as program:
        bridged = program.event("agora_bridge_start")
        program.interrupt(signal.SIGHUP)
        cm.peer(bridged["call_id"]).hang_up()
        program.event("summary")
        code, _ = program.finish()

    assert (0, ["far end"]) == (code, [call.ended_by for call in cm.calls])


def test_an_interruption_while_it_rings_leaves_no_call_behind(cm: Sandbox) -> None:
    """The call's id comes with the answer: it is waited for, and the call is hung up."""
    cm.script_dial(ring=50)  # a second here
    with Program(DIAL, account(cm)) as program:
        program.event("call_ringing")
        program.interrupt()
        code, _ = program.finish()

    assert 130 == code
    assert "hanging up as soon as it can be" in program.stderr
    assert ["endcall"] == [call.ended_by for call in cm.calls]


def test_a_second_interruption_leaves_at_once(cm: Sandbox) -> None:
    """Whoever insists does not wait for the answer."""
    cm.script_dial(ring=50 * SECONDS)
    with Program(DIAL, account(cm)) as program:
        program.event("call_ringing")
        program.interrupt()
        program.interrupt(signal.SIGTERM)
        code, _ = program.finish()

    assert 130 == code


def test_the_far_end_hangs_up(cm: Sandbox) -> None:
    """Then it is done, and the summary says how the call ended."""
    with Program(DIAL, account(cm)) as program:
        bridged = program.event("agora_bridge_start")
        cm.peer(bridged["call_id"]).hang_up()
        summary = program.event("summary")
        code, _ = program.finish()

    assert (0, "NORMAL_CLEARING") == (code, summary["hangup_cause"])


def test_a_refused_dial(cm: Sandbox) -> None:
    """A busy callee is exit code 1, a line on the standard error and an object."""
    cm.script_dial(outcome="busy")
    code, lines, stderr = run(DIAL, account(cm))

    last = json.loads(lines[-1])
    assert (1, "error", "DialFailedError", "Busy") == (
        code, last["event"], last["error"], last["reason"]
    )
    assert stderr.startswith("telephony: ") and "Busy" in stderr
    assert 1 == len(stderr.splitlines())


def test_a_call_that_ends_before_its_answer(cm: Sandbox) -> None:
    """Where the id comes early, nobody answering is exit code 1 too."""
    cm.script_dial(outcome="no_answer", respond="early", ring=5)
    code, lines, stderr = run(DIAL, account(cm))

    assert (1, "CallEndedError") == (code, json.loads(lines[-1])["error"])
    assert "NO_ANSWER" in stderr


def test_no_connection() -> None:
    """Without a Call Manager it is exit code 1, and no traceback."""
    with Sandbox() as gone:
        env = account(gone)
    code, lines, stderr = run(DIAL, env)

    assert (1, "tcp") == (code, json.loads(lines[-1])["phase"])
    assert 1 == len(stderr.splitlines())


def test_people_read_columns(cm: Sandbox) -> None:
    """On a wide terminal the whole call id is shown."""
    code, lines, _ = run(
        [*DIAL, "--seconds", "0.1"], account(cm, COLUMNS="140"), terminal=True
    )

    (call,) = cm.calls
    assert 0 == code
    answered = next(line.split() for line in lines if "call_answered" in line)
    assert ["call_answered", "outbound", "answered", call.call_id] == answered[1:5]
    assert re.fullmatch(r"done: NORMAL_CLEARING, \d+ s billed", lines[-1])


def test_an_app_id_for_a_client_of_several(cm: Sandbox) -> None:
    """Where APPID is MULTI, ``--app-id`` says for which one the call is."""
    env = account(cm) | {"APPID": "MULTI"}
    code, _, _ = run([*DIAL, "--app-id", cm.app_id, "--seconds", "0.1"], env)

    assert (0, [cm.app_id]) == (code, [call.app_id for call in cm.calls])
