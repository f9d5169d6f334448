"""Which calls are tracked, for how long, and which of them an event is for."""

from __future__ import annotations

import pytest

from telephony import CallInfo, CallNotFoundError, CallState, UnknownEvent
from telephony.protocol import table
from telephony.protocol.calls import Place
from telephony.protocol.commands import Accept, Bridge, EndCall, HangUp, Rebridge, Reject, SendDtmf
from telephony.protocol.routes import ROUTES_MOST
from tests.unit.protocol.conversation import STAMP, Conversation, answer, names, said, told


ROUTE = {"channel": "room", "uid": "100"}


@pytest.fixture
def conversation():
    return Conversation()


# --- by id -------------------------------------------------------------------------------


def test_the_same_object_for_dial_event_and_look_up(conversation):
    """There is one handle for a call."""
    call = conversation.dialled("id-1")
    (event,) = conversation.event("call_ringing", "id-1")
    assert call is event.call
    assert call is conversation.session.calls.get("id-1")
    assert [call] == conversation.calls


def test_calls_are_listed_oldest_first(conversation):
    """Whatever happened to them since."""
    calls = [conversation.dialled(f"id-{i}", channel=f"room-{i}") for i in range(5)]
    conversation.event("call_answered", "id-0")
    assert calls == conversation.calls


def test_the_id_decides_over_the_route(conversation):
    """Two calls on one channel and uid are told apart by their ids."""
    first = conversation.dialled("id-1")
    second = conversation.dialled("id-2")
    (event,) = conversation.event("call_answered", "id-2", channel="room", uid="100")
    assert second is event.call
    assert CallState.RINGING is first.info.state


# --- by route ------------------------------------------------------------------------------


def test_the_first_events_of_a_dial_have_no_id(conversation):
    """They are found by channel and uid, and fire before the answer is there."""
    request = conversation.dial()
    for name in ("call_initiated", "call_ringing"):
        (event,) = conversation.event(name, "", channel="room", uid="100", appid="APP")
        assert request.call is event.call
    conversation.succeeds(request, callid="id-1")
    assert "id-1" == request.call.info.call_id
    assert [request.call] == conversation.calls


def test_the_first_events_of_a_dial_have_no_route_either(conversation):
    """With one dial under way there is but one call they can be of; with two there is none."""
    request = conversation.dial()
    (event,) = conversation.event("call_initiated", "")
    assert request.call is event.call
    conversation.dial(channel="hall")
    (event,) = conversation.event("call_ringing", "")
    assert UnknownEvent is type(event)


@pytest.mark.parametrize("end", ["answered", "refused", "given up", "not sent", "lost"])
def test_a_dial_that_has_its_end_is_not_under_way(conversation, end):
    """The first words of the next dial can be of that one only."""
    request = conversation.dial()
    if end == "answered":
        conversation.succeeds(request, callid="id-1")
    elif end == "refused":
        conversation.refuses(request, "Busy")
    elif end == "given up":
        conversation.session.give_up(request, conversation.now)
    elif end == "not sent":
        conversation.session.not_sent(request, conversation.now)
    else:
        conversation.session.lost("reset", conversation.now)
        conversation.register()
    second = conversation.dial(channel="hall")
    (event,) = conversation.event("call_initiated", "")
    assert second.call is event.call


def test_an_event_that_overtakes_the_dials_answer(conversation):
    """An id nobody knows on the dial's route is the dial's: there is one call, not two."""
    request = conversation.dial()
    (event,) = conversation.event("call_answered", "id-1", channel="room", uid="100")
    assert request.call is event.call
    conversation.succeeds(request, callid="id-1")
    assert [request.call] == conversation.calls
    assert CallState.ANSWERED is request.call.info.state


def test_a_hangup_that_overtakes_the_dials_answer(conversation):
    """The dial returns the call, ended, and nothing is tracked."""
    request = conversation.dial()
    conversation.event(
        "call_hangup", "id-1", channel="room", uid="100", hangup_cause="USER_BUSY"
    )
    assert answer(conversation.succeeds(request, callid="id-1")).error is None
    assert CallState.HANGUP is request.call.info.state
    assert "USER_BUSY" == request.call.info.hangup_cause
    assert "id-1" == request.call.info.call_id
    assert [] == conversation.calls


def test_a_hangup_without_an_id_that_overtakes_the_dials_answer(conversation):
    """The same by route; a copy with the id fires nothing."""
    request = conversation.dial()
    events = conversation.event("call_hangup", "", channel="room", uid="100")
    assert ["CallHangup"] == names(events)
    conversation.succeeds(request, callid="id-1")
    assert CallState.HANGUP is request.call.info.state
    assert [] == conversation.event("call_hangup", "id-1", channel="room", uid="100")
    assert [] == conversation.calls


def test_events_of_two_dials_on_one_route_overtake_both_answers(conversation):
    """A route that fits more than one decides nothing; the answers put it right."""
    first, second = conversation.dial(), conversation.dial()
    (event,) = conversation.event("call_answered", "id-2", channel="room", uid="100")
    assert event.call not in (first.call, second.call)
    conversation.succeeds(first, callid="id-1")
    conversation.succeeds(second, callid="id-2")
    assert event.call is second.call
    assert {"id-1", "id-2"} == {call.info.call_id for call in conversation.calls}
    assert 2 == len(conversation.calls)
    assert CallState.RINGING is first.call.info.state
    assert CallState.ANSWERED is second.call.info.state
    assert "+18005551234" == second.call.info.to
    assert "outbound" == second.call.info.direction


