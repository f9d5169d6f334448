"""Events as rows: each once, the state only forward, whatever the way and the order they come."""

from __future__ import annotations

import itertools
import json
import sys
from datetime import datetime, timezone

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction

from telephony import Backoff, CallHangup
from telephony.contrib.django import close_client, get_client, records
from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.delivery import deliver
from telephony.contrib.django.models import CallEventRecord, CallRecord
from telephony.contrib.django.signals import (
    bridge_started,
    call_answered,
    call_hangup,
    call_incoming,
    call_orphaned,
    dtmf_received,
    gap,
    unknown_event,
)
from telephony.contrib.webhooks import parse_event
from telephony.errors import OutcomeUnknownError
from tests.cli.programs import Program, environment
from tests.conftest import DIAL
from tests.scripted import Running

SECONDS = 30.0

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

BEGAN = 1_700_000_000
BASE = {"callid": "id-1", "appid": "APP", "channel": "room", "uid": "100", "to": "+18005551234",
        "from": "+15551234567", "direction": "outbound"}  # fmt: skip
STORY = [
    {"event": "call_initiated", "timestamp": BEGAN},
    {"event": "call_ringing", "timestamp": BEGAN + 1},
    {"event": "call_answered", "timestamp": BEGAN + 5},
    {"event": "agora_bridge_start", "timestamp": BEGAN + 6},
    {"event": "dtmf_received", "timestamp": BEGAN + 7, "digits": "4"},
    {"event": "agora_bridge_end", "timestamp": BEGAN + 8},
    {"event": "call_hangup", "timestamp": BEGAN + 9, "hangup_cause": "NORMAL_CLEARING",
     "duration": "9", "billsec": "4", "sip_disposition": "recv_bye"},
]  # fmt: skip


def told(source="webhook", **frame):
    """Deliver an event that this frame alone tells of."""
    return deliver(parse_event({**BASE, **frame}), source)


def names(record):
    """The timeline, in its order."""
    return [event.name for event in record.events.all()]


def at(seconds):
    return datetime.fromtimestamp(BEGAN + seconds, timezone.utc)


def test_a_dialled_call(phone, cm, heard):
    """From the gateway's first words, which have no id, to the end."""
    bridged, keys, ended = heard(bridge_started), heard(dtmf_received), heard(call_hangup)
    call = phone.dial(**DIAL)
    bridged.next()
    cm.peer(call).press("1")
    keys.next()
    record = CallRecord.objects.get()
    assert "bridged" == record.state
    assert record.active
    cm.peer(call).hang_up("USER_BUSY")
    ended.next()

    record = CallRecord.objects.get()
    assert (call.call_id, "hangup", "outbound") == (record.call_id, record.state, record.direction)
    assert (DIAL["to"], DIAL["from_"]) == (record.to_number, record.from_number)
    assert ("room", "100", cm.app_id) == (record.channel, record.uid, record.app_id)
    info = call.info
    assert (info.created_at, info.answered_at, info.ended_at) == (
        record.created_at, record.answered_at, record.ended_at
    )
    assert ("USER_BUSY", info.duration, info.billsec, info.sip_disposition) == (
        record.hangup_cause, record.duration, record.billsec, record.sip_disposition
    )
    assert not record.active and not record.stale
    assert sorted(names(record)) == sorted([
        "call_initiated", "call_ringing", "call_answered", "agora_bridge_start", "dtmf_received",
        "agora_bridge_end", "call_hangup",
    ])  # fmt: skip
    pressed = record.events.get(name="dtmf_received")
    assert ("1", False, True, False) == (
        pressed.digits, pressed.echo, pressed.by_websocket, pressed.by_webhook
    )
    assert "dtmf_received: 1" == f"{pressed}: {pressed.raw['digits']}"
    assert "outbound +15551234567 to +18005551234: hangup" == str(record)


def test_a_receiver_finds_the_event_written(phone, heard):
    """The record is there when the signal is sent."""
    states = []
    ended = heard(call_hangup, lambda event: states.append(CallRecord.objects.get().state))
    phone.dial(**DIAL).hangup()
    ended.next()
    assert ["hangup"] == states


def test_a_refused_dial_leaves_no_record(phone, cm):
    """There was no call, and so no id that it could be found by."""
    cm.script_dial("busy")
    with pytest.raises(Exception, match="Busy"):
        phone.dial(**DIAL)
    close_client(drain=SECONDS)
    assert 0 == CallRecord.objects.count()


