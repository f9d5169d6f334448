"""Workers on Redis, which are killed, stopped, told to end, and cut off from it."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.distributed.servers import SECONDS, Redis
from tests.distributed.stage import LEASE, Asker, Stage, dial, numbers, placed, recorded, wait_for
from tests.distributed.story import Callees, in_order, only, play
from tests.distributed.tokens import TOKEN

GIVEN = "rtc-token-that-was-given"


def is_taken_over(stage: Stage, line: str) -> None:
    """Wait until an heir is connected under a line's name."""
    stage.cm.wait_for_command("register", SECONDS, client_id=line)


def is_controlled(stage: Stage, asker: Asker, call_id: str, digits: str) -> None:
    """A call that is up does what it is told."""

    # The heir is connected a moment before it takes commands.
    outcome = asker.one("send_dtmf", call_id=call_id, digits=digits)
    assert "error" not in outcome, outcome
    stage.cm.peer(call_id).wait_heard(digits, SECONDS)


def owners(stage: Stage) -> dict[str, int]:
    """How often each client has registered."""
    return Counter(stage.lines())


def test_two_hundred_calls(stage: Stage) -> None:
    """The issue's: four processes ask, three workers hold the calls, and one is killed."""
    play(stage, calls=200, slow=20, workers=3, askers=4)


def test_stopped_for_too_long(stage: Stage) -> None:
    """A worker that was stopped finds its line taken, and leaves it alone."""
    stage.settings["telephony_events"] = only()
    stopped, other = stage.workers("stopped", "other")
    stage.events()
    [asker] = stage.askers("asker")
    ids = [placed(asker, to) for to in numbers(8)]
    holders = {call.call_id: call.owner for call in stage.up()}
    its_own = next(call_id for call_id in ids if stopped.line == holders[call_id])

    stopped.kill(signal.SIGSTOP)
    is_taken_over(stage, stopped.line)
    is_controlled(stage, asker, its_own, "1#")
    # It cannot ask whether the line is its own, and has to know by the time that has passed.
    stage.redis.send(signal.SIGSTOP)
    stopped.kill(signal.SIGCONT)
    wait_for(lambda: f"line {stopped.line} is lost" in stopped.said(), stopped.said)
    stage.redis.send(signal.SIGCONT)

    # It begins anew, on a line with another name.
    again = stage.cm.wait_for_command("register", SECONDS)["client_id"]
    assert again not in (stopped.line, other.line)
    is_controlled(stage, asker, its_own, "2#")
    for call_id in ids:
        stage.cm.peer(call_id).hang_up()
    assert [["hangup", "NORMAL_CLEARING"]] * 8 == asker.ask("ended", ids)()
    assert {stopped.line: 2, other.line: 1, again: 1} == owners(stage)
    assert {1} == set(Counter(stage.dialled()).values())
    for call_id in ids:
        recorded(stage, "call_hangup", call_id)
    in_order(stage.recorded())
    ends = [one["call_id"] for one in stage.recorded() if "call_hangup" == one["event"]]
    assert sorted(ids) == sorted(ends)


def test_stopped_while_it_dials(stage: Stage) -> None:
    """Who asked is told once that the outcome is not known; the call is hung up when answered."""
    stage.settings["telephony_events"] = only()
    [stopped] = stage.workers("stopped")
    [heir] = stage.workers("heir", queue="nothing.else,telephony")
    [asker] = stage.askers("asker")
    called = numbers(6, area=777)
    with Callees(stage.cm, called) as callees:
        results = asker.ask("run", [dial(number) for number in called])
        callees.wait_ringing(6)
        at_stopped = {call.to for call in stage.cm.calls if stopped.line == call.owner}
        assert at_stopped
        stopped.kill(signal.SIGSTOP)
        is_taken_over(stage, stopped.line)
        stopped.kill(signal.SIGCONT)
        callees.pick_up()
        for number, outcome in zip(called, results()):
            assert (number in at_stopped) == (outcome.get("error") == "ConnectionLostError")
        wait_for(lambda: at_stopped.isdisjoint(call.to for call in stage.up()))
        assert sorted(called) == sorted(stage.dialled())
        asker.run(*(("hangup", {"call_id": call["call_id"]}) for call in asker.ask("active")()))
        wait_for(lambda: all(call.ended for call in stage.cm.calls))


