"""Events and lookups over HTTP, without a framework."""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime, timezone

import orjson
import pytest

from telephony import (
    BridgeEnded,
    BridgeFailed,
    BridgeStarted,
    CallAnswered,
    CallEndedError,
    CallHangup,
    CallIncoming,
    CallInitiated,
    CallRinging,
    CallState,
    DtmfReceived,
    InvalidArgumentError,
    NotConnectedError,
    ProtocolError,
    UnknownEvent,
)
from telephony.contrib import webhooks
from telephony.contrib.webhooks import (
    Channel,
    Lookup,
    Reply,
    SeenEvents,
    Webhooks,
    fingerprint,
    parse_event,
    parse_lookup,
)
from telephony.protocol import wire
from tests.canary import RTC_TOKEN
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running

SECRET = "Bearer s3cret-of-the-gateway"
OUT = {"direction": "outbound", "to": "+18005551234", "from": "+15551234567", "channel": "room",
       "uid": "100", "appid": "APP"}  # fmt: skip
IN = {**OUT, "direction": "inbound"}


def frame(name, callid="id-1", **fields):
    """An event as the gateway POSTs it."""
    return {"event": name, "callid": callid, "timestamp": 1_700_000_000, **OUT, **fields}


def body(name="call_answered", callid="id-1", **fields):
    """The same as bytes."""
    return json.dumps(frame(name, callid, **fields)).encode()


def answering(**options):
    """Webhooks whose events are recorded, and the record."""
    told = Recorded()
    options.setdefault("on_event", told)
    return Webhooks(SECRET, **options), told


# --- parse_event -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind, direction, state",
    [
        ("call_incoming", CallIncoming, "inbound", "incoming"),
        ("call_incoming", CallIncoming, "", "incoming"),
        ("call_initiated", CallInitiated, "inbound", "incoming"),
        ("call_initiated", CallInitiated, "outbound", "ringing"),
        ("call_ringing", CallRinging, "outbound", "ringing"),
        ("call_answered", CallAnswered, "outbound", "answered"),
        ("call_answered", CallAnswered, "inbound", "answered"),
        ("agora_bridge_start", BridgeStarted, "outbound_sip", "bridged"),
        ("agora_bridge_end", BridgeEnded, "inbound", "unbridged"),
        ("agora_bridge_failed", BridgeFailed, "inbound", "unbridged"),
        ("dtmf_received", DtmfReceived, "outbound", "answered"),
        ("call_hangup", CallHangup, "outbound", "hangup"),
    ],
)
def test_each_event_has_its_class_and_its_state(name, kind, direction, state):
    """Whatever its direction, from this event alone."""
    event = parse_event(body(name, direction=direction))
    assert kind is type(event)
    assert (name, 1_700_000_000) == (event.name, event.timestamp)
    assert CallState(state) is event.info.state is event.call.state
    assert (state != "hangup") is event.info.active


def test_what_an_event_tells_of_its_call():
    """Text, bytes and a dict are the same to it."""
    sent = frame("call_hangup", hangup_cause="NORMAL_CLEARING", duration="12", billsec="7",
                 sip_disposition="recv_bye", video=True)  # fmt: skip
    text = json.dumps(sent)
    for given in (sent, text, text.encode(), bytearray(text.encode())):
        event = parse_event(given)
        info = event.info
        assert ("id-1", "outbound", "+15551234567", "+18005551234", "room", "100", "APP", True) == (
            info.call_id, info.direction, info.from_, info.to, info.channel, info.uid, info.app_id,
            info.video)  # fmt: skip
        assert ("NORMAL_CLEARING", 12, 7, "recv_bye") == (
            event.hangup_cause, event.duration, event.billsec, event.sip_disposition)  # fmt: skip
        assert (12, 7) == (info.duration, info.billsec)
        assert datetime.fromtimestamp(1_700_000_000, timezone.utc) == info.ended_at
        assert sent == event.raw


