"""The worker's part: what it refuses, what it starts, and which lines it looks after."""

from __future__ import annotations

import threading
import time
import types

import pytest
from celery import Celery, _state
from celery.exceptions import ImproperlyConfigured

from telephony import NotConnectedError, RegistrationError
from telephony.contrib.celery import Telephony, dial, hangup, tasks
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.store import Store
from telephony.contrib.celery.worker import Step, Switchboard
from tests.unit.contrib.celery.conftest import DIAL, SECONDS, names, until


@pytest.fixture
def worker(app, monkeypatch):
    """Makes workers that are not started, as the command line would."""
    monkeypatch.setattr(_state, "_task_join_will_block", False)  # which a worker's pool sets
    Telephony(app)

    def made(pool="threads", queues=None):
        app.amqp.queues.select(None)
        wanted = queues or [app.conf.telephony_queue]
        return app.WorkController(pool=pool, concurrency=1, queues=wanted)

    return made


def test_the_lines_start_first_and_end_last(worker):
    """Commands under way need them until the pool has finished."""
    assert isinstance(worker().steps[0], Step)


def test_tasks_find_their_app_in_every_thread(app, worker):
    """As in the threads of a web server, of which none made the app."""
    found = []
    thread = threading.Thread(target=lambda: found.append(dial.app))
    thread.start()
    thread.join(SECONDS)
    assert [app] == found


def test_another_default_app_stays(app, worker):
    """Who has several says which is the default."""
    other = Celery("other", broker="redis://broker")
    Telephony(other)
    assert _state.default_app is app
    other.close()


def test_prefork_is_refused(worker):
    """Its children would share one connection; the message says what to do."""
    with pytest.raises(ImproperlyConfigured, match="-P threads"):
        worker("prefork")


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools(worker, pool):
    """What does not fork is fine."""
    assert isinstance(worker(pool).steps[0], Step)


def test_other_queues_need_no_line(worker, app):
    """A worker for something else opens no line, forks as it likes, and needs no account."""
    app.conf.update(telephony_host=None, telephony_auth_token=None)
    assert not any(isinstance(step, Step) for step in worker("solo", ["mail"]).steps)


def test_a_worker_without_an_account_is_refused(worker, app):
    """It says which settings are missing."""
    app.conf.update(telephony_host=None)
    with pytest.raises(ImproperlyConfigured, match="telephony_host"):
        worker()


@pytest.mark.parametrize("attribute, value", [("acks_late", True), ("max_retries", 3)])
def test_annotations_cannot_have_a_command_done_twice(app, worker, attribute, value):
    """What would have Celery send a command again is refused before the worker starts."""
    app.conf.task_annotations = {"telephony.dial": {attribute: value}}
    with pytest.raises(ImproperlyConfigured, match=f"{attribute} of telephony.dial"):
        worker()


class Consumer:
    """What of Celery's consumer the lines use."""

    def __init__(self):
        self.queues = []
        self.task_consumer = types.SimpleNamespace(
            consuming_from=lambda name: name in self.queues
        )

    def call_soon(self, work):
        work()

    def add_task_queue(self, queue):
        self.queues.append(queue.name)

    def cancel_task_queue(self, name):
        self.queues.remove(name)


@pytest.fixture
def switchboard(app):
    """Makes the lines of several workers in this process; all are stopped in the end."""
    made = []

    def make(hostname="worker@here"):
        host = types.SimpleNamespace(app=app, hostname=hostname, consumer=Consumer())
        board = Switchboard(host, Settings.of(app))
        made.append(board)
        board.start()
        return board

    yield make
    for board in made:
        board.stop()


def test_a_worker_opens_a_line(app, switchboard, cm):
    """It takes commands from its queue, and hands it on when it ends."""
    board = switchboard()
    line = board.own_line()
    assert [f"{app.conf.telephony_queue}.{line.name}"] == board._worker.consumer.queues
    assert (True, line) == (line.client.connected, board.line(line.name))
    result = dial.apply((), DIAL).result
    board.stop()
    assert tasks.switchboards.get(app) is None
    assert (True, False) == (line.client.closed, cm.calls[0].ended)
    assert "call_initiated" in names(app, result["call_id"])  # heard before the dial had its answer


def test_a_worker_looks_after_the_lines_of_the_dead(app, switchboard, cm):
    """It takes their queues too, says Gap, and lets go of them when their calls have ended."""
    first, second = switchboard("worker@1"), switchboard("worker@2")
    tasks.switchboards[app] = first
    line = first.own_line()
    call_id = dial.apply((), DIAL).result["call_id"]
    first.stop()
    tasks.switchboards[app] = second
    until(lambda: second.line(line.name), "the taking over")
    assert 2 == len(second._worker.consumer.queues)
    until(lambda: second.line(line.name).client.connected, "its connection")
    assert "SUCCESS" == hangup.apply((call_id,)).state
    until(lambda: second.line(line.name) is None, "its end")
    assert 1 == len(second._worker.consumer.queues)
    assert "gap" in names(app, call_id)


