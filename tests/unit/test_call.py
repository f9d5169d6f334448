"""The live handle: every end of every wait, digits, its commands, and leaving ``with call:``."""

from __future__ import annotations

import threading

import pytest

from telephony import (
    Backoff,
    CallAnswered,
    CallEndedError,
    CallHangup,
    CallIncoming,
    CallInfo,
    CallState,
    ClientClosedError,
    CommandRefusedError,
    Disconnected,
    DtmfReceived,
    InvalidArgumentError,
    WaitTimeoutError,
)
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running


class Waiters(list):
    """A list that says when something is put in it."""

    def __init__(self):
        super().__init__()
        self.waited = threading.Event()

    def append(self, waiter):
        super().append(waiter)
        self.waited.set()


class Desk:
    """A connected client, its line, and one call that was dialled and rings."""

    def __init__(self, client, line):
        self.client, self.line = client, line
        dialling = Running(client.dial, **DIAL)
        line.answer(line.receive("outbound"), callid="id-1")
        self.call = dialling.result()
        self.call._waiters = Waiters()

    def event(self, name, **fields):
        """The CM sends an event of the call; it has been taken in when this returns."""
        self.line.event(name, "id-1", **fields)
        self.sync()

    def press(self, *digits):
        for digit in digits:
            self.line.event("dtmf_received", "id-1", digits=digit)
        self.sync()

    def answered(self):
        self.event("call_answered")

    def hung_up(self, cause="NORMAL_CLEARING"):
        self.event("call_hangup", hangup_cause=cause, duration="9", billsec="7")

    def sync(self):
        """All that was sent before has been taken in."""
        done = Running(self.client.command, "sync")
        self.line.answer(self.line.receive("sync"))
        done.result()

    def waiting(self, fn, *args, **kwargs):
        """*fn* on a thread that waits by now."""
        self.call._waiters.waited.clear()
        running = Running(fn, *args, **kwargs)
        assert self.call._waiters.waited.wait(SECONDS)
        return running


@pytest.fixture
def desk(scripted):
    client, line = scripted.connected(reconnect=Backoff(initial=0.01, maximum=0.02))
    yield Desk(client, line)
    client.close()


# --- waiting for a state ---------------------------------------------------------------------

STATES = {
    "wait_answered": ["call_answered"],
    "wait_bridged": ["agora_bridge_start"],
    "wait_ended": ["call_hangup"],
}


@pytest.mark.parametrize("wait, events", STATES.items(), ids=list(STATES))
def test_there_already(desk, wait, events):
    """It returns at once, with the snapshot, also when it may only look."""
    for event in events:
        desk.event(event)
    for timeout in (0, 5, None):
        info = getattr(desk.call, wait)(timeout)
        assert type(info) is CallInfo
        assert info is desk.call.info


@pytest.mark.parametrize("wait, events", STATES.items(), ids=list(STATES))
def test_it_happens_while_waiting(desk, wait, events):
    """Whoever waits is woken; many at once, too."""
    waiting = [desk.waiting(getattr(desk.call, wait), SECONDS) for _ in range(3)]
    for event in events:
        desk.event(event)
    for thread in waiting:
        assert desk.call.state is thread.result().state


@pytest.mark.parametrize("wait", STATES)
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_it_does_not_happen_in_time(desk, wait, timeout):
    """The error says what was waited for, and how the call is."""
    with pytest.raises(WaitTimeoutError) as caught:
        getattr(desk.call, wait)(timeout)
    assert isinstance(caught.value, TimeoutError)
    assert "id-1" in str(caught.value)
    assert "ringing" in str(caught.value)
    assert [] == desk.call._waiters


@pytest.mark.parametrize("wait", [*STATES, "wait_for", "collect_digits"])
@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), "5", True])
def test_a_timeout_that_is_none(desk, wait, timeout):
    """Negative ones and what is no number are refused by name."""
    args = [CallState.BRIDGED] if wait == "wait_for" else []
    with pytest.raises(InvalidArgumentError, match="^timeout"):
        getattr(desk.call, wait)(*args, timeout=timeout)