def test_a_hangup_of_two_dials_on_one_route_overtakes_both_answers(conversation):
    """The dial whose answer names the ended call gets that call, ended."""
    first, second = conversation.dial(), conversation.dial()
    conversation.event("call_hangup", "id-2", channel="room", uid="100", hangup_cause="X")
    conversation.succeeds(second, callid="id-2")
    conversation.succeeds(first, callid="id-1")
    assert CallState.HANGUP is second.call.info.state
    assert "X" == second.call.info.hangup_cause
    assert [first.call] == conversation.calls


def test_two_app_ids_on_one_route_are_two_calls():
    """The composite decides; the App ID is part of it."""
    conversation = Conversation("MULTI")
    first = conversation.dial(app_id="APP-1")
    second = conversation.dial(app_id="APP-2")
    (event,) = conversation.event("call_ringing", "", channel="room", uid="100", appid="APP-2")
    assert second.call is event.call
    (event,) = conversation.event("call_ringing", "", channel="room", uid="100", appid="APP-1")
    assert first.call is event.call


def test_an_event_without_an_app_id_on_two_calls_route_decides_nothing():
    """There is no guessing."""
    conversation = Conversation("MULTI")
    conversation.dial(app_id="APP-1")
    conversation.dial(app_id="APP-2")
    (event,) = conversation.event("call_answered", "", channel="room", uid="100")
    assert UnknownEvent is type(event)
    assert event.call is None


def test_a_composite_in_the_ids_place(conversation):
    """The A-leg's hangup has been seen to carry it."""
    call = conversation.dialled("id-1")
    (event,) = conversation.event("call_hangup", "APP:room:100", hangup_cause="NORMAL_CLEARING")
    assert call is event.call
    assert "id-1" == call.info.call_id
    assert [] == conversation.calls


def test_a_composite_whose_channel_has_colons(conversation):
    """The first part is the App ID, the last the uid."""
    call = conversation.dialled("id-1", channel="a:b:c")
    (event,) = conversation.event("call_hangup", "APP:a:b:c:100")
    assert call is event.call


def test_a_composite_of_another_app_id(conversation):
    """It is not this call's."""
    call = conversation.dialled("id-1")
    conversation.event("call_hangup", "OTHER:room:100")
    assert [call] == conversation.calls


def test_a_call_is_found_where_it_was_and_where_it_is(conversation):
    """After a re-bridge events may still carry the old place."""
    call = conversation.dialled("id-1")
    conversation.event("agora_bridge_start", "id-1", channel="hall", uid="7")
    (event,) = conversation.event("dtmf_received", "", channel="room", uid="100", digits="1")
    assert call is event.call
    (event,) = conversation.event("dtmf_received", "", channel="hall", uid="7", digits="2")
    assert call is event.call


def test_events_without_an_id_after_the_dial_returned(conversation):
    """They are of the one call on their route."""
    call = conversation.dialled("id-1")
    for name in ("call_ringing", "call_answered", "agora_bridge_start", "call_hangup"):
        (event,) = conversation.event(name, "", channel="room", uid="100")
        assert call is event.call


# --- strangers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, state",
    [
        ("call_ringing", CallState.RINGING),
        ("call_answered", CallState.ANSWERED),
        ("agora_bridge_start", CallState.BRIDGED),
        ("agora_bridge_end", CallState.UNBRIDGED),
        ("agora_bridge_failed", CallState.UNBRIDGED),
        ("dtmf_received", CallState.ANSWERED),
    ],
)
def test_an_event_of_a_call_never_seen_makes_one(conversation, name, state):
    """It is tracked from then on."""
    (event,) = conversation.event(name, "id-9", direction="outbound", to="+1")
    assert [event.call] == conversation.calls
    assert state is event.call.info.state
    assert "outbound" == event.call.info.direction


def test_the_hangup_of_a_call_never_seen_is_only_reported(conversation):
    """The call is there, ended, and not tracked; its copy is dropped."""
    events = conversation.event("call_hangup", "id-9", hangup_cause="X")
    assert ["CallHangup"] == names(events)
    assert "id-9" == events[0].call.info.call_id
    assert [] == conversation.calls
    assert [] == conversation.event("call_hangup", "id-9", hangup_cause="X")


@pytest.mark.parametrize("callid", ["", "id-1", "id-9"])
def test_an_event_with_a_name_never_heard(conversation, callid):
    """It is passed on, with the call if there is one, and makes none."""
    call = conversation.dialled("id-1")
    (event,) = conversation.event("call_teleported", callid, where="moon")
    assert UnknownEvent is type(event)
    assert "call_teleported" == event.name
    assert "moon" == event.raw["where"]
    assert (call if callid == "id-1" else None) is event.call
    assert (call.info if callid == "id-1" else None) is event.info
    assert [call] == conversation.calls


@pytest.mark.parametrize("name", ["call_ringing", "call_hangup", "dtmf_received"])
def test_an_event_of_no_call_at_all(conversation, name):
    """Without id and route it is told as it is, and makes no call."""
    (event,) = conversation.event(name, "")
    assert UnknownEvent is type(event)
    assert name == event.name
    assert [] == conversation.calls


# --- ended -----------------------------------------------------------------------------------


def test_nothing_revives_an_ended_call(conversation):
    """Its id is remembered, and what still comes for it is dropped."""
    call = conversation.dialled("id-1")
    conversation.event("call_hangup", "id-1")
    for name in ("call_ringing", "call_answered", "agora_bridge_start", "call_hangup", "news"):
        assert [] == conversation.event(name, "id-1", channel="room", uid="100")
    assert CallState.HANGUP is call.info.state
    assert [] == conversation.calls


def test_an_ended_calls_id_is_remembered_ten_minutes(conversation):
    """Not for ever: memory is bounded."""
    conversation.dialled("id-1")
    conversation.event("call_hangup", "id-1")
    conversation.later(599)
    assert [] == conversation.event("call_hangup", "id-1")
    conversation.later(2)
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1"))


