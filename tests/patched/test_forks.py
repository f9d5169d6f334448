"""Forks of a patched process, in which every greenlet goes on, those of the client too."""

from __future__ import annotations

import os

import gevent
import pytest

from telephony import Client, ForkedClientError, UnknownEvent
from tests.conftest import DIAL
from tests.scripted import Recorded
from tests.soak.cm import RemoteSandbox


@pytest.fixture
def far():
    """A sandbox in a process of its own, which no fork of this one copies."""
    with RemoteSandbox(time_scale=50) as cm:
        yield cm


def start_child(fn) -> int:
    """Run *fn* in a forked child; its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if fn() else 2
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    """Wait for a child: 0 if its function returned true."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_childs_copies_do_nothing(far):
    """The reader's copy neither reads, pings nor connects again; the parent's call is untouched."""
    with Client(
        far.url, far.auth_token, "parent", far.app_id, ping_interval=0.2, ping_timeout=1
    ) as client:
        call = client.dial(**DIAL)
        call.wait_bridged(10)

        def child():
            gevent.sleep(3)  # the copy of the reader has all the time to do harm
            try:
                client.calls()
            except ForkedClientError:
                client.close()
                return True

        assert 0 == exit_code(start_child(child))
        far.peer(call.call_id, "press", "12#")
        assert "12" == call.collect_digits(timeout=10)
        assert (True, 0) == (client.connected, client.health().reconnects)
        assert 1 == far.registrations()


def test_the_child_connects_for_itself(far):
    """Its own connection serves the callbacks it inherited; the parent's stays."""
    client = Client(far.url, far.auth_token, None, far.app_id)
    seen = Recorded()
    client.on(UnknownEvent, seen)
    with client:

        def child():
            client.connect(10)
            with client.dial(**DIAL) as call:
                call.wait_answered(10)
            far_said = seen.next().name
            client.close()
            return "hello" == far_said and "hangup" == call.state

        pid = start_child(child)
        with gevent.Timeout(10):
            while far.registrations() < 2:
                gevent.sleep(0.02)
        far.send({"event": "hello"})
        assert 0 == exit_code(pid)
        assert "hello" == seen.next().name
        assert (True, 0) == (client.connected, client.health().reconnects)
        assert 2 == far.registrations()
