"""Forks at awkward moments: while connecting, while dialling, in a callback, by other means."""

from __future__ import annotations

import json
import signal
from collections import Counter

from telephony.sandbox import Sandbox
from tests.processes.conftest import Start, clean, commands, soon
from tests.processes.test_forks import check


def registrations(cm: Sandbox) -> list[int]:
    """How often each name was registered."""
    return list(Counter(frame["client_id"] for frame in commands(cm, "register")).values())


def test_a_fork_while_connecting(start: Start, cm: Sandbox) -> None:
    """The child is told, also of a connection that is only being made; the parent gets it."""
    cm.delay(60, "register")
    program = start("moments", "while_connecting")
    assert "ready" == program.line()
    cm.wait_for_command("register")
    program.interrupt(signal.SIGUSR1)

    assert {"wrong": [], "before": ["idle", False], "code": 0} == json.loads(program.line())
    cm.send({"status": "registered", "client_id": "cli-test"})
    assert {"connected": True} == json.loads(program.line())
    assert (0, []) == program.finish()
    assert clean(program.stderr), program.stderr
    assert [1] == registrations(cm)


def test_a_fork_while_dialling(start: Start, cm: Sandbox) -> None:
    """The child hears of none but its own calls, and the dial ends well in the parent."""
    cm.script_dial(ring=50, to="+18005551234")
    program = start("moments", "while_dialling")

    assert {"tracked": 0, "strange": [], "code": 0} == json.loads(program.line())
    assert (0, []) == program.finish()
    assert "" == program.stderr
    assert [1, 1] == registrations(cm)
    assert ["endcall"] * 2 == [call.ended_by for call in cm.calls]


def test_a_fork_in_a_callback(start: Start, cm: Sandbox, grace: float) -> None:
    """What comes after it is run by the parent alone, and the child ends when it comes back."""
    program = start("moments", "in_a_callback")
    lines = {program.line(), program.line()}
    assert {"after", "forked"} == lines
    assert "ended" == soon(program, grace)

    assert (0, []) == program.finish()
    assert clean(program.stderr), program.stderr
    assert [1] == registrations(cm)


def test_threads_of_a_child_connect_at_once(start: Start, cm: Sandbox) -> None:
    """They share one attempt and one connection."""
    times = 10
    program = start("moments", "by_many_threads_at_once")
    told = [json.loads(program.line()) for _ in range(times)]

    assert [{"failed": [], "code": 0}] * times == told
    assert (0, []) == program.finish()
    assert "" == program.stderr
    assert [1] * (times + 1) == registrations(cm)


def test_a_process_of_multiprocessing(start: Start, cm: Sandbox) -> None:
    """It is forked and ended by other code, to the same effect."""
    check(start("moments", "with_multiprocessing"), cm, 1)
