"""The front desk in the sandbox: fixtures, scripts, faults, assertions, the marker."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from frontdesk import NUMBER, PIN

CALLER, CALLEE = "+15557654321", "+18005551234"


def test_somebody_is_rung_up(desk, telephony_sandbox):
    assert desk.ring(CALLEE) == "Answered"
    telephony_sandbox.assert_dialed(to=CALLEE, from_=NUMBER, times=1)


def test_somebody_is_on_the_phone(desk, telephony_sandbox):
    telephony_sandbox.script_dial(outcome="busy")
    assert desk.ring(CALLEE) == "Busy"


def test_the_network_fails_while_it_rings(desk, telephony_sandbox, telephony_client):
    telephony_sandbox.script_dial(ring=100)  # 2 s, as the sandbox's clock is 50 times as fast
    with ThreadPoolExecutor() as thread:
        ringing = thread.submit(desk.ring, CALLEE)
        telephony_sandbox.wait_for_command("outbound")
        telephony_sandbox.drop_connections()
        assert ringing.result(timeout=5) == "Unknown"
    assert telephony_client.wait_connected(timeout=5)
    telephony_sandbox.assert_dialed(times=1)  # and not again


def test_a_caller_with_the_pin(desk, telephony_sandbox):
    caller = telephony_sandbox.incoming(to=NUMBER, from_=CALLER)
    assert caller.wait_accepted(timeout=5)
    caller.press(PIN)
    telephony_sandbox.wait_for_command("rebridge", call_id=caller, channel="office")


def test_a_caller_without_it(desk, telephony_sandbox):
    caller = telephony_sandbox.incoming(to=NUMBER, from_=CALLER)
    assert caller.wait_accepted(timeout=5)
    caller.press("0000")
    caller.wait_ended(timeout=5)
    telephony_sandbox.assert_hung_up(caller)
    telephony_sandbox.assert_not_sent("rebridge")


@pytest.mark.telephony(dids=[NUMBER, "+15551239999"], client=dict(subscribe_numbers=[NUMBER]))
def test_a_call_for_somebody_else(desk, telephony_sandbox):
    caller = telephony_sandbox.incoming(to="+15551239999", from_=CALLER)
    assert caller.hangup_cause == "UNALLOCATED_NUMBER"
    telephony_sandbox.assert_not_sent("accept")
