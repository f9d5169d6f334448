"""A client in a forked child: it says so, and ``connect()`` gives the child its own."""

from __future__ import annotations

import json
import os
import select
import signal

import pytest

from telephony import Disconnected, UnknownEvent
from tests.conftest import DIAL
from tests.regression.conftest import answered, synced
from tests.scripted import SECONDS, Recorded, Running

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # From 3.12 on Python warns of forking with threads, which is what is tested.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


class Child:
    """A function run in a forked child; ``result()`` is what it returned, through JSON."""

    def __init__(self, fn):
        self._out, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                try:
                    told = {"result": fn()}
                except BaseException as error:
                    told = {"error": f"{type(error).__name__}: {error}"}
                os.write(writer, json.dumps(told).encode())
            finally:
                os._exit(0)
        os.close(writer)

    def result(self):
        try:
            ready, _, _ = select.select([self._out], [], [], 2 * SECONDS)
            if not ready:
                os.kill(self._pid, signal.SIGKILL)
            told = os.read(self._out, 65536)
        finally:
            os.close(self._out)
            os.waitpid(self._pid, 0)
        assert ready, "the child hung"
        told = json.loads(told)
        assert "error" not in told, told["error"]
        return told["result"]


def error_of(fn, *args, **kwargs):
    """The name of what a function raises."""
    try:
        fn(*args, **kwargs)
    except Exception as error:
        return type(error).__name__
    return None


def test_commands_in_a_child(connected):
    """All raise ``ForkedClientError``; nothing reaches the CM, and the parent goes on."""
    client, line = connected()
    call = answered(client, line)

    def child():
        return [
            error_of(client.dial, **DIAL),
            error_of(client.subscribe, ["+1800"]),
            error_of(client.command, "ask"),
            error_of(client.calls),
            error_of(client.call, "call-1"),
            error_of(client.health),
            error_of(client.wait_connected, 0),
            error_of(call.hangup),
            error_of(call.send_dtmf, "1"),
            client.connected,
        ]

    assert [*["ForkedClientError"] * 9, False] == Child(child).result()
    synced(client, line)
    assert line.nothing_came()
    hanging = Running(call.hangup)
    line.answer(line.receive("endcall"))
    hanging.result()


@pytest.mark.parametrize("wait", ["wait_bridged", "wait_ended", "collect_digits"])
def test_waits_in_a_child(connected, wait):
    """A wait, for which no event can ever come there, says so instead of hanging."""
    client, line = connected()
    call = answered(client, line)
    assert "ForkedClientError" == Child(lambda: error_of(getattr(call, wait), timeout=1)).result()


def test_the_end_of_a_child_does_not_touch_the_parent(connected):
    """Neither its exit nor its ``close()`` is heard by the CM."""
    client, line = connected()
    lost = Recorded()
    client.on(Disconnected, lost)
    assert Child(lambda: None).result() is None
    assert Child(client.close).result() is None
    synced(client, line)
    assert client.connected and lost.empty() and not line.closed.is_set()


def test_connect_in_a_child(connected, scripted):
    """It makes a connection of the child's own; the parent's still works, at the same time."""
    client, line = connected(subscribe_numbers=["+1800"])
    call = answered(client, line)

    def child():
        client.connect()
        calls = len(client.calls())
        text = client.command("hello", text="from the child")["data"]["text"]
        client.close()
        return [calls, text]

    running = Child(child)
    try:
        other = scripted.line()
        frame = other.greet()
        assert ["+1800"] == frame["subscribe_numbers"]
        command = other.receive("hello")
        synced(client, line)
        other.answer(command, text=command["text"])
    finally:
        result = running.result()
    assert [0, "from the child"] == result
    assert other.closed.wait(SECONDS)
    synced(client, line)
    assert [call] == client.calls() and client.connected


def test_a_child_of_a_client_with_a_name_made_up(cm):
    """The child is another client: the parent is not replaced at the CM by its registration."""
    with cm.client() as client:
        lost = Recorded()
        client.on(Disconnected, lost)
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)

        def child():
            client.connect()
            connected = client.connected
            client.close()
            return connected

        assert Child(child).result() is True
        call.send_dtmf("1")
        assert lost.empty()
        assert 0 == client.health().reconnects
        names = {f["client_id"] for f in cm.frames if "register" == f["action"]}
        assert 2 == len(names)


def test_callbacks_in_a_child(connected, scripted):
    """Those registered before the fork serve the child's own connection too."""
    client, _ = connected()
    seen = Recorded()
    client.on(UnknownEvent, seen)

    def child():
        client.connect()
        name = seen.next().name
        client.close()
        return name

    running = Child(child)
    try:
        line = scripted.line()
        line.greet()
        line.event("hello_child")
    finally:
        result = running.result()
    assert "hello_child" == result


def test_a_fork_while_commands_fly(connected):
    """Forked in the middle of traffic, the child gets its error and the parent its answers."""
    client, line = connected()
    asking = Running(client.command, "ask")
    command = line.receive("ask")
    assert "ForkedClientError" == Child(lambda: error_of(client.command, "ask")).result()
    line.answer(command)
    asking.result()
