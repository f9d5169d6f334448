"""Digits: key presses are never dropped, echoes never counted."""

from __future__ import annotations

import pytest

from telephony import CallEndedError, DtmfReceived
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.regression.conftest import answered, dialled, offered, settled, synced
from tests.scripted import SECONDS, Recorded, Running


def send(line, call, digits, *echoes, early=False):
    """Send digits; the CM echoes them in these parts, before or after its response."""
    sending = Running(call.send_dtmf, digits)
    command = line.receive("send_dtmf")
    if not early:
        line.answer(command)
    for part in echoes:
        line.event("dtmf_received", call.call_id, digits=part)
    if early:
        line.answer(command)
    sending.result()


def test_two_equal_events_are_two_key_presses(connected):
    """Same digit, same timestamp: twice pressed."""
    client, line = connected()
    heard = Recorded()
    client.on(DtmfReceived, heard)
    call = answered(client, line)
    for _ in range(2):
        line.event("dtmf_received", "call-1", digits="5")
    assert ["5", "5"] == [heard.next().digits, heard.next().digits]
    assert "55" == call.collect_digits(max_digits=2, timeout=SECONDS)


@pytest.mark.parametrize("parts", [["12#4"], ["1", "2", "#", "4"]])
@pytest.mark.parametrize("early", [False, True])
def test_echoes_are_not_counted(connected, parts, early):
    """Whole or digit by digit, before the response or after it."""
    client, line = connected()
    heard = Recorded()
    client.on(DtmfReceived, heard)
    call = answered(client, line)
    send(line, call, "12#4", *parts, early=early)
    line.event("dtmf_received", "call-1", digits="7")
    assert "7" == call.collect_digits(max_digits=1, timeout=SECONDS)
    assert [(part, True) for part in parts] == [
        (event.digits, event.echo) for event in (heard.next() for _ in parts)
    ]
    last = heard.next()
    assert ("7", False) == (last.digits, last.echo)


def test_a_key_between_the_digits_of_an_echo(connected):
    """It is a key press, and the rest of the echo still one."""
    client, line = connected()
    call = answered(client, line)
    send(line, call, "123", "1", "9", "2", "3")
    line.event("dtmf_received", "call-1", digits="0")
    assert "90" == call.collect_digits(max_digits=2, timeout=SECONDS)


def test_the_same_digits_pressed_after_the_echo(connected):
    """One echo for one send: what comes more is pressed."""
    client, line = connected()
    call = answered(client, line)
    send(line, call, "12", "12")
    line.event("dtmf_received", "call-1", digits="12")
    assert "12" == call.collect_digits(max_digits=2, timeout=SECONDS)


def test_a_refused_send_has_no_echo(connected):
    """Digits that were not sent are not waited for: the next ones are pressed."""
    client, line = connected()
    call = answered(client, line)
    sending = Running(call.send_dtmf, "12")
    line.refuse(line.receive("send_dtmf"), "call not answered")
    with pytest.raises(Exception, match="not answered"):
        sending.result()
    line.event("dtmf_received", "call-1", digits="12")
    assert "12" == call.collect_digits(max_digits=2, timeout=SECONDS)


@pytest.mark.parametrize("parts", [["12#34"], ["1", "2", "#", "3", "4"], ["12", "#3", "4"]])
def test_digits_one_by_one_or_many_at_a_time(connected, parts):
    """The terminator is left out, and what is beyond it is for the next call."""
    client, line = connected()
    call = answered(client, line)
    for part in parts:
        line.event("dtmf_received", "call-1", digits=part)
    assert "12" == call.collect_digits(timeout=SECONDS)
    assert "34" == call.collect_digits(max_digits=2, timeout=SECONDS)


def test_digits_pressed_before_anybody_collects(connected):
    """They are kept from the answer on; ``flush`` forgets them."""
    client, line = connected()
    call = answered(client, line)
    line.event("dtmf_received", "call-1", digits="1234")
    synced(client, line)
    assert "12" == call.collect_digits(max_digits=2, timeout=0)
    assert "" == call.collect_digits(flush=True, timeout=0)