@pytest.mark.parametrize("wait", [*STATES, "collect_digits"])
def test_a_wait_longer_than_the_interpreter_can(desk, wait):
    """Refused by name, not with the interpreter's own error; None is for ever."""
    with pytest.raises(InvalidArgumentError, match="^timeout"):
        getattr(desk.call, wait)(timeout=1e12)


@pytest.mark.parametrize("wait", ["wait_answered", "wait_bridged"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "meanwhile"])
def test_the_call_ends_first(desk, wait, before):
    """The error has the call and the cause."""
    if before:
        desk.hung_up("USER_BUSY")
        waiting = Running(getattr(desk.call, wait), SECONDS)
    else:
        waiting = desk.waiting(getattr(desk.call, wait), SECONDS)
        desk.hung_up("USER_BUSY")
    with pytest.raises(CallEndedError) as caught:
        waiting.result()
    assert "USER_BUSY" == caught.value.cause
    assert desk.call is caught.value.call
    assert "USER_BUSY" in str(caught.value)


@pytest.mark.parametrize("wait", STATES)
@pytest.mark.parametrize("before", [True, False], ids=["before", "meanwhile"])
def test_the_client_is_closed(desk, wait, before):
    """Every wait ends with it."""
    if before:
        desk.client.close()
        waiting = Running(getattr(desk.call, wait))
    else:
        waiting = desk.waiting(getattr(desk.call, wait))
        desk.client.close()
    with pytest.raises(ClientClosedError):
        waiting.result()


def test_bridged_counts_as_answered(desk):
    """So does unbridged: the remote party picked up."""
    desk.event("agora_bridge_start")
    assert CallState.BRIDGED is desk.call.wait_answered(0).state
    desk.event("agora_bridge_end")
    assert CallState.UNBRIDGED is desk.call.wait_answered(0).state


def test_a_state_that_is_passed_quickly_is_not_missed(desk):
    """Whoever waits sees every snapshot, also when the call has ended by then."""
    waiting = desk.waiting(desk.call.wait_answered, SECONDS)
    line = desk.line
    line.event("call_answered", "id-1")
    line.event("call_hangup", "id-1")
    assert CallState.ANSWERED is waiting.result().state


def test_waiting_for_a_predicate(desk):
    """It is given each snapshot, and may ask for anything in it."""
    waiting = desk.waiting(desk.call.wait_for, lambda info: info.channel == "hall", SECONDS)
    desk.event("agora_bridge_start", channel="room", uid="100")
    desk.event("agora_bridge_start", channel="hall", uid="7")
    assert "hall" == waiting.result().channel


@pytest.mark.parametrize("state", [CallState.BRIDGED, "bridged"])
def test_waiting_for_a_state(desk, state):
    """By its name too."""
    desk.event("agora_bridge_start")
    assert CallState.BRIDGED is desk.call.wait_for(state, 0).state


def test_waiting_for_the_end_as_a_state(desk):
    """That it ended is then no error."""
    waiting = desk.waiting(desk.call.wait_for, CallState.HANGUP, SECONDS)
    desk.hung_up()
    assert CallState.HANGUP is waiting.result().state


@pytest.mark.parametrize("wanted", ["teleported", "", None, 5])
def test_waiting_for_what_there_is_not(desk, wanted):
    """A misspelt state would be waited for for ever."""
    with pytest.raises(InvalidArgumentError):
        desk.call.wait_for(wanted, 0)


def test_a_predicate_that_raises(desk):
    """Its error is the caller's."""
    with pytest.raises(ZeroDivisionError):
        desk.call.wait_for(lambda info: 1 / 0)
    assert [] == desk.call._waiters


# --- waiting for the end -----------------------------------------------------------------------


def test_how_it_ended(desk):
    """The snapshot has the cause and the durations."""
    waiting = desk.waiting(desk.call.wait_ended)
    desk.hung_up()
    info = waiting.result()
    assert ("NORMAL_CLEARING", 9, 7, False) == (
        info.hangup_cause,
        info.duration,
        info.billsec,
        info.active,
    )


