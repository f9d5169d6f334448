"""Finding calls by the composite of App ID, channel and uid."""

from __future__ import annotations

import attrs
import pytest

from telephony import CallInfo
from telephony.protocol.calls import Place, TrackedCall
from telephony.protocol.routes import LAST_WORDS_MOST, Route, Routes


def call_at(app_id="APP", channel="room", uid="100", call_id="", place=Place.LIVE):
    call = TrackedCall(CallInfo(app_id=app_id, channel=channel, uid=uid, call_id=call_id))
    call._place = place
    return call


@pytest.fixture
def routes():
    return Routes("APP")


ROOM = Route("APP", "room", "100")


def test_a_call_is_found_and_after_removal_is_not(routes):
    """And nothing of it is left in the index."""
    call = call_at(call_id="id-1")
    routes.add(call)
    assert call is routes.find(ROOM, "call_answered", False)
    routes.remove(call)
    assert routes.find(ROOM, "call_answered", False) is None
    assert () == call._routes
    routes.remove(call)


@pytest.mark.parametrize("channel, uid", [("", "100"), ("room", ""), ("", "")])
def test_half_a_route_is_none(routes, channel, uid):
    """Calls without a place cannot be found by it, and do not fit each other."""
    routes.add(call_at(channel=channel, uid=uid))
    assert routes.find(Route("APP", channel, uid), "call_answered", False) is None


@pytest.mark.parametrize("app_id, found", [("APP", True), ("", True), ("OTHER", False)])
def test_the_app_id_is_part_of_it(routes, app_id, found):
    """An App ID that is not told fits any; another one fits not."""
    call = call_at()
    routes.add(call)
    route = Route(app_id, "room", "100")
    assert (call if found else None) is routes.find(route, "call_answered", False)


def test_two_calls_on_one_route_decide_nothing(routes):
    """Whatever kind of event it is."""
    routes.add(call_at(call_id="id-1"))
    routes.add(call_at(call_id="id-2"))
    for name in ("call_ringing", "call_answered", "call_hangup"):
        assert routes.find(ROOM, name, False) is None
        assert routes.find(ROOM, name, True) is None


def test_a_new_id_belongs_to_the_call_that_has_none(routes):
    """The others have theirs."""
    bound, unbound = call_at(call_id="id-1"), call_at()
    routes.add(bound)
    routes.add(unbound)
    assert unbound is routes.find(ROOM, "call_answered", True)


def test_who_an_event_without_an_id_is_for(routes):
    """A hangup: whom we hung up. First events: who has no id yet. Others: who is up."""
    closing, bound = call_at(call_id="id-1", place=Place.CLOSING), call_at(call_id="id-2")
    routes.add(closing)
    routes.add(bound)
    assert closing is routes.find(ROOM, "call_hangup", False)
    assert bound is routes.find(ROOM, "dtmf_received", False)
    assert bound is routes.find(ROOM, "call_ringing", False)
    unbound, orphan = call_at(), call_at(place=Place.ORPHAN)
    routes.add(unbound)
    routes.add(orphan)
    assert unbound is routes.find(ROOM, "call_ringing", False)
    assert routes.find(ROOM, "dtmf_received", False) is None


@pytest.mark.parametrize(
    "frame, route, has_id",
    [
        ({"callid": "id-1", "channel": "room", "uid": "100", "appid": "A"},
         ("A", "room", "100"), True),
        ({"channel": "room", "uid": 100}, ("APP", "room", "100"), False),
        ({"callid": "APP:room:100"}, ("APP", "room", "100"), False),
        ({"callid": "APP:nowhere:5"}, ("APP", "", ""), True),
        ({"callid": "a:b"}, ("APP", "", ""), True),
        ({}, ("APP", "", ""), False),
        ({"callid": None, "channel": [], "uid": {}, "appid": True}, ("APP", "", ""), False),
    ],
)
def test_the_route_of_an_event(routes, frame, route, has_id):
    """Its own fields, or its callid if that is the composite of a place we know."""
    routes.add(call_at())
    assert (Route(*route), has_id) == routes.route_of(frame)


def test_last_words_are_those_of_the_last(routes):
    """The same words on a route the call has had are a copy; others are another call's."""
    call = call_at()
    routes.add(call)
    call.info = attrs.evolve(call.info, channel="hall", uid="7")
    routes.add(call)
    frame = {"timestamp": 1, "hangup_cause": "X", "duration": "3", "billsec": "2"}
    routes.remember_last_words(call, frame)
    for route in (ROOM, Route("APP", "hall", "7")):
        assert routes.are_last_words(route, dict(frame, callid="whatever"))
        assert not routes.are_last_words(route, dict(frame, timestamp=2))
    assert not routes.are_last_words(Route("OTHER", "room", "100"), frame)


def test_words_without_a_time_are_nobodys_last(routes):
    """Two calls can end with the same few words."""
    call = call_at()
    routes.add(call)
    routes.remember_last_words(call, {"hangup_cause": "X"})
    assert not routes.are_last_words(ROOM, {"hangup_cause": "X"})


def test_last_words_are_not_kept_for_ever(routes):
    """Only of so many routes, the latest."""
    for i in range(1, LAST_WORDS_MOST + 2):
        call = call_at(uid=str(i))
        routes.add(call)
        routes.remember_last_words(call, {"timestamp": i})
    assert not routes.are_last_words(Route("APP", "room", "1"), {"timestamp": 1})
    assert routes.are_last_words(Route("APP", "room", "2"), {"timestamp": 2})


def test_refused_dials_are_not_remembered_for_ever(routes):
    """Only of so many routes, the latest."""
    for i in range(LAST_WORDS_MOST + 2):
        call = call_at(uid=str(i + 1))
        routes.add(call)
        routes.refused(call)
    assert LAST_WORDS_MOST == len(routes._refused)
    assert ("room", str(i + 1)) in routes._refused
    assert ("room", "1") not in routes._refused