def test_who_lives_keeps_its_line_when_redis_was_away(app, switchboard, cm, redis_server):
    """For longer than a lease; what was heard meanwhile is told, though another looked first."""
    first, second = switchboard("worker@1"), switchboard("worker@2")
    tasks.switchboards[app] = first
    line = first.own_line()
    call_id = dial.apply((), DIAL).result["call_id"]
    until(lambda: "agora_bridge_start" in names(app, call_id), "the bridge")
    look, renew, looks = second._store.lines_without_lease, first._store.renew, []
    looked_twice = threading.Event()

    def looking(**options):
        looks.append(look(**options))
        if len(looks) == 2:
            looked_twice.set()
        return looks[-1]

    def renewing(*arguments):
        assert looked_twice.wait(SECONDS)
        return renew(*arguments)

    redis_server.connected = False
    cm.peer(call_id).press("123")
    until(lambda: not line.held and second._looked is None, "the leases' end")
    second._store.lines_without_lease, first._store.renew = looking, renewing
    redis_server.connected = True
    assert looked_twice.wait(SECONDS)
    until(lambda: names(app, call_id).count("dtmf_received") == 3, "the digits")
    until(lambda: line.held and second._looked, "its being held again")
    assert (line, None) == (first.own_line(), second.line(line.name))
    assert "gap" not in names(app, call_id)


def test_a_lease_is_tried_again_soon_while_redis_is_away(app, switchboard, redis_server):
    """Those who look out wait for one lease, so that it has to be renewed before that is over."""
    line = switchboard().own_line()
    tries = []
    line._store.renew = lambda *_: tries.append(time.monotonic()) or _away()
    until(lambda: len(tries) >= 4, "the tries")
    del line._store.renew
    assert min(b - a for a, b in zip(tries, tries[1:])) < Settings.of(app).lease / 3


def _away():
    raise OSError("no Redis")


def test_a_new_worker_waits_for_one_lease(app, switchboard, redis):
    """Redis may just have come back: whoever lives renews its lease first."""
    store = Store(Settings.of(app))
    store.take("old", "token", "worker@0", new=True)
    redis.delete(store.key("lease", "old"))
    began = time.monotonic()
    switchboard()
    until(lambda: "old" not in store.lines(), "its being taken, and forgotten")
    assert Settings.of(app).lease <= time.monotonic() - began


@pytest.mark.parametrize("clock", [0, 1], ids=["stopped", "suspended"])
def test_who_did_not_look_for_long_waits_for_one_lease(app, switchboard, clock):
    """All workers may have been stopped, or the machine that they are on."""
    board = switchboard()
    board.stop()  # its look-out; no lines are left
    lease, now = Settings.of(app).lease, [time.monotonic(), time.time()]
    board._leases_count_from, board._looked = 0.0, tuple(now)
    assert board._leases_count()
    now[clock] -= lease + 1
    board._looked = tuple(now)
    assert not board._leases_count()
    assert not board._leases_count()


def test_a_lost_line_is_replaced(app, switchboard):
    """The worker goes on, on another one."""
    board = switchboard()
    line = board.own_line()
    board._store.redis.set(board._store.key("lease", line.name), "another")
    until(lambda: board._own is not None and board._own is not line, "another line")
    until(lambda: board.own_line().client.connected, "its connection")


def test_a_call_manager_that_is_away(app, switchboard, cm):
    """The worker starts, says so to those who dial, and is there when the Call Manager is."""
    cm.stop()
    board = switchboard()
    assert isinstance(dial.apply((), DIAL).result, NotConnectedError)
    cm.start()
    until(lambda: board.own_line().client.connected, "the connection", 2 * SECONDS)


def test_wrong_credentials_stop_the_worker(app, switchboard):
    """Nothing but another configuration can help."""
    app.conf.telephony_auth_token = "Basic wrong"
    with pytest.raises(RegistrationError):
        switchboard()
    assert tasks.switchboards.get(app) is None


def test_a_redis_that_is_away(app, switchboard, redis_server):
    """The worker starts, and opens its line when Redis is there."""
    redis_server.connected = False
    board = switchboard()
    with pytest.raises(NotConnectedError):
        board.own_line()
    redis_server.connected = True
    until(lambda: board._own, "the line")