def test_a_key_before_the_answer(connected):
    """It is told like any other, but only what is pressed from the answer on is collected."""
    client, line = connected()
    call, keys = dialled(client, line), Recorded()
    client.on(DtmfReceived, keys)
    line.event("dtmf_received", "call-1", digits="5")
    line.event("call_answered", "call-1")
    line.event("dtmf_received", "call-1", digits="6")
    assert "6" == call.collect_digits(max_digits=1, timeout=SECONDS)
    assert ["5", "6"] == [keys.next().digits, keys.next().digits]


def test_the_call_ends_first(connected):
    """The error has what was pressed."""
    client, line = connected()
    call = answered(client, line)
    collecting = Running(call.collect_digits, max_digits=4)
    line.event("dtmf_received", "call-1", digits="12")
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING")
    with pytest.raises(CallEndedError) as caught:
        collecting.result()
    assert ("12", "NORMAL_CLEARING", call) == (
        caught.value.digits, caught.value.cause, caught.value.call
    )  # fmt: skip


def test_enough_digits_before_the_end(connected):
    """Digits that came before the hangup are enough, also when collected after it."""
    client, line = connected()
    call = answered(client, line)
    line.event("dtmf_received", "call-1", digits="12#")
    line.event("call_hangup", "call-1")
    call.wait_ended(SECONDS)
    assert "12" == call.collect_digits(timeout=SECONDS)
    with pytest.raises(CallEndedError):
        call.collect_digits(timeout=SECONDS)


def test_time_runs_out(connected):
    """What there is, perhaps nothing; between digits as well."""
    client, line = connected()
    call = answered(client, line)
    assert "" == call.collect_digits(timeout=0.05)
    collecting = Running(call.collect_digits, inter_digit=0.1)
    line.event("dtmf_received", "call-1", digits="1")
    assert "1" == collecting.result()


def test_digits_of_two_calls(connected):
    """Each call has its own, echoes too."""
    client, line = connected()
    one, two = answered(client, line), answered(client, line, "call-2", uid="101")
    send(line, one, "12", "12")
    line.event("dtmf_received", "call-2", digits="12")
    line.event("dtmf_received", "call-1", digits="34")
    assert "34" == one.collect_digits(max_digits=2, timeout=SECONDS)
    assert "12" == two.collect_digits(max_digits=2, timeout=SECONDS)


def test_digits_of_an_inbound_call(connected):
    """The caller's digits come on the accepted call."""
    client, line = connected()
    call = offered(client, line)
    accepting = Running(call.accept, token="t", channel="c", uid="1")
    line.answer(line.receive("accept"))
    accepting.result()
    line.event("call_answered", "call-9")
    line.event("dtmf_received", "call-9", digits="*0")
    assert "*0" == call.collect_digits(max_digits=2, timeout=SECONDS)


@pytest.mark.parametrize("dtmf_echo", ["whole", "digits"])
def test_on_the_sandbox(dtmf_echo):
    """Digits go both ways at once, and only the far end's are collected."""
    with Sandbox(time_scale=50, dtmf_echo=dtmf_echo) as cm, cm.client() as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        for _ in range(5):
            call.send_dtmf("123#")
            cm.peer(call).press("4567#")
            assert "4567" == call.collect_digits(timeout=SECONDS)
        assert "123#" * 5 == cm.peer(call).heard


def test_a_callback_for_one_call(connected):
    """``call.on`` hears its own call only."""
    client, line = connected()
    one, two = answered(client, line), answered(client, line, "call-2", uid="101")
    heard = Recorded()
    one.on(DtmfReceived, heard)
    line.event("dtmf_received", "call-2", digits="2")
    line.event("dtmf_received", "call-1", digits="1")
    settled(client, line)
    assert "1" == heard.next().digits
    assert heard.empty() and two is not one
