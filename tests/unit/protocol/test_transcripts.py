"""The wire conversations of ``tests/transcripts``, replayed; see the README there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from telephony.protocol import commands
from telephony.protocol.calls import TrackedCall
from telephony.protocol.events import Event
from telephony.protocol.session import Answer, Outcome, Refused, Registered, Say, Session

pytestmark = pytest.mark.usefixtures("decoder")

FOLDER = Path(__file__).parents[2] / "transcripts"
FILES = sorted(FOLDER.glob("*.json"))

STEPS = {"cm", "client", "give_up", "lost", "connected", "wait"}
RESULTS = {"call", "sends", "registered", "refused", "answers", "events", "calls", "tracked"}

KINDS = {
    kind.action: kind
    for kind in (
        commands.Dial,
        commands.Accept,
        commands.Reject,
        commands.EndCall,
        commands.HangUp,
        commands.SendDtmf,
        commands.Bridge,
        commands.Unbridge,
        commands.Rebridge,
        commands.Transfer,
        commands.Subscribe,
    )
}


def command_of(frame: dict[str, Any]) -> commands.Command:
    """The command that has to make this frame."""
    kind = KINDS[frame["action"]]
    names = {f.metadata.get("wire", f.name): f.name for f in attrs.fields(kind)}
    fields = {k: v for k, v in frame.items() if k not in ("action", "request_id")}
    return kind(**{names[key]: value for key, value in fields.items()})


class Replay:
    """One transcript on its way."""

    def __init__(self, client: dict[str, Any]) -> None:
        self.session: Session[TrackedCall] = Session(
            auth_token="Basic c2VjcmV0LXRva2Vu",
            client_id="client-1",
            app_id=client["app_id"],
            make_call=TrackedCall,
            subscriptions=tuple(client.get("subscribe_numbers", ())),
            keep_orphans=client.get("orphan_policy", "hangup") == "keep",
        )
        self.session.begin()
        self.now = 5000.0
        self.calls: dict[str, TrackedCall] = {}
        self.requests: dict[str, Any] = {}

    def name(self, call: TrackedCall | None, expected: str | None) -> str | None:
        """The name of *call*; if it has none, *expected* is its name from now on."""
        for name, named in self.calls.items():
            if named is call:
                return name
        if call is not None and expected is not None and expected not in self.calls:
            self.calls[expected] = call
            return expected
        return None if call is None else "a call without a name"

    def do(self, step: dict[str, Any]) -> list[Outcome]:
        if "cm" in step:
            return self.session.receive(json.dumps(step["cm"]), self.now)
        if "client" in step:
            frame, name = step["client"], step.get("call")
            request = self.session.prepare(command_of(frame), self.calls.get(name), self.now)
            assert frame == json.loads(request.text)
            assert name == self.name(request.call, name)
            self.requests[request.request_id] = request
            return []
        if "give_up" in step:
            return self.session.give_up(self.requests[step["give_up"]], self.now)
        if "lost" in step:
            return self.session.lost(step["lost"], self.now)
        if "connected" in step:
            self.session.begin()
            return []
        self.now += step["wait"]
        self.session.expire(self.now)
        return []

    def check(self, step: dict[str, Any], outcomes: list[Outcome]) -> None:
        sends = [json.loads(o.text) for o in outcomes if isinstance(o, Say)]
        assert step.get("sends", []) == sends
        registered = [o.session_id for o in outcomes if isinstance(o, Registered)]
        assert ([step["registered"]] if "registered" in step else []) == registered
        refused = [o.error.reason for o in outcomes if isinstance(o, Refused)]
        assert ([step["refused"]] if "refused" in step else []) == refused
        answers = {o.request_id: o for o in outcomes if isinstance(o, Answer)}
        self.check_answers(step.get("answers", {}), answers)
        events = [o for o in outcomes if isinstance(o, Event)]
        self.check_events(step.get("events", []), events)
        for name, fields in step.get("calls", {}).items():
            info = self.calls[name].info
            assert fields == {field: getattr(info, field) for field in fields}, name
        if "tracked" in step:
            tracked = [self.name(call, None) for call in self.session.calls.live()]
            assert step["tracked"] == tracked

    def check_answers(self, expected: dict[str, Any], answers: dict[str, Answer]) -> None:
        assert list(expected) == list(answers)
        for request_id, wanted in expected.items():
            error = answers[request_id].error
            if wanted == "ok":
                assert error is None
            else:
                assert wanted["error"] == type(error).__name__
                assert wanted.get("reason") == getattr(error, "reason", None)

    def check_events(self, expected: list[dict[str, Any]], events: list[Any]) -> None:
        assert [wanted["type"] for wanted in expected] == [type(e).__name__ for e in events]
        for wanted, event in zip(expected, events):
            assert wanted.get("call") == self.name(getattr(event, "call", None), wanted.get("call"))
            fields = {key: value for key, value in wanted.items() if key not in ("type", "call")}
            assert fields == {field: getattr(event, field) for field in fields}, wanted


def test_there_are_transcripts():
    """Every conversation that went wrong in the Go SDK is there."""
    expected = {
        "composite_callid_hangup",
        "duplicate_everything",
        "empty_callids",
        "inbound_accepted",
        "inbound_rejected",
        "late_ringing",
        "multi",
        "outbound",
        "overtaking_event",
        "overtaking_hangup",
        "rebridge_failed",
        "rebridge_ok",
        "two_app_ids",
    }
    assert set() == expected - {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_transcript(path):
    """After each step exactly what the transcript says has happened."""
    transcript = json.loads(path.read_text(encoding="utf-8"))
    assert {"about", "client", "steps"} == set(transcript)
    replay = Replay(transcript["client"])
    for number, step in enumerate(transcript["steps"], 1):
        assert 1 == len(STEPS & set(step)), f"step {number} does not do one thing"
        assert set() == set(step) - STEPS - RESULTS, f"step {number} says what is not known"
        try:
            replay.check(step, replay.do(step))
        except AssertionError as error:
            raise AssertionError(f"step {number}: {json.dumps(step)}\n{error}") from None
