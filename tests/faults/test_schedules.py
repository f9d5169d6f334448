"""Seeded schedules of faults, and the cases that once broke a promise.

Here are a hundred; ``python -m tests.faults --schedules N`` runs as many as one likes.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import attrs
import pytest

from telephony import BridgeStarted, Client, Event, OutcomeUnknownError
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.faults.audit import Audit
from tests.faults.batch import run_all
from tests.faults.proxy import Proxy
from tests.faults.schedule import Schedule
from tests.faults.story import Story
from tests.scripted import Recorded

SECONDS = 20.0

KEPT = [
    Schedule.from_json(data)
    for data in json.loads(Path(__file__).with_name("kept.json").read_text())
]


@pytest.fixture(autouse=True)
def quiet():
    """Connections are lost by the hundred here: nobody wants to read that."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_hundred():
    """Every promise holds under each of them; and together they bring about what they are for."""
    summary = run_all((Schedule.from_seed(seed) for seed in range(1, 101)), 24)
    assert [] == summary.left
    assert [] == [run.schedule.name for run in summary.failed], str(summary.failed[0])
    assert 100 == summary.runs
    for what in (
        "dial: result", "dial: refused", "dial: not sent", "dial: unknown", "hangup: result",
        "told call_orphaned", "told gap", "told dtmf_received", "accept: result", "close: result",
    ):  # fmt: skip
        assert summary.counts[what] >= 2, what


@pytest.mark.parametrize("schedule", KEPT, ids=lambda schedule: schedule.name)
def test_kept(schedule):
    """What once went wrong goes right."""
    summary = run_all([schedule] * 4, 2)
    assert [] == summary.left
    assert [] == summary.failed, str(summary.failed[0])


def test_a_seed_is_a_schedule():
    """One seed gives one schedule, another another; as JSON it stays what it is."""
    schedules = [Schedule.from_seed(seed) for seed in range(50)]
    assert schedules == [Schedule.from_seed(seed) for seed in range(50)]
    assert 50 == len({str(schedule) for schedule in schedules})
    assert schedules == [
        Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) for schedule in schedules
    ]


# --- the audit finds what it is there to find ------------------------------------------------


@pytest.fixture
def scene():
    """A sandbox, a proxy, a client whose events are noted, and one call, dialled and up."""
    schedule = attrs.evolve(KEPT[0], settings={**KEPT[0].settings, "orphan_policy": "hangup"})
    story = Story()
    with Sandbox(time_scale=50) as cm, Proxy(cm.port) as proxy:
        with Client(proxy.url, cm.auth_token, "faults", cm.app_id) as client:
            client.on(Event, story.tell)
            client.on(Event, story.told)
            client.on(BridgeStarted, noted := Recorded())  # called once the story has the event
            deed = story.attempt(
                "dial", SECONDS, lambda: client.dial(**DIAL), from_=DIAL["from_"], uid=DIAL["uid"]
            )
            noted.next()
            yield client, cm, story, deed, Audit(schedule, story, cm, proxy, client)


def test_audit_of_a_good_call(scene):
    """Where nothing went wrong it finds nothing."""
    *_, story, _, audit = scene
    audit.check()
    assert [] == story.faults


def test_audit_finds_a_second_request(scene):
    """A frame that comes twice."""
    _, cm, story, _, audit = scene
    (dialled,) = [frame for frame in cm.frames if frame["action"] == "outbound"]
    cm._journal.record(dict(dialled))
    audit.check()
    number = DIAL["from_"]
    assert ["outbound_1 came 2 times", f"outbound {number} came 2 times, asked 1 times"] == (
        story.faults
    )


def test_audit_finds_a_command_nobody_gave(scene):
    """A frame with an id of its own, for which the application did not ask."""
    client, _, story, deed, audit = scene
    client.send_dtmf(deed.value, "1")
    audit.check()
    assert [f"send_dtmf {deed.value.call_id} came 1 times, asked 0 times"] == story.faults


def test_audit_finds_a_call_that_was_sent_after_all(scene):
    """A dial that is said not to have been sent, and was."""
    _, _, story, deed, audit = scene
    deed.end = "not sent"
    audit.check()
    assert [f"outbound {DIAL['from_']} came 1 times, asked 0 times"] == story.faults


def test_audit_finds_a_call_nobody_owns(scene):
    """A call that is up, and that the client has forgotten."""
    client, _, story, deed, audit = scene
    with client._connection.lock:
        client._session.calls.drop(deed.value, 0.0)
    audit.check()
    assert [f"{deed.value.call_id} is bridged, and nobody knows of it"] == story.faults


def test_audit_finds_an_orphan_left_up(scene):
    """A call whose dial is said to have lost its answer, and which is not ended."""
    client, _, story, deed, audit = scene
    call = deed.value
    with client._connection.lock:
        client._session.calls.drop(call, 0.0)
        call.info = attrs.evolve(call.info, active=True)
    deed.end, deed.error = "unknown", OutcomeUnknownError(
        "lost", action="outbound", request_id="outbound_1", call=call
    )
    audit.check()
    assert f"the orphan {call.call_id} is still up" in story.faults


def test_audit_finds_what_was_told_twice(scene):
    """An event whose callback was called twice, which also is not in order."""
    _, _, story, deed, audit = scene
    answered = [event for event in story.events if event.name == "call_answered"]
    story.events += answered
    audit.check()
    assert f"call_answered of {deed.value!r} told 2 times" in story.faults
    assert any("out of order" in fault for fault in story.faults)


def test_audit_finds_an_end_that_was_not_told(scene):
    """A call whose call_hangup came, and was never told."""
    client, _, story, deed, audit = scene
    client.off(story.tell)
    audit.check()
    assert [f"the end of {deed.value!r} was told 0 times"] == story.faults