def test_other_fields_of_events():
    """Digits, the reason of a failed bridge, where the bridge is, SIP headers."""
    pressed = parse_event(body("dtmf_received", digits="12#"))
    assert ("12#", False) == (pressed.digits, pressed.echo)
    assert "join failed" == parse_event(body("agora_bridge_failed", reason="join failed")).reason
    moved = parse_event(body("agora_bridge_start", channel="other", uid="7"))
    assert ("other", "7") == (moved.info.channel, moved.info.uid)
    came = parse_event(body("call_incoming", sip_headers={"X-Ticket": "4711"}, direction="inbound"))
    assert {"X-Ticket": "4711"} == came.info.sip_headers


def test_what_is_missing_is_empty():
    """An event of which hardly anything is known is one all the same."""
    event = parse_event('{"event": "call_initiated"}')
    assert CallInitiated is type(event)
    assert ("", "", "", None) == (
        event.call.call_id, event.info.to, event.info.channel, event.info.created_at
    )  # fmt: skip
    assert event.timestamp is None


def test_the_composite_in_the_ids_place():
    """The end of an A-leg may name the call by where its audio is; that is no id."""
    event = parse_event({"event": "call_hangup", "callid": "APP:my:room:100"})
    assert ("", "my:room", "100") == (event.info.call_id, event.info.channel, event.info.uid)
    event = parse_event(frame("call_hangup", "a:b:c"))
    assert "a:b:c" == event.info.call_id  # what it says elsewhere is something else


def test_unknown_events():
    """One of a call has it; one of none has none."""
    event = parse_event(body("call_teleported", destination="moon"))
    assert UnknownEvent is type(event)
    assert ("id-1", "moon") == (event.info.call_id, event.raw["destination"])
    event = parse_event(b'{"event": "weather", "timestamp": "17"}')
    assert (UnknownEvent, None, None, 17) == (type(event), event.call, event.info, event.timestamp)


@pytest.mark.parametrize(
    "unreadable, says",
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"[]", "list"),
        (b"null", "NoneType"),
        (b"{}", "without a name"),
        (b'{"event": {}}', "without a name"),
        (b'{"event": "call_answered", "callid": "a\\nb"}', "no sound callid"),
        (b'{"event": "call_answered", "callid": "' + b"x" * 2000 + b'"}', "no sound callid"),
        (b"[" * 50_000, "JSON"),
    ],
)
def test_what_cannot_be_read(unreadable, says):
    """One error of the library's, which quotes nothing of the body."""
    with pytest.raises(ProtocolError, match=f"^the body.*{says}"):
        parse_event(unreadable)
    assert 400 == answering()[0].event(SECRET, unreadable).status


@pytest.mark.parametrize("ids", [
    {}, {"callid": ""}, {"callid": "::"}, {"channel": "room"}, {"uid": "100"}, {"callid": None},
])  # fmt: skip
@pytest.mark.parametrize("name", ["call_hangup", "dtmf_received", "call_initiated"])
def test_an_event_of_no_call(name, ids):
    """A handler would have nothing to go by: it is refused."""
    hooks, told = answering()
    reply = hooks.event(SECRET, json.dumps({"event": name, "timestamp": 17, **ids}).encode())
    assert Reply(400, {"error": "the body names no call"}) == reply
    assert told.empty()


@pytest.mark.parametrize("ids", [
    {"callid": "id-1"}, {"callid": "APP:room:100"}, {"callid": "", "channel": "room", "uid": 100},
])  # fmt: skip
@pytest.mark.parametrize("name", ["call_hangup", "call_incoming", "call_initiated"])
def test_how_an_event_can_name_its_call(name, ids):
    """By the id, by what stands in its place, or by where its audio is."""
    hooks, told = answering()
    assert 200 == hooks.event(SECRET, json.dumps({"event": name, **ids}).encode()).status
    assert name == told.next().name


def test_an_error_quotes_nothing():
    """There may be a token in it."""
    with pytest.raises(ProtocolError) as caught:
        parse_event('{"token": "' + RTC_TOKEN + '", ')
    assert RTC_TOKEN not in str(caught.value)


