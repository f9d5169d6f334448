"""What an event and a command cost, counted in bytecodes: the same on every machine.

Whoever comes to a ceiling has made the library slower, or has a reason to raise it; what it is
worth in time ``python -m tests.bench`` says.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from telephony import CallEvent, UnknownEvent
from tests.conftest import DIAL
from tests.scripted import SECONDS, Running

#: A fifth above what was counted on Python 3.11, the most wordy: 616, 1,057 and 2,279.
EVENT_MOST, MOVE_MOST, COMMAND_MOST = 740, 1270, 2735

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
    bytecodes, before = Bytecodes(), threading.gettrace()
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


def cost_of_events(desk, bytecodes, names):
    """For each of them, from the bytes to the callback, both threads together.

    They are read in one go, and told in one go: how often a thread is woken is not what is counted.
    """
    client, line, call = desk
    heard, all_read, all_heard = [], threading.Event(), threading.Event()

    @client.on(CallEvent)
    def hear(event):
        if type(event) is UnknownEvent:  # of no call, so that it need not wait for the others
            all_read.set()
            return
        assert all_read.wait(SECONDS)
        heard.append(event)
        if len(heard) == EVENTS:
            all_heard.set()

    before = bytecodes.so_far()
    with client._connection.lock:
        for number in range(EVENTS):
            line.event(names[number % len(names)], "id-1", digits="1", **place_of(call))
        line.event("the_end")
    assert all_heard.wait(SECONDS)
    return (bytecodes.so_far() - before) / EVENTS


def test_an_event(desk, bytecodes):
    """A key press, which leaves its call as it is."""
    each = cost_of_events(desk, bytecodes, ["dtmf_received"])
    assert EVENT_MOST / 2 < each < EVENT_MOST, each


def test_an_event_that_moves_its_call(desk, bytecodes):
    """A new snapshot is made for it."""
    each = cost_of_events(desk, bytecodes, ["agora_bridge_start", "agora_bridge_end"])
    assert MOVE_MOST / 2 < each < MOVE_MOST, each


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
    assert COMMAND_MOST / 2 < each < COMMAND_MOST, each
