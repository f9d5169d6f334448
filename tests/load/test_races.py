"""Answers, timeouts, hangups and closes that meet."""

from __future__ import annotations

import random
import threading

import pytest

from telephony import (
    CallIncoming,
    CallNotFoundError,
    CommandTimeoutError,
    OutcomeUnknownError,
    TelephonyError,
)
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.load.story import SECONDS, Stories, each, nothing_left

CALLS = 60


def test_answers_that_come_as_the_dial_gives_up():
    """Each dial has its call or gave it up: then the call is hung up; none is left in between."""
    with Sandbox(time_scale=50, respond="early") as cm:
        client = cm.client(command_timeout=SECONDS)
        stories = Stories(client)
        cm.delay(0.1, "outbound")

        def dial(number):
            try:
                return client.dial(
                    **{**DIAL, "uid": str(number)}, command_timeout=0.07 + number % 30 / 500
                )
            except CommandTimeoutError as error:
                return error.call

        with client:
            calls = each(range(CALLS), dial, CALLS)
            for call in list(client.calls()):
                call.hangup()
            for call in calls:
                assert "hangup" == call.wait_ended(SECONDS).state
                assert cm.peer(call).wait_ended(SECONDS)
            nothing_left(client)
            client.close(drain=SECONDS)
        assert CALLS == len(cm.calls)
        for call in calls:
            names = stories.names(call)
            assert len(names) == len(set(names)), names
            assert "call_hangup" in names


def test_both_ends_hang_up_at_once():
    """Whoever is first, the call ends once, with its cause."""
    with Sandbox(time_scale=50, respond="early") as cm:
        client = cm.client(command_timeout=SECONDS)
        stories = Stories(client)

        def live(number):
            call = client.dial(**{**DIAL, "uid": str(number)})
            call.wait_bridged(SECONDS)
            together = threading.Barrier(2)

            def far_end():
                together.wait(SECONDS)
                cm.peer(call).hang_up("NORMAL_CLEARING")

            other = threading.Thread(target=far_end)
            other.start()
            together.wait(SECONDS)
            try:
                call.hangup()
            except CallNotFoundError:
                pass
            other.join(SECONDS)
            return call

        with client:
            calls = each(range(CALLS), live, 8)
            for call in calls:
                assert "NORMAL_CLEARING" == call.wait_ended(SECONDS).hangup_cause
            nothing_left(client)
            client.close(drain=SECONDS)
        assert [1] * CALLS == [stories.names(call).count("call_hangup") for call in calls]


def test_callers_who_give_up_while_they_are_accepted():
    """An accept and the caller's hangup meet: the call ends, and nothing is kept."""
    with Sandbox(time_scale=50) as cm:
        client = cm.client(command_timeout=SECONDS)
        stories = Stories(client)
        finished = threading.Semaphore(0)

        @client.on(CallIncoming)
        def answer(event):
            try:
                event.call.accept(token="t", channel="in", uid=event.call.call_id)
            except CallNotFoundError:
                pass
            finally:
                finished.release()

        chance = random.Random(1)
        with client:
            for number in range(CALLS):
                far = cm.incoming(to="+1800", from_=f"+1555{number}")
                if chance.random() < 0.3:
                    far.wait_accepted(SECONDS)
                far.hang_up("ORIGINATOR_CANCEL")
                assert finished.acquire(timeout=SECONDS)
            for call in stories.calls:
                call.wait_for(lambda info: not info.active, SECONDS)
            nothing_left(client)
            client.close(drain=SECONDS)
        assert CALLS == len(stories.calls)
        assert all(stories.names(call).count("call_hangup") <= 1 for call in stories.calls)


@pytest.mark.parametrize("drain", [0, 5])
def test_close_under_load(drain):
    """Closed in the middle of everything, everybody is let go, with an error that says why."""
    with Sandbox(time_scale=20, respond="early") as cm:
        client = cm.client(command_timeout=SECONDS, dial_timeout=SECONDS)
        Stories(client)
        client.connect()
        under_way = threading.Semaphore(0)

        def live(number):
            try:
                while True:
                    call = client.dial(**{**DIAL, "uid": str(number)})
                    under_way.release()
                    call.wait_bridged(None)
                    call.send_dtmf("1")
                    call.collect_digits(max_digits=1, timeout=0.01)
                    call.hangup()
                    call.wait_ended(None)
            except TelephonyError as error:
                return type(error).__name__

        def close(_):
            for _ in range(40):
                assert under_way.acquire(timeout=SECONDS)
            client.close(drain=drain)

        ends = each(range(21), lambda n: close(n) if n == 20 else live(n), 21)
        assert set(ends) <= {None, "ClientClosedError", "ConnectionLostError", "NotConnectedError"}
        assert [] == client.calls()


def test_commands_that_time_out_as_they_are_answered():
    """Each has its answer or its timeout; nothing stays in flight."""
    with Sandbox(time_scale=50, respond="early") as cm, cm.client() as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        cm.delay(0.05, "send_dtmf")

        def send(number):
            try:
                call.send_dtmf("1", command_timeout=0.03 + number % 40 / 1000)
            except OutcomeUnknownError as error:
                return error.action
            return "done"

        assert {"done", "send_dtmf"} >= set(each(range(200), send, 20))
        assert 0 == client.health().in_flight
        cm.peer(call).wait_heard("1" * 200, SECONDS)
        cm.delay(0)
        cm.peer(call).press("5")
        assert "5" == call.collect_digits(max_digits=1, timeout=SECONDS)