def test_a_call_without_a_client():
    """Its snapshot stays as it is; there is nothing to send with and nothing to wait for."""
    call = parse_event(body("call_answered")).call
    assert call.info is call.wait_answered(timeout=0)
    for command in (
        lambda: call.hangup(),
        lambda: call.send_dtmf("1"),
        lambda: call.bridge(token="t", channel="c", uid=1),
        lambda: call.rebridge(token="t", channel="c", uid=1),
        lambda: call.unbridge(),
        lambda: call.transfer("+1800"),
        lambda: call.accept(token="t", channel="c", uid=1),
        lambda: call.reject("no"),
        lambda: call.__enter__().__exit__(None, None, None),
        lambda: call.wait_ended(),
        lambda: call.wait_bridged(),
        lambda: call.collect_digits(),
    ):
        with pytest.raises(NotConnectedError, match="known from a webhook only"):
            command()
    ended = parse_event(body("call_hangup", hangup_cause="USER_BUSY")).call
    assert "USER_BUSY" == ended.wait_ended().hangup_cause
    ended.hangup()  # nothing to do
    with pytest.raises(CallEndedError, match="USER_BUSY"):
        ended.wait_answered()


def test_the_clients_own_call(cm, client):
    """Where the client tracks the call it is that one, and it is not told of the event."""
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    event = parse_event(body("call_hangup", call.call_id), client)
    assert call is event.call
    assert CallState.HANGUP is event.info.state
    assert call.active and [call] == client.calls()


def test_commands_of_another_clients_call(scripted):
    """They go out with what the event told: id, App ID, direction, where it is."""
    client, line = scripted.connected(app_id="MULTI")
    with client:
        call = parse_event(body("agora_bridge_start"), client).call
        inbound = parse_event(body("call_answered", "id-2", **IN), client).call
        sent = []
        for command in (
            lambda: call.send_dtmf("1"),
            lambda: call.rebridge(token=RTC_TOKEN, channel="next", uid="7"),
            lambda: call.bridge(token=RTC_TOKEN, channel="next", uid="7"),
            lambda: call.unbridge(),
            lambda: call.transfer("+18005550000", "A"),
            lambda: inbound.accept(token=RTC_TOKEN, channel="next", uid="7"),
            lambda: inbound.reject("closed"),
            lambda: call.hangup(),
            lambda: inbound.hangup(),
        ):
            running = Running(command)
            sent.append(line.receive())
            line.answer(sent[-1])
            running.result()
        assert {"APP"} == {each["appid"] for each in sent}
        words = "send_dtmf rebridge bridge unbridge transfer accept reject endcall hangup".split()
        assert words == [each["action"] for each in sent]
        assert ("room", "100") == (sent[1]["current_channel"], sent[1]["current_uid"])
        assert ["id-1"] * 5 + ["id-2"] * 2 + ["id-1", "id-2"] == [each["callid"] for each in sent]
        assert [] == client.calls() or {"id-2"} == {each.call_id for each in client.calls()}


# --- lookups -----------------------------------------------------------------------------


def test_a_lookup():
    """Its words, and none for what was left out; the PIN is not shown."""
    lookup = parse_lookup(
        b'{"action":"lookup","did":"18005551234","pin":4711,"callerid":"+1555","callid":"id-1"}'
    )
    wanted = Lookup(did="18005551234", pin="4711", caller_id="+1555", call_id="id-1")
    assert wanted == lookup
    assert "4711" not in repr(lookup)
    assert Lookup(did="1800") == parse_lookup({"did": "1800"})


@pytest.mark.parametrize(
    "wrong", [b"", b"[]", b"{}", b'{"action":"dial","did":"1"}', b'{"did":"a\\u0000b"}']
)
def test_what_is_no_lookup(wrong):
    """One error of the library's, and 400."""
    with pytest.raises(ProtocolError, match="^the body"):
        parse_lookup(wrong)
    hooks, _ = answering(lookup=lambda lookup: None)
    assert 400 == hooks.lookup(SECRET, wrong).status


