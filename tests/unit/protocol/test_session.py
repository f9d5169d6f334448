"""The conversation: handshake, answers, late answers, outages, and frames nobody expects."""

from __future__ import annotations

import json

import pytest

from telephony import (
    CallNotFoundError,
    CallState,
    CommandRefusedError,
    CommandTimeoutError,
    ConnectionLostError,
    DialFailedError,
    ErrorOccurred,
    InvalidArgumentError,
    ProtocolError,
)
from telephony.protocol.commands import (
    Accept,
    EndCall,
    HangUp,
    OtherCommand,
    Reject,
    SendDtmf,
    Subscribe,
)
from telephony.protocol.session import Answer, Refused, Registered, describe
from tests.unit.protocol.conversation import (
    AUTH_TOKEN,
    Conversation,
    answer,
    names,
    said,
    told,
)


@pytest.fixture
def conversation():
    return Conversation()


GREETING = {"status": "connected", "session_id": "s-7"}
REGISTERED = {"status": "registered", "client_id": "client-1"}

# --- the handshake ------------------


def test_the_handshake():
    """Greeting, registration, yes."""
    conversation = Conversation(registered=False)
    assert [
        {
            "action": "register",
            "auth_token": AUTH_TOKEN,
            "client_id": "client-1",
            "appid": "APP",
        }
    ] == said(conversation.says(GREETING))
    assert not conversation.session.registered
    assert [Registered("s-7")] == conversation.says(REGISTERED)
    assert conversation.session.registered
    assert "s-7" == conversation.session.session_id


def test_the_registration_names_the_subscribed_numbers():
    """If there are any; ``MULTI`` goes as it is."""
    conversation = Conversation("MULTI", registered=False, subscriptions=("+1800", "+1900"))
    (frame,) = said(conversation.says(GREETING))
    assert ["+1800", "+1900"] == frame["subscribe_numbers"]
    assert "MULTI" == frame["appid"]


@pytest.mark.parametrize(
    "frames",
    [
        [{"error": "unauthorized"}],
        [{"status": "busy"}],
        [{"status": "registered"}],
        [GREETING, {"error": "unauthorized"}],
        [GREETING, {"status": "rejected"}],
        [GREETING, {"status": "registered", "error": "unauthorized"}],
        [GREETING, GREETING],
    ],
    ids=str,
)
def test_a_refused_handshake(frames):
    """Any other status, or an error, is a refusal."""
    conversation = Conversation(registered=False)
    for frame in frames[:-1]:
        assert [] == told(conversation.says(frame))
    (outcome,) = conversation.says(frames[-1])
    assert Refused is type(outcome)
    assert not conversation.session.registered


@pytest.mark.parametrize("frame", [{}, {"hello": 1}, "[]", "nonsense", {"status": ""}], ids=str)
def test_what_cannot_be_read_does_not_end_the_handshake(frame):
    """It is counted and told, and the next frame is awaited."""
    conversation = Conversation(registered=False)
    (event,) = told(conversation.says(frame))
    assert ProtocolError is type(event.error)
    assert 1 == conversation.session.protocol_errors
    conversation.register()
    assert conversation.session.registered


def test_an_event_during_the_handshake():
    """It is taken in like any other, before the greeting and before the yes."""
    conversation = Conversation(registered=False)
    events = conversation.event("call_incoming", "id-1", direction="inbound")
    conversation.says(GREETING)
    events += conversation.event("call_answered", "id-1")
    assert ["CallIncoming", "CallAnswered"] == names(events)
    assert [Registered("s-7")] == conversation.says(REGISTERED)
    assert 1 == len(conversation.calls)


def test_a_new_connection_starts_over():
    """With the subscriptions as the CM last took them."""
    conversation = Conversation(subscriptions=("+1800",))
    conversation.succeeds(conversation.send(Subscribe(numbers=["+1900"])))
    conversation.refuses(conversation.send(Subscribe(numbers=["+1700"])), "no such number")
    assert [] == conversation.session.lost("gone", conversation.now)
    assert not conversation.session.registered
    conversation.session.begin()
    (frame,) = said(conversation.says(GREETING))
    assert ["+1900"] == frame["subscribe_numbers"]


