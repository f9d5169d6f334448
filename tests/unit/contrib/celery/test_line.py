"""A line's life: held, lost, taken over, handed on; its dials, its calls and its events."""

from __future__ import annotations

import json
import threading
import time

import attrs
import pytest

from telephony import (
    CallInfo,
    CallNotFoundError,
    CallState,
    ConnectionLostError,
    DialFailedError,
    InvalidArgumentError,
    NotConnectedError,
)
from telephony.contrib.celery import line as line_module
from telephony.contrib.celery.snapshot import info_of
from tests.unit.contrib.celery.conftest import DIAL, SECONDS, names, payloads, until


def dialled(board, line, **changes):
    """A call placed on *line*."""
    return line.dial(f"task-{id(changes)}", "x", {**DIAL, **changes})


def ended(board, call_id):
    return until(lambda: (r := board.store.call(call_id)) and r.ended and r, "its end")


# --- dials and commands ----------------------------------------------------------------------


def test_a_dialled_call_is_in_redis_at_once(board, cm):
    """When the dial returns any process finds the call, and the intent is gone."""
    line = board.open()
    info = dialled(board, line)
    record = board.store.call(info.call_id)
    assert (line.name, False) == (record.line, record.ended)
    assert {info.call_id} == board.store.call_ids(line.name)
    assert {} == board.store.intents(line.name)


def test_the_end_is_recorded_with_its_cause(board, cm):
    """A hangup by the far end as well as our own."""
    line = board.open()
    info = dialled(board, line)
    cm.peer(info.call_id).hang_up("USER_BUSY")
    record = ended(board, info.call_id)
    assert "USER_BUSY" == info_of(record.snapshot).hangup_cause
    assert set() == board.store.call_ids(line.name)


def test_the_intent_is_there_before_the_dial_is_sent(board, cm):
    """Without its token; were the worker to die now, its heir would know of it."""
    seen = []

    def provider(channel, uid, app_id):
        seen.append(board.store.intents(line.name))
        raise RuntimeError("no token today")

    options = {"token_provider": provider}
    line = board.open(settings=attrs.evolve(board.settings, options=options))
    with pytest.raises(RuntimeError, match="no token today"):
        line.dial("task-1", "x", {**DIAL, "token": None})
    assert [["task-1"]] == [list(intents) for intents in seen]
    assert "token" not in seen[0]["task-1"]


@pytest.mark.parametrize("wrong", [{"to": ""}, {"region": None}])
def test_a_dial_that_is_wrong_leaves_nothing(board, cm, wrong):
    """It was refused before anything was sent."""
    line = board.open()
    with pytest.raises(InvalidArgumentError):
        dialled(board, line, **wrong)
    assert {} == board.store.intents(line.name)
    cm.assert_not_dialed()


def test_a_refused_dial_leaves_nothing(board, cm):
    """No call, no intent, and no event of a call that never was."""
    line = board.open()
    cm.script_dial("busy")
    with pytest.raises(DialFailedError):
        dialled(board, line)
    assert ({}, set()) == (board.store.intents(line.name), board.store.call_ids(line.name))
    line._journal.look_again()
    assert [] == line._journal._nameless


def test_a_task_that_comes_twice_sends_once(board, cm):
    """A redelivery or a duplicate: the second execution finds that the first began."""
    line = board.open()
    assert line.dial("task-1", "first", dict(DIAL)) is not None
    assert line.dial("task-1", "second", dict(DIAL)) is None
    cm.assert_dialed(times=1)


def test_nothing_is_sent_without_redis(board, cm, redis_server):
    """Whether it was sent before could not be told."""
    line = board.open()
    redis_server.connected = False
    with pytest.raises(NotConnectedError, match="nothing was sent"):
        dialled(board, line)
    redis_server.connected = True
    cm.assert_not_dialed()


def test_a_dial_of_unknown_outcome_is_kept(board, cm):
    """For 10 minutes, so that an heir too would hang its call up; until it turns up."""
    line = board.open()
    cm.script_dial(delay=SECONDS * 50)
    with pytest.raises(Exception, match="command timeout"):
        dialled(board, line, command_timeout=0.2)
    until(lambda: "call_orphaned" in names(board.app), "the orphan")
    until(lambda: not board.store.intents(line.name), "the intent's end")


