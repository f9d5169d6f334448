"""The calls of all workers, as any process reads them."""

from __future__ import annotations

import threading

import pytest

from telephony import (
    CallInfo,
    CallNotFoundError,
    CallState,
    InvalidArgumentError,
    NotConnectedError,
    WaitTimeoutError,
)
from telephony.contrib.celery import SharedCall, SharedCalls, shared
from telephony.contrib.celery.snapshot import snapshot_of
from tests.unit.contrib.celery.conftest import SECONDS

UP = CallInfo(call_id="call-1", state=CallState.BRIDGED, to="+1800")
ENDED = CallInfo(call_id="call-1", state=CallState.HANGUP, hangup_cause="NO_ANSWER", active=False)


@pytest.fixture
def calls(app):
    """Shared calls, with a line ``a`` that has ``call-1``."""
    made = SharedCalls(app)
    made.store.take("a", "one", "worker@here", new=True)
    made.store.record("a", "one", "call-1", snapshot_of(UP), sequence=1)
    return made


def end(calls):
    calls.store.record("a", "one", "call-1", snapshot_of(ENDED), sequence=2, ended=True)


def test_a_call_that_is_up(calls):
    """Who has it, and what was last heard of it."""
    call = calls.get("call-1")
    assert isinstance(call, SharedCall)
    assert (UP, "a", "worker@here", False) == (call.info, call.owner, call.holder, call.ended)
    assert "call-1" == call.call_id
    assert call.updated_at.tzinfo is not None
    assert [call] == calls.active()
    assert calls.get("another") is None


def test_a_call_that_has_ended(calls):
    """It is still known for a while, without an owner, and is not active."""
    end(calls)
    call = calls.get("call-1")
    assert (ENDED, None, True) == (call.info, call.owner, call.ended)
    assert [] == calls.active()
    assert ENDED == calls.wait_ended("call-1", timeout=0)


def test_the_end_of_a_call_is_waited_for(calls, monkeypatch):
    """Redis tells of it: nobody looks again and again."""
    monkeypatch.setattr(shared, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(shared, "AGAIN_SECONDS", 3600.0)
    found = []
    waiting = threading.Event()
    listen = calls._listen

    def noted(*args):
        waiting.set()
        listen(*args)

    monkeypatch.setattr(calls, "_listen", noted)
    thread = threading.Thread(target=lambda: found.append(calls.wait_ended("call-1", SECONDS)))
    thread.start()
    assert waiting.wait(SECONDS)
    end(calls)
    thread.join(SECONDS)
    assert [ENDED] == found


def test_the_end_is_found_though_nobody_told(calls, monkeypatch):
    """What Redis publishes is lost when nobody is connected just then: so it is looked up."""
    monkeypatch.setattr(shared, "LOOK_SECONDS", 0.05)
    listen = calls._listen

    def deaf(heard, seconds):
        listen(heard, 0.0)
        end(calls)

    monkeypatch.setattr(calls, "_listen", deaf)
    assert ENDED == calls.wait_ended("call-1", SECONDS)


def test_a_wait_has_its_end(calls):
    """A call that goes on; and one that is not known."""
    with pytest.raises(WaitTimeoutError, match="call-1"):
        calls.wait_ended("call-1", timeout=0.05)
    with pytest.raises(CallNotFoundError):
        calls.wait_ended("another", timeout=0)
    with pytest.raises(InvalidArgumentError, match="timeout"):
        calls.wait_ended("call-1", timeout=-1)


def test_without_redis(calls, redis_server):
    """Every method says so in the same way."""
    redis_server.connected = False
    for read in (calls.active, lambda: calls.get("call-1"), lambda: calls.wait_ended("call-1", 1)):
        with pytest.raises(NotConnectedError, match="Redis cannot be reached"):
            read()
    redis_server.connected = True


def test_by_the_url_of_redis(calls):
    """A process without the app; an account is not needed."""
    other = SharedCalls(redis_url="redis://fake", prefix="telephony")
    assert UP == other.get("call-1").info
    assert SharedCalls(redis_url="redis://fake", prefix="other").get("call-1") is None
    with pytest.raises(InvalidArgumentError, match="redis_url"):
        SharedCalls()


def test_two_processes_of_one_app_read_one_configuration(app):
    """It is read at the first use, and once more after Telephony(app)."""
    first = shared.shared_of(app)
    assert shared.shared_of(app) is first
    shared.forget(app)
    assert shared.shared_of(app) is not first


def test_what_is_no_app():
    """It is said at once what is needed."""
    with pytest.raises(InvalidArgumentError, match="app must be a Celery app, not str"):
        SharedCalls("shop")