def test_a_channel_on_the_wire():
    """Its words are the gateway's; what is None is left out; the token is not shown."""
    assert {"token": RTC_TOKEN, "uid": "7", "channel": "room"} == Channel(
        token=RTC_TOKEN, uid=7, channel="room"
    ).to_wire()
    channel = Channel(
        token=RTC_TOKEN, uid="7", channel="room", app_id="APP", webhook_url="https://x.example/",
        sdk_options={"a": 1}, audio_scenario=10,
    )  # fmt: skip
    assert {
        "token": RTC_TOKEN, "uid": "7", "channel": "room", "appid": "APP",
        "webhook_url": "https://x.example/", "sdk_options": '{"a": 1}', "audio_scenario": "10",
    } == channel.to_wire()  # fmt: skip
    assert RTC_TOKEN not in repr(channel)
    assert RTC_TOKEN not in repr(Reply(200, channel.to_wire()))


@pytest.mark.parametrize(
    "field, value",
    [
        ("token", ""), ("token", None), ("uid", ""), ("uid", True), ("channel", "a\nb"),
        ("app_id", "MULTI"), ("app_id", ""), ("webhook_url", 5), ("sdk_options", {"a": {1}}),
        ("audio_scenario", 1.5),
    ],
)  # fmt: skip
def test_what_a_channel_cannot_be(field, value):
    """The error names the field."""
    given = {"token": RTC_TOKEN, "uid": "7", "channel": "room", field: value}
    with pytest.raises(InvalidArgumentError, match=field):
        Channel(**given)


def test_a_lookup_is_answered():
    """200 with the channel; 404 where the handler has none, or there is no handler."""
    asked = []

    def find(lookup):
        asked.append(lookup.did)
        if lookup.did == "1800":
            return Channel(token=RTC_TOKEN, uid="7", channel="room")
        return None

    hooks, _ = answering(lookup=find)
    reply = hooks.lookup(SECRET, b'{"action":"lookup","did":"1800"}')
    assert Reply(200, {"token": RTC_TOKEN, "uid": "7", "channel": "room"}) == reply
    assert 404 == hooks.lookup(SECRET, b'{"did":"1801"}').status
    assert ["1800", "1801"] == asked
    assert 404 == answering()[0].lookup(SECRET, b'{"did":"1800"}').status


def test_a_lookup_that_fails(caplog):
    """Logged with its traceback, 500; a token returned in its place is not logged."""

    def find(lookup):
        raise LookupError("the database is away")

    hooks, _ = answering(lookup=find)
    assert 500 == hooks.lookup(SECRET, b'{"did":"1800","callid":"id-9"}').status
    assert "the lookup of call id-9 failed" in caplog.text
    assert "LookupError: the database is away" in caplog.text
    hooks, _ = answering(lookup=lambda lookup: RTC_TOKEN)
    assert 500 == hooks.lookup(SECRET, b'{"did":"1800"}').status
    assert "must return a Channel or None, not a str" in caplog.text


# --- who may -----------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_secret_all_is_refused(caplog, nothing):
    """403 whatever comes, and one logged error that names the setting."""
    told = Recorded()
    hooks = Webhooks(nothing, on_event=told, lookup=told, setting="TELEPHONY_WEBHOOK_SECRET")
    for authorization in (None, "", "None", SECRET):
        assert 403 == hooks.event(authorization, body()).status
        assert 403 == hooks.lookup(authorization, b'{"did":"1"}').status
        assert 403 == hooks.refusal(authorization).status
    assert ["webhooks are refused: TELEPHONY_WEBHOOK_SECRET is not set"] == caplog.messages
    assert told.empty()


@pytest.mark.parametrize(
    "wrong",
    [None, "", " ", SECRET[:-1], SECRET + "x", SECRET.lower(), "Bearer Ω", "\udc80", "Basic"],
)
def test_a_wrong_secret(wrong):
    """401 before the body is looked at."""
    hooks, told = answering(lookup=lambda lookup: None)
    assert 401 == hooks.event(wrong, b"no JSON").status
    assert 401 == hooks.lookup(wrong, b"no JSON").status
    assert told.empty()


def test_it_is_compared_in_constant_time(monkeypatch):
    """By what the standard library has for it, on bytes."""
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(webhooks.hmac, "compare_digest", compare)
    hooks, _ = answering()
    assert 401 == hooks.event("Bearer x", body()).status
    assert 200 == hooks.event(SECRET, body()).status
    assert [(b"Bearer x", SECRET.encode()), (SECRET.encode(), SECRET.encode())] == compared