# --- commands and their answers ------------------


def test_request_ids_are_unique_and_stay_so(conversation):
    """Over reconnects too: an old answer must not fit a new command."""
    seen = set()
    for _ in range(3):
        for _ in range(5):
            request = conversation.send(OtherCommand(action="ping"))
            assert json.loads(request.text)["request_id"] == request.request_id
            seen.add(request.request_id)
        conversation.session.lost("gone", conversation.now)
        conversation.register()
    assert 15 == len(seen)


def test_answers_come_in_any_order(conversation):
    """Each to its own command, whole."""
    first = conversation.send(OtherCommand(action="a"))
    second = conversation.send(OtherCommand(action="b"))
    assert 2 == conversation.session.in_flight
    for request in (second, first):
        given = answer(conversation.succeeds(request, more=[1]))
        assert request.request_id == given.request_id
        assert [1] == given.response["data"]["more"]
        assert given.error is None
    assert 0 == conversation.session.in_flight


REFUSALS = [
    {"error": "callid not found"},
    {"response": "x", "status_code": 200, "data": {"success": False, "reason": "callid not found"}},
    {"response": "x", "status_code": 404, "data": {"reason": "callid not found"}},
]


@pytest.mark.parametrize("frame", REFUSALS, ids=["error", "success-false", "status"])
def test_all_three_refusals_reach_the_caller(conversation, frame):
    """As an error with the reason, for a dial and for the rest."""
    call = conversation.dialled("id-1")
    for request, kind in (
        (conversation.send(SendDtmf(call_id="id-1", digits="1"), call), CallNotFoundError),
        (conversation.dial(), DialFailedError),
    ):
        given = answer(conversation.says({**frame, "request_id": request.request_id}))
        assert kind is type(given.error)
        assert "callid not found" == given.error.reason


def test_a_refused_dial_leaves_no_call(conversation):
    """And its handle is over."""
    request = conversation.dial()
    conversation.refuses(request, "Busy")
    assert [] == conversation.calls
    assert CallState.HANGUP is request.call.info.state


def test_a_dial_answered_without_an_id(conversation):
    """The id comes with the first event that has one."""
    request = conversation.dial()
    assert answer(conversation.succeeds(request)).error is None
    assert "" == request.call.info.call_id
    conversation.event("call_answered", "id-1", channel="room", uid="100")
    assert "id-1" == request.call.info.call_id


@pytest.mark.parametrize("callid", [["id"], {"a": 1}, None, True])
def test_a_dial_answered_with_no_proper_id(conversation, callid):
    """That is as good as none."""
    request = conversation.dial()
    assert answer(conversation.succeeds(request, callid=callid)).error is None
    assert "" == request.call.info.call_id


def test_a_number_for_an_id(conversation):
    """It is read as its text."""
    call = conversation.dialled(17)
    (event,) = conversation.event("call_ringing", 17)
    assert call is event.call
    assert "17" == call.info.call_id


def test_a_second_answer_is_ignored(conversation):
    """Delivery is at least once."""
    request = conversation.dial()
    conversation.succeeds(request, callid="id-1")
    assert [] == conversation.succeeds(request, callid="id-2")
    assert "id-1" == request.call.info.call_id


def test_an_event_that_carries_a_request_id_is_an_event(conversation):
    """It does not answer the command."""
    request = conversation.dial()
    events = conversation.event(
        "call_ringing", "", channel="room", uid="100", request_id=request.request_id
    )
    assert ["CallRinging"] == names(events)
    assert conversation.session.is_open(request)


def test_a_command_that_was_not_sent_never_was(conversation):
    """Its dial's call is gone; an answer to its id would be nobody's."""
    request = conversation.dial()
    conversation.session.not_sent(request, conversation.now)
    assert [] == conversation.calls
    assert 0 == conversation.session.in_flight
    assert [] == conversation.succeeds(request, callid="id-1")
    assert [] == conversation.calls


# --- answers that come when nobody waits ------------------


def give_up(conversation, request):
    assert [] == conversation.session.give_up(request, conversation.now)
    assert not conversation.session.is_open(request)


