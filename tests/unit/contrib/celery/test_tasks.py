"""The commands as tasks: where they go, that each runs once, and what is shown of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from celery.exceptions import Ignore, TaskRevokedError

from telephony import (
    CallNotFoundError,
    ConnectionLostError,
    DialFailedError,
    InvalidArgumentError,
    NotConnectedError,
    TelephonyError,
)
from telephony.contrib.celery import dial, hangup, rebridge, send_dtmf, tasks, transfer
from telephony.contrib.celery.received import Received
from tests.canary import RTC_TOKEN, SIP
from tests.unit.contrib.celery.conftest import DIAL, SECONDS, until


def sent(app, queue):
    """The message that waits in a queue."""
    with app.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        message = simple.get(timeout=SECONDS)
        message.ack()
        simple.close()
    return message


def run(task, *args, task_id=None, **kwargs):
    """Run a task here, as a worker would; its result, or the error that it raised."""
    result = task.apply(args, kwargs, task_id=task_id)
    if result.state == "FAILURE" and isinstance(result.result, TelephonyError):
        raise result.result
    return result.result


@pytest.fixture
def call(board, cm):
    """A call on a line of its own."""
    board.open()
    return run(dial, **DIAL)


def test_a_dial_goes_to_any_worker_and_not_for_long(app):
    """Its message expires, and what is logged of it has neither token nor trunk in it."""
    dial.delay(**DIAL, sip=SIP)
    message = sent(app, app.conf.telephony_queue)
    assert message.headers["expires"] is not None
    shown = json.dumps(message.headers)
    assert RTC_TOKEN not in shown and "pa55word" not in shown
    assert "+18005551234" in shown


def test_a_time_limit_of_ones_own(app):
    """A dial that may wait for longer says so."""
    dial.apply_async(kwargs=DIAL, expires=3600)
    first = sent(app, app.conf.telephony_queue).headers["expires"]
    dial.delay(**DIAL)
    assert sent(app, app.conf.telephony_queue).headers["expires"] < first


def test_a_command_goes_to_the_line_of_its_call(app, board, call):
    """Whoever sends it finds the line in Redis."""
    send_dtmf.delay(call["call_id"], digits="12")
    message = sent(app, f"{app.conf.telephony_queue}.{board.own.name}")
    assert [[call["call_id"]], {"digits": "12"}] == message.payload[:2]


def test_a_call_that_nobody_knows(app, board, call):
    """The sender is told at once, and nothing is sent."""
    with pytest.raises(CallNotFoundError, match="no worker knows the call"):
        hangup.delay("nobody's")
    with pytest.raises(InvalidArgumentError, match="call_id"):
        hangup.delay("")
    run(hangup, call["call_id"])
    until(lambda: board.store.call(call["call_id"]).ended, "its end")
    with pytest.raises(CallNotFoundError, match="the call has ended"):
        hangup.delay(call["call_id"])


def test_nothing_is_sent_without_redis(app, redis_server):
    """Where the call is cannot be told."""
    redis_server.connected = False
    with pytest.raises(NotConnectedError, match="hangup was not sent"):
        hangup.delay("call-1")
    redis_server.connected = True


def test_commands_reach_the_call(cm, board, call):
    """Each with the arguments of the client's method; what is None is left to it."""
    run(send_dtmf, call["call_id"], "12#")
    assert "12#" == cm.wait_for_command("send_dtmf", SECONDS)["digits"]
    until(lambda: board.own.client.call(call["call_id"]).state == "bridged", "the bridge")
    run(rebridge, call["call_id"], channel="hall", uid="7", token=RTC_TOKEN)
    moved = cm.wait_for_command("rebridge", SECONDS)
    assert ("hall", "room", "100") == (
        moved["channel"], moved["current_channel"], moved["current_uid"]
    )  # fmt: skip
    run(transfer, call["call_id"], "+1999", leg="B")
    assert "B" == cm.wait_for_command("transfer", SECONDS)["leg"]
    run(hangup, call["call_id"])
    cm.assert_sent("endcall", call_id=call["call_id"])


def test_a_refusal_is_the_library_s(cm, board):
    """With the CM's reason, also after a way through a result backend."""
    board.open()
    cm.script_dial("busy")
    with pytest.raises(DialFailedError) as raised:
        run(dial, **DIAL)
    assert "Busy" == raised.value.reason


@pytest.mark.parametrize("task", ["dial", "send_dtmf"])
def test_a_task_that_is_delivered_twice_is_ignored(cm, board, call, task):
    """After a visibility timeout, by a broker that lost its acknowledgement …"""
    arguments = DIAL if task == "dial" else {"call_id": call["call_id"], "digits": "1"}
    command, before = getattr(tasks, task), len(cm.frames)
    run(command, **arguments, task_id="the-same")
    again = command.apply((), arguments, task_id="the-same")
    assert ("IGNORED", Ignore) == (again.state, type(again.result))
    assert before + 1 == len(cm.frames)


