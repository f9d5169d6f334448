"""A session with no socket: the test plays the Call Manager and brings the time."""

from __future__ import annotations

import json
from typing import Any

from telephony.protocol.calls import TrackedCall
from telephony.protocol.commands import Command, Dial, EndCall, HangUp
from telephony.protocol.events import Event
from telephony.protocol.session import (
    Answer,
    Outcome,
    Refused,
    Registered,
    Request,
    Say,
    Session,
)

AUTH_TOKEN = "Basic c2VjcmV0LXRva2Vu"
STAMP = 1_700_000_000


class Conversation:
    """One session, and all that came out of it."""

    def __init__(self, app_id: str = "APP", registered: bool = True, **options: Any) -> None:
        self.session: Session[TrackedCall] = Session(
            auth_token=AUTH_TOKEN,
            client_id="client-1",
            app_id=app_id,
            make_call=TrackedCall,
            **options,
        )
        self.now = 1000.0
        if registered:
            self.register()

    # --- the CM speaks -----------------------------------------------------------------

    def says(self, frame: dict[str, Any] | str | bytes) -> list[Outcome]:
        """The CM sends *frame*; returns what follows."""
        message = json.dumps(frame) if isinstance(frame, dict) else frame
        return self.session.receive(message, self.now)

    def register(self) -> list[Outcome]:
        """The whole handshake, on a new connection; returns what followed ``registered``."""
        self.session.begin()
        self.says({"status": "connected", "session_id": "s-1"})
        return self.says({"status": "registered", "client_id": "client-1"})

    def event(self, name: str, callid: str = "", **fields: Any) -> list[Event]:
        """The CM sends an event; returns the events that were told."""
        frame = {"event": name, "callid": callid, "timestamp": STAMP, **fields}
        return told(self.says(frame))

    def succeeds(self, request: Request[TrackedCall], **data: Any) -> list[Outcome]:
        """The CM answers *request* with success."""
        return self.says(
            {
                "response": request.command.action,
                "status_code": 200,
                "data": {"success": True, **data},
                "request_id": request.request_id,
            }
        )

    def refuses(self, request: Request[TrackedCall], error: str) -> list[Outcome]:
        """The CM answers *request* with an error."""
        return self.says({"error": error, "request_id": request.request_id})

    # --- the client speaks -------------------------------------------------------------

    def send(self, command: Command, call: TrackedCall | None = None) -> Request[TrackedCall]:
        return self.session.prepare(command, call, self.now)

    def dial(self, **fields: Any) -> Request[TrackedCall]:
        given: dict[str, Any] = {
            "to": "+18005551234",
            "from_": "+15551234567",
            "channel": "room",
            "uid": "100",
            "token": "rtc-token-100",
            "region": "AREA_CODE_NA",
            "app_id": "APP",
            **fields,
        }
        return self.send(Dial(**given))

    def dialled(self, call_id: str, **fields: Any) -> TrackedCall:
        """A call that was dialled, and its dial answered with *call_id*."""
        request = self.dial(**fields)
        self.succeeds(request, callid=call_id)
        assert request.call is not None
        return request.call

    def incoming(self, call_id: str, **fields: Any) -> TrackedCall:
        """A call that came in."""
        (event,) = self.event(
            "call_incoming",
            call_id,
            **{"from": "+1555", "to": "+1800", "direction": "inbound", "appid": "APP", **fields},
        )
        return event.call  # type: ignore[attr-defined, no-any-return]

    def hung_up(self, call: TrackedCall) -> None:
        """We hang *call* up and the CM takes it; its ``call_hangup`` is to come."""
        kind = HangUp if call.info.direction == "inbound" else EndCall
        self.succeeds(self.send(kind(call_id=call.info.call_id, app_id="APP"), call))

    # --- looking -----------------------------------------------------------------------

    @property
    def calls(self) -> list[TrackedCall]:
        return self.session.calls.live()

    def later(self, seconds: float) -> None:
        """*seconds* pass, and the session is told the time."""
        self.now += seconds
        self.session.expire(self.now)


def told(outcomes: list[Outcome]) -> list[Event]:
    """The events among *outcomes*; anything else but a word of ours is a mistake."""
    assert all(isinstance(outcome, (Event, Say)) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Event)]


def said(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The frames among *outcomes* that we send."""
    return [json.loads(outcome.text) for outcome in outcomes if isinstance(outcome, Say)]


def answer(outcomes: list[Outcome]) -> Answer:
    """The one answer in *outcomes*, and nothing else."""
    (outcome,) = outcomes
    assert isinstance(outcome, Answer)
    return outcome


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


__all__ = [
    "AUTH_TOKEN",
    "STAMP",
    "Conversation",
    "Refused",
    "Registered",
    "answer",
    "names",
    "said",
    "told",
]