def hang_up(desk):
    hanging_up = Running(desk.call.hangup)
    desk.line.answer(desk.line.receive("endcall"))
    hanging_up.result()


def test_after_our_own_hangup_its_event_is_waited_for(desk):
    """To tell how it ended."""
    hang_up(desk)
    assert CallState.HANGUP is desk.call.state
    waiting = desk.waiting(desk.call.wait_ended)
    desk.hung_up()
    assert 7 == waiting.result().billsec


def test_after_our_own_hangup_its_absence_is_no_error(desk, monkeypatch):
    """Five seconds, here shortened, and the call is as ended as it will get."""
    monkeypatch.setattr("telephony.waits.HANGUP_SECONDS", 0.05)
    hang_up(desk)
    info = desk.call.wait_ended()
    assert CallState.HANGUP is info.state
    assert info.hangup_cause is None


def test_a_dropped_call_has_ended_for_us(desk):
    """An incoming call nobody wanted: waiting for its end does not wait for ever."""
    offered = Recorded()
    desk.client.on(CallIncoming, offered)
    desk.line.event("call_incoming", "id-2", direction="inbound")
    call = offered.next().call
    info = Running(call.wait_ended).result()
    assert not info.active
    with pytest.raises(CallEndedError):
        call.wait_answered()
    assert desk.client.call("id-2") is None


# --- digits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pressed", [["1", "2", "3", "#"], ["123#"], ["12", "3#"]], ids=["one by one", "all", "some"]
)
def test_the_terminator_ends_and_is_left_out(desk, pressed):
    """Whether digits come one by one or many at a time."""
    desk.answered()
    waiting = desk.waiting(desk.call.collect_digits, timeout=SECONDS)
    desk.press(*pressed)
    assert "123" == waiting.result()


def test_the_most_digits_end(desk):
    """What is beyond is left for the next."""
    desk.answered()
    desk.press("123456#78")
    assert "1234" == desk.call.collect_digits(max_digits=4, timeout=0)
    assert "56" == desk.call.collect_digits(max_digits=4, timeout=0)
    assert "78" == desk.call.collect_digits(timeout=0)
    assert "" == desk.call.collect_digits(timeout=0)


def test_a_terminator_right_after_the_most_digits_is_left(desk):
    """The next collect begins with it, and is empty."""
    desk.answered()
    desk.press("12#34#")
    assert "12" == desk.call.collect_digits(max_digits=2, timeout=0)
    assert "" == desk.call.collect_digits(max_digits=2, timeout=0)
    assert "34" == desk.call.collect_digits(max_digits=2, timeout=0)


@pytest.mark.parametrize("terminator", [None, ""])
def test_without_a_terminator(desk, terminator):
    """``#`` is a digit as any other."""
    desk.answered()
    desk.press("1#*")
    assert "1#*" == desk.call.collect_digits(terminator=terminator, max_digits=3)


def test_any_of_several_terminators(desk):
    """Each character is one."""
    desk.answered()
    desk.press("1*2#")
    assert "1" == desk.call.collect_digits(terminator="*#")
    assert "2" == desk.call.collect_digits(terminator="*#")


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_when_time_runs_out(desk, timeout):
    """What there is, perhaps nothing; no error."""
    desk.answered()
    assert "" == desk.call.collect_digits(timeout=timeout)
    desk.press("12")
    assert "12" == desk.call.collect_digits(timeout=timeout)


def test_time_between_digits(desk):
    """It counts from a digit on, not before the first one."""
    desk.answered()
    waiting = desk.waiting(desk.call.collect_digits, inter_digit=0.05, timeout=60)
    assert not waiting.done
    desk.press("1", "2")
    assert "12" == waiting.result()


def test_time_between_digits_counts_for_those_there_already(desk):
    """The caller stopped pressing before anybody collected."""
    desk.answered()
    desk.press("12")
    assert "12" == desk.call.collect_digits(inter_digit=0.02)


