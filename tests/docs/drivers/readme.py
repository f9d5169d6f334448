"""README.rst.

Python blocks run as they are written, the flows are what goes over the wire, in that order.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from prometheus_client import REGISTRY

from telephony import CallHangup, CallIncoming, CallOrphaned, Client, CommandRefusedError
from telephony import CommandTimeoutError, DtmfReceived
from telephony.testing import Recorder, Replay, ReplayDifference
from tests.conftest import DIAL
from tests.docs import shell
from tests.docs.diagrams import coded_tree, drawn, tapped, tree, went
from tests.docs.play import SECONDS, Output, Play, passes_as_a_test_suite
from tests.docs.rst import README, Block
from tests.docs.wiretap import Wiretap
from tests.scripted import Recorded, Running


# --- Python ------------------------------------------------------------------------------


def script(block: Block, play: Play, output: Output) -> None:
    """The callee hears our digits and presses a PIN."""
    cm = play.start(app_ids="APPID")
    played = play.redirected(block, cm)
    cm.wait_for_command("send_dtmf")
    callee = cm.peer(cm.calls[0].call_id)
    assert "1234#" == callee.wait_heard("1234#", SECONDS)
    callee.press("4711#")
    played.finish()
    assert "4711" == played["pin"]
    assert re.fullmatch(r"NORMAL_CLEARING \d+\n", output())
    actions = ["register", "outbound", "send_dtmf", "endcall"]
    assert actions == [frame["action"] for frame in cm.frames]
    assert "client-1" == cm.frames[0]["client_id"]


def service(block: Block, play: Play, output: Output) -> None:
    """One caller is answered and presses a key; a call to another number is left alone."""
    cm = play.start(lookup_hold=15)
    played = play.run(block)
    client = played.client(cm)
    keys, ends = Recorded(), Recorded()
    client.on(DtmfReceived, keys)  # added last, so told last
    client.on(CallHangup, ends)
    caller = cm.incoming(to="+1800…", from_="+1555…")
    assert caller.wait_accepted(SECONDS)
    caller.press("5")
    keys.next()
    other = cm.incoming(to="+1900…", from_="+1555…")
    assert not other.wait_accepted(SECONDS)
    caller.hang_up()
    end = ends.next()
    played.close()
    call_id = caller.call_id
    assert f"{call_id} 5\n{call_id} NORMAL_CLEARING {end.billsec}\n" == output()


def token_provider(block: Block, play: Play, output: Output) -> None:
    """The dial carries the token that the function made."""
    cm = play.start()
    play.run(block).finish()
    dial = cm.wait_for_command("outbound")
    assert ("token for 100 in room", "100", "20") == (dial["token"], dial["uid"], dial["timeout"])


def menu(block: Block, play: Play, output: Output) -> None:
    """Every way out of the menu is taken once."""
    cm = play.start()
    played = play.run(block)
    client = played.client(cm)
    ends = Recorded()
    client.on(CallHangup, ends)

    def caller() -> Any:
        far = cm.incoming(to="+18005550001", from_="+15559876543")
        assert far.wait_accepted(SECONDS)
        return far

    sales = caller()
    sales.press("1")
    assert "sales" == cm.wait_for_command("rebridge")["channel"]
    sales.hang_up()
    support = caller()
    support.press("2")
    assert "BLIND_TRANSFER" == support.wait_ended(SECONDS)
    assert "+15551230002" == support.transferred_to
    wrong = caller()
    wrong.press("9")
    cm.wait_for_command("hangup", callid=wrong.call_id)
    left = caller()
    left.hang_up("NO_USER_RESPONSE")
    told = {ends.next().call.call_id for _ in range(4)}
    played.close()
    assert {sales.call_id, support.call_id, wrong.call_id, left.call_id} == told
    assert "the caller left: NO_USER_RESPONSE\n" in output()


def handler(block: Block, play: Play, output: Output) -> None:
    """The desk rejects the caller."""
    cm = play.start()
    played = play.run(block)
    told = Recorded()
    played.client(cm).on(CallIncoming, told)  # told once the handler has returned
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    told.next()
    assert "CALL_REJECTED" == caller.hangup_cause
    assert "closed" == cm.wait_for_command("reject")["reason"]
    played.close()
    assert "from +15559876543\n" == output()


def multi(block: Block, play: Play, output: Output) -> None:
    """The dialled number loops back, so that the callback accepts the call; all name their App."""
    dids = {"APPID-1": ["+18005551234"], "APPID-2": []}
    cm = play.start(app_ids=["APPID-1", "APPID-2"], dids=dids)
    play.redirected(block, cm).finish()
    said = [(frame["action"], frame["appid"]) for frame in cm.frames]
    app = "APPID-1"
    expected = [("register", "MULTI"), ("outbound", app), ("accept", app), ("endcall", app)]
    assert expected == said


def subscriptions(block: Block, play: Play, output: Output) -> None:
    """Only the calls subscribed to are offered, and of them one number is answered."""
    cm = play.start(lookup_hold=15)
    played = play.run(block)
    cm.wait_for_command("subscribe")
    client = played.client(cm)
    offered = Recorded()
    client.on(CallIncoming, offered)
    # The first number is subscribed to from the start: its call may overtake nothing.
    first = cm.incoming(to="+18005550001", from_="+15559876543")
    assert first.call_id == offered.next().call.call_id
    second = cm.incoming(to="+18005550002", from_="+15559876543")
    assert second.wait_accepted(SECONDS)
    third = cm.incoming(to="+18005550003", from_="+15559876543")
    assert "UNALLOCATED_NUMBER" == third.hangup_cause
    assert not first.wait_accepted(SECONDS)
    played.close()
    assert ["+18005550001"] == cm.frames[0]["subscribe_numbers"]


def outcomes(block: Block, play: Play, output: Output) -> None:
    """The block's function tells the outcomes apart."""
    cm = play.start()
    played = play.run(block)
    played.finish()
    client = played["client"]
    try:
        assert "not connected: try again\n" == output()
        assert played["call"] is client.call(played["call"].call_id)

        cm.script_dial("busy")
        assert played["ring"]("+18005551234") is None
        assert "refused: Busy\n" == output()

        played["call"].hangup()
        orphans = Recorded()
        client.on(CallOrphaned, orphans)
        ringing = Running(played["ring"], "+18005550009")
        cm.wait_for_command("outbound", to="+18005550009")
        cm.drop_connections()
        assert ringing.result() is None
        assert re.fullmatch(r"no answer: it may ring <Call .*\+18005550009.*>\n", output())

        callee = cm.peer(cm.calls[-1].call_id)
        assert client.wait_connected(SECONDS)
        assert callee.wait_accepted(SECONDS)
        callee.press("1")  # that it was answered may have been said while nobody was connected
        assert callee.call_id == orphans.next().call.call_id
        expected = f"it was placed after all, and is being hung up: {callee.call_id}\n"
        assert expected == output()
        assert "NORMAL_CLEARING" == callee.wait_ended(SECONDS)
    finally:
        client.close()