def test_who_may_have_lost_the_line_sends_nothing(board, cm):
    """It was stopped for longer than its lease: by its own clock, without asking Redis."""
    line = board.open()
    line._held_until = 0.0
    with pytest.raises(NotConnectedError, match="nothing was sent"):
        dialled(board, line)
    cm.assert_not_dialed()


# --- events ---------------------------------------------------------------------------------


def test_events_are_told_in_order_with_their_numbers(board, cm):
    """Of one call: 1, 2, 3 …, each with what its task was told before, and an id of its own."""
    line = board.open()
    info = dialled(board, line)
    line.client.hangup(info.call_id)
    until(lambda: "call_hangup" in names(board.app, info.call_id), "the end")
    told = payloads(board.app, info.call_id)
    assert list(range(1, len(told) + 1)) == [one["sequence"] for one in told]
    assert list(range(len(told))) == [one["after"]["shop.any"] for one in told]
    assert len(told) == len({one["id"] for one in told})
    assert "call_initiated" == told[0]["event"]
    assert {info.call_id} == {one["call"]["call_id"] for one in told}


def test_events_for_no_task_are_numbered_too(app, board, cm):
    """What a task is told says which event it was told last, not which came last."""
    line = board.open(settings=attrs.evolve(board.settings, events={"call_hangup": ("shop.end",)}))
    info = dialled(board, line)
    line.client.hangup(info.call_id)
    until(lambda: payloads(app), "the end")
    (told,) = payloads(app)
    assert ({"shop.end": 0}, "call_hangup") == (told["after"], told["event"])
    assert 1 < told["sequence"]


def test_events_wait_for_redis(app, board, cm, redis_server):
    """In memory and in order; the lease is had again, and the line was never given up."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    redis_server.connected = False
    peer = cm.peer(info.call_id)
    for digit in "123":
        peer.press(digit)
    until(lambda: len(line._journal._entries) == 3, "the digits")
    board_lease = board.store.key("lease", line.name)
    redis_server.connected = True
    board.store.redis.delete(board_lease)  # it ran out meanwhile
    until(lambda: names(app, info.call_id).count("dtmf_received") == 3, "the digits")
    digits = [one["raw"]["digits"] for one in payloads(app) if one["event"] == "dtmf_received"]
    assert (["1", "2", "3"], []) == (digits, board.gone)


def test_events_wait_for_the_broker(app, board, cm):
    """In Redis and in order; calls are recorded all the same."""
    app.away = True
    line = board.open()
    info = dialled(board, line)
    line.client.hangup(info.call_id)
    ended(board, info.call_id)
    assert [] == app.published
    app.away = False
    until(lambda: "call_hangup" in names(app), "the end")
    sequences = [one["sequence"] for one in payloads(app)]
    assert sorted(sequences) == sequences


def test_what_the_cm_repeats_of_our_secrets_is_masked(app, board, cm):
    """A frame goes to the tasks without them."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: payloads(app), "an event")
    entry = line_module.Entry(None, info, name="noise", raw={"said": board.settings.auth_token})
    line._journal.put(entry)
    until(lambda: "noise" in names(app), "the event")
    assert "***" == next(one for one in payloads(app) if one["event"] == "noise")["raw"]["said"]


# --- incoming calls --------------------------------------------------------------------------


def test_an_incoming_call_is_told_by_one_line(app, board, cm):
    """Of three that are offered it one keeps it, and that one can accept it."""
    lines = [board.open() for _ in range(3)]
    caller = cm.incoming(to="+18005550000", from_="+15551230000")
    until(lambda: names(app), "the call")
    (owner,) = [line for line in lines if board.store.call_ids(line.name)]
    until(lambda: [len(line.client.calls()) for line in lines].count(0) == 2, "the others' letting")
    owner.client.accept(caller.call_id, token=DIAL["token"], channel="desk", uid="7")
    until(lambda: "agora_bridge_start" in names(app), "the bridge")
    assert 1 == names(app).count("call_incoming")