def test_a_late_yes_counts(conversation):
    """The CM did it, whoever waits: a hangup, a subscription, an accept."""
    call = conversation.dialled("id-1")
    hangup = conversation.send(EndCall(call_id="id-1"), call)
    subscribe = conversation.send(Subscribe(numbers=["+1900"]))
    incoming = conversation.incoming("id-2")
    accept = conversation.send(Accept(call_id="id-2", token="t", channel="c", uid="1"), incoming)
    for request in (hangup, subscribe, accept):
        give_up(conversation, request)
    for request in (hangup, subscribe, accept):
        assert [] == conversation.succeeds(request)
    assert CallState.HANGUP is call.info.state
    assert ("+1900",) == conversation.session.subscriptions
    assert ("c", "1") == (incoming.info.channel, incoming.info.uid)


def test_a_late_no_counts(conversation):
    """So does its refusal."""
    incoming = conversation.incoming("id-2")
    request = conversation.send(Reject(call_id="id-2"), incoming)
    give_up(conversation, request)
    assert [] == conversation.refuses(request, "callid not found")
    assert [] == conversation.calls


def test_a_late_answer_is_awaited_ten_minutes(conversation):
    """Then it is nobody's."""
    request = conversation.send(Subscribe(numbers=["+1900"]))
    give_up(conversation, request)
    conversation.later(601)
    assert [] == conversation.succeeds(request)
    assert () == conversation.session.subscriptions


def test_an_interrupted_dial_is_disowned(conversation):
    """Its answer had come, but nobody got the call: it is told, and hung up."""
    request = conversation.dial()
    conversation.succeeds(request, callid="id-1")
    outcomes = conversation.session.disown(request, conversation.now)
    assert ["CallOrphaned"] == names(told(outcomes))
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]
    assert [] == conversation.calls


def test_a_refused_dial_that_was_interrupted(conversation):
    """There is nothing to disown."""
    request = conversation.dial()
    conversation.refuses(request, "Busy")
    assert [] == conversation.session.disown(request, conversation.now)


def test_the_error_for_a_command_without_answer(conversation):
    """It says what was under way, that it may have been done, and has the handle."""
    request = conversation.dial(token="rtc-token-xyz", sip="host;password=s3cret")
    error = conversation.session.timed_out(request, 2.5)
    assert CommandTimeoutError is type(error)
    assert ("outbound", request.request_id, request.call) == (
        error.action,
        error.request_id,
        error.call,
    )
    for words in ("command timeout", "2.5 s", "+18005551234", "not sent again"):
        assert words in str(error)
    for secret in ("xyz", "s3cret"):
        assert secret not in str(error) + repr(request) + describe(request)


# --- the connection is lost ------------------


def test_what_was_under_way_has_an_unknown_outcome(conversation):
    """Every waiting caller is told, once."""
    call = conversation.dialled("id-1", channel="hall")
    dial = conversation.dial()
    hangup = conversation.send(EndCall(call_id="id-1"), call)
    outcomes = conversation.session.lost("reset", conversation.now)
    assert [dial.request_id, hangup.request_id] == [o.request_id for o in outcomes]
    for outcome in outcomes:
        assert ConnectionLostError is type(outcome.error)
        assert "connection lost (reset)" in str(outcome.error)
    assert dial.call is outcomes[0].error.call
    assert "endcall" == outcomes[1].error.action
    assert [] == conversation.session.lost("reset", conversation.now)
    assert 0 == conversation.session.in_flight
    assert [call] == conversation.calls


def test_no_answer_comes_over_another_connection(conversation):
    """An id from before is nobody's."""
    dial = conversation.dial()
    conversation.session.lost("reset", conversation.now)
    conversation.register()
    assert [] == conversation.succeeds(dial, callid="id-1")
    assert [] == conversation.calls


def test_no_late_answer_comes_over_another_connection(conversation):
    """What had been given up before the outage is nobody's either."""
    request = conversation.send(Subscribe(numbers=["+1900"]))
    give_up(conversation, request)
    conversation.session.lost("reset", conversation.now)
    conversation.register()
    assert [] == conversation.succeeds(request)
    assert () == conversation.session.subscriptions