def test_calls_that_come_in(account, settings, cm, heard):
    """Accepted, rejected, and left to others: that is stale, as no more is heard of it."""

    def answer(event):
        if event.call.to.endswith("1"):
            event.call.accept(token=DIAL["token"], channel="support", uid=200)
        elif event.call.to.endswith("2"):
            event.call.reject("closed")

    settings.TELEPHONY = {**account, "INBOUND": True}
    answered, offered = heard(call_answered), heard(call_incoming, answer)
    get_client()
    callers = [cm.incoming(to=f"+1800555000{n}", from_="+15559876543") for n in (1, 2, 3)]
    answered.next()
    assert not CallRecord.objects.get(call_id=callers[0].call_id).stale
    for _ in callers:
        offered.next()
    close_client(drain=SECONDS)
    found = [CallRecord.objects.get(call_id=caller.call_id) for caller in callers]
    assert ["hangup", "incoming"] == [record.state for record in found[1:]]
    assert found[0].state in ("answered", "bridged")
    assert [True, False, True] == [record.stale for record in found]  # the client is closed
    assert ["support", "", ""] == [record.channel for record in found]
    assert found[1].ended_at is not None
    for caller in callers:
        caller.hang_up()


def test_the_story_by_webhook(account):
    """Each event alone, posted in order."""
    for frame in STORY:
        told(**frame)
    record = CallRecord.objects.get()
    assert [frame["event"] for frame in STORY] == names(record)
    assert ("hangup", "NORMAL_CLEARING", 9, 4, "recv_bye") == (
        record.state, record.hangup_cause, record.duration, record.billsec, record.sip_disposition
    )
    assert (at(0), at(5), at(9)) == (record.created_at, record.answered_at, record.ended_at)
    assert (True, False) == (
        record.events.first().by_webhook, record.events.first().by_websocket
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))) + [(6, 5, 4, 3, 2, 1, 0)])
def test_in_any_order(account, order):
    """The state is that of the furthest event, and the times are the earliest told."""
    frames = [STORY[number] for number in order]
    for frame in frames:
        told(**frame)
    record = CallRecord.objects.get()
    assert {0: "answered", 6: "hangup"}[0 if len(order) == 3 else 6] == record.state
    assert (at(0), at(5)) == (record.created_at, record.answered_at)
    assert len(order) == record.events.count()
    if len(order) == 7:
        assert (at(9), "NORMAL_CLEARING") == (record.ended_at, record.hangup_cause)


def test_a_wrong_timestamp(account):
    """It spoils no time that it is not about, whether it comes first or last."""
    wrong = {"event": "dtmf_received", "timestamp": 1, "digits": "1"}
    told(**wrong)
    record = CallRecord.objects.get()
    assert (None, None) == (record.created_at, record.answered_at)
    for number in range(7):
        told(**STORY[number])
    told(**wrong, uid="100")
    told("websocket", **wrong)
    told(event="agora_bridge_end", timestamp=2)
    record.refresh_from_db()
    assert (at(0), at(5), at(9)) == (record.created_at, record.answered_at, record.ended_at)


def test_times_that_the_client_knows(account):
    """What the WebSocket tells is of the whole call: any event of it fills in what is not there."""
    told("websocket", event="dtmf_received", timestamp=BEGAN + 7, digits="1")
    record = CallRecord.objects.get()
    assert (at(7), at(7)) == (record.created_at, record.answered_at)
    for number in range(3):
        told(**STORY[number])
    record.refresh_from_db()
    assert (at(0), at(5)) == (record.created_at, record.answered_at)


def test_late_ringing_changes_nothing(account):
    """Nor does anything revive a call that has ended."""
    for number in (2, 1):
        told(**STORY[number])
    assert "answered" == CallRecord.objects.get().state
    for number in (6, 2, 3, 5):
        told(**STORY[number])
    assert "hangup" == CallRecord.objects.get().state


def test_which_bridge_event_was_last(account):
    """These two alternate: the time tells, not the order in which they come."""
    for name, seconds, channel in [
        ("agora_bridge_start", 1, "one"),
        ("agora_bridge_end", 4, "two"),
        ("agora_bridge_start", 3, "two"),
    ]:
        told(event=name, timestamp=BEGAN + seconds, channel=channel)
    assert "unbridged" == CallRecord.objects.get().state
    told(event="agora_bridge_start", timestamp=BEGAN + 5, channel="three", uid="7")
    record = CallRecord.objects.get()
    assert ("bridged", "three", "7") == (record.state, record.channel, record.uid)


