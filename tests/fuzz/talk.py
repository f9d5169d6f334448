"""The session under a fuzzer: one case is a conversation of fifty messages, most of them bad.

Whatever comes: nothing is raised, what cannot be read is counted and told, the table of calls
keeps its order, and the session still works as if nothing had been.
"""

from __future__ import annotations

import json
import random
from typing import Any, NoReturn

from telephony import CallRinging, CallState, ErrorOccurred, ProtocolError
from telephony.protocol.calls import Place, TrackedCall
from telephony.protocol.commands import Bridge, OtherCommand, SendDtmf
from telephony.protocol.events import Event
from telephony.protocol.session import Answer, Outcome, Refused, Registered, Request, Say
from tests.fuzz.mutations import Maker
from tests.unit.protocol.conversation import AUTH_TOKEN, Conversation

MESSAGES = 50
TOKEN = "rtc-token-that-is-secret"
OUTCOMES = (Say, Event, Answer, Registered, Refused)
#: Beyond this a text may be refused for its length alone.
SHORT = 1000


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def read(message: str | bytes) -> dict[str, Any] | None:
    """The one JSON object that the protocol asks for; None if the message is not that."""
    if isinstance(message, bytes):
        return None
    try:
        value = _decode(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_plain_event(message: str | bytes) -> bool:
    """Whether it is certainly an event that can be read."""
    frame = read(message)
    if frame is None or len(message) > SHORT or not isinstance(frame.get("event"), str):
        return False
    ids = [frame.get(key) or "id" for key in ("event", "callid", "channel", "uid", "appid")]
    plain = [text.isprintable() and not text.isspace() for text in ids if isinstance(text, str)]
    return all(plain) and frame["event"] != ""


class Talk:
    """One case: ``run()`` raises AssertionError, or whatever the session raised."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._maker = Maker(chance)
        self.messages: list[str | bytes] = []
        self.cm = Conversation(
            registered=chance.random() < 0.8,
            app_id=chance.choice(("APP", "APP", "MULTI")),
            keep_orphans=chance.random() < 0.3,
        )
        self._open: dict[str, Request[TrackedCall]] = {}
        self._late: list[str] = []
        self._ended: set[TrackedCall] = set()
        self._lives = 0

    @property
    def session(self) -> Any:
        return self.cm.session

    def run(self, messages: int = MESSAGES) -> None:
        for number in range(messages):
            if number % 5 == 0:
                self._act()
            self.take(self._maker.message(self._call_ids(), [*self._open, *self._late, "ask_0"]))
            if number % 25 == 24:
                self._still_works()
        self.finish()

    def take(self, message: str | bytes) -> None:
        """Hand in one message, and look at what became of it."""
        self.messages.append(message)
        counted = self.session.protocol_errors
        outcomes = self.cm.says(message)
        told = [
            outcome for outcome in outcomes
            if isinstance(outcome, ErrorOccurred) and isinstance(outcome.error, ProtocolError)
        ]
        assert len(told) == self.session.protocol_errors - counted, "counted is not told"
        assert len(told) <= 1
        if told:
            assert [told[0]] == outcomes, "it was taken in and reported"
            assert not _is_plain_event(message), "a good event was called unreadable"
        else:
            assert read(message) is not None, "what is no JSON object went unnoticed"
        self._look(outcomes)

    def _look(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            assert isinstance(outcome, OUTCOMES)
            shown = repr(outcome)
            assert TOKEN not in shown and AUTH_TOKEN not in shown, "a secret is shown"
            if isinstance(outcome, Answer):
                assert outcome.request_id in self._open, "answered twice, or never asked"
                assert outcome.response is not None or outcome.error is not None
                del self._open[outcome.request_id]
            elif isinstance(outcome, Say):
                assert json.loads(outcome.text)["action"]
            elif isinstance(outcome, Event):
                call = getattr(outcome, "call", None)
                if call is not None and call.info.state is CallState.HANGUP:
                    self._ended.add(call)
        for request in self._open.values():
            assert self.session.is_open(request), "a request was lost"
        self._check_table()
        if any(isinstance(outcome, Refused) for outcome in outcomes):
            self._connect_again()

    def _check_table(self) -> None:
        calls = self.cm.calls
        ids = [call.info.call_id for call in calls if call.info.call_id]
        assert len(ids) == len(set(ids)), "two calls with one id"
        for call in calls:
            assert Place.LIVE is call._place
            assert call.info.active and CallState.HANGUP is not call.info.state
            if call.info.call_id:
                assert call is self.session.calls.get(call.info.call_id)
        for call in self._ended:
            assert CallState.HANGUP is call.info.state, "an ended call was revived"
            assert not call.info.active

    # --- what we do meanwhile ----------------------------------------------------------

    def _call_ids(self) -> list[str]:
        return [*(call.info.call_id for call in self.cm.calls), "id-1", "id-2", "APP:room:100", ""]

    def _act(self) -> None:
        """A command, an answer that is not waited for any more, an outage, time."""
        chance, session = self._chance, self.session
        roll = chance.random()
        if roll < 0.1 or not session.registered:
            if roll < 0.1:
                self._connect_again()
        elif roll < 0.5:
            self._sent(self.cm.dial(channel=chance.choice(("room", "hall")), token=TOKEN))
        elif roll < 0.8 and self.cm.calls:
            call = chance.choice(self.cm.calls)
            if call.info.call_id:
                call_id: Any = call.info.call_id
                self._sent(self.cm.send(SendDtmf(call_id="id-1", digits="12#"), call))
                if call_id.isprintable() and call_id.strip():
                    self._sent(self.cm.send(
                        Bridge(call_id=call_id, token=TOKEN, channel="hall", uid="7"), call
                    ))
        elif roll < 0.9 and self._open:
            request = self._open.pop(chance.choice(list(self._open)))
            self._late.append(request.request_id)
            self._look(session.give_up(request, self.cm.now))
        else:
            self.cm.later(chance.choice((1, 61, 300)))

    def _sent(self, request: Request[TrackedCall]) -> None:
        self._open[request.request_id] = request

    def _connect_again(self) -> None:
        self._look(self.session.lost("reset", self.cm.now))
        assert {} == self._open, "a request outlived its connection"
        self._look(self.cm.register())

    # --- and then ----------------------------------------------------------------------

    def _still_works(self) -> None:
        """A command is answered, and a call comes and goes, as if nothing had been."""
        if not self.session.registered:
            self._connect_again()
        assert self.session.registered
        self._lives += 1
        request = self.cm.send(OtherCommand(action="ask"))
        self._sent(request)
        outcomes = self.cm.succeeds(request, word="yes")
        (answer,) = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        self._look(outcomes)
        assert answer.error is None and answer.response is not None
        assert "yes" == answer.response["data"]["word"]
        call_id, where = f"alive-{self._lives}", {"channel": f"c-{self._lives}", "uid": "1"}
        (ringing,) = self.cm.event("call_ringing", call_id, appid="APP", **where)
        assert isinstance(ringing, CallRinging)
        assert ringing.call in self.cm.calls
        self.cm.event("call_hangup", call_id)
        assert CallState.HANGUP is ringing.call.info.state
        assert self.session.calls.get(call_id) is None

    def finish(self) -> None:
        """When all is over nothing is left in the table."""
        self._still_works()
        self._look(self.session.lost("closed", self.cm.now))
        assert 0 == self.session.in_flight
        self.session.calls.clear()
        assert [] == self.cm.calls
        assert {} == self.session.calls._by_id
        assert {} == self.session.calls._routes._calls