def test_a_dial_that_was_lost_turns_up_after_the_reconnect(conversation):
    """By its events; it is hung up."""
    dial = conversation.dial()
    conversation.session.lost("reset", conversation.now)
    conversation.register()
    outcomes = conversation.says(
        {"event": "call_answered", "callid": "id-1", "channel": "room", "uid": "100"}
    )
    assert "CallOrphaned" == names(told(outcomes))[0]
    assert dial.call is told(outcomes)[0].call
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]


def test_an_orphan_with_an_id_is_ended_when_registered_again(conversation):
    """Not before: commands come after ``registered``."""
    conversation.dial()
    conversation.event("call_ringing", "id-1", channel="room", uid="100")
    assert [] == said(conversation.session.lost("reset", conversation.now))
    outcomes = conversation.register()
    assert Registered is type(outcomes[0])
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]


@pytest.mark.parametrize("greeted", [False, True])
def test_an_orphan_that_turns_up_during_the_handshake(conversation, greeted):
    """Its event comes before ``registered``, its end is sent after: once, and not before."""
    conversation.dial()
    conversation.session.lost("reset", conversation.now)
    conversation.session.begin()
    if greeted:
        conversation.says(GREETING)
    outcomes = conversation.says(
        {"event": "call_answered", "callid": "id-1", "channel": "room", "uid": "100"}
    )
    before = [frame["action"] for frame in said(outcomes)]
    if not greeted:
        conversation.says(GREETING)
    after = [frame["action"] for frame in said(conversation.says(REGISTERED))]
    assert ([], ["endcall"]) == (before, after)


def test_an_orphans_end_that_was_lost_is_told(conversation):
    """It may be up still, and nobody else waits for that answer."""
    request = conversation.dial()
    conversation.session.give_up(request, conversation.now)
    conversation.succeeds(request, callid="id-1")
    (event,) = told(conversation.session.lost("reset", conversation.now))
    assert ErrorOccurred is type(event)
    assert "endcall" == event.error.action


# --- frames nobody expects ------------------


def test_an_uncorrelated_error_is_told(conversation):
    """With its reason."""
    (event,) = told(conversation.says({"error": "appid required in MULTI mode"}))
    assert ErrorOccurred is type(event)
    assert CommandRefusedError is type(event.error)
    assert "appid required in MULTI mode" == event.error.reason
    assert 0 == conversation.session.protocol_errors


def test_an_error_for_an_id_nobody_knows_is_told(conversation):
    """As an uncorrelated one; with our secrets masked."""
    frame = {"error": f"bad {AUTH_TOKEN}", "request_id": "bridge_99"}
    (event,) = told(conversation.says(frame))
    assert "bad ***" == event.error.reason
    assert "c2Vj" not in repr(event)


@pytest.mark.parametrize(
    "frame",
    [
        {"response": "outbound", "status_code": 200, "data": {}, "request_id": "outbound_99"},
        {"response": "outbound", "data": {"success": True}},
        {"status": "registered"},
        {"status": "connected", "session_id": "other"},
    ],
    ids=str,
)
def test_words_without_meaning_are_ignored(conversation, frame):
    """A second answer or greeting changes nothing."""
    assert [] == conversation.says(frame)
    assert conversation.session.registered
    assert "s-1" == conversation.session.session_id


@pytest.mark.parametrize(
    "message",
    [
        "{}",
        '{"hello": "world"}',
        '{"error": ""}',
        '{"error": null}',
        '{"event": ""}',
        '{"event": null, "callid": "id-1"}',
        '{"event": []}',
        '{"event": {"name": "call_hangup"}}',
        '{"event": true}',
        "[]",
        "[1, 2]",
        "null",
        "nonsense",
        "",
        '{"event": "call_hangup", "callid": "id-1", "duration": NaN}',
        '{"event": "call_hangup", "callid": "id-1", "duration": ' + "9" * 5000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        b"\xff\xfe",
        b"{}",
    ],
    ids=lambda message: repr(message[:30]),
)
def test_what_cannot_be_read_is_counted_and_told(conversation, message):
    """And life goes on."""
    call = conversation.dialled("id-1")
    (event,) = told(conversation.says(message))
    assert ErrorOccurred is type(event)
    assert ProtocolError is type(event.error)
    assert 1 == conversation.session.protocol_errors
    assert [call] == conversation.calls
    assert ["CallRinging"] == names(conversation.event("call_ringing", "id-1"))