def sandbox(block: Block, play: Play, output: Output) -> None:
    """It brings its own sandbox and asserts for itself."""
    played = play.run(block)
    played.finish()
    assert [] == played["client"].calls()


def metrics(block: Block, play: Play, output: Output) -> None:
    """What the client did can be scraped under the names that the text gives."""
    play.start()
    try:
        play.run(block).finish()
        scraped = output()
        assert 'telephony_commands_total{action="outbound",end="ok"} 1.0' in scraped
        assert 'telephony_commands_total{action="endcall",end="ok"} 1.0' in scraped
        assert "telephony_connected 0.0" in scraped
        text = README.read_text("utf-8").partition("with the metrics")[2].partition("::")[0]
        said = set(re.findall(r"``(telephony_\w+)``", text))
        typed = re.findall(r"^# TYPE (telephony_\w+) (?!.*_created)", scraped, re.MULTILINE)
        assert said == {name for name in typed if not name.endswith("_created")}
    finally:
        for collector in set(REGISTRY._names_to_collectors.values()):
            if any(name.startswith("telephony") for name in REGISTRY._get_names(collector)):
                REGISTRY.unregister(collector)


def pytest_fixtures(block: Block, play: Play, output: Output) -> None:
    """The block is a test; it runs in a project of its own, with the installed plugin."""
    (play.folder / "test_from_readme.py").write_text(block.text, "utf-8")
    passes_as_a_test_suite(play.folder, 2)


def recording(block: Block, play: Play, output: Output) -> None:
    """What was recorded is in the file, without secret or number, and is played."""
    play.start()
    play.monkeypatch.chdir(play.folder)
    played = play.run(block)
    played.finish()
    file = play.folder / "incident.jsonl"
    text = file.read_text("utf-8")
    assert 0o600 == file.stat().st_mode & 0o777
    assert '"action":"outbound"' in text
    assert "8005551234" not in text
    assert ["register", "outbound", "endcall"] == [f["action"] for f in played["replay"].frames]


def difference(block: Block, play: Play, output: Output) -> None:
    """The words are those of a client that does so."""
    play.start()
    file = play.folder / "incident.jsonl"
    with Recorder(file) as recorder, Client.from_env(hooks=recorder) as client:
        client.dial(**DIAL).hangup()
    with Replay(file) as replay, replay.client() as client:
        call = client.dial(**DIAL)
        with pytest.raises(CommandRefusedError):
            call.send_dtmf("1")
        with pytest.raises(ReplayDifference) as raised:
            replay.wait_finished(SECONDS)
    said = str(raised.value).replace(str(play.folder) + "/", "")
    line = re.search(r"line \d+", said)
    assert line is not None
    app = client.options.app_id
    expected = block.text.replace("4f1c…", call.call_id).replace("APPID", app)
    assert " ".join(expected.replace("line 14", line[0]).split()) == said


# --- the shell ---------------------------------------------------------------------------


def two_commands(block: Block, play: Play, output: Output) -> None:
    """They can be asked for help; .ci/run runs them."""
    shell.exists(block.text)


