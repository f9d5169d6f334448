"""What an event and a command cost, counted in bytecodes: the same on every machine.

Whoever comes to a ceiling has made the library slower, or has a reason to raise it; what it is
worth in time ``python -m tests.bench`` says.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from telephony import DtmfReceived
from tests.conftest import DIAL
from tests.scripted import SECONDS, Running

#: A fifth above what was counted on Python 3.11, the most wordy: 741 and 2,361.
EVENT_MOST, COMMAND_MOST = 890, 2830

EVENTS, COMMANDS = 300, 30


class Bytecodes:
    """Counts the library's own, of the threads that begin while it is set."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()  # by thread, each of which adds to its own

    def __call__(self, frame: FrameType, what: str, arg: Any) -> Any:
        if not frame.f_globals.get("__name__", "").startswith("telephony."):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if what == "opcode":
            self._counts[threading.get_ident()] += 1
        return self

    def so_far(self) -> int:
        return sum(list(self._counts.values()))


@pytest.fixture
def bytecodes():
    """One that counts from here on."""
    bytecodes, before = Bytecodes(), sys.gettrace()
    threading.settrace(bytecodes)
    yield bytecodes
    threading.settrace(before)


@pytest.fixture
def desk(bytecodes, scripted):
    """A client, its line, and one call that is up; nothing is logged, as is usual."""
    logging.getLogger("telephony").setLevel(logging.WARNING)  # set back by `no_secret_shown`
    client, line = scripted.connected()
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    call = dialling.result()
    line.event("call_answered", "id-1", **place_of(call))
    call.wait_answered(SECONDS)
    yield client, line, call
    client.close()


def place_of(call):
    """What an event of *call* says of it."""
    return {
        "direction": call.direction, "from": call.from_, "to": call.to,
        "channel": call.channel, "uid": call.uid, "appid": call.app_id, "video": False,
    }  # fmt: skip


def test_an_event(desk, bytecodes):
    """From the bytes to the callback, both threads together."""
    client, line, call = desk
    heard, last = [], threading.Event()

    @client.on(DtmfReceived)
    def hear(event):
        heard.append(event.digits)
        if len(heard) == EVENTS:
            last.set()

    before = bytecodes.so_far()
    for _ in range(EVENTS):
        line.event("dtmf_received", "id-1", digits="1", **place_of(call))
    assert last.wait(SECONDS)
    each = (bytecodes.so_far() - before) / EVENTS
    assert 300 < each < EVENT_MOST, each


def test_a_command(desk, bytecodes):
    """From the caller's method to what it returns, the reader's part included."""
    client, line, call = desk

    def press():
        for _ in range(COMMANDS):
            call.send_dtmf("1")

    before = bytecodes.so_far()
    caller = threading.Thread(target=press)
    caller.start()
    for _ in range(COMMANDS):
        line.answer(line.receive("send_dtmf"))
    caller.join(SECONDS)
    each = (bytecodes.so_far() - before) / COMMANDS
    assert 1000 < each < COMMAND_MOST, each