def test_a_new_call_on_the_route_of_an_ended_one(conversation):
    """The hangup's copy without an id does not end it; its own hangup does."""
    conversation.dialled("id-1")
    words = {"channel": "room", "uid": "100", "hangup_cause": "X", "duration": "3"}
    conversation.event("call_hangup", "id-1", **words)
    second = conversation.dialled("id-2")
    assert [] == conversation.event("call_hangup", "", **words)
    assert [second] == conversation.calls
    (event,) = conversation.event("call_hangup", "", **words, timestamp=STAMP + 60)
    assert second is event.call
    assert [] == conversation.calls


def test_the_hangup_comes_by_id_and_by_composite(conversation):
    """The same hangup twice under two names fires once."""
    conversation.dialled("id-1")
    words = {"hangup_cause": "X", "duration": "3", "billsec": "1"}
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1", **words))
    assert [] == conversation.event("call_hangup", "APP:room:100", **words)
    assert [] == conversation.event("call_hangup", "", channel="room", uid="100", **words)


# --- closing: our hangup was taken, its event is to come ---------------------------------------


def test_our_hangup_ends_the_call_at_once(conversation):
    """Its end is told by its call_hangup, once."""
    call = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1")
    conversation.hung_up(call)
    assert CallState.HANGUP is call.info.state
    assert not call.info.active
    assert call.info.hangup_cause is None
    assert [] == conversation.calls
    assert conversation.session.calls.get("id-1") is None
    events = conversation.event("call_hangup", "id-1", hangup_cause="NORMAL_CLEARING")
    assert ["CallHangup"] == names(events)
    assert call is events[0].call
    assert "NORMAL_CLEARING" == call.info.hangup_cause
    assert [] == conversation.event("call_hangup", "id-1", hangup_cause="NORMAL_CLEARING")


def test_what_may_still_be_told_of_a_call_we_hung_up(conversation):
    """The bridge's end and last digits, nothing that would have it alive; it stays ended."""
    call = conversation.dialled("id-1")
    conversation.event("agora_bridge_start", "id-1")
    conversation.hung_up(call)
    assert [] == conversation.event("agora_bridge_start", "id-1", channel="hall")
    assert [] == conversation.event("call_answered", "id-1")
    assert ["BridgeEnded"] == names(conversation.event("agora_bridge_end", "id-1"))
    assert CallState.HANGUP is call.info.state
    assert ["DtmfReceived"] == names(conversation.event("dtmf_received", "id-1", digits="1"))
    assert CallState.HANGUP is call.info.state


def test_a_route_with_a_call_we_hung_up_and_a_new_one(conversation):
    """A hangup without an id is the old one's; other events are the new one's."""
    old = conversation.dialled("id-1")
    conversation.hung_up(old)
    new = conversation.dialled("id-2")
    where = {"channel": "room", "uid": "100"}
    (event,) = conversation.event("call_answered", "", **where)
    assert new is event.call
    (event,) = conversation.event("call_hangup", "", **where)
    assert old is event.call
    assert [new] == conversation.calls


def test_a_hangup_that_never_comes_is_not_awaited_for_ever(conversation):
    """After a minute the call is forgotten; a hangup later fires nothing."""
    call = conversation.dialled("id-1")
    conversation.hung_up(call)
    conversation.later(61)
    assert Place.GONE is call._place
    assert [] == conversation.event("call_hangup", "id-1")


def test_a_hangup_before_the_answer_to_ours(conversation):
    """The event came first: the answer changes nothing."""
    call = conversation.dialled("id-1")
    request = conversation.send(EndCall(call_id="id-1"), call)
    conversation.event("call_hangup", "id-1", hangup_cause="X")
    conversation.succeeds(request)
    assert Place.GONE is call._place
    assert "X" == call.info.hangup_cause


def test_a_hangup_refused_as_not_found_ends_the_call(conversation):
    """The CM does not know it: it is over."""
    call = conversation.dialled("id-1")
    request = conversation.send(EndCall(call_id="id-1"), call)
    error = answer(conversation.refuses(request, "callid not found")).error
    assert CallNotFoundError is type(error)
    assert CallState.HANGUP is call.info.state
    assert [] == conversation.calls


@pytest.mark.parametrize(
    "stale, reason, stays",
    [
        (True, "callid not found", False),
        (False, "callid not found", True),
        (True, "call not active in channel", True),
    ],
)
def test_a_stale_call_that_the_cm_does_not_know_is_over(conversation, stale, reason, stays):
    """Whatever was asked of it; of one that is not stale an event tells, or will."""
    call = conversation.dialled("id-1")
    if stale:
        conversation.session.lost("gone", conversation.now)
        conversation.register()
    request = conversation.send(SendDtmf(call_id="id-1", digits="1"), call)
    assert CallNotFoundError is type(answer(conversation.refuses(request, reason)).error)
    assert ([call] if stays else []) == conversation.calls
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1"))  # told all the same


def test_a_hangup_refused_otherwise_leaves_the_call(conversation):
    """It is still up."""
    call = conversation.dialled("id-1")
    request = conversation.send(EndCall(call_id="id-1"), call)
    conversation.refuses(request, "try again")
    assert [call] == conversation.calls
    assert call.info.active


# --- incoming ----------------------------------------------------------------------------------


def test_an_incoming_call_nobody_accepts_goes_after_a_minute(conversation):
    """``calls()`` holds nothing for ever."""
    call = conversation.incoming("id-1")
    conversation.later(59)
    assert [call] == conversation.calls
    conversation.later(1)
    assert [] == conversation.calls
    assert not call.info.active


