"""Ctrl-C ends every wait, and a handler may close the client whatever the main thread does."""

from __future__ import annotations

import re
import signal
import socket

import pytest

from telephony.sandbox import Sandbox
from tests.processes.conftest import Start, commands, ended, soon
from tests.processes.test_exits import TRACEBACK

# It may come while the interpreter handles an error of its own: making a Condition does.
INTERRUPTED = re.compile(
    rf"(?:{TRACEBACK}AttributeError: .*\n\nDuring handling .*\n\n)?{TRACEBACK}KeyboardInterrupt\n"
)

WAITS = ["dial", "dial_in_blocks", "wait_ended", "collect_digits", "in_a_call"]


@pytest.mark.parametrize("name", WAITS)
def test_interrupted(start: Start, cm: Sandbox, grace: float, name: str) -> None:
    """What waits for the CM ends with KeyboardInterrupt, and so does the program."""
    if name.startswith("dial"):
        cm.script_dial(ring=100_000)
    program = start("interrupted", name)
    assert "ready" == program.line()

    # That is how the interpreter ends: by the signal itself.
    assert (-signal.SIGINT, []) == ended(program, grace, told=signal.SIGINT)
    assert INTERRUPTED.fullmatch(program.stderr), program.stderr
    assert 1 == len(commands(cm, "outbound"))
    if name == "in_a_call":
        assert ["endcall"] == [call.ended_by for call in cm.calls]


@pytest.mark.parametrize("name", ["connect", "wait_connected"])
def test_interrupted_before_there_is_a_connection(
    start: Start, mute: tuple[str, socket.socket], grace: float, name: str
) -> None:
    """Waiting for a connection ends like any other wait."""
    url, server = mute
    program = start("interrupted", name, url=url)
    assert "ready" == program.line()
    if name == "connect":
        server.accept()[0].close()

    assert (-signal.SIGINT, []) == ended(program, grace, told=signal.SIGINT)
    assert INTERRUPTED.fullmatch(program.stderr), program.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_forever_returns(start: Start, grace: float, number: int) -> None:
    """A service ends well at either signal."""
    program = start("interrupted", "run_forever")
    assert "ready" == program.line()

    assert (0, ["over True"]) == ended(program, grace, told=number)
    assert "" == program.stderr


def test_run_forever_returns_while_connecting(
    start: Start, mute: tuple[str, socket.socket], grace: float
) -> None:
    """Also one whose CM says nothing."""
    url, server = mute
    program = start("interrupted", "run_forever_connecting", url=url)
    assert "ready" == program.line()
    with server.accept()[0] as taken:
        assert taken.recv(1)

        assert (0, ["over True"]) == ended(program, grace, told=signal.SIGTERM)
    assert "" == program.stderr


def test_closed_by_a_handler_while_dialling(start: Start, cm: Sandbox, grace: float) -> None:
    """The dial ends, and says that nobody knows how."""
    cm.script_dial(ring=100_000)
    program = start("interrupted", "handler_in_dial")
    assert "ready" == program.line()

    said = ["ConnectionLostError", "over True"]
    assert (0, said) == ended(program, grace, told=signal.SIGTERM)
    assert "" == program.stderr


def test_closed_by_a_handler_under_our_locks(start: Start, grace: float) -> None:
    """The handler interrupts the main thread inside the client, with any of its locks held."""
    program = start("interrupted", "handler_under_each_lock")
    closed = []
    while True:
        line = program.line()
        if "over" == line:
            break
        assert "closing" == line
        closed.append(soon(program, grace))

    assert (0, []) == program.finish()
    assert "" == program.stderr
    assert "closed client._connection.lock" in closed