def test_an_incoming_call_nobody_is_told_of_is_left_alone(app, board, cm):
    """Without a task for it the call is another client's business."""
    line = board.open(settings=attrs.evolve(board.settings, events={"call_hangup": ("t",)}))
    kept = threading.Event()
    line.client.on(line_module.CallIncoming, lambda event: kept.set())
    cm.incoming(to="+18005550000", from_="+15551230000")
    assert kept.wait(SECONDS)
    until(lambda: not line.client.calls(), "its letting go")
    assert set() == board.store.call_ids(line.name)


def active(board):
    """The ids of the calls that are up, as anybody reads them."""
    return {one for line in board.store.lines() for one in board.store.call_ids(line)}


def incoming(board, cm):
    """A line with a call that is offered to it, and the caller."""
    line = board.open()
    caller = cm.incoming(to="+18005550000", from_="+15551230000")
    until(lambda: caller.call_id in active(board), "the call")
    return line, caller


def test_a_rejected_call_is_over_at_once(app, board, cm):
    """No event tells of its end."""
    line, caller = incoming(board, cm)
    line._look_after_calls = lambda: None  # what the keeper would do, later
    line.command("reject", caller.call_id, "task-1", "x", {"reason": "busy"})
    record = ended(board, caller.call_id)
    assert (None, False) == (info_of(record.snapshot).hangup_cause, record.snapshot["active"])
    assert set() == active(board)


def test_a_missed_call_is_over_when_the_client_lets_go_of_it(app, board, cm, monkeypatch):
    """Nobody accepted it: there is no call_hangup to wait for."""
    monkeypatch.setattr(line_module, "LET_GO_SECONDS", 10 * SECONDS)
    line, caller = incoming(board, cm)
    connection = line.client._connection
    with connection.lock:  # its 60 s are over
        line.client._session.calls.expire(time.monotonic() + 61)
    assert "hangup" == ended(board, caller.call_id).snapshot["state"]


@pytest.mark.parametrize("name, arguments", [("hangup", {}), ("send_dtmf", {"digits": "1"})])
def test_a_stale_call_that_the_cm_does_not_know_is_over(app, board, cm, name, arguments):
    """It ended while nobody was connected; whoever asks anything of it finds out."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    board.kill(line)
    cm.peer(info.call_id).hang_up()
    heir = board.open(line.name, inherited=True)
    assert heir.client.call(info.call_id).stale
    heir._look_after_calls = lambda: None  # what the keeper would do, later
    with pytest.raises(CallNotFoundError):
        heir.command(name, info.call_id, "task-1", "x", arguments)
    record = ended(board, info.call_id)
    assert None is info_of(record.snapshot).hangup_cause
    del heir._look_after_calls
    until(lambda: heir in board.gone, "the line's end")


# --- taken over --------------------------------------------------------------------------------


def test_an_heir_has_the_calls(app, board, cm):
    """It says Gap for each, goes on with the numbers, and its commands reach the calls."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    board.kill(line)
    heir = board.open(line.name, inherited=True)
    until(lambda: "gap" in names(app, info.call_id), "the gap")
    gap = next(one for one in payloads(app) if one["event"] == "gap")
    assert (True, True) == (gap["call"]["stale"], gap["seconds"] >= 0)
    heir.client.hangup(info.call_id)
    assert "NORMAL_CLEARING" == info_of(ended(board, info.call_id).snapshot).hangup_cause
    until(lambda: "call_hangup" in names(app, info.call_id), "the end")
    sequences = [one["sequence"] for one in payloads(app, info.call_id)]
    assert list(range(1, len(sequences) + 1)) == sequences


def test_an_heir_tells_what_the_dead_did_not(app, board, cm):
    """What was in the outbox comes first, with the ids it had."""
    app.away = True
    line = board.open()
    info = dialled(board, line)
    until(lambda: len(board.store.outbox(line.name, 10)) >= 4, "the events")
    board.kill(line)
    app.away = False
    board.open(line.name, inherited=True)
    until(lambda: "gap" in names(app, info.call_id), "the gap")
    assert ["call_initiated", "gap"] == [names(app)[0], names(app)[-1]]