def test_an_accepted_call_stays(conversation):
    """Where it was accepted into is recorded with the CM's yes."""
    call = conversation.incoming("id-1")
    command = Accept(call_id="id-1", token="t", channel="hall", uid=7, app_id="APP")
    conversation.succeeds(conversation.send(command, call))
    assert ("hall", "7") == (call.info.channel, call.info.uid)
    conversation.later(3000)
    assert [call] == conversation.calls


def test_an_answered_call_stays(conversation):
    """Its event shows that it was accepted, whatever became of our command."""
    call = conversation.incoming("id-1")
    conversation.event("call_answered", "id-1")
    conversation.later(3000)
    assert [call] == conversation.calls


def test_a_copy_of_the_offer_does_not_prolong_it(conversation):
    """The minute runs from the first."""
    conversation.incoming("id-1")
    conversation.later(50)
    assert [] == conversation.event("call_incoming", "id-1", direction="inbound")
    conversation.later(10)
    assert [] == conversation.calls


def test_a_rejected_call_goes_at_once(conversation):
    """Its later hangup is still told."""
    call = conversation.incoming("id-1")
    conversation.succeeds(conversation.send(Reject(call_id="id-1"), call))
    assert [] == conversation.calls
    assert CallState.HANGUP is call.info.state
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1"))


@pytest.mark.parametrize("error, stays", [("callid not found", False), ("already taken", True)])
def test_a_refused_accept(conversation, error, stays):
    """Not found drops the call at once, anything else leaves it for another try."""
    call = conversation.incoming("id-1")
    command = Accept(call_id="id-1", token="t", channel="hall", uid="7")
    conversation.refuses(conversation.send(command, call), error)
    assert ([call] if stays else []) == conversation.calls
    assert "" == call.info.channel
    conversation.later(60)
    assert [] == conversation.calls


def test_a_declined_call_goes_and_comes_back_when_it_is_accepted(conversation):
    """The callbacks did not want it, somebody then accepted it all the same."""
    call = conversation.incoming("id-1")
    conversation.session.calls.decline(call, conversation.now)
    assert [] == conversation.calls
    command = Accept(call_id="id-1", token="t", channel="hall", uid="7")
    conversation.succeeds(conversation.send(command, call))
    assert [call] == conversation.calls
    assert call.info.active
    (event,) = conversation.event("call_answered", "id-1")
    assert call is event.call


def test_a_call_accepted_by_an_id_never_seen(conversation):
    """An offer that went elsewhere: it is tracked from the CM's yes on."""
    command = Accept(call_id="id-7", token="t", channel="hall", uid="7", app_id="APP")
    conversation.succeeds(conversation.send(command))
    (call,) = conversation.calls
    assert ("id-7", "inbound", "hall") == (
        call.info.call_id,
        call.info.direction,
        call.info.channel,
    )


def test_an_accepted_call_is_not_declined(conversation):
    """The decision of the callbacks came too late to matter."""
    call = conversation.incoming("id-1")
    command = Accept(call_id="id-1", token="t", channel="hall", uid="7")
    conversation.succeeds(conversation.send(command, call))
    conversation.session.calls.decline(call, conversation.now)
    assert [call] == conversation.calls


@pytest.mark.parametrize("first", ["call_initiated", "dtmf_received", "call_teleported"])
def test_an_offer_that_was_overtaken_is_still_an_offer(conversation, first):
    """Another event of the call came first; nobody accepts it: it goes all the same."""
    conversation.event(first, "id-1", direction="inbound", digits="")
    conversation.event("call_incoming", "id-1", direction="inbound")
    conversation.later(60)
    if first == "dtmf_received":  # digits are heard on a call that is up
        assert ["id-1"] == [call.info.call_id for call in conversation.calls]
    else:
        assert [] == conversation.calls


@pytest.mark.parametrize("kind", [Bridge, Rebridge])
def test_a_bridge_records_where_the_call_is(conversation, kind):
    """With the CM's yes; a refusal leaves it where it was."""
    call = conversation.dialled("id-1")
    fields = {"call_id": "id-1", "token": "t", "channel": "hall", "uid": "7"}
    if kind is Rebridge:
        fields.update(current_channel="room", current_uid="100")
    conversation.refuses(conversation.send(kind(**fields), call), "join failed: no")
    assert ("room", "100") == (call.info.channel, call.info.uid)
    conversation.succeeds(conversation.send(kind(**fields), call))
    assert ("hall", "7") == (call.info.channel, call.info.uid)


# --- dials that were given up ---------------------------------------------------------------------


def given_up(conversation, **fields):
    request = conversation.dial(**fields)
    assert [] == conversation.session.give_up(request, conversation.now)
    assert request.call not in conversation.calls
    return request


def test_an_orphan_turns_up_with_its_answer(conversation):
    """It is told, and hung up, once; then its hangup is told."""
    request = given_up(conversation)
    outcomes = conversation.succeeds(request, callid="id-1")
    assert ["CallOrphaned"] == names(told(outcomes))
    assert [
        {"action": "endcall", "callid": "id-1", "appid": "APP", "request_id": "endcall_2"}
    ] == said(outcomes)
    assert [] == conversation.calls
    assert [] == conversation.event("call_answered", "id-1")
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1"))


def test_an_orphan_turns_up_with_an_event(conversation):
    """The same; the answer that comes then adds nothing."""
    request = given_up(conversation)
    outcomes = conversation.says(
        {"event": "call_answered", "callid": "id-1", "channel": "room", "uid": "100"}
    )
    assert "CallOrphaned" == names(told(outcomes))[0]
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]
    assert [] == conversation.succeeds(request, callid="id-1")
    assert [] == conversation.calls


def test_an_orphan_has_not_turned_up_while_it_has_no_id(conversation):
    """There is nothing yet to hang it up by; with the id it is all told."""
    given_up(conversation)
    assert [] == conversation.event("call_ringing", "", channel="room", uid="100")
    outcomes = conversation.says(
        {"event": "call_answered", "callid": "id-1", "channel": "room", "uid": "100"}
    )
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]