def test_twice_is_once(account, heard):
    """The same event by one way and the other, and again: one row, and one signal by webhook."""
    ended = heard(call_hangup)
    for source in ("websocket", "webhook", "webhook", "websocket"):
        for frame in STORY:
            if frame["event"] != "dtmf_received":
                told(source, **frame)
    record = CallRecord.objects.get()
    assert 6 == record.events.count()
    assert 6 == record.events.filter(by_websocket=True, by_webhook=True).count()
    assert "hangup" == record.state
    assert 2 == sum(CallHangup is type(ended.next()) for _ in range(2))  # by the WebSocket
    assert ended.empty()


def test_equal_key_presses(account):
    """Two in one second are two, and the two that the other way tells of are the same two."""
    key = {"event": "dtmf_received", "timestamp": BEGAN, "digits": "1"}
    for source in ("websocket", "websocket", "webhook", "webhook", "webhook"):
        told(source, **key)
    events = CallRecord.objects.get().events
    assert 3 == events.count()
    assert 2 == events.filter(by_websocket=True, by_webhook=True).count()


def test_what_has_no_time(account):
    """Cannot be told apart, and is not dropped."""
    for _ in range(2):
        told(event="call_ringing")
    assert 2 == CallEventRecord.objects.filter(timestamp=None).count()


def test_an_end_without_an_id(account):
    """An A-leg's: it is that of the one call in its channel, of two it is nobody's."""
    told(**STORY[3])
    end = {**STORY[6], "callid": "APP:room:100"}
    told(**end)
    assert "hangup" == CallRecord.objects.get().state
    for call_id in ("id-2", "id-3"):
        told(**{**STORY[3], "callid": call_id})
    told(**{**end, "timestamp": BEGAN + 20})
    assert 1 == CallRecord.objects.filter(state="hangup").count()
    assert 3 == CallRecord.objects.count()


def test_events_of_no_call(account):
    """They are told, and there is nothing to record."""
    told(event="maintenance", callid="", channel="", uid="")
    assert 0 == CallRecord.objects.count()


def test_an_event_of_a_version_to_come(account, heard):
    """It is told and, where the call is known, recorded; it makes no call, and changes no state."""
    unknown = heard(unknown_event)
    told(event="brand_new", timestamp=BEGAN)
    assert "brand_new" == unknown.next().name
    assert 0 == CallRecord.objects.count()
    told(**STORY[2])
    told(event="brand_new", timestamp=BEGAN)
    assert "brand_new" == unknown.next().name
    record = CallRecord.objects.get()
    assert ("answered", ["brand_new", "call_answered"]) == (record.state, names(record))


def test_what_databases_do_not_take(account):
    """Too long, too large, NUL, half a surrogate pair; an id that is too long makes no row."""
    told(event="agora_bridge_failed", timestamp=10**17, direction="x\x00" * 500, to="9" * 500,
         reason="a\x00b\ud800", sdk_options="\x00", **{"from": "sip:alice:pa55word@trunk"})
    record = CallRecord.objects.get()
    assert (16, 255, "sip:***@trunk") == (
        len(record.direction), len(record.to_number), record.from_number
    )
    failed = record.events.get()
    assert "\x00" not in failed.reason + json.dumps(failed.raw)
    assert None is failed.timestamp
    told(**{**STORY[6], "duration": 10**17})
    assert 10**17 == CallRecord.objects.get().duration
    told(event="call_ringing", callid="x" * 300)
    told(event="call_ringing", timestamp=BEGAN, callid="id-9", more="x" * 70_000)
    assert 2 == CallRecord.objects.count()
    assert "left out" in CallEventRecord.objects.get(call__call_id="id-9").raw


def test_no_secret_is_kept(account, cm):
    """Of what the frame holds, and of what it repeats of ours."""
    told(event="call_initiated", timestamp=BEGAN, token="rtc-token-1", sip="sip:a:pa55word@b",
         sip_headers={"Authorization": "Digest pa55word", "X-Note": cm.auth_token})
    raw = json.dumps(CallEventRecord.objects.get().raw)
    for secret in ("rtc-token-1", "pa55word", cm.auth_token, cm.auth_token.split()[1]):
        assert secret not in raw


