"""Events on their way to callbacks: how many may wait."""

from __future__ import annotations

import threading

from telephony import CallAnswered, CallIncoming, CallRinging, UnknownEvent, callbacks
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running


def test_events_that_wait_are_bounded(scripted, monkeypatch, caplog):
    """Past the bound events are dropped and counted; the state goes on, commands too."""
    monkeypatch.setattr(callbacks, "QUEUED_MOST", 10)
    client, line = scripted.connected(workers=1)
    busy, go = threading.Event(), threading.Event()
    told, others = Recorded(), Recorded()

    @client.on(CallRinging)
    def hold(event):
        busy.set()
        assert go.wait(SECONDS)

    client.on(UnknownEvent, told)
    client.on(CallIncoming, others)
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    call = dialling.result()
    line.event("call_ringing", "id-1")
    assert busy.wait(SECONDS)
    for number in range(15):
        line.event("news", "id-1", number=number)
    line.event("call_incoming", "id-2")
    line.event("call_answered", "id-1")
    call.wait_answered(SECONDS)
    digits = Running(call.send_dtmf, "1")
    line.answer(line.receive("send_dtmf"))
    digits.result()
    health = client.health()
    assert (10, 6) == (health.queued_events, health.dropped_events)
    assert [call] == client.calls()  # the incoming call, offered to nobody, was let go of
    go.set()
    assert list(range(10)) == [told.next().raw["number"] for _ in range(10)]
    answered = Recorded()
    client.on(CallAnswered, answered)
    line.event("call_answered", "id-3")
    answered.next()
    client.close()
    assert told.empty() and others.empty()
    assert ["10 events wait for callbacks: news is dropped, 1 so far"] == [
        record.getMessage() for record in caplog.records if "dropped" in record.getMessage()
    ]