def test_told_to_end(stage: Stage) -> None:
    """SIGTERM: what it does is finished, its calls stay up, and another has them at once."""
    stage.settings.update(telephony_events=only(), telephony_lease=9.0)
    [ends] = stage.workers("ends")
    [asker] = stage.askers("asker")
    call_id = placed(asker)
    called = numbers(1, area=777)
    with Callees(stage.cm, called) as callees:
        result = asker.ask("run", [dial(called[0])])
        callees.wait_ringing(1)
        lease = f"telephony:lease:{ends.line}"
        token = stage.redis.connection.get(lease)
        assert token
        [heir] = stage.workers("heir")
        ends.kill(signal.SIGTERM)
        wait_for(lambda: "Warm shutdown" in ends.said(), ends.said)
        callees.pick_up()
        [outcome] = result()
        assert called[0] == outcome["result"]["to"], outcome
        assert ends.ended(SECONDS)
        assert 0 == ends.finish()[0]
        # Nobody has to wait until its lease is over.
        assert token != stage.redis.connection.get(lease)
        is_taken_over(stage, ends.line)
        for each in (call_id, outcome["result"]["call_id"]):
            assert not stage.cm.peer(each).ended
            is_controlled(stage, asker, each, "7#")
            asker.one("hangup", call_id=each)
            stage.cm.assert_hung_up(each)
        wait_for(lambda: all(call.ended for call in stage.cm.calls))


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that keeps what it holds on disk."""
    folder = tmp_path / "durable"
    folder.mkdir()
    with Redis(folder, durable=True) as server:
        yield server


def happens(stage: Stage, call_id: str) -> None:
    """Keys are pressed at the far end, which then hangs up."""
    for digit in "123456789":
        stage.cm.peer(call_id).press(digit)
    stage.cm.peer(call_id).hang_up()


def is_told(stage: Stage, call_id: str) -> None:
    """All of that comes, in order."""
    recorded(stage, "call_hangup", call_id)
    told = [one for one in stage.recorded() if call_id == one["call_id"]]
    in_order(told)
    pressed = {one["sequence"]: one["raw"].get("digits") for one in told}
    digits = [pressed[number] for number in sorted(pressed) if pressed[number]]
    assert list("123456789") == digits
    assert "call_hangup" == max(told, key=lambda one: one["sequence"])["event"]


@pytest.mark.parametrize("lease", [30.0, LEASE], ids=["", "later"])
def test_redis_is_restarted(cm: Sandbox, durable: Redis, tmp_path: Path, lease: float) -> None:
    """What happened while it was away, longer than a lease or not, is told afterwards, in order."""
    with Stage(cm, durable, tmp_path) as stage:
        stage.settings.update(telephony_events=only(), telephony_lease=lease)
        stage.workers("one", "two")
        stage.events()
        [asker] = stage.askers("asker")
        call_id = placed(asker)
        recorded(stage, "agora_bridge_start", call_id)
        durable.stop()
        happens(stage, call_id)
        if lease == LEASE:
            over = time.monotonic() + 2 * lease
            wait_for(lambda: time.monotonic() > over)
        durable.start()
        is_told(stage, call_id)
        [again] = stage.askers("again")
        assert [["hangup", "NORMAL_CLEARING"]] == again.ask("ended", [call_id])()
        assert [] == again.ask("active")()
        assert set(owners(stage).values()) == {1}


def test_the_broker_is_away(cm: Sandbox, redis: Redis, durable: Redis, tmp_path: Path) -> None:
    """The calls go on, their records too, and the events come when it is back."""
    with Stage(cm, redis, tmp_path, broker=durable.url) as stage:
        stage.settings["telephony_events"] = only()
        stage.workers("one", "two")
        stage.events()
        [asker] = stage.askers("asker")
        call_id = placed(asker)
        recorded(stage, "agora_bridge_start", call_id)
        durable.stop()
        happens(stage, call_id)
        # Ends are known without it.
        assert [["hangup", "NORMAL_CLEARING"]] == asker.ask("ended", [call_id])()
        durable.start()
        is_told(stage, call_id)


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed"])
def test_an_app_that_acknowledges_late(stage: Stage, kill: bool) -> None:
    """Its tasks may be done twice, ours not: a dial that lasts or comes twice is placed once."""
    stage.settings.update(
        telephony_events=only(),
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_retry_delay=0,
        broker_transport_options={"visibility_timeout": 1},
    )
    workers = stage.workers("one", "two")
    [asker] = stage.askers("asker")
    called = numbers(1, area=777)
    with Callees(stage.cm, called) as callees:
        result = asker.ask("twice", *dial(called[0]))
        callees.wait_ringing(1)
        # What Redis would give to another worker after the visibility timeout is gone.
        wait_for(lambda: 0 == stage.redis.connection.zcard("unacked_index"))
        [call] = [call for call in stage.cm.calls if "outbound" == call.direction]
        if kill:
            victim = next(worker for worker in workers if worker.line == call.owner)
            victim.kill()
            is_taken_over(stage, victim.line)
        callees.pick_up()
        outcome = result()
        if kill:
            assert "ConnectionLostError" == outcome["error"]
        else:
            call_id = outcome["result"]["call_id"]
            assert {"result": None} == asker.one("hangup", call_id=call_id)
        wait_for(lambda: all(call.ended for call in stage.cm.calls))
    assert called == stage.dialled()


def test_annotations_that_would_dial_twice(stage: Stage) -> None:
    """A worker does not start with them, and says what is wrong."""
    stage.settings["task_annotations"] = {"telephony.dial": {"acks_late": True}}
    worker = stage.launch("annotated")
    assert worker.ended(SECONDS)
    code, said = worker.finish()[0], worker.said()
    assert 0 != code
    assert "acks_late" in said and "telephony.dial" in said
    assert {} == owners(stage)


def test_prefork_is_refused(stage: Stage) -> None:
    """A connection cannot be shared by forked children: the message says what to use."""
    worker = stage.launch("prefork", pool="prefork", concurrency=1)
    assert worker.ended(SECONDS)
    code, said = worker.finish()[0], worker.said()
    assert 0 != code
    assert "-P threads" in said
    assert {} == owners(stage)


def test_an_inbound_call(stage: Stage) -> None:
    """It is offered to three workers: one event tells of it, and it is accepted once."""
    stage.settings["telephony_events"] = only("call_incoming", "call_hangup")
    stage.workers("one", "two", "three")
    stage.events()
    [asker] = stage.askers("asker")
    callers = [stage.cm.incoming(to="+18005550001", from_=to) for to in numbers(10)]
    told = {}
    for caller in callers:
        told[caller.call_id] = recorded(stage, "call_incoming", caller.call_id)
        assert "incoming" == told[caller.call_id]["call"]["state"]
    accept = {"channel": "desk", "uid": "7"}
    # Each is accepted by two who saw the event: one has it.
    both = [("accept", {"call_id": caller.call_id, **accept}) for caller in callers]
    for caller in callers:
        outcome = asker.one("accept", call_id=caller.call_id, **accept)
        assert "error" not in outcome, outcome
        assert caller.wait_accepted(SECONDS)
    assert all("error" in outcome for outcome in asker.run(*both))
    assert {caller.call_id for caller in callers} == {
        call["call_id"] for call in asker.ask("active")()
    }
    for caller in callers:
        is_controlled(stage, asker, caller.call_id, "5#")
        caller.hang_up()
    for caller in callers:
        recorded(stage, "call_hangup", caller.call_id)
    events = [(one["event"], one["call_id"]) for one in stage.recorded()]
    assert {1} == set(Counter(events).values())
    assert 20 == len(events)


def everything(redis: Redis) -> str:
    """All that a Redis holds, as text."""
    held: list[Any] = []
    connection = redis.connection
    for key in connection.scan_iter(count=1000):
        kind = connection.type(key)
        read: Any = {
            "none": lambda key: None,  # gone since
            "string": connection.get,
            "list": lambda key: connection.lrange(key, 0, -1),
            "hash": connection.hgetall,
            "set": connection.smembers,
            "zset": lambda key: connection.zrange(key, 0, -1, withscores=True),
            "stream": connection.xrange,
        }[str(kind)]
        held.append((key, read(key)))
    return repr(held)


def test_no_secret_is_kept(stage: Stage) -> None:
    """Neither tokens nor a trunk's password are in Redis, in a log or in a result."""
    sip = "sip:alice:pa55word@trunk.example:5081"
    stage.settings.update(telephony_events={"*": "distributed.record"})
    workers = stage.workers("one", "two")
    workers += stage.events()
    [asker] = stage.askers("asker")
    outcomes = asker.run(
        dial("+18005550101", token=GIVEN, sip=sip),
        dial("+18005550102"),
        dial("+18005550103", token=GIVEN, region=""),  # refused before it is sent
        ("accept", {"call_id": "unknown", "channel": "c", "uid": "1", "token": GIVEN}),
    )
    assert [True, True, False, False] == ["result" in outcome for outcome in outcomes], outcomes
    tokens = {frame["to"]: frame["token"] for frame in stage.cm.frames if "token" in frame}
    assert {"+18005550101": GIVEN, "+18005550102": TOKEN} == tokens
    first, second = (outcome["result"]["call_id"] for outcome in outcomes[:2])
    bridged = asker.one("rebridge", call_id=first, channel="other", uid="9", token=GIVEN)
    assert "error" not in bridged, bridged
    stage.cm.refuse("the token " + GIVEN + " is no good", action="bridge")
    outcomes.append(asker.one("bridge", call_id=second, channel="o", uid="9", token=GIVEN))
    assert "error" in outcomes[-1]
    held = everything(stage.redis)
    assert first in held
    for call_id in (first, second):
        asker.one("hangup", call_id=call_id)
        recorded(stage, "call_hangup", call_id)
    for worker in workers:
        worker.kill(signal.SIGTERM)
        assert worker.ended(SECONDS)
    said = "".join(worker.said() for worker in workers)
    assert "telephony.dial" in said
    for where, text in {
        "Redis": held + everything(stage.redis),
        "logs": said,
        "results": json.dumps(outcomes),
    }.items():
        for secret in (GIVEN, TOKEN, "pa55word", stage.cm.auth_token.partition(" ")[2]):
            assert secret not in text, (where, secret, text[max(0, text.find(secret) - 300):][:600])