def test_digits_from_the_answer_on_are_kept(desk):
    """What was heard before it is no answer to anything we asked."""
    desk.press("9")
    desk.answered()
    desk.press("1", "2")
    assert "12" == desk.call.collect_digits(timeout=0)


def test_flush_forgets_what_was_pressed_before(desk):
    """A prompt that must not be answered ahead."""
    desk.answered()
    desk.press("99")
    waiting = desk.waiting(desk.call.collect_digits, flush=True, timeout=SECONDS)
    desk.press("1#")
    assert "1" == waiting.result()


def test_our_own_digits_are_not_counted(desk):
    """Their echo is no key press."""
    desk.answered()
    sending = Running(desk.call.send_dtmf, "12#")
    command = desk.line.receive("send_dtmf")
    desk.line.event("dtmf_received", "id-1", digits="1")
    desk.line.answer(command)
    sending.result()
    desk.press("2", "#", "7")
    assert "7" == desk.call.collect_digits(timeout=0)


@pytest.mark.parametrize("before", [True, False], ids=["before", "meanwhile"])
def test_the_call_ends_before_its_digits(desk, before):
    """What was heard is with the error."""
    desk.answered()
    desk.press("12")
    if before:
        desk.hung_up()
        waiting = Running(desk.call.collect_digits)
    else:
        waiting = desk.waiting(desk.call.collect_digits)
        desk.hung_up()
    with pytest.raises(CallEndedError) as caught:
        waiting.result()
    assert "12" == caught.value.digits
    assert "NORMAL_CLEARING" == caught.value.cause


def test_digits_that_were_complete_before_the_end(desk):
    """They are returned all the same."""
    desk.answered()
    desk.press("12#")
    desk.hung_up()
    assert "12" == desk.call.collect_digits()


@pytest.mark.parametrize("before", [True, False], ids=["before", "meanwhile"])
def test_the_client_is_closed_before_the_digits(desk, before):
    """As with the other waits."""
    desk.answered()
    if before:
        desk.client.close()
        waiting = Running(desk.call.collect_digits)
    else:
        waiting = desk.waiting(desk.call.collect_digits)
        desk.client.close()
    with pytest.raises(ClientClosedError):
        waiting.result()


@pytest.mark.parametrize(
    "name, value",
    [
        ("max_digits", 0),
        ("max_digits", -1),
        ("max_digits", 1.5),
        ("max_digits", True),
        ("max_digits", "4"),
        ("terminator", 5),
        ("inter_digit", -1),
        ("inter_digit", "1"),
    ],
)
def test_bad_input_to_collect(desk, name, value):
    """Refused by name; no digit is lost by it."""
    desk.answered()
    desk.press("1")
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        desk.call.collect_digits(**{name: value})
    assert "1" == desk.call.collect_digits(timeout=0)


def test_two_collect_at_once(desk):
    """Each digit goes to one of them, none is lost."""
    desk.answered()
    waiting = [
        desk.waiting(desk.call.collect_digits, max_digits=50, terminator=None) for _ in range(2)
    ]
    desk.press("12345" * 20)
    assert sorted("12345" * 20) == sorted("".join(thread.result() for thread in waiting))


# --- callbacks of one call --------------------------------------------------------------------


def test_callbacks_of_one_call(desk):
    """They see its events of their kind, and no other call's; ``on`` returns the function."""
    pressed = Recorded()
    assert pressed is desk.call.on(DtmfReceived)(pressed)
    assert print is desk.call.on(CallHangup, print)
    desk.line.event("dtmf_received", "id-9", digits="9")
    desk.answered()
    desk.press("1")
    event = pressed.next()
    assert ("1", desk.call) == (event.digits, event.call)
    assert pressed.empty()


def test_waiting_within_a_callback(desk):
    """Waits do not go through the queue the callback holds up."""
    got = Recorded()

    def answered(event):
        got(event.call.wait_bridged(SECONDS))
        got(event.call.collect_digits(max_digits=1, timeout=SECONDS))

    desk.call.on(CallAnswered, answered)
    desk.answered()
    desk.event("agora_bridge_start")
    desk.press("5")
    assert CallState.BRIDGED is got.next().state
    assert "5" == got.next()