def test_digits_need_not_be_kept(account, settings):
    """They may be a PIN or a card."""
    settings.TELEPHONY = {**account, "RECORD_DIGITS": False}
    told(**{**STORY[4], "digits": "4929"})
    event = CallEventRecord.objects.get()
    assert ("***", "***") == (event.digits, event.raw["digits"])


def test_without_records(account, settings, heard):
    """The signals are sent all the same."""
    settings.TELEPHONY = {**account, "RECORDS": False}
    ended = heard(call_hangup)
    for source in ("websocket", "webhook"):
        told(source, **STORY[6])
        ended.next()
    assert 0 == CallRecord.objects.count()


def test_another_database(account, settings):
    """``DATABASE`` says which."""
    settings.TELEPHONY = {**account, "DATABASE": "other"}
    told(**STORY[6])
    assert 0 == CallRecord.objects.using("default").count()
    assert "hangup" == CallRecord.objects.using("other").get().state


@pytest.mark.parametrize("use_tz", [True, False])
def test_with_and_without_time_zones(account, settings, use_tz):
    """SQLite and MySQL take no aware times in a project without."""
    settings.USE_TZ = use_tz
    for frame in STORY:
        told(**frame)
    record = CallRecord.objects.get()
    assert "hangup" == record.state
    assert use_tz is (record.ended_at.tzinfo is not None)


def broken(*_, **__):
    raise OperationalError("no such database")


def test_a_database_that_is_down(phone, cm, heard, monkeypatch, caplog):
    """Loses no call and no signal, and is logged; what came before is in what comes after."""
    answered, ended = heard(call_answered), heard(call_hangup)
    with monkeypatch.context() as patch:
        patch.setattr(records, "_locked", broken)
        call = phone.dial(**DIAL)
        answered.next()
    assert any("could not be recorded" in record.message for record in caplog.records)
    call.hangup()
    ended.next()
    record = CallRecord.objects.get()
    assert ("hangup", call.info.answered_at) == (record.state, record.answered_at)


def test_a_webhook_is_not_lost_with_the_database(account, heard, monkeypatch):
    """It is not taken: nobody is told, and the gateway posts it again."""
    ended = heard(call_hangup)
    with monkeypatch.context() as patch:
        patch.setattr(records, "_locked", broken)
        with pytest.raises(OperationalError):
            told(**STORY[6])
    assert ended.empty()
    told(**STORY[6])
    ended.next()


def test_a_connection_that_was_gone(account, monkeypatch):
    """One that the server closed meanwhile is made again, once."""
    locked, calls = records._locked, []

    def once(*arguments):
        calls.append(arguments)
        return broken() if len(calls) == 1 else locked(*arguments)

    monkeypatch.setattr(records, "_locked", once)
    told(**STORY[6])
    assert 1 == CallRecord.objects.count()


def test_in_a_transaction(account):
    """Of somebody else's it is part: what is rolled back was not written."""
    with transaction.atomic():
        told(**STORY[2])
        transaction.set_rollback(True)
    assert 0 == CallRecord.objects.count()
    with transaction.atomic():
        told(**STORY[2])
    assert "answered" == CallRecord.objects.get().state


def test_databases_without_ignored_conflicts(account, monkeypatch):
    """Oracle, for one."""
    features = connections["default"].features
    monkeypatch.setattr(features, "supports_ignore_conflicts", False, raising=False)
    for frame in STORY:
        told(**frame)
    assert "hangup" == CallRecord.objects.get().state


def test_an_outage(scripted, settings, heard):
    """What was active is stale; the next event of a call takes that back."""
    settings.TELEPHONY = {
        "HOST": scripted.url, "AUTH_TOKEN": "Basic c2VjcmV0LXRva2Vu", "APP_ID": "APP",
        "OPTIONS": {"reconnect": Backoff(0.01, 0.02)},
    }  # fmt: skip
    gaps, bridged, answered = heard(gap), heard(bridge_started), heard(call_answered)
    connecting = Running(get_client)
    line = scripted.line()
    line.greet()
    client = connecting.result()
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    dialling.result()
    line.event("call_answered", "id-1", timestamp=BEGAN)
    answered.next()
    line.drop()
    line = scripted.line()
    line.greet()
    gaps.next()
    assert CallRecord.objects.get().stale
    line.event("agora_bridge_start", "id-1", channel="room", uid="100")
    bridged.next()
    assert not CallRecord.objects.get().stale