def test_events_in_order(stage: Stage) -> None:
    """Two workers handle the events: each call's come in order and once, though some come twice."""
    stage.settings["telephony_events"] = dict.fromkeys(
        only(), ["distributed.ordered", "distributed.record"]
    )
    stage.workers("one")
    stage.events("left", "right", concurrency=4)
    [asker] = stage.askers("asker")
    outcomes = asker.run(*(dial(number) for number in numbers(5)))
    ids = [outcome["result"]["call_id"] for outcome in outcomes]
    for digit in "0123456789":
        for call_id in ids:
            stage.cm.peer(call_id).press(digit)
    for call_id in ids:
        recorded(stage, "dtmf_received", call_id)
    # As after a redelivery: what was told already comes again.
    told = stage.recorded()
    assert len(told) == asker.ask("again", "distributed.ordered", told)()
    for call_id in ids:
        stage.cm.peer(call_id).hang_up()
    for call_id in ids:
        recorded(stage, "call_hangup", call_id, key="ordered")
    handled = stage.recorded("ordered")
    for call_id in ids:
        own = [one for one in handled if call_id == one["call_id"]]
        assert list(range(own[0]["sequence"], own[-1]["sequence"] + 1)) == [
            one["sequence"] for one in own
        ]
        pressed = [one["raw"]["digits"] for one in own if "dtmf_received" == one["event"]]
        assert list("0123456789") == pressed
    assert {"left@test", "right@test"} == {one["worker"] for one in handled}