@pytest.mark.parametrize("request_id", [1, None, [], {}, True, 1.5, "outbound_99", ""])
def test_a_request_id_of_any_type(conversation, request_id):
    """It fits no command, and hurts nobody."""
    request = conversation.dial()
    outcomes = conversation.says({"response": "outbound", "request_id": request_id})
    assert [] == outcomes
    assert conversation.session.is_open(request)


# --- the App ID a command carries ------------------


def test_the_app_id_is_the_given_one_the_calls_or_the_clients(conversation):
    """In this order."""
    app_id = conversation.session.app_id_for
    call = conversation.dialled("id-1", app_id="CALLS")
    assert "GIVEN" == app_id("GIVEN", call, needed=True)
    assert "CALLS" == app_id(None, call, needed=True)
    assert "APP" == app_id(None, None, needed=True)


def test_multi_needs_an_app_id_from_somewhere():
    """Where there is none it is refused if it is needed, and left out if not."""
    conversation = Conversation("MULTI")
    app_id = conversation.session.app_id_for
    with pytest.raises(InvalidArgumentError, match="^app_id"):
        app_id(None, None, needed=True)
    assert app_id(None, None, needed=False) is None
    with pytest.raises(InvalidArgumentError, match="^app_id"):
        app_id("MULTI", None, needed=True)


@pytest.mark.parametrize("own", ["APP", "MULTI"])
def test_a_call_whose_app_id_is_multi_carries_none(own):
    """It is known and MULTI, so it is not sent; hanging such a call up is no mistake of ours."""
    conversation = Conversation(own)
    (event,) = conversation.event("call_answered", "id-1", appid="MULTI", direction="inbound")
    app_id = conversation.session.app_id_for(None, event.call, needed=False)
    assert (None if own == "MULTI" else "APP") == app_id
    command = HangUp(call_id="id-1", app_id=app_id)
    assert "MULTI" not in conversation.send(command, event.call).text


@pytest.mark.parametrize("key", ["event", "callid", "channel", "uid", "appid"])
@pytest.mark.parametrize("value", [" ", "a\r\nb", "x" * 1025])
def test_an_event_with_an_unsound_id(conversation, key, value):
    """What could not be sent back in a command is counted and told, and makes no call."""
    frame = {"event": "call_ringing", "callid": "id-1", "channel": "room", "uid": "1", key: value}
    (outcome,) = conversation.says(frame)
    assert isinstance(outcome.error, ProtocolError)
    assert key in str(outcome.error)
    assert 1 == conversation.session.protocol_errors
    assert [] == conversation.calls


def test_an_unsound_id_in_a_dials_answer(conversation):
    """It is as if there were none; an orphan cannot be ended by it, and nothing breaks."""
    request = conversation.dial()
    conversation.session.give_up(request, conversation.now)
    assert [] == conversation.succeeds(request, callid=" ")
    conversation.session.lost("no network", conversation.now)
    assert [Registered] == [type(outcome) for outcome in conversation.register()]


def test_a_refusal_with_deep_data(conversation):
    """The caller gets its end, whatever comes with it."""
    request = conversation.send(SendDtmf(call_id="id-1", digits="1"))
    deep = "[" * 600 + "]" * 600
    message = '{"error":"no","request_id":"%s","data":{"x":%s}}' % (request.request_id, deep)
    (outcome,) = conversation.says(message)
    assert isinstance(outcome, Answer)
    assert "no" == outcome.error.reason
    assert 0 == conversation.session.in_flight


def test_a_secret_where_a_reason_is_cut(conversation):
    """It is masked before the reason is cut: half of it would be shown else."""
    request = conversation.dial()
    (outcome,) = conversation.refuses(request, "x" * 1015 + "rtc-token-100")
    assert "rtc" not in str(outcome.error)
    assert 1018 == len(outcome.error.reason)
