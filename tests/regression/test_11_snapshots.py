"""Fault 11: the Go SDK shares its live call objects, unlocked, with the user."""

from __future__ import annotations

import threading

import attrs
import pytest

from telephony import CallAnswered, CallInfo, CallIncoming, Event
from tests.conftest import DIAL
from tests.regression.conftest import answered, dialled, settled
from tests.scripted import SECONDS, Recorded, Running


def test_a_snapshot_never_changes(connected):
    """``info`` taken once stays as it was, whatever happens to the call."""
    client, line = connected()
    call = dialled(client, line)
    ringing = call.info
    before = attrs.asdict(ringing)
    line.event("call_answered", "call-1")
    line.event("agora_bridge_start", "call-1", channel="other", uid="7")
    call.wait_bridged(SECONDS)
    line.event("call_hangup", "call-1", hangup_cause="NORMAL_CLEARING")
    call.wait_ended(SECONDS)
    assert before == attrs.asdict(ringing)
    assert call.info is not ringing


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(CallInfo)])
def test_nothing_of_it_can_be_set(connected, field):
    """Neither on the snapshot nor on the call."""
    client, line = connected()
    call = dialled(client, line)
    for target in (call.info, call):
        with pytest.raises(AttributeError):
            setattr(target, field, "other")


def test_headers_are_nobodys_to_change(connected):
    """Not even through the mapping of headers can a snapshot be changed."""
    client, line = connected()
    seen = Recorded()
    client.on(CallIncoming, lambda event: seen(event) or True)
    line.event("call_incoming", "call-9", sip_headers={"X-Id": "1"})
    event = seen.next()
    with pytest.raises(TypeError):
        event.info.sip_headers["X-Id"] = "2"
    assert {"X-Id": "1"} == dict(event.call.sip_headers)


def test_a_change_of_raw_changes_no_call(connected):
    """What a callback does to ``raw`` is its own business."""
    client, line = connected()
    seen = Recorded()
    client.on(CallIncoming, lambda event: seen(event) or True)
    line.event("call_incoming", "call-9", to="+1800", sip_headers={"X-Id": "1"})
    event = seen.next()
    event.raw["sip_headers"]["X-Id"] = "2"
    event.raw["to"] = "+1999"
    assert ({"X-Id": "1"}, "+1800") == (dict(event.call.sip_headers), event.call.to)


def test_the_list_of_calls_is_the_users_own(connected):
    """Emptying what ``calls()`` returned changes nothing."""
    client, line = connected()
    call = dialled(client, line)
    client.calls().clear()
    assert [call] == client.calls()


def test_an_events_snapshot_is_of_its_moment(connected):
    """``event.info`` is the call right after this event, however late the callback runs."""
    client, line = connected(workers=1)
    call, release, seen = dialled(client, line), threading.Event(), []
    client.on(CallAnswered, lambda event: release.wait(SECONDS))
    client.on(Event, lambda event: seen.append(event))
    for name in ("call_answered", "agora_bridge_start", "agora_bridge_end", "call_hangup"):
        line.event(name, "call-1")
    call.wait_ended(SECONDS)
    release.set()
    settled(client, line)
    states = [event.info.state for event in seen if hasattr(event, "info")]
    assert ["answered", "bridged", "unbridged", "hangup"] == states


def test_one_object_for_all(cm):
    """The dial, its events, ``client.call()`` and ``calls()`` have the same object."""
    with cm.client() as client:
        seen = Recorded()
        client.on(CallAnswered, seen)
        call = client.dial(**DIAL)
        assert call is seen.next().call is client.call(call.call_id) is client.calls()[0]


def test_readers_never_see_half_a_change(connected):
    """Channel, uid and state are of one moment for readers on other threads."""
    client, line = connected()
    call = answered(client, line)
    over, wrong = threading.Event(), []

    def read():
        seen = set()
        while not over.is_set():
            info = call.info
            seen.add((info.channel, info.uid))
            if info.channel != "room" and info.channel[1:] != info.uid:
                wrong.append(info)
        return seen

    readers = [Running(read) for _ in range(2)]
    for number in range(500):
        line.event("agora_bridge_start", "call-1", channel=f"c{number}", uid=str(number))
    call.wait_for(lambda info: info.uid == "499", SECONDS)
    over.set()
    seen = set().union(*(reader.result() for reader in readers))
    assert [] == wrong
    assert seen


def test_no_state_in_between_is_missed(connected):
    """A wait sees every snapshot, however quickly the next one follows."""
    client, line = connected()
    call = answered(client, line)
    entered = threading.Event()

    def passing(info):
        entered.set()
        return info.channel == "passing"

    waiting = Running(call.wait_for, passing, SECONDS)
    assert entered.wait(SECONDS)
    for channel in ("passing", *(f"c{n}" for n in range(200))):
        line.event("agora_bridge_start", "call-1", channel=channel, uid="1")
    line.event("call_hangup", "call-1")
    assert "passing" == waiting.result().channel


def test_commands_from_many_threads(connected):
    """Frames of many threads do not mix; each has an id of its own."""
    client, line = connected()
    call = answered(client, line)
    sending = [Running(call.send_dtmf, digit * 200) for digit in "0123456789*#" * 4]
    commands = [line.receive("send_dtmf") for _ in sending]
    for command in commands:
        line.answer(command)
    for each in sending:
        each.result()
    assert len(commands) == len({command["request_id"] for command in commands})
    assert sorted(digit * 200 for digit in "0123456789*#" * 4) == sorted(
        command["digits"] for command in commands
    )


def test_no_secret_in_words(connected):
    """``str`` and ``repr`` of call, event and client hold no token and no trunk's credentials."""
    client, line = connected()
    sip = "trunk.example:5061;transport=tls;username=alice;password=s3cr3t-word"
    seen = Recorded()
    client.on(Event, seen)
    call = answered(client, line, sip=sip)
    event = seen.next()
    words = " ".join(f"{thing} {thing!r}" for thing in (call, call.info, event, client))
    for secret in ("s3cr3t-word", "rtc-token-100", "c2VjcmV0LXRva2Vu"):
        assert secret not in words