def test_a_body_that_is_too_large():
    """413; known by its length, before it is read."""
    hooks, told = answering(max_body=300)
    assert 413 == hooks.event(SECRET, body(padding="x" * 300)).status
    assert 413 == hooks.lookup(SECRET, b'{"did":"1"}' + b" " * 300).status
    assert 413 == hooks.refusal(SECRET, 301).status
    assert 401 == hooks.refusal("x", 301).status
    assert hooks.refusal(SECRET, 300) is None
    assert told.empty()


@pytest.mark.parametrize(
    "name, options",
    [
        ("secret", {"secret": 5}),
        ("secret", {"secret": "Bearer x\n"}),
        ("secret", {"secret": " x"}),
        ("secret", {"secret": "é"}),
        ("on_event", {"on_event": None}),
        ("lookup", {"lookup": 1}),
        ("max_body", {"max_body": 0}),
        ("max_body", {"max_body": True}),
        ("seen", {"seen": {}}),
        ("remember", {"remember": 0}),
        ("handling", {"handling": -1}),
    ],
)
def test_options_are_checked(name, options):
    """The error names the one that is wrong, and shows no secret."""
    with pytest.raises(InvalidArgumentError, match=f"^{name}") as caught:
        Webhooks(**{"secret": SECRET, "on_event": print, **options})
    assert "Bearer" not in str(caught.value)
    with pytest.raises(InvalidArgumentError, match="most"):
        SeenEvents(0)


def test_the_secret_is_not_shown():
    """Not in the repr."""
    assert "<Webhooks: a secret>" == repr(answering()[0])


# --- once --------------------------------------------------------------------------------


def test_an_event_is_handled_once():
    """The second delivery is answered 200 and goes no further; another event does."""
    hooks, told = answering()
    assert Reply(200, {"success": True}) == hooks.event(SECRET, body())
    assert Reply(200, {"success": True, "duplicate": True}) == hooks.event(SECRET, body())
    spaced = json.dumps(dict(reversed(frame("call_answered").items())), indent=1).encode()
    assert hooks.event(SECRET, spaced).body["duplicate"]  # the same, written in another way
    for other in (body("call_hangup"), body(timestamp=1_700_000_001), body(callid="id-2")):
        assert Reply(200, {"success": True}) == hooks.event(SECRET, other)
    names = [told.next().name for _ in range(4)]
    assert ["call_answered", "call_hangup", "call_answered", "call_answered"] == names
    assert told.empty()


def test_two_equal_digits_are_two_key_presses():
    """Without an id of the delivery; with one they are told apart by it."""
    hooks, told = answering()
    pressed = body("dtmf_received", digits="1")
    for _ in range(2):
        assert Reply(200, {"success": True}) == hooks.event(SECRET, pressed)
    for delivery in ("a", "a", "b"):
        hooks.event(SECRET, body("dtmf_received", digits="2"), delivery_id=delivery)
    assert ["1", "1", "2", "2"] == [told.next().digits for _ in range(4)]
    assert told.empty()


def test_what_is_never_taken_for_a_copy():
    """An event not known, and what names no call or no time."""
    for known in (
        frame("new_one"), {"event": "call_initiated", "timestamp": 1},
        {"event": "call_answered", "callid": "id-1"}, frame("dtmf_received"),
    ):  # fmt: skip
        assert fingerprint(parse_event(known)) is None
        assert fingerprint(parse_event(known), "id") is not None
    assert fingerprint(parse_event(frame("call_initiated", ""))) is not None


def test_a_handler_that_fails_is_given_it_again(caplog):
    """500 and a traceback; the delivery is not remembered."""
    failures = [LookupError("the database is away")]
    told = Recorded()

    def handle(event):
        if failures:
            raise failures.pop()
        told(event)

    hooks, _ = answering(on_event=handle)
    assert 500 == hooks.event(SECRET, body()).status
    assert "LookupError: the database is away" in caplog.text
    assert Reply(200, {"success": True}) == hooks.event(SECRET, body())
    assert hooks.event(SECRET, body()).body["duplicate"]
    told.next()
    assert told.empty()