def test_an_orphan_whose_id_was_known(conversation):
    """An event had told it before the dial gave up: it is hung up at once."""
    request = conversation.dial()
    conversation.event("call_ringing", "id-1", channel="room", uid="100")
    outcomes = conversation.session.give_up(request, conversation.now)
    assert ["CallOrphaned"] == names(told(outcomes))
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]


def test_an_orphan_that_turns_up_ended(conversation):
    """There is nothing to hang up."""
    given_up(conversation)
    outcomes = conversation.says(
        {"event": "call_hangup", "callid": "id-1", "channel": "room", "uid": "100"}
    )
    assert ["CallOrphaned", "CallHangup"] == names(told(outcomes))
    assert [] == said(outcomes)


def test_a_late_refusal_makes_no_orphan(conversation):
    """The dial had failed: there is no call."""
    request = given_up(conversation)
    assert [] == conversation.refuses(request, "Busy")
    assert CallState.HANGUP is request.call.info.state
    events = conversation.event("call_ringing", "", channel="room", uid="100")
    assert ["UnknownEvent"] == names(events)


def test_an_orphan_is_remembered_ten_minutes(conversation):
    """Then an event of it is a stranger's."""
    request = given_up(conversation)
    conversation.later(599)
    assert Place.ORPHAN is request.call._place
    conversation.later(1)
    assert Place.GONE is request.call._place
    events = conversation.event("call_answered", "id-1", channel="room", uid="100")
    assert ["CallAnswered"] == names(events)
    assert events[0].call is not request.call


def test_a_kept_orphan_is_tracked_again():
    """Under the other policy it is told and left up."""
    conversation = Conversation(keep_orphans=True)
    request = given_up(conversation)
    outcomes = conversation.succeeds(request, callid="id-1")
    assert ["CallOrphaned"] == names(told(outcomes))
    assert [] == said(outcomes)
    assert [request.call] == conversation.calls
    assert ["CallAnswered"] == names(conversation.event("call_answered", "id-1"))


def test_a_kept_orphan_turns_up_with_an_event():
    """It is told first, then what happened to it."""
    conversation = Conversation(keep_orphans=True)
    request = given_up(conversation)
    events = conversation.event("call_answered", "id-1", channel="room", uid="100")
    assert ["CallOrphaned", "CallAnswered"] == names(events)
    assert [request.call] == conversation.calls
    assert CallState.ANSWERED is request.call.info.state


def test_a_kept_orphan_that_was_answered_unheard():
    """It was answered when its id was not known yet; whatever event comes next tells its state."""
    conversation = Conversation(keep_orphans=True)
    request = given_up(conversation)
    assert [] == conversation.event("call_answered", "", channel="room", uid="100")
    conversation.succeeds(request, callid="id-1")
    (pressed,) = conversation.event("dtmf_received", "id-1", digits="1")
    assert CallState.ANSWERED is pressed.info.state
    assert pressed.info.answered_at is not None


def test_an_orphan_beside_a_new_dial_on_the_same_route(conversation):
    """Who dials again gets their own call's events, and the answers decide."""
    old = given_up(conversation)
    new = conversation.dial()
    (event,) = conversation.event("call_ringing", "", channel="room", uid="100")
    assert new.call is event.call
    outcomes = conversation.succeeds(old, callid="id-1")
    assert ["id-1"] == [frame["callid"] for frame in said(outcomes)]
    conversation.succeeds(new, callid="id-2")
    assert [new.call] == conversation.calls


def orphans_of_the_dead(conversation, count=2):
    """Dials on one route of a client that is gone."""
    info = CallInfo(direction="outbound", channel="room", uid="100", app_id="APP")
    for _ in range(count):
        conversation.session.calls.adopt(info, conversation.now)


def turning_up(conversation, call_id, **fields):
    fields = {"channel": "room", "uid": "100", "direction": "outbound", **fields}
    return conversation.says({"event": "call_answered", "callid": call_id, **fields})


def test_orphans_that_nobody_can_tell_apart_are_all_ended(conversation):
    """Each call that turns up is one of them, whichever; one more than they were is none."""
    orphans_of_the_dead(conversation)
    for call_id in ("id-1", "id-2"):
        outcomes = turning_up(conversation, call_id)
        assert ["CallOrphaned"] == names(told(outcomes))
        assert [("endcall", call_id)] == [(f["action"], f["callid"]) for f in said(outcomes)]
    outcomes = turning_up(conversation, "id-3")
    assert (["CallAnswered"], []) == (names(told(outcomes)), said(outcomes))


def test_orphans_of_our_own_are_not_guessed(conversation):
    """Whoever dialled has the call in its hand: it must not become another's."""
    for _ in range(2):
        given_up(conversation)
    conversation.session.lost("reset", conversation.now)
    conversation.register()
    assert [] == said(turning_up(conversation, "id-1"))


def test_an_adopted_dial_to_the_same_number_goes_first(conversation):
    """So that what is told of the orphan is true."""
    for to in ("+18001", "+18002"):
        info = CallInfo(direction="outbound", to=to, **ROUTE)
        conversation.session.calls.adopt(info, conversation.now)
    for to in ("+18002", "+18001"):
        (orphaned,) = told(turning_up(conversation, f"id-{to}", to=to))
        assert (f"id-{to}", to) == (orphaned.call.info.call_id, orphaned.call.info.to)


def test_orphans_whose_answers_may_come_are_told_apart_by_these(conversation):
    """To take one for the other would leave a call up when its own answer comes."""
    dials = [given_up(conversation) for _ in range(2)]
    assert [] == said(turning_up(conversation, "id-1"))
    for request, call_id in zip(dials, ("id-2", "id-1")):
        outcomes = conversation.succeeds(request, callid=call_id)
        assert [call_id] == [f["callid"] for f in said(outcomes)]
    assert [] == conversation.calls


