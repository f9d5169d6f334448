"""Recordings played to clients: what is the same, and what is said where it is not."""

from __future__ import annotations

import os
import re
import ssl
import sys
import textwrap
import threading

import pytest
import trustme

from telephony import (
    Backoff,
    CallIncoming,
    CallNotFoundError,
    CallOrphaned,
    CallState,
    Client,
    ClientClosedError,
    CommandRefusedError,
    ConnectError,
    ConnectionLostError,
    DialFailedError,
    Disconnected,
    Event,
    Gap,
    InvalidArgumentError,
    NotConnectedError,
    RegistrationError,
    TelephonyError,
    WaitTimeoutError,
)
from telephony.sandbox import Sandbox
from telephony.testing import Recorder, RecordingError, Replay, ReplayDifference
from tests.cli.programs import Program
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running
from tests.unit.testing.recordings import (
    CALL,
    HANDSHAKE,
    LOST,
    REGISTER,
    answer,
    command,
    event,
    write,
)

QUICK = Backoff(0.02, 0.05)
PRESS = command("send_dtmf", "send_dtmf_1", digits="1")
END = command("hangup", "hangup_2")


@pytest.fixture
def path(tmp_path):
    """Where to record."""
    return tmp_path / "incident.jsonl"


class Seen:
    """What a client's events are, by the call that they are of."""

    def __init__(self, client):
        self._events = []
        client.on(Event, self._events.append)

    def by_call(self):
        found = {}
        for each in self._events:
            call = getattr(each, "call", None)
            info = getattr(each, "info", None)
            told = (each.name, info.state if info else None, getattr(each, "digits", None))
            # Calls without an id have lanes of their own, which are not in step with the client's.
            found.setdefault(call.call_id if call else None, []).append(told)
        return found


def infos(client_or_calls):
    """What the calls are in the end, without the times of this run."""
    return {
        call.call_id: (call.state, call.direction, call.to, call.channel, call.uid, call.app_id,
                       call.hangup_cause, call.billsec, call.stale)
        for call in client_or_calls
    }  # fmt: skip


def test_a_session_with_everything(cm, path):
    """Outages, duplicates, refusals, two calls at once: the same events, the same calls."""
    with Recorder(path) as recorder, cm.client(hooks=recorder, reconnect=QUICK) as client:
        seen, gaps, calls = Seen(client), Recorded(), []
        client.on(Gap, gaps)
        client.on(CallIncoming, lambda event: calls.append(event.call))

        @client.on(CallIncoming)
        def accept(event):
            event.call.accept(channel="desk", uid=2, token="rtc-token-2")

        cm.duplicate()
        call = client.dial(**DIAL)
        calls.append(call)
        call.wait_bridged(SECONDS)
        cm.peer(call).press("12#")
        assert "1122" == call.collect_digits(timeout=SECONDS)
        cm.drop_connections()
        gaps.next()
        cm.script_dial("busy")
        with pytest.raises(DialFailedError):
            client.dial(**DIAL | {"to": "+18005550009"})
        call.send_dtmf("1234#")
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert caller.wait_accepted(SECONDS)
        cm.refuse("not now", action="unbridge")
        with pytest.raises(CommandRefusedError):
            call.unbridge()
        call.hangup()
        call.wait_ended(SECONDS)
        left = client.call(caller.call_id)
        left.wait_bridged(SECONDS)
        client.close(drain=SECONDS)

    with Replay(path) as replay, replay.client() as client:
        again, gaps, calls_again = Seen(client), Recorded(), []
        client.on(Gap, gaps)
        client.on(CallIncoming, lambda event: calls_again.append(event.call) or True)
        replay.drive(client)
        replay.wait_finished(SECONDS)
        gaps.next()
        (call_again,) = client.calls()
        assert CallState.BRIDGED == call_again.state
        assert infos([left]) == infos([call_again])
        client.close(drain=SECONDS)
    assert seen.by_call() == again.by_call()
    assert [frame["action"] for frame in cm.frames] == [frame["action"] for frame in replay.frames]


def ring(client):
    """An app."""
    call = client.dial(**DIAL)
    call.wait_answered(SECONDS)
    call.send_dtmf("12")
    call.hangup()
    return call


def test_an_app_of_ones_own(cm, path):
    """It is called as ever; what it did then it has to do again."""
    with Recorder(path) as recorder, cm.client(hooks=recorder) as client:
        call = ring(client)
        call.wait_ended(SECONDS)
    with Replay(path) as replay, replay.client() as client:
        again = ring(client)
        replay.wait_finished(SECONDS)
        assert infos([call]) == infos([again])
        assert (CallState.HANGUP, "NORMAL_CLEARING") == (again.state, again.hangup_cause)