@pytest.mark.parametrize("event_type, fn", [("call_ringing", print), (CallAnswered, None)])
def test_callbacks_that_are_none(desk, event_type, fn):
    """A class of events and a function are wanted."""
    if fn is None:
        fn = 5
    with pytest.raises(InvalidArgumentError):
        desk.call.on(event_type, fn)


# --- what it shows ------------------------------------------------------------------------------


def test_attributes_read_the_newest_snapshot(desk):
    """All of CallInfo's, under the same names."""
    desk.event("call_answered", sip_headers={"X-A": "1"}, video=True)
    for name in (
        "call_id state direction from_ to channel uid app_id video created_at answered_at "
        "ended_at hangup_cause duration billsec sip_disposition sip_headers stale active"
    ).split():
        assert getattr(desk.call.info, name) == getattr(desk.call, name), name
    assert ("id-1", "answered", "outbound", "room", "100", "APP") == (
        desk.call.call_id,
        desk.call.state,
        desk.call.direction,
        desk.call.channel,
        desk.call.uid,
        desk.call.app_id,
    )
    assert {"X-A": "1"} == desk.call.sip_headers
    with pytest.raises(AttributeError):
        desk.call.state = CallState.HANGUP


def test_a_snapshots_headers_cannot_be_changed(desk):
    """Nothing of a snapshot can."""
    desk.event("call_answered", sip_headers={"X-A": "1"})
    with pytest.raises(TypeError):
        desk.call.sip_headers["X-A"] = "2"


def test_str_and_repr_are_short_and_hold_no_secret(desk):
    """Who, where to, and how it is."""
    for text in (str(desk.call), repr(desk.call)):
        assert "id-1" in text
        assert "+18005551234" in text
        assert "ringing" in text
        assert len(text) < 120
        assert "rtc-token" not in text


def test_a_call_is_itself_only(desk):
    """It can be a key, and is equal to nothing else."""
    assert desk.call == desk.call
    assert desk.call != desk.client
    assert 1 == {desk.call: 1}[desk.client.call("id-1")]


# --- leaving ``with call:`` ----------------------------------------------------------------------


def leave(desk, error=None):
    """Enter and leave the call on a thread."""

    def block():
        with desk.call as call:
            assert desk.call is call
            if error is not None:
                raise error

    return Running(block)


def test_leaving_hangs_up_and_waits_for_the_event(desk):
    """Afterwards it is known how the call ended."""
    leaving = leave(desk)
    desk.line.answer(desk.line.receive("endcall"))
    desk.line.event("call_hangup", "id-1", hangup_cause="NORMAL_CLEARING", billsec="7")
    leaving.result()
    assert ("NORMAL_CLEARING", 7) == (desk.call.hangup_cause, desk.call.billsec)


def test_leaving_a_call_that_ended(desk):
    """Nothing is sent."""
    desk.hung_up()
    leave(desk).result()
    assert desk.line.nothing_came()


def test_leaving_with_an_error(desk):
    """The call is hung up, and the error goes on."""
    leaving = leave(desk, ZeroDivisionError())
    desk.line.answer(desk.line.receive("endcall"))
    desk.line.event("call_hangup", "id-1")
    with pytest.raises(ZeroDivisionError):
        leaving.result()


def test_leaving_when_the_cm_does_not_know_the_call(desk, monkeypatch):
    """It ended by itself: no error."""
    monkeypatch.setattr("telephony.call.HANGUP_SECONDS", 0.05)
    leaving = leave(desk)
    desk.line.refuse(desk.line.receive("endcall"), "callid not found")
    leaving.result()
    assert CallState.HANGUP is desk.call.state