def test_orphans_beside_a_live_dial_wait_for_its_answer(conversation):
    """What turns up may be that dial's call: then only the others are ended."""
    orphans_of_the_dead(conversation)
    request = conversation.dial()
    for call_id in ("id-1", "id-2", "id-3"):
        assert [] == said(turning_up(conversation, call_id))
    outcomes = conversation.succeeds(request, callid="id-2")
    assert ["id-1", "id-3"] == sorted(frame["callid"] for frame in said(outcomes))
    assert ["id-2"] == [call.info.call_id for call in conversation.calls]


def test_an_incoming_call_is_none_of_several_orphans(conversation):
    """It was not dialled."""
    orphans_of_the_dead(conversation)
    assert [] == said(turning_up(conversation, "id-1", direction="inbound"))


def test_several_orphans_that_are_kept_are_not_guessed():
    """Which dial a call is of matters to who keeps it."""
    conversation = Conversation(keep_orphans=True)
    orphans_of_the_dead(conversation)
    assert ["CallAnswered"] == names(told(turning_up(conversation, "id-1")))


def test_the_hangup_of_a_refused_dial_is_none_of_several_orphans(conversation):
    """It may come with an id of its own, and would take the place of a call that is up."""
    orphans_of_the_dead(conversation)
    conversation.refuses(conversation.dial(), "Busy")
    fields = {"channel": "room", "uid": "100"}
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-0", **fields))
    for call_id in ("id-1", "id-2"):
        assert [call_id] == [f["callid"] for f in said(turning_up(conversation, call_id))]


def test_an_orphan_whose_hangup_fitted_two_dials_is_told(conversation):
    """Its call was reported before the late answer said whose it was."""
    old = given_up(conversation)
    conversation.dial()
    conversation.dial()
    conversation.event("call_answered", "id-1", channel="room", uid="100")
    outcomes = conversation.succeeds(old, callid="id-1")
    assert ["CallOrphaned"] == names(told(outcomes))
    assert ["id-1"] == [frame["callid"] for frame in said(outcomes)]


def test_the_end_of_an_orphan_is_not_waited_for(conversation):
    """Refused as not found it is what we wanted; refused otherwise it is reported."""
    request = given_up(conversation)
    conversation.succeeds(request, callid="id-1")
    frame = {"error": "callid not found", "request_id": "endcall_2"}
    assert [] == conversation.says(frame)
    request = given_up(conversation)
    conversation.succeeds(request, callid="id-2")
    (event,) = told(conversation.says({"error": "boom", "request_id": "endcall_4"}))
    assert "boom" == event.error.reason


# --- outages -----------------------------------------------------------------------------------


def test_calls_are_stale_after_an_outage_until_their_next_event(conversation):
    """Any of them may have ended unheard."""
    first = conversation.dialled("id-1")
    second = conversation.dialled("id-2", channel="hall")
    conversation.session.lost("gone", conversation.now)
    conversation.register()
    assert first.info.stale
    assert second.info.stale
    conversation.event("call_answered", "id-1")
    assert not first.info.stale
    assert second.info.stale
    assert [first, second] == conversation.calls


def test_a_late_event_shows_that_a_stale_call_is_there(conversation):
    """Also one that changes nothing else."""
    call = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1")
    conversation.session.lost("gone", conversation.now)
    conversation.register()
    assert [] == conversation.event("call_answered", "id-1")
    assert not call.info.stale


def test_a_stale_call_goes_after_its_time():
    """``stale_timeout`` from the outage on; one that is heard of stays."""
    conversation = Conversation(stale_timeout=100)
    conversation.dialled("id-1")
    heard = conversation.dialled("id-2", channel="hall")
    conversation.session.lost("gone", conversation.now)
    conversation.register()
    conversation.event("call_answered", "id-2")
    conversation.later(99)
    assert 2 == len(conversation.calls)
    conversation.later(1)
    assert [heard] == conversation.calls


def test_an_outage_does_not_prolong_an_offer(conversation):
    """An incoming call still goes after its minute."""
    conversation.incoming("id-1")
    conversation.later(30)
    conversation.session.lost("gone", conversation.now)
    conversation.register()
    conversation.later(30)
    assert [] == conversation.calls


@pytest.mark.parametrize("way", ["bridge", "accept"])
def test_a_stale_call_the_cm_still_takes_commands_for(way):
    """It is stale until its next event, and does not stay in ``calls()`` for ever."""
    conversation = Conversation(stale_timeout=100)
    if way == "accept":
        call, kind = conversation.incoming("id-1"), Accept
    else:
        call, kind = conversation.dialled("id-1"), Bridge
    conversation.session.lost("gone", conversation.now)
    conversation.register()
    command = kind(call_id="id-1", token="t", channel="hall", uid="7")
    conversation.succeeds(conversation.send(command, call))
    conversation.later(101)
    assert not call.info.stale or [] == conversation.calls


def test_closing_lets_go_of_everything(conversation):
    """Live, orphaned or winding down: nothing is kept, and nothing is active."""
    live = conversation.dialled("id-1")
    closing = conversation.dialled("id-2", channel="hall")
    conversation.hung_up(closing)
    assert Place.CLOSING is closing._place
    orphan = given_up(conversation, channel="attic").call
    conversation.session.calls.clear()
    assert [] == conversation.calls
    for call in (live, closing, orphan):
        assert Place.GONE is call._place
        assert not call.info.active