def test_while_it_is_being_handled():
    """A copy is put off: it is not said to be handled before it is."""
    began, go_on = threading.Event(), threading.Event()

    def handle(event):
        began.set()
        assert go_on.wait(SECONDS)
        raise LookupError("it failed after all")

    hooks, _ = answering(on_event=handle)
    logging.getLogger("telephony").setLevel(logging.CRITICAL)
    first = Running(hooks.event, SECRET, body())
    assert began.wait(SECONDS)
    assert 503 == hooks.event(SECRET, body()).status
    go_on.set()
    assert 500 == first.result().status
    assert 500 == hooks.event(SECRET, body()).status  # it is handled anew


@pytest.mark.parametrize("depth", [900, 1010, 30_000])
def test_a_body_that_is_nested_deeply(monkeypatch, depth):
    """It is refused, or taken, also where orjson read deeper than the standard library writes."""
    monkeypatch.setattr(wire, "_scan", wire._scan_by(orjson.loads))
    deep = '{"event":"call_answered","callid":"id-1","timestamp":1,"x":' + "[" * depth + "]" * depth
    assert answering()[0].event(SECRET, deep.encode() + b"}").status in (200, 400)


class Shared:
    """What several processes share: a dict with the two methods of Django's caches."""

    def __init__(self):
        self.kept = {}
        self.fails = False

    def add(self, key, value, timeout):
        if self.fails:
            raise OSError("the cache is away")
        if key in self.kept:
            return False
        self.kept[key] = timeout
        return True

    def delete(self, key):
        return self.kept.pop(key, None) is not None


def test_shared_between_processes():
    """What one of them handled, the other does not; a key is one that memcached takes too."""
    shared = Shared()
    one, told = answering(seen=shared, remember=599.5, handling=20)
    other, told_too = answering(seen=shared)
    assert Reply(200, {"success": True}) == one.event(SECRET, body())
    assert other.event(SECRET, body()).body["duplicate"]
    told.next()
    assert told_too.empty()
    ((key, timeout),) = shared.kept.items()
    assert (600, int) == (timeout, type(timeout))
    assert key.isascii() and key.isprintable() and " " not in key and len(key) < 250


def test_a_process_that_is_killed_leaves_nothing_that_counts_as_handled():
    """Its marks are gone when its time to handle is over."""
    shared = Shared()

    class Killed(BaseException):
        pass

    def handle(event):
        assert {20} == set(shared.kept.values())  # what is there if nothing more is run
        raise Killed

    hooks, _ = answering(seen=shared, on_event=handle, handling=20)
    with pytest.raises(Killed):
        hooks.event(SECRET, body())
    assert {} == shared.kept


def test_a_cache_that_is_away(caplog):
    """The event is put off; one that was handled is said to be."""
    shared = Shared()
    shared.fails = True
    hooks, told = answering(seen=shared)
    assert 503 == hooks.event(SECRET, body()).status
    assert told.empty()

    def handle(event):
        shared.fails = True

    hooks, _ = answering(seen=shared, on_event=handle)
    shared.fails = False
    assert 200 == hooks.event(SECRET, body()).status
    assert "OSError: the cache is away" in caplog.text


def test_seen_events_are_bounded():
    """In number and in time."""
    seen = SeenEvents(2)
    assert seen.add("a") and seen.add("b", 1, 60)
    assert not seen.add("a") and not seen.add("b")
    assert seen.add("c")
    assert 2 == len(seen)
    assert seen.add("a")  # the oldest went
    assert seen.add("short", 1, 1e-9)
    assert seen.add("short", 1, 1e-9)  # its time is over
    seen.delete("a")
    seen.delete("never there")
    assert seen.add("a")


def test_many_threads_deliver_the_same():
    """It is handled once, whoever comes when."""
    hooks, told = answering()
    barrier = threading.Barrier(8)

    def deliver():
        barrier.wait(SECONDS)
        return hooks.event(SECRET, body()).status

    statuses = [each.result() for each in [Running(deliver) for _ in range(8)]]
    assert set(statuses) <= {200, 503} and 200 in statuses
    told.next()
    assert told.empty()


def test_it_needs_no_package_of_its_own():
    """Only the library's core and the standard library."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(webhooks.__file__).read_text())
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not [m for m in modules if m.startswith("telephony.contrib")]