def test_an_orphan(phone, cm, heard):
    """A call whose dial had given up is recorded when it turns up, and when it ends."""
    orphaned, ended = heard(call_orphaned), heard(call_hangup)
    cm.script_dial(respond="early")
    cm.delay(1, "outbound")
    with pytest.raises(OutcomeUnknownError):
        phone.dial(**DIAL, command_timeout=0.05)
    orphaned.next()
    ended.next()
    record = CallRecord.objects.get()
    assert "hangup" == record.state
    assert "call_orphaned" in names(record)


@pytest.mark.parametrize("hang_up, state, stale", [
    (True, "hangup", False), (False, "answered", True),
])  # fmt: skip
def test_a_process_that_ends(phone, cm, heard, hang_up, state, stale):
    """Its calls are over if it hangs up; else nothing more is heard of them, and they are stale."""
    answered = heard(call_answered)
    phone.dial(**DIAL)
    answered.next()
    close_client(drain=SECONDS, hangup_active=hang_up)
    record = CallRecord.objects.get()
    assert (state if hang_up else record.state, stale) == (record.state, record.stale)
    assert hang_up is (record.ended_at is not None)


def test_an_event_written_after_the_end(phone, heard):
    """The client was closed before its callback ran: nothing more will be heard of the call."""
    answered = heard(call_answered)
    phone.dial(**DIAL)
    event = answered.next()
    close_client(drain=SECONDS)
    CallRecord.objects.all().delete()
    deliver(event, "websocket")
    assert CallRecord.objects.get().stale


def test_a_database_that_is_down_at_the_end(phone, heard, monkeypatch, caplog):
    """The client is closed all the same."""
    answered = heard(call_answered)
    phone.dial(**DIAL)
    answered.next()
    monkeypatch.setattr(records, "_leave", broken)
    close_client(drain=SECONDS)
    assert phone.closed
    assert "could not be recorded" in caplog.text


def test_stale_after_silence(account, capsys):
    """The command marks what is up and was not heard of for long; an event takes it back."""
    told(**STORY[2])
    told(**{**STORY[6], "callid": "id-2"})
    call_command("telephony_stale")
    assert "0 marked as stale\n" == capsys.readouterr().out
    call_command("telephony_stale", seconds=0)
    assert "1 marked as stale\n" == capsys.readouterr().out
    assert ["id-1"] == list(CallRecord.objects.filter(stale=True).values_list("call_id", flat=True))
    told(**STORY[3])
    assert not CallRecord.objects.filter(stale=True).exists()


WRITER = """\
import json, sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["telephony.contrib.django"], USE_TZ=True,
    DATABASES={"default": json.loads(sys.argv[1])})
django.setup()
from telephony.contrib.django.delivery import deliver
from telephony.contrib.webhooks import parse_event
frames = json.load(sys.stdin)
for number in range(10):
    for frame in frames:
        deliver(parse_event({**frame, "callid": f"race-{number}"}), "webhook")
"""


def test_several_processes_at_once(account, tmp_path):
    """They write the same events of the same calls, and each is there once."""
    stdin = tmp_path / "frames.json"
    stdin.write_text(json.dumps([{**BASE, **f} for f in STORY if f["event"] != "dtmf_received"]))
    used = connections["default"].settings_dict
    keys = ("ENGINE", "NAME", "USER", "HOST", "PORT", "OPTIONS")
    database = json.dumps({key: used[key] for key in keys})
    script = f'exec "$0" -W error -c "$1" "$2" < "{stdin}"'
    command = ["bash", "-c", script, sys.executable, WRITER, database]
    writers = [Program(command, environment(PYTHONUNBUFFERED="1")) for _ in range(3)]
    for program in writers:
        with program:
            code, _ = program.finish()
            assert (0, "") == (code, program.stderr)
    assert 10 == CallRecord.objects.filter(state="hangup").count()
    assert 10 * 6 == CallEventRecord.objects.count()


def test_the_configuration_shows_no_secret(account):
    """In its repr."""
    assert account["AUTH_TOKEN"] not in repr(Configuration.read())
    assert account["WEBHOOK_SECRET"] not in repr(Configuration.read())