def test_a_hangup_for_an_inbound_call(conversation):
    """The same as for an outbound one."""
    call = conversation.incoming("id-1")
    conversation.event("call_answered", "id-1")
    conversation.succeeds(conversation.send(HangUp(call_id="id-1"), call))
    assert CallState.HANGUP is call.info.state
    assert [] == conversation.calls


def test_an_id_told_after_the_call_ended_is_not_kept(conversation):
    """The dial's answer names a call that events without an id had ended: it is over."""
    request = conversation.dial()
    conversation.event("call_hangup", "", channel="room", uid="100")
    conversation.succeeds(request, callid="id-1")
    assert "id-1" == request.call.info.call_id
    assert {} == conversation.session.calls._by_id
    assert [] == conversation.event("call_answered", "id-1", channel="room", uid="100")


def test_a_call_that_is_there_goes_before_one_that_may_be(conversation):
    """After a dial gave up, the next one on its route gets the events without an id."""
    given_up = conversation.dial()
    conversation.session.give_up(given_up, conversation.now)
    again = conversation.dial()
    conversation.succeeds(again, callid="id-2")
    assert ["CallAnswered"] == names(conversation.event("call_answered", "", **ROUTE))
    assert ["CallHangup"] == names(conversation.event("call_hangup", "", **ROUTE))
    assert [] == conversation.calls
    assert Place.ORPHAN is given_up.call._place


@pytest.mark.parametrize("how", ["lost", "given up"])
def test_an_accept_without_an_answer(conversation, how):
    """The CM may have taken it: the call stays, and what it then tells is heard."""
    call = conversation.incoming("id-1")
    request = conversation.send(
        Accept(call_id="id-1", token="t", channel="hall", uid="7", app_id="APP"), call
    )
    if how == "lost":
        conversation.session.lost("no network", conversation.now)
        conversation.register()
        assert call.info.stale
    else:
        conversation.session.give_up(request, conversation.now)
    conversation.later(600)
    assert [call] == conversation.calls
    assert ["CallHangup"] == names(conversation.event("call_hangup", "id-1"))
    assert [] == conversation.calls


def test_an_accept_without_an_answer_of_a_call_that_is_gone(conversation):
    """If nothing is ever heard of the call again it goes like any that may have ended."""
    call = conversation.incoming("id-1")
    request = conversation.send(
        Accept(call_id="id-1", token="t", channel="hall", uid="7", app_id="APP"), call
    )
    conversation.session.give_up(request, conversation.now)
    conversation.later(3599)
    assert [call] == conversation.calls
    conversation.later(1)
    assert [] == conversation.calls


def test_who_hears_keys_has_accepted(conversation):
    """Only the owner of a call is told of digits: it is held no more."""
    call = conversation.incoming("id-1")
    conversation.event("dtmf_received", "id-1", digits="5")
    conversation.later(61)
    assert [call] == conversation.calls


def test_a_kept_orphan_is_stale_after_an_outage():
    """It may have ended meanwhile: it says so, and goes in the end."""
    conversation = Conversation(keep_orphans=True)
    request = conversation.dial()
    conversation.event("call_ringing", "id-1", channel="room", uid="100")
    conversation.session.lost("no network", conversation.now)
    outcomes = conversation.register()
    assert "CallOrphaned" in names(outcomes)
    assert [request.call] == conversation.session.calls.stale()
    conversation.later(3600)
    assert [] == conversation.calls


def test_strangers_are_bounded(conversation, monkeypatch):
    """However many calls the CM tells of; those that are ours stay."""
    monkeypatch.setattr(table, "REMEMBERED_MOST", 10)
    ours = conversation.dialled("ours")
    taken = conversation.incoming("taken")
    accept = Accept(call_id="taken", token="t", channel="hall", uid="7", app_id="APP")
    conversation.succeeds(conversation.send(accept, taken))
    for number in range(100):
        conversation.event("call_ringing", f"id-{number}", channel=f"c{number}", uid="1")
    assert [ours, taken] == conversation.calls[:2]
    assert [f"id-{number}" for number in range(90, 100)] == [
        call.info.call_id for call in conversation.calls[2:]
    ]


def test_routes_of_one_call_are_bounded(conversation):
    """A call that moves on and on is found where it began and where it was last."""
    call = conversation.dialled("id-1")
    for number in range(100):
        conversation.event("agora_bridge_start", "id-1", channel=f"c{number}", uid="100")
    assert ROUTES_MOST == len(call._routes)
    assert [("room", "100"), ("c85", "100")] == list(call._routes[:2])
    assert ("c99", "100") == call._routes[-1]
    conversation.event("call_hangup", "id-1")
    assert {} == conversation.session.calls._routes._calls


def test_letting_go_is_noted(conversation):
    """Of a call that may be up: because it is nobody's, or its time is over."""
    moves = conversation.session.calls.moves
    offered, kept, held = [conversation.incoming(f"id-{number}") for number in range(3)]
    conversation.session.calls.decline(offered, conversation.now)
    accept = Accept(call_id="id-1", token="t", channel="hall", uid="7", app_id="APP")
    conversation.succeeds(conversation.send(accept, kept))
    conversation.later(61)
    conversation.session.lost("no network", conversation.now)
    conversation.later(3601)
    assert [] == conversation.calls
    assert [
        ("id-0", CallState.INCOMING, "nobody wanted it"),
        ("id-2", CallState.INCOMING, "its time was over"),
        ("id-1", CallState.INCOMING, "its time was over"),
    ] == [(move.call_id, move.before, move.why) for move in moves if move.after is None]


def test_why_an_orphan_ends_at_a_reconnect(conversation):
    """Not the event that came last before the loss."""
    conversation.dial()
    conversation.event("call_answered", "id-1", **ROUTE)
    conversation.session.lost("no network", conversation.now)
    conversation.register()
    assert CallState.HANGUP is conversation.session.calls.moves[-1].after
    assert "registered" == conversation.session.calls.moves[-1].why