def test_a_dial_under_way_is_told_as_failed_and_its_call_hung_up(app, board, cm):
    """Whoever asked gets ConnectionLostError; the call, when it turns up, is ended."""
    line = board.open()
    cm.script_dial(ring=250)  # 5 s of ours, in which the heir is to be there
    began = {"to": "+18005551234", "channel": "room", "uid": "100", "app_id": cm.app_id,
             "direction": "outbound", "from_": "+15551234567"}  # fmt: skip
    task_id = f"dial-on-{line.name}"
    asked = threading.Thread(target=lambda: _refused(line, task_id), daemon=True)
    asked.start()
    cm.wait_for_command("outbound", SECONDS)
    assert [began] == list(board.store.intents(line.name).values())
    # As its process would end: what the client does about its own dial is not kept.
    line._change_intent = lambda *_: None
    board.kill(line)
    asked.join(SECONDS)
    board.open(line.name, inherited=True)
    result = app.AsyncResult(task_id)
    until(lambda: result.state == "FAILURE", "the dial's end")
    with pytest.raises(ConnectionLostError, match="it may have been carried out"):
        result.get(timeout=SECONDS)
    until(lambda: "call_orphaned" in names(app), "the orphan")
    until(lambda: cm.calls[0].ended, "its end")
    assert "endcall" == cm.calls[0].ended_by
    cm.assert_dialed(times=1)
    until(lambda: not board.store.intents(line.name), "the intent's end")


def _refused(line, task_id):
    with pytest.raises(ConnectionLostError):
        line.dial(task_id, "x", dict(DIAL))


def test_a_call_whose_dialler_died_before_its_answer_is_hung_up(app, board, cm):
    """Its events had come, so that it is known; whoever dialled it will never be."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    redis, key = board.store.redis, board.store.key
    board.kill(line)
    intent = {"channel": info.channel, "uid": info.uid, "app_id": info.app_id, "to": info.to}
    redis.hset(key("intents", line.name), "task-9", json.dumps(intent))
    redis.hdel(key("call", info.call_id), "dialled")
    board.open(line.name, inherited=True)
    until(lambda: "call_orphaned" in names(app), "the orphan")
    ended(board, info.call_id)
    assert "endcall" == cm.calls[0].ended_by


def test_dials_on_one_route_are_all_hung_up(app, board, cm):
    """Which call is whose cannot be told, and need not: one was known, the others turn up."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    cm.script_dial(ring=250)  # 5 s of ours, in which the heir is to be there
    cm.script_dial(ring=250)
    tasks = [f"dial-{number}-on-{line.name}" for number in range(2)]
    asked = [
        threading.Thread(target=_refused, args=(line, task_id), daemon=True) for task_id in tasks
    ]
    for thread in asked:
        thread.start()
    until(lambda: len(cm.calls) == 3, "the dials")
    line._change_intent = lambda *_: None  # as its process would end
    board.kill(line)
    for thread in asked:
        thread.join(SECONDS)
    intent = {"channel": info.channel, "uid": info.uid, "app_id": info.app_id, "to": info.to}
    intents = board.store.key("intents", line.name)
    board.store.redis.hset(intents, "task-9", json.dumps(intent))
    board.store.redis.hdel(board.store.key("call", info.call_id), "dialled")
    board.open(line.name, inherited=True)
    until(lambda: all(call.ended for call in cm.calls), "their end")
    assert ["endcall"] * 3 == [call.ended_by for call in cm.calls]
    until(lambda: names(app).count("call_orphaned") == 3, "the orphans")
    until(lambda: not board.store.intents(line.name), "the intents' end")


def test_a_dial_whose_result_died_with_its_worker_is_answered(app, board, cm):
    """The call is up and its asker waits: the heir tells the snapshot."""
    line = board.open()
    task_id = f"dial-on-{line.name}"
    info = line.dial(task_id, "x", dict(DIAL))
    until(lambda: board.store.call(info.call_id).dialled, "the record")
    board.kill(line)
    board.open(line.name, inherited=True)
    assert info.call_id == app.AsyncResult(task_id).get(timeout=SECONDS)["call_id"]