def test_a_dial_that_was_lost(cm, path):
    """The loss is played as one; the orphan is ended by the library, and not once more."""
    with Recorder(path) as recorder, cm.client(hooks=recorder, reconnect=QUICK) as client:
        orphans = Recorded()
        client.on(CallOrphaned, orphans)
        cm.script_dial(ring=5, delay=5)
        dialling = Running(client.dial, **DIAL)
        cm.wait_for_command("outbound")
        cm.drop_connections()
        with pytest.raises(ConnectionLostError):
            dialling.result()
        assert client.wait_connected(SECONDS)
        orphans.next()
        ended = cm.peer(cm.calls[0].call_id)
        ended.wait_ended(SECONDS)
    with Replay(path) as replay, replay.client() as client:
        orphans = Recorded()
        client.on(CallOrphaned, orphans)
        replay.drive(client)
        replay.wait_finished(SECONDS)
        assert ended.call_id == orphans.next().call.call_id
    assert ["register", "outbound", "register", "endcall"] == [f["action"] for f in replay.frames]


def test_numbers_and_digits_made_up(cm, path):
    """They are not compared where they are not the real ones; the rest is."""
    with Recorder(path, numbers=False, digits=False) as recorder:
        with cm.client(hooks=recorder) as client:
            ring(client).wait_ended(SECONDS)
    with Replay(path) as replay, replay.client() as client:
        ring(client)
        replay.wait_finished(SECONDS)
    with Replay(path) as replay, replay.client() as client:
        replay.drive(client)
        replay.wait_finished(SECONDS)
        assert ["00"] == [f["digits"] for f in replay.frames if f["action"] == "send_dtmf"]
    with Replay(path) as replay, replay.client() as client:
        call = client.dial(**DIAL)
        with pytest.raises(CommandRefusedError):
            call.send_dtmf("123")
        with pytest.raises(ReplayDifference, match="the recording has send_dtmf.*digits='00'"):
            replay.wait_finished(SECONDS)


def incident(path, *after):
    """A call that came in and was taken; then what is given."""
    return write(path, *HANDSHAKE, event("call_answered"), *after)


def taken(client):
    """That call."""
    (call,) = [call for call in client.calls() if call.call_id == CALL]
    return call


@pytest.fixture
def played(path):
    """Starts a replay of such a recording, with a client that has taken in how it begins."""
    begun = []

    def play(*after, **options):
        replay = Replay(incident(path, *after), **options).start()
        client = replay.client(command_timeout=SECONDS)
        begun.extend([client.close, replay.stop])
        client.connect()
        replay._follow()
        return replay, client

    yield play
    for end in begun:
        end()


def test_another_command(played, path):
    """The words name the line, and both commands."""
    replay, client = played(END, answer("hangup_2"))
    with pytest.raises(CommandRefusedError, match="the recording has hangup"):
        taken(client).send_dtmf("5")
    with pytest.raises(ReplayDifference) as raised:
        replay.wait_finished(SECONDS)
    assert (
        f"{path}: line 6: the recording has hangup call_id='4f1c' app_id='APP'; "
        "the client sent send_dtmf call_id='4f1c' app_id='APP' digits='5'"
    ) == str(raised.value)


def test_a_difference_that_nobody_asks_for(path):
    """Is raised on leaving the block, in place of no other error."""
    file = incident(path, END, answer("hangup_2"))
    with pytest.raises(ReplayDifference, match="line 6: the recording has hangup"):
        with Replay(file) as replay, replay.client() as client:
            with pytest.raises(CommandRefusedError):
                client.subscribe(["+1800"])
    with pytest.raises(ZeroDivisionError):
        with Replay(file) as replay, replay.client() as client:
            with pytest.raises(CommandRefusedError):
                client.subscribe(["+1800"])
            raise ZeroDivisionError


def test_another_field(played):
    """It is named, and the nearest command is what it is compared with."""
    replay, client = played(
        command("send_dtmf", "send_dtmf_1", digits="12"), answer("send_dtmf_1"), END
    )
    with pytest.raises(CommandRefusedError):
        taken(client).send_dtmf("13")
    with pytest.raises(ReplayDifference, match=r"line 6: .*'12'; .*'13' \(digits differs\)"):
        replay.wait_finished(SECONDS)


