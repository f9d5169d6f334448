"""The interpreter's exit never waits for us, and nothing of ours is said about it."""

from __future__ import annotations

import os
import re
import signal
import socket

import pytest

from telephony.sandbox import Sandbox
from tests.processes.conftest import Start, clean, commands, ended, soon

TRACEBACK = r"Traceback \(most recent call last\):\n(?:(?:  .*)?\n)+"
OWN_ERROR = TRACEBACK + r"LookupError: of the program's own\n"
A_CALLBACK = r"a callback for call_answered failed\n"

#: how each program ends: its exit code, and its standard error as a regular expression
ENDS = {
    "never_closed": (0, ""),
    "blocked_callback": (0, ""),
    "every_worker_blocked": (0, ""),
    "error_in_main": (1, OWN_ERROR),
    "error_in_blocks": (1, OWN_ERROR),
    "error_in_callback": (0, A_CALLBACK + OWN_ERROR),
    "exit_in_callback": (0, A_CALLBACK + TRACEBACK + "SystemExit: 3\n"),
    "closed_at_exit": (0, ""),
    "sending_at_the_end": (0, ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end(start: Start, grace: float, name: str) -> None:
    """Whatever still goes on, the program ends at once, with its own exit code."""
    program = start("exits", name)
    assert "ready" == program.line()

    code, lines = ended(program, grace)

    expected, stderr = ENDS[name]
    assert re.fullmatch(stderr, program.stderr), program.stderr
    assert (expected, []) == (code, lines)


@pytest.mark.parametrize("name", ["never_closed", "sending_at_the_end"])
def test_the_end_again_and_again(start: Start, grace: float, name: str) -> None:
    """What threads are stopped in differs from one time to the next."""
    times = 5
    program = start("exits", name, times)
    for _ in range(times):
        pid = int(program.line(lambda line: line.startswith("pid")).split()[1])
        assert "ready" == program.line()
        os.kill(pid, signal.SIGUSR1)
        assert "ended 0" == soon(program, grace)

    assert (0, []) == program.finish()
    assert "" == program.stderr


def test_closed_when_collected(start: Start, grace: float) -> None:
    """Threads that were stopped for good with our locks in their hands do not keep a last close."""
    times = 5
    program = start("exits", "closed_when_collected", times)
    for _ in range(times):
        pid = int(program.line(lambda line: line.startswith("pid")).split()[1])
        assert "ready" == program.line()
        os.kill(pid, signal.SIGUSR1)
        assert "collected" == program.line()
        assert "ended 0" == soon(program, grace)

    assert (0, []) == program.finish()
    assert "" == program.stderr


def test_the_end_while_dialling(start: Start, cm: Sandbox, grace: float) -> None:
    """A dial on another thread does not keep the program."""
    cm.script_dial(ring=100_000)
    program = start("exits", "dialling")
    assert "ready" == program.line()

    assert (0, []) == ended(program, grace)
    assert "" == program.stderr
    assert 1 == len(commands(cm, "outbound"))


def test_the_end_while_connecting(
    start: Start, mute: tuple[str, socket.socket], grace: float
) -> None:
    """Nor does a connect to a server that says nothing."""
    url, server = mute
    program = start("exits", "connecting", url=url)
    assert "ready" == program.line()
    with server.accept()[0] as taken:
        assert taken.recv(1)

        assert (0, []) == ended(program, grace)
    assert "" == program.stderr


def test_the_end_while_reconnecting(start: Start, cm: Sandbox, grace: float) -> None:
    """Nor do the attempts to have a lost connection again."""
    program = start("exits", "reconnecting")
    assert "connected" == program.line()
    cm.stop()
    assert "ready" == program.line()

    assert (0, []) == ended(program, grace)
    assert all(
        line.startswith(("connection lost: ", "could not reconnect: "))
        for line in program.stderr.splitlines()
    ), program.stderr


@pytest.mark.parametrize(
    ("name", "code"), [("forked_child_gone_at_once", 7), ("forked_child_ends_too", 5)]
)
def test_the_end_of_a_child(
    start: Start, cm: Sandbox, grace: float, name: str, code: int
) -> None:
    """A forked child ends on its own, and its parent goes on and ends after it."""
    program = start("exits", name)
    assert f"child {code}" == program.line()
    assert "ready" == program.line()

    assert (0, []) == ended(program, grace)
    assert clean(program.stderr), program.stderr
    assert 1 == len(commands(cm, "register"))
    assert 1 == len(commands(cm, "send_dtmf"))


def test_blocks_hang_up_on_an_error(start: Start, cm: Sandbox, grace: float) -> None:
    """A call in a ``with`` block is no orphan of the error that leaves it."""
    program = start("exits", "error_in_blocks")
    assert "ready" == program.line()
    ended(program, grace)

    assert ["endcall"] == [call.ended_by for call in cm.calls]