def test_leaving_when_the_hangup_is_refused(desk):
    """The call may be up: that has to be told, unless another error is on its way."""
    leaving = leave(desk)
    desk.line.refuse(desk.line.receive("endcall"), "try again")
    with pytest.raises(CommandRefusedError, match="try again"):
        leaving.result()
    leaving = leave(desk, ZeroDivisionError())
    desk.line.refuse(desk.line.receive("endcall"), "try again")
    with pytest.raises(ZeroDivisionError):
        leaving.result()


def test_leaving_when_the_event_does_not_come(desk, monkeypatch):
    """It is not waited for for ever, and its absence is no error."""
    monkeypatch.setattr("telephony.call.HANGUP_SECONDS", 0.05)
    leaving = leave(desk)
    desk.line.answer(desk.line.receive("endcall"))
    leaving.result()
    assert desk.call.hangup_cause is None


def test_leaving_during_an_outage(desk, scripted):
    """The call is hung up when the connection is back."""
    gone = Recorded()
    desk.client.on(Disconnected, gone)
    desk.line.drop()
    gone.next()
    leaving = leave(desk)
    line = scripted.line()
    line.greet()
    line.answer(line.receive("endcall"))
    line.event("call_hangup", "id-1")
    leaving.result()


def test_leaving_after_the_client_was_closed(desk):
    """There is nothing left to hang up with, and nothing to complain of."""
    with desk.call:
        desk.client.close()


def test_hanging_up_twice(desk):
    """The second time nothing is sent."""
    hang_up(desk)
    desk.call.hangup()
    assert desk.line.nothing_came()


def test_the_hangup_event_after_our_hangup_fires_once(desk):
    """With the cause, for callbacks of the call."""
    ended = Recorded()
    desk.call.on(CallHangup, ended)
    hang_up(desk)
    desk.hung_up()
    desk.hung_up()
    assert "NORMAL_CLEARING" == ended.next().hangup_cause
    assert ended.empty()


# --- its commands are the client's ----

JOIN = {"token": "t", "channel": "hall", "uid": 7}
JOIN_WIRE = {"token": "t", "channel": "hall", "uid": "7"}
MORE = {"app_id": "B", "sdk_options": {"a": 1}, "audio_scenario": 10}
MORE_WIRE = {"appid": "B", "sdk_options": '{"a": 1}', "audio_scenario": "10"}

COMMANDS = [
    ("accept", (), {**JOIN, **MORE, "video": True, "webhook_url": "u"}, "accept",
     {**JOIN_WIRE, **MORE_WIRE, "video": True, "webhook_url": "u"}),
    ("reject", ("busy",), {}, "reject", {"reason": "busy"}),
    ("reject", (), {}, "reject", {"reason": ""}),
    ("hangup", (), {}, "endcall", {}),
    ("send_dtmf", ("12",), {}, "send_dtmf", {"digits": "12"}),
    ("bridge", (), {**JOIN, **MORE, "video": True}, "bridge",
     {**JOIN_WIRE, **MORE_WIRE, "video": True}),
    ("unbridge", (), {}, "unbridge", {}),
    ("rebridge", (), {**JOIN, **MORE}, "rebridge",
     {**JOIN_WIRE, **MORE_WIRE, "current_channel": "room", "current_uid": "100"}),
    ("transfer", ("+1900", "B"), {}, "transfer", {"destination": "+1900", "leg": "B"}),
]


@pytest.mark.parametrize("by", ["call", "client", "client by id"])
@pytest.mark.parametrize(
    "method, args, kwargs, action, wire", COMMANDS, ids=[f"{c[0]}-{len(c[1])}" for c in COMMANDS]
)
def test_commands(desk, by, method, args, kwargs, action, wire):
    """The same frame by the call, by the client with the call, and by the client with its id."""
    if by == "call":
        running = Running(getattr(desk.call, method), *args, **kwargs, command_timeout=5)
    else:
        call = desk.call if by == "client" else "id-1"
        running = Running(getattr(desk.client, method), call, *args, **kwargs, command_timeout=5)
    frame = desk.line.receive(action)
    desk.line.answer(frame)
    assert running.result() is None
    del frame["request_id"]
    assert {"action": action, "callid": "id-1", "appid": "APP", **wire} == frame