@pytest.mark.parametrize("extra, recorded, why", [
    ({"reason": "closed"}, {}, "reason differ"),
    ({}, {"reason": "closed"}, "reason differ"),
])  # fmt: skip
def test_a_field_more_or_less(played, extra, recorded, why):
    """Both ways."""
    replay, client = played(command("note", "note_1", **recorded), answer("note_1"))
    with pytest.raises(CommandRefusedError):
        client.command("note", callid=CALL, **extra)
    with pytest.raises(ReplayDifference, match=why):
        replay.wait_finished(SECONDS)


def test_fields_that_may_differ(played):
    """By either spelling; tokens and the request's own id may always."""
    accept = command("accept", "accept_9", channel="desk-1", uid="7", token="***")
    replay, client = played(accept, answer("accept_9"), ignore=["channel", "app_id"])
    client.accept(CALL, channel="desk-2", uid=7, token="rtc-token-1", app_id="OTHER")
    replay.wait_finished(SECONDS)


def test_a_command_too_many(played):
    """Where the recording goes on without one."""
    replay, client = played(600.0, event("agora_bridge_end"), speed=1)
    with pytest.raises(CommandRefusedError):
        taken(client).hangup()
    with pytest.raises(ReplayDifference, match="line 6: the recording has no more commands here"):
        replay.wait_finished(SECONDS)


def test_commands_may_come_in_another_order(played):
    """Two threads of then need not be as quick now; each gets its own answer."""
    other = command("unbridge", "unbridge_2")
    replay, client = played(
        PRESS, other, {"error": "callid not found", "request_id": "unbridge_2"},
        answer("send_dtmf_1"),
    )  # fmt: skip
    later = Running(taken(client).unbridge)
    while len(replay.frames) < 2:
        replay._follow()
    taken(client).send_dtmf("1")
    with pytest.raises(CallNotFoundError):
        later.result()
    replay.wait_finished(SECONDS)


def test_events_wait_for_the_command_before_them(played):
    """What followed from a command then does not come without it."""
    replay, client = played(PRESS, answer("send_dtmf_1"), event("agora_bridge_start"))
    replay._follow()
    assert CallState.ANSWERED == taken(client).state
    with pytest.raises(WaitTimeoutError, match="line 6: the client has not sent send_dtmf"):
        replay.wait_finished(0.05)
    taken(client).send_dtmf("1")
    replay.wait_finished(SECONDS)
    assert CallState.BRIDGED == taken(client).state


def test_a_client_that_leaves(played):
    """In the middle."""
    replay, client = played(PRESS, answer("send_dtmf_1"))
    client.close()
    with pytest.raises(ReplayDifference, match="line 6: the client closed its connection here; "
                       "the recording goes on with send_dtmf"):
        replay.wait_finished(SECONDS)


def test_a_client_that_does_not_come(path):
    """The wait says where it stands."""
    with Replay(incident(path)) as replay:
        with pytest.raises(WaitTimeoutError, match="no client has connected"):
            replay.wait_finished(0.01)


def test_a_client_that_does_not_come_again(path):
    """After a loss."""
    file = incident(path, PRESS, LOST, *HANDSHAKE)
    with Replay(file) as replay, replay.client(reconnect=False) as client:
        with pytest.raises(ConnectionLostError):
            client.send_dtmf(CALL, "1", app_id="APP")
        said = ""
        while "line 8: the client has not connected again" not in said:
            with pytest.raises(WaitTimeoutError) as raised:
                replay.wait_finished(0.01)
            said = str(raised.value)


def test_another_registration(path):
    """What it subscribes to is compared; what it is called is not."""
    file = write(path, HANDSHAKE[0], {**REGISTER, "subscribe_numbers": ["+18005550001"]},
                 HANDSHAKE[2])
    with Replay(file) as replay, replay.client() as client:
        replay.wait_finished(SECONDS)
        assert ["+18005550001"] == list(client.options.subscribe_numbers)
    with Replay(file) as replay:
        client = replay.client(subscribe_numbers=[])
        with pytest.raises(RegistrationError, match="line 3: the recording has register"):
            client.connect()
        client.close()
        with pytest.raises(ReplayDifference, match="subscribe_numbers differ"):
            replay.wait_finished(SECONDS)


def test_a_registration_that_was_refused(path):
    """Is refused again, with the same words."""
    file = write(path, *HANDSHAKE[:2], {"error": "unauthorized"})
    with Replay(file) as replay:
        client = replay.client()
        with pytest.raises(RegistrationError, match="unauthorized"):
            replay.drive(client)
        replay.wait_finished(SECONDS)
        client.close()