def test_an_intent_that_makes_no_sense_is_passed_over(app, board, cm):
    """The worker died before the dial was looked at: the calls are taken over all the same."""
    line = board.open()
    info = dialled(board, line)
    board.kill(line)
    board.store.redis.hset(board.store.key("intents", line.name), "task-9", '{"to": ""}')
    heir = board.open(line.name, inherited=True)
    assert heir.client.call(info.call_id) is not None


def test_a_line_that_is_held_is_not_taken(board):
    """Nor one that was forgotten: two workers never have one line."""
    line = board.open()
    with pytest.raises(AssertionError):
        board.open(line.name, inherited=True)
    assert line.held


def test_a_connection_that_was_given_up_is_made_again(board, cm):
    """The CM refused the credentials for a while, and the client took that for good."""
    line = board.open()
    cm.refuse("unauthorized")
    cm.drop_connections()
    until(lambda: line.client.state == "idle", "the refusal")
    cm.clear_faults()
    until(lambda: line.client.connected, "the connection")


# --- lost, handed on, over ---------------------------------------------------------------------


def test_a_lost_line_closes_its_connection_and_hangs_nothing_up(app, board, cm):
    """It was stopped for so long that another has it: it says and sends nothing more."""
    line = board.open()
    info = dialled(board, line)
    until(lambda: "agora_bridge_start" in names(app, info.call_id), "the bridge")
    told = len(app.published)
    board.store.redis.set(board.store.key("lease", line.name), "another")
    until(lambda: [line] == board.gone, "the loss")
    assert (True, False) == (line.client.closed, line.held)
    cm.assert_not_sent("endcall")
    assert (told, False) == (len(app.published), cm.calls[0].ended)


def test_a_connection_that_ends_when_the_lease_may_be_over_is_not_made_again(board, cm):
    """The CM ends it because another registered: to come back would end the other's."""
    line = board.open()
    line._held_until = 0.0
    line._store.renew = lambda *_: (_ for _ in ()).throw(OSError("away"))
    cm.drop_connections()
    until(lambda: line.client.closed, "the client's end")
    del line._store.renew


def test_a_line_is_handed_on_at_once(app, board, cm):
    """A worker that ends lets go of its lease; its calls stay up, and nothing is left untold."""
    line = board.open()
    info = dialled(board, line)
    line.hand_on(SECONDS)
    assert [line.name] == board.store.lines_without_lease()
    assert "call_initiated" in names(app, info.call_id)
    cm.assert_not_sent("endcall")
    board.open(line.name, inherited=True)


def test_a_line_of_nothing_is_forgotten_at_its_end(board, redis):
    """Nobody need take it over."""
    line = board.open()
    line.hand_on(SECONDS)
    assert [] == redis.keys()


def test_an_inherited_line_ends_with_its_last_call(app, board, cm):
    """Nobody dials on it any more, so it is closed and forgotten."""
    line = board.open()
    info = dialled(board, line)
    board.kill(line)
    heir = board.open(line.name, inherited=True)
    heir.client.hangup(info.call_id)
    ended(board, info.call_id)
    until(lambda: heir in board.gone, "its end")
    assert ([], True) == (board.store.lines(), heir.client.closed)


def test_a_call_whose_end_nobody_heard_is_let_go_of(board, cm, monkeypatch):
    """The client does not track it any more: it is recorded as ended, without a cause."""
    monkeypatch.setattr(line_module, "LET_GO_SECONDS", 0.1)
    line = board.open()
    ghost = CallInfo(call_id="ghost", state=CallState.BRIDGED, to="+1800")
    line._journal.put(line_module.Entry(None, ghost))
    info = info_of(ended(board, "ghost").snapshot)
    assert (CallState.HANGUP, False, None) == (info.state, info.active, info.hangup_cause)


def test_a_call_that_redis_lost_is_recorded_again(board, cm):
    """Redis came back empty: the calls that are up are put there once more."""
    line = board.open()
    info = dialled(board, line)
    board.store.redis.flushall()
    until(lambda: board.store.call(info.call_id), "the record")
    assert {info.call_id} == board.store.call_ids(line.name)