def test_changes_of_state_are_noted(conversation):
    """From which to which, and why, for the log."""
    moves = conversation.session.calls.moves
    call = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1")
    conversation.event("call_answered", "id-1")
    conversation.hung_up(call)
    assert [
        ("id-1", None, CallState.RINGING, "outbound_1"),
        ("id-1", CallState.RINGING, CallState.ANSWERED, "call_answered"),
        ("id-1", CallState.ANSWERED, CallState.HANGUP, "endcall_2"),
    ] == [(move.call_id, move.before, move.after, move.why) for move in moves]


def test_a_hangup_told_by_a_route_that_an_unanswered_bridge_led_to(conversation):
    """Whether the CM took it nobody knew; the call's own events then said where it was."""
    call = conversation.dialled("id-1")
    bridge = Bridge(call_id="id-1", token="t", channel="hall", uid="1", app_id="APP")
    request = conversation.send(bridge, call)
    conversation.session.give_up(request, conversation.now)
    (event,) = conversation.event("call_hangup", "APP:hall:1", channel="hall", uid="1")
    assert call is event.call
    assert [] == conversation.calls


def test_any_event_of_a_call_tells_where_it_is(conversation):
    """Not its bridges alone: what the CM says of the place is filed."""
    call = conversation.dialled("id-1")
    conversation.event("dtmf_received", "id-1", digits="1", channel="attic", uid="9")
    (event,) = conversation.event("call_hangup", "APP:attic:9")
    assert call is event.call


def test_a_nameless_ringing_does_not_make_a_stale_call_certain(conversation):
    """It can be of the dial that gave up, on the same route: then it is nobody's."""
    stale = conversation.dialled("id-1")
    conversation.event("call_answered", "id-1")
    conversation.session.lost("no network", conversation.now)
    conversation.register()
    conversation.session.give_up(conversation.dial(), conversation.now)
    conversation.event("call_ringing", "", **ROUTE)
    assert stale.info.stale
    conversation.later(3601)
    assert [] == conversation.calls


def test_a_copy_without_an_id_does_not_make_a_stale_call_certain(conversation):
    """It may have been under way for as long as the outage."""
    stale = conversation.dialled("id-1")
    conversation.event("call_ringing", "id-1")
    conversation.event("call_answered", "id-1")
    conversation.session.lost("no network", conversation.now)
    conversation.register()
    conversation.event("call_ringing", "", **ROUTE)
    assert stale.info.stale


def test_an_event_without_an_id_makes_a_stale_call_certain(conversation):
    """There is no other call on that route."""
    call = conversation.dialled("id-1")
    conversation.session.lost("no network", conversation.now)
    conversation.register()
    assert call.info.stale
    conversation.event("call_ringing", "", **ROUTE)
    assert not call.info.stale


def test_beside_another_call_it_does_not(conversation):
    """It may be a late one of that other call."""
    stale = conversation.dialled("id-1")
    conversation.session.lost("no network", conversation.now)
    conversation.register()
    conversation.dialled("id-2")
    conversation.event("call_answered", "id-2", **ROUTE)
    conversation.event("call_ringing", "", **ROUTE)
    assert stale.info.stale
    conversation.event("call_answered", "id-1", **ROUTE)
    assert not stale.info.stale


def test_the_late_hangup_of_a_refused_dial(conversation):
    """It is not taken for the other dial on that route, whose own answer is to come."""
    first, second = conversation.dial(), conversation.dial()
    conversation.refuses(second, "Busy")
    (event,) = conversation.event("call_hangup", "id-2", hangup_cause="USER_BUSY", **ROUTE)
    assert event.call is not first.call
    conversation.session.give_up(first, conversation.now)
    outcomes = conversation.succeeds(first, callid="id-1")
    assert ["CallOrphaned"] == names(told(outcomes))
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]


@pytest.mark.parametrize("taken", [False, True], ids=["lost", "taken for another"])
def test_the_late_hangup_of_a_dial_that_was_refused_late(conversation, taken):
    """Nobody waited for the refusal any more: the hangup is not the other dial's either."""
    second = given_up(conversation)
    if taken:
        conversation.event("call_hangup", "id-0", **ROUTE)
        assert Place.GONE is second.call._place
    first = conversation.dial()
    conversation.refuses(second, "Busy")
    (event,) = conversation.event("call_hangup", "id-2", hangup_cause="USER_BUSY", **ROUTE)
    assert event.call is not first.call
    conversation.succeeds(first, callid="id-1")
    assert [first.call] == conversation.calls


def test_the_late_hangup_of_a_refused_dial_beside_a_call_that_is_up(conversation):
    """That call has another id: it goes on."""
    call = conversation.dialled("id-1")
    conversation.refuses(conversation.dial(), "Busy")
    conversation.event("call_answered", "id-1", channel="room", uid="100")
    conversation.event("call_hangup", "id-2", channel="room", uid="100")
    assert [call] == conversation.calls
    assert CallState.ANSWERED is call.info.state
    conversation.event("call_hangup", "id-1", channel="room", uid="100")
    assert [] == conversation.calls


def test_a_late_answer_whose_call_events_have_made(conversation):
    """Also if ours was taken for another, and ended, the one that is up is ended."""
    request = conversation.dial()
    conversation.session.give_up(request, conversation.now)
    conversation.event("call_hangup", "id-2", **ROUTE)
    assert Place.GONE is request.call._place
    conversation.event("call_answered", "id-1", **ROUTE)
    outcomes = conversation.succeeds(request, callid="id-1")
    assert ["CallOrphaned"] == names(told(outcomes))
    assert ["endcall"] == [frame["action"] for frame in said(outcomes)]