def test_somebody_else(path):
    """Who does not know the token is turned away."""
    with Replay(incident(path)) as replay:
        client = Client(replay.url, "Basic b3RoZXI=", None, replay.app_id)
        with pytest.raises(RegistrationError, match="unauthorized"):
            client.connect()
        with pytest.raises(ReplayDifference, match="with another token than the replay's"):
            replay.wait_finished(SECONDS)
        client.close()


def test_one_client_at_a_time(played):
    """A second one is turned away, and the first goes on."""
    replay, client = played(PRESS, answer("send_dtmf_1"))
    second = replay.client(reconnect=False)
    with pytest.raises(ConnectError, match="503"):
        second.connect()
    second.close()
    taken(client).send_dtmf("1")
    replay.wait_finished(SECONDS)


def test_the_pace_of_the_recording(path):
    """At speed 1 the CM takes its time, at 2 half of it; at 0 it does not."""
    file = incident(path, 600.0, event("agora_bridge_start"))
    for speed in (0, 60_000):
        with Replay(file, speed=speed) as replay, replay.client():
            replay.wait_finished(SECONDS)
    with pytest.raises(ReplayDifference, match="the client closed its connection here"):
        with Replay(file, speed=2) as replay, replay.client():
            with pytest.raises(WaitTimeoutError, match="line 6: agora_bridge_start of call 4f1c"):
                replay.wait_finished(0.05)


def test_a_client_that_is_closed_when_the_replay_is_left(path):
    """It closed too early, even if the server has not had the time to see it."""
    replay = Replay(incident(path, PRESS, answer("send_dtmf_1"))).start()
    with replay.client():
        seeing = threading.Event()
        replay._running.loop.call_soon_threadsafe(seeing.wait)
    threading.Timer(0.2, seeing.set).start()
    with pytest.raises(ReplayDifference, match="the client closed its connection here"):
        replay.__exit__()


def test_driving_at_the_pace_of_the_recording(path):
    """The commands take their time too."""
    file = incident(path, 600.0, PRESS, answer("send_dtmf_1"))
    with Replay(file, speed=1) as replay, replay.client() as client:
        driving = Running(replay.drive, client)
        with pytest.raises(WaitTimeoutError, match="line 6: the client has not sent send_dtmf"):
            replay.wait_finished(0.05)
        replay.stop()
        driving.result()


def test_a_command_that_nobody_answered(played):
    """It ends in a timeout now as it did then; driving does not wait for that."""
    replay, client = played(PRESS, event("agora_bridge_start"))
    replay.drive(client)
    replay.wait_finished(SECONDS)
    assert 1 == client.health().in_flight


def test_a_command_after_the_end(played):
    """Is too many if the client of then had gone by then; else nobody knows."""
    replay, client = played()
    replay.wait_finished(SECONDS)
    with pytest.raises(CommandRefusedError, match="the replay is over"):
        taken(client).hangup()
    replay.wait_finished(SECONDS)
    replay, client = played(LOST)
    replay.wait_finished(SECONDS)
    with pytest.raises(CommandRefusedError):
        taken(client).hangup()
    with pytest.raises(ReplayDifference, match="no more commands here; the client sent hangup"):
        replay.wait_finished(SECONDS)


def test_any_command_can_be_driven(played):
    """Those without a method, or with fields that the method does not have."""
    replay, client = played(
        command("note", "note_1", text="x"), answer("note_1"),
        command("reject", "reject_2", reason="", new="y"), answer("reject_2"),
        command("bridge", "bridge_5", channel="x"), answer("bridge_5"),
        command("transfer", "transfer_3", destination="+1800", leg="A"), answer("transfer_3"),
        {"action": "subscribe", "numbers": ["+1800"], "request_id": "subscribe_4"},
        answer("subscribe_4"),
    )  # fmt: skip
    replay.drive(client)
    replay.wait_finished(SECONDS)
    sent = [frame["action"] for frame in replay.frames]
    assert ["register", "note", "reject", "bridge", "transfer", "subscribe"] == sent


def test_a_command_that_cannot_be_driven(played):
    """The client's own refusal is raised."""
    replay, client = played(command("send_dtmf", "send_dtmf_1", digits="x"))
    with pytest.raises(InvalidArgumentError, match="digits"):
        replay.drive(client)