def callboard(block: Block, play: Play, output: Output) -> None:
    """It can be asked for help; the page about it has it run."""
    shell.exists(block.text)


def long_runs(block: Block, play: Play, output: Output) -> None:
    """They can be asked for help; .ci/run runs them."""
    shell.exists(block.text)


def command_line(block: Block, play: Play, output: Output) -> None:
    """Every line of the block runs; the sandbox in it is the Call Manager of those below it."""
    shell.exists(block.text)
    commands = shell.commands(block.text)
    names = ["demo", "sandbox", "check", "dial", "replay", "listen"]
    assert names == [words[1] for words in commands]
    demo, sandbox, *others = [[sys.executable, "-m", *words] for words in commands]
    assert 0 == subprocess.run(demo, capture_output=True, timeout=60).returncode
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(sandbox, stdout=subprocess.PIPE, text=True) as running,
    ):
        try:
            exported = {}
            assert running.stdout is not None
            while "REGION" not in exported:
                exported.update([shell.exported(running.stdout.readline())])
            for command in others:
                ran = subprocess.run(
                    command, env=play.environ(**exported), capture_output=True, text=True,
                    timeout=60, cwd=folder,
                )  # fmt: skip
                assert 0 == ran.returncode, ran.stdout + ran.stderr
                lines = [json.loads(line) for line in ran.stdout.splitlines()]
                assert lines, command
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(SECONDS)


# --- flows, the tree, the log --------------------------------------------------------------


def flow_outbound(block: Block, play: Play, output: Output) -> None:
    """A dial that is answered, digits, and our hangup."""
    cm = play.start()
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        call.send_dtmf("12#")
        tap.wait_for("dtmf_received")
        call.hangup()
        call.wait_ended(SECONDS)
        assert drawn(block.text) == went(tap)


def flow_accepted(block: Block, play: Play, output: Output) -> None:
    """An incoming call that is accepted, and ended by the caller."""
    cm = play.start()
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        ended = Recorded()
        client.on(CallHangup, ended)
        client.on(CallIncoming, lambda event: event.call.accept(token="t", channel="c", uid="1"))
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        tap.wait_for("agora_bridge_start")
        caller.hang_up()
        ended.next()
        assert drawn(block.text) == went(tap)


def flow_rejected(block: Block, play: Play, output: Output) -> None:
    """One that is rejected."""
    cm = play.start()
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        ended = Recorded()
        client.on(CallIncoming, lambda event: event.call.reject("busy"))
        client.on(CallIncoming, ended)  # told once the callback before it has returned
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert "hangup" == ended.next().call.state
        assert 404 == caller.sip_status
        assert drawn(block.text) == went(tap)


def flow_loop_back(block: Block, play: Play, output: Output) -> None:
    """Two calls, as the number dialled is our own."""
    cm = play.start()
    with Wiretap(cm.url) as tap, tapped(cm, tap, subscribe_numbers=[DIAL["to"]]) as client:
        client.on(CallIncoming, lambda event: event.call.accept(token="t", channel="c", uid="1"))
        ended = Recorded()
        client.on(CallHangup, ended)
        call = client.dial(**DIAL)
        tap.wait_for("agora_bridge_start", 2)
        call.hangup()
        assert {"inbound", "outbound"} == {ended.next().info.direction for _ in range(2)}
        assert drawn(block.text) == went(tap, directions=True)


def flow_rebridge(block: Block, play: Play, output: Output) -> None:
    """A bridged call moves."""
    cm = play.start()
    with Wiretap(cm.url) as tap, tapped(cm, tap) as client:
        call = client.dial(**DIAL)
        call.wait_bridged(SECONDS)
        before = len(went(tap))
        call.rebridge(token="t", channel="other", uid="2")
        call.wait_for(lambda info: ("bridged", "other") == (info.state, info.channel), SECONDS)
        tap.wait_for("agora_bridge_start", 2)
        assert drawn(block.text) == went(tap)[before:]


def error_tree(block: Block, play: Play, output: Output) -> None:
    """The tree is the code's."""
    assert coded_tree() == tree(block.text)


def log_lines(block: Block, play: Play, output: Output) -> None:
    """What the log says of an answered dial and one that gave up, with the ids of the example."""
    cm, orphans = play.start(), Recorded()
    with play.log.at_level("INFO", "telephony"), cm.client() as client:
        client.on(CallOrphaned, orphans)
        call = client.dial(**DIAL)
        call.wait_answered(SECONDS)
        cm.delay(0.2, "outbound")
        with pytest.raises(CommandTimeoutError):
            client.dial(**{**DIAL, "uid": "101"}, command_timeout=0.01)
        orphan = orphans.next().call
    lines = [f"{record.levelname} {record.getMessage()}" for record in play.log.records]
    text = "\n".join(lines).replace(call.call_id, "4f1c…").replace(orphan.call_id, "77ab…")
    wanted = ("connecting -> connected", "4f1c…: new", "4f1c…: ringing", "77ab… turned")
    told = [line for line in text.splitlines() if any(word in line for word in wanted)]
    assert block.text.splitlines() == told
