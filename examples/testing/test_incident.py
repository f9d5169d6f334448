"""What happened in production, played again: `incident.jsonl` is a recording of it.

A caller had pressed two keys when the connection to the Call Manager was lost, and left before
it was there again. It was recorded by ``Client.from_env(hooks=Recorder("incident.jsonl",
numbers=False, digits=False))``: the numbers and the digits are not the real ones.
"""

from pathlib import Path

import frontdesk
import pytest
from frontdesk import FrontDesk

from telephony import CallIncoming
from telephony.testing import Recorder, Replay, ReplayDifference

INCIDENT = Path(__file__).with_name("incident.jsonl")


@pytest.fixture
def replay(monkeypatch):
    monkeypatch.setattr(frontdesk, "NUMBER", "+15550000001")  # as it is in the recording
    with Replay(INCIDENT) as replay:
        yield replay


def test_the_incident(replay):
    client = replay.client()
    desk = FrontDesk(client)  # before it connects, so that it hears everything
    client.connect()
    replay.wait_finished(timeout=10)
    client.close(drain=5)
    assert desk.visits == [("+15550000002", "left (NORMAL_CLEARING)")]


def test_a_desk_that_does_something_else(replay):
    client = replay.client()
    client.on(CallIncoming, lambda event: event.call.reject("closed"))
    client.connect()
    with pytest.raises(ReplayDifference, match="recording has accept .*; the client sent reject"):
        replay.wait_finished(timeout=10)
    client.close(drain=5)


def test_recording_a_session(telephony_sandbox, tmp_path):
    file = tmp_path / "session.jsonl"
    with Recorder(file) as recorder, telephony_sandbox.client(hooks=recorder) as client:
        assert FrontDesk(client).ring("+18005551234") == "Answered"
    with Replay(file) as replay, replay.client() as client:
        assert FrontDesk(client).ring("+18005551234") == "Answered"
        replay.wait_finished(timeout=10)