def test_driving_ends_with_the_replay(played):
    """When the client does something else, and when it is closed."""
    replay, client = played(event("dtmf_received", digits="1"), PRESS, answer("send_dtmf_1"))
    with pytest.raises(CommandRefusedError):
        taken(client).hangup()
    replay.drive(client)
    with pytest.raises(ReplayDifference):
        replay.wait_finished(SECONDS)
    client.close()
    with pytest.raises(ClientClosedError):
        replay.drive(client)


def test_driving_a_client_that_gives_up(path):
    """It does not wait for one that will not come again."""
    file = incident(path, PRESS, LOST, *HANDSHAKE, END)
    with Replay(file) as replay, replay.client(reconnect=False) as client:
        with pytest.raises(NotConnectedError, match="given up its connection"):
            replay.drive(client)
    with Replay(file) as replay:
        client = replay.client(reconnect=Backoff(600, 600, False))
        lost = Recorded()
        client.on(Disconnected, lost)
        driving = Running(replay.drive, client)
        lost.next()
        client.close()
        with pytest.raises(ClientClosedError):
            driving.result()


def test_without_aiohttp(path, monkeypatch):
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError, match=re.escape('pip install "agora-telephony[sandbox]"')):
        Replay(incident(path))


def test_it_is_played_once(path):
    """It can be stopped at any time, and not be started again."""
    replay = Replay(incident(path, PRESS)).start()
    assert replay is replay.start()
    assert f"<Replay of {path}>" == repr(replay)
    replay.stop()
    replay.stop()
    for refused in (replay.start, lambda: replay.url, lambda: replay.drive(None)):
        with pytest.raises(TelephonyError, match="made new|make a new one|does not run"):
            refused()
    with pytest.raises(TelephonyError, match="the replay was stopped: .*no client has connected"):
        replay.wait_finished(0)


OTHER_REGISTER = {**REGISTER, "client_id": "d"}


@pytest.mark.parametrize("happened, why", [
    ([], ": there is no connection in it to play"),
    ([REGISTER, *HANDSHAKE], ", line 2: comes before the CM's greeting"),
    ([*HANDSHAKE, LOST, HANDSHAKE[0], OTHER_REGISTER],
     ", line 7: is of another client than line 3; each needs a recorder of its own"),
])  # fmt: skip
def test_what_cannot_be_played(path, happened, why):
    """Said when it is made."""
    with pytest.raises(RecordingError, match=re.escape(f"{path}{why}")):
        Replay(write(path, *happened))


@pytest.mark.parametrize("options, why", [
    (dict(speed=-1), "speed must be 0 or more"),
    (dict(speed="fast"), "speed must be a number"),
    (dict(port=70000), "port must be from 0 to 65535"),
    (dict(ignore="channel"), "ignore must be a list"),
])  # fmt: skip
def test_arguments(path, options, why):
    """Checked when it is made."""
    with pytest.raises(InvalidArgumentError, match=why):
        Replay(incident(path), **options)


def test_a_session_over_tls(path):
    """What is recorded is what was said inside; the replay needs no certificate."""
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusting)
    with Sandbox(time_scale=50, ssl_context=server) as cm, Recorder(path) as recorder:
        with cm.client(hooks=recorder, ssl_context=trusting) as client:
            call = ring(client)
            call.wait_ended(SECONDS)
    with Replay(path) as replay, replay.client() as client:
        again = ring(client)
        replay.wait_finished(SECONDS)
        assert infos([call]) == infos([again])


RECORD = """
    import sys
    from telephony import Client
    from telephony.testing import Recorder

    with Recorder(sys.argv[1]) as recorder, Client.from_env(hooks=recorder) as client:
        call = client.dial(to="+18005551234", from_="+15551234567", channel="room", uid="100",
                           token="rtc-token-9", region="NA")
        call.wait_bridged(10)
        call.hangup()
        call.wait_ended(10)
        print(call.hangup_cause)
"""
FOLLOW = RECORD.replace("hooks=recorder", "").replace("Recorder(sys.argv[1])", "open(sys.argv[1])")


def test_from_process_to_process(cm, path):
    """One records, this one plays, a third is the client."""

    def run(program, environ):
        source = textwrap.dedent(program)
        given = {**os.environ, **environ}
        with Program([sys.executable, "-c", source, str(path)], given) as running:
            code, lines = running.finish()
        assert 0 == code, running.stderr
        return lines

    assert ["NORMAL_CLEARING"] == run(RECORD, cm.environ)
    with Replay(path) as replay:
        assert ["NORMAL_CLEARING"] == run(FOLLOW, replay.environ)
        replay.wait_finished(SECONDS)