def test_a_command_is_passed_on_to_the_line_s_holder(app, board, call, cm):
    """Its line is another worker's by now: there it goes, as the same task."""
    line = board.own
    board.lines.clear()
    arguments = {"call_id": call["call_id"], "digits": "12"}
    again = send_dtmf.apply((), arguments, task_id="task-1", expires=60)
    assert "IGNORED" == again.state
    message = sent(app, f"{app.conf.telephony_queue}.{line.name}")
    assert ("task-1", arguments["digits"]) == (message.headers["id"], message.payload[1]["digits"])
    cm.assert_not_sent("send_dtmf")


def test_a_command_is_not_passed_on_for_ever(board, call):
    """Nobody holds the line for long."""
    board.lines.clear()
    hops = {tasks._HOPS: tasks.HOPS_MOST}
    result = hangup.apply((call["call_id"],), headers=hops)
    assert isinstance(result.result, NotConnectedError)


@pytest.mark.parametrize("expires", ["2020-01-01T00:00:00+00:00", "2020-01-01T00:00:00"])
def test_a_command_that_waited_for_too_long_is_not_sent(app, board, cm, expires):
    """Behind others in the worker's pool, where Celery does not look at the time again."""
    board.open()
    dial.push_request(id="late", expires=expires, called_directly=False)
    try:
        with pytest.raises(Ignore):
            dial.run(**DIAL)
    finally:
        dial.pop_request()
    with pytest.raises(TaskRevokedError):
        app.AsyncResult("late").get(timeout=SECONDS)
    cm.assert_not_dialed()


def test_outside_of_a_worker(app):
    """The task is called like a function in a process that holds no line."""
    with pytest.raises(NotConnectedError, match="this is no worker"):
        dial(**DIAL)


def test_what_is_kept_of_the_arguments_has_no_secret(board, monkeypatch):
    """With result_extended Celery keeps them with the result."""
    board.open()
    kept = []
    line_dial = board.own.dial
    monkeypatch.setattr(
        board.own, "dial", lambda *args: kept.append(dict(dial.request.kwargs)) or line_dial(*args)
    )
    run(dial, **DIAL)
    assert ("***", DIAL["to"]) == (kept[0]["token"], kept[0]["to"])


@pytest.mark.parametrize("name", tasks.COMMANDS)
def test_no_command_is_ever_done_twice_by_celery(app, name):
    """Whatever the app's defaults: acknowledged first, never retried, never requeued."""
    app.conf.update(
        task_acks_late=True, task_reject_on_worker_lost=True, task_track_started=True
    )
    task = app.tasks[f"telephony.{name}"]
    assert (False, False, False, 0, ()) == (
        task.acks_late, task.reject_on_worker_lost, task.track_started, task.max_retries,
        task.autoretry_for,
    )  # fmt: skip


def test_a_command_for_later_is_in_time_then(app):
    """Its time limit counts from when it is to be sent."""
    now = datetime.now(timezone.utc)
    dial.apply_async(kwargs=DIAL, countdown=3600)
    dial.apply_async(kwargs=DIAL, eta=now + timedelta(hours=1))
    for _ in range(2):
        expires = sent(app, app.conf.telephony_queue).headers["expires"]
        assert now + timedelta(hours=1, seconds=30) < datetime.fromisoformat(expires)


def test_a_command_sent_by_its_name(app, board, cm):
    """It has no time limit, so it might be placed an hour late: it is refused."""
    board.open()
    dial.push_request(id="by-name", expires=None, called_directly=False)
    try:
        with pytest.raises(NotConnectedError, match="dial.delay"):
            dial.run(**DIAL)
    finally:
        dial.pop_request()
    cm.assert_not_dialed()


def test_without_redis_nothing_is_sent(app, redis_server):
    """A dial could not be begun; whoever asks may ask again."""
    redis_server.connected = False
    with pytest.raises(NotConnectedError, match="dial was not sent"):
        dial.delay(**DIAL)


def test_without_a_broker_nobody_knows(app, monkeypatch):
    """It may have got the message all the same: this is no error to try again after."""
    app.conf.update(broker_url="amqp://127.0.0.1:9//", task_publish_retry=False)
    with pytest.raises(ConnectionLostError, match="the broker does not answer") as caught:
        dial.delay(**DIAL)
    assert "dial" == caught.value.action


def test_a_command_in_a_workers_hands_shows_no_secret(app):
    """Neither to ``celery inspect`` nor where it ends before it has begun."""
    app.conf.result_extended = True
    dial.apply_async(kwargs={**DIAL, "sip": SIP}, task_id="late")
    received = Received(sent(app, app.conf.telephony_queue), app=app, task=app.tasks[dial.name])
    received._announce_revoked("expired", False, None, True)
    kept = app.backend.get_task_meta("late")
    assert "REVOKED" == kept["status"]
    for shown in (repr(received.info()), repr(kept), repr(received.info(safe=False))):
        assert RTC_TOKEN not in shown and "pa55word" not in shown
    assert RTC_TOKEN == received.kwargs["token"]  # which the task is given
