"""Whatever the CM sends and in whatever order: nothing raises, and nothing ended comes back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telephony import CallHangup, CallState, Event
from telephony.protocol.calls import Place, TrackedCall
from telephony.protocol.commands import (
    Accept,
    Bridge,
    EndCall,
    HangUp,
    Reject,
    SendDtmf,
    Subscribe,
)
from telephony.protocol.session import Answer, Outcome
from telephony.protocol.states import TRANSITIONS
from tests.unit.protocol.conversation import Conversation

NAMES = st.sampled_from([*TRANSITIONS, "call_teleported"])
IDS = st.sampled_from(["", "id-1", "id-2", "id-3", "APP:room:100", "APP:hall:7", "OTHER:room:100"])
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.just(10**400),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def mostly(*values: Any) -> st.SearchStrategy[Any]:
    """One of *values*, at times something of another type."""
    usual = st.sampled_from(values)
    return st.one_of(usual, usual, usual, ODD)


FIELDS = {
    "timestamp": mostly(1_700_000_000, 1_700_000_001, "1700000000"),
    "channel": mostly("room", "hall"),
    "uid": mostly("100", "7", 7),
    "appid": mostly("APP", "OTHER", "MULTI"),
    "direction": mostly("inbound", "outbound", "outbound_sip"),
    "to": mostly("+1800"),
    "from": mostly("+1555"),
    "video": mostly(True, False),
    "digits": mostly("1", "12#"),
    "reason": mostly("join failed"),
    "hangup_cause": mostly("NORMAL_CLEARING"),
    "duration": mostly("3", 3),
    "billsec": mostly("1"),
    "sip_headers": mostly({"X-A": "1"}),
    "request_id": mostly("outbound_1", "endcall_2"),
}
EVENTS = st.builds(
    lambda name, callid, fields: {"event": name, "callid": callid, **fields},
    NAMES,
    st.one_of(IDS, IDS, IDS, ODD),
    st.fixed_dictionaries({}, optional=FIELDS),
)


class Watched(Conversation):
    """A conversation that minds what must never happen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ended: dict[TrackedCall, CallState] = {}
        self.hangups: list[str] = []

    def watch(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            event = outcome if isinstance(outcome, Event) else None
            call = getattr(event, "call", None)
            if isinstance(event, CallHangup):
                assert CallState.HANGUP is call.info.state
                assert Place.GONE is call._place
                call_id = event.info.call_id
                assert not call_id or call_id not in self.hangups
                self.hangups.append(call_id)
            if call is not None and call.info.state is CallState.HANGUP:
                self.ended[call] = call.info.state
        self.check()

    def check(self) -> None:
        for call in self.ended:
            assert CallState.HANGUP is call.info.state
            assert not call.info.active
        ids = [call.info.call_id for call in self.calls if call.info.call_id]
        assert len(ids) == len(set(ids))
        for call in self.calls:
            assert CallState.HANGUP is not call.info.state
            assert call.info.active
            assert Place.LIVE is call._place
            if call.info.call_id:
                assert call is self.session.calls.get(call.info.call_id)
        assert len(self.calls) == len(self.session.calls)


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(EVENTS, max_size=30), st.data())
def test_events_in_any_order(frames, data):
    """All names, shuffled, doubled, with missing fields and fields of other types."""
    frames = data.draw(st.permutations(frames + frames[: len(frames) // 2]))
    conversation = Watched()
    for frame in frames:
        conversation.watch(conversation.says(json.dumps(frame).replace("NaN", "null")))


@settings(max_examples=200, deadline=None, database=None)
@given(st.one_of(st.text(), st.binary()))
def test_any_text_at_all(message):
    """It is taken in or reported, and the next frame is read as if nothing had been."""
    conversation = Watched()
    conversation.watch(conversation.says(message))
    conversation.dialled("id-1")
    assert 1 == len(conversation.event("call_ringing", "id-1"))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ["event", "callid", "status", "error", "response", "request_id", "data",
                     "status_code", "success", "session_id"]
                ),
                st.text(max_size=4),
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(JSON, max_size=6), st.booleans())
def test_any_json_at_all(values, registered):
    """During the handshake and after it, with a dial under way."""
    conversation = Watched(registered=registered)
    conversation.dial()
    for value in values:
        outcomes = conversation.says(json.dumps(value))
        for outcome in outcomes:
            assert repr(outcome)
        conversation.check()


class AnyConversation(RuleBasedStateMachine):
    """Commands of ours and anything of the CM's, in any order, over any number of outages."""

    def __init__(self) -> None:
        super().__init__()
        self.cm = Watched()
        self.open: list[Any] = []
        self.late: list[Any] = []
        self.handles: list[TrackedCall] = []

    def after(self, outcomes: list[Outcome]) -> None:
        self.cm.watch(outcomes)
        self.open = [r for r in self.open if self.cm.session.is_open(r)]

    @rule(frame=EVENTS)
    def event(self, frame: dict[str, Any]) -> None:
        self.after(self.cm.says(json.dumps(frame)))

    @precondition(lambda self: self.cm.session.registered)
    @rule(channel=st.sampled_from(["room", "hall"]), app_id=st.sampled_from(["APP", "OTHER"]))
    def dial(self, channel: str, app_id: str) -> None:
        request = self.cm.dial(channel=channel, app_id=app_id)
        self.open.append(request)
        self.handles.append(request.call)

    @precondition(lambda self: self.cm.session.registered)
    @rule(
        kind=st.sampled_from([Accept, Bridge, EndCall, HangUp, Reject, SendDtmf, Subscribe]),
        call_id=st.sampled_from(["id-1", "id-2", "id-3"]),
    )
    def command(self, kind: Any, call_id: str) -> None:
        fields: dict[str, Any] = {"call_id": call_id}
        call = self.cm.session.calls.get(call_id)
        if kind in (Accept, Bridge):
            fields.update(token="rtc-token", channel="hall", uid="7")
        elif kind is SendDtmf:
            fields.update(digits="12#")
        elif kind is Subscribe:
            fields, call = {"numbers": ["+1800"]}, None
        self.open.append(self.cm.send(kind(**fields), call))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), call_id=IDS, yes=st.booleans(), late=st.booleans())
    def answer(self, data: Any, call_id: str, yes: bool, late: bool) -> None:
        known = self.late if late and self.late else self.open
        request = data.draw(st.sampled_from(known))
        waited = request in self.open
        if yes:
            outcomes = self.cm.succeeds(request, callid=call_id)
        else:
            outcomes = self.cm.refuses(request, "callid not found")
        answers = [o for o in outcomes if isinstance(o, Answer)]
        assert ([request.request_id] if waited else []) == [a.request_id for a in answers]
        self.after(outcomes)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_up(self, data: Any) -> None:
        request = data.draw(st.sampled_from(self.open))
        self.late.append(request)
        self.after(self.cm.session.give_up(request, self.cm.now))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def not_sent(self, data: Any) -> None:
        self.cm.session.not_sent(data.draw(st.sampled_from(self.open)), self.cm.now)
        self.after([])

    @rule()
    def outage(self) -> None:
        waited = [request.request_id for request in self.open]
        outcomes = self.cm.session.lost("reset", self.cm.now)
        answers = [o.request_id for o in outcomes if isinstance(o, Answer)]
        assert waited == answers
        self.after(outcomes)
        self.cm.session.begin()

    @precondition(lambda self: not self.cm.session.registered)
    @rule()
    def register(self) -> None:
        self.after(self.cm.register())

    @precondition(lambda self: self.cm.now < 1500)  # after 600 s ids of ended calls are forgotten
    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        self.cm.later(seconds)
        self.cm.check()

    @invariant()
    def handles_are_somewhere(self) -> None:
        for call in self.handles:
            if call._place is Place.GONE:
                assert not call.info.active
            elif call._place is Place.LIVE:
                assert call in self.cm.calls

    def teardown(self) -> None:
        """When all is over nothing is left in the table."""
        self.cm.session.lost("closed", self.cm.now)
        self.cm.session.calls.clear()
        assert [] == self.cm.calls
        for call in self.handles:
            assert Place.GONE is call._place
            assert () == call._routes


TestAnyConversation = AnyConversation.TestCase
TestAnyConversation.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
