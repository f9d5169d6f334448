"""Jobs in order per lane, side by side across lanes, on a bounded number of threads."""

from __future__ import annotations

import threading

import pytest

from telephony.runtime import dispatcher as module
from telephony.runtime.deadline import Deadline
from telephony.runtime.dispatcher import Dispatcher
from tests.scripted import Running

SECONDS = 30.0


class Gate:
    """A job that says it has begun and waits to be let go."""

    def __init__(self, then=lambda: None):
        self.begun = threading.Event()
        self.go = threading.Event()
        self._then = then

    def __call__(self):
        self.begun.set()
        assert self.go.wait(SECONDS)
        self._then()


class Simple(Dispatcher):
    """Its jobs are functions, submitted one by one."""

    def __init__(self, workers):
        super().__init__(workers, lambda job: job[1]())

    def submit(self, lane, function):
        super().submit([(lane, function)])


@pytest.fixture
def make():
    """Makes dispatchers, and ends them with the test."""
    made = []

    def make(workers):
        made.append(Simple(workers))
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.stop()
        assert dispatcher.drain(SECONDS)
        dispatcher.join(SECONDS)


def callback_threads():
    return {t for t in threading.enumerate() if t.name.startswith("telephony-callback-")}


def test_making_one_starts_no_thread(make):
    """They come with the work."""
    before = callback_threads()
    make(16)
    assert before == callback_threads()


def test_one_lane_keeps_its_order(make):
    """With many workers and jobs from one thread."""
    dispatcher, seen = make(8), []
    for i in range(2000):
        dispatcher.submit("a", lambda i=i: seen.append(i))
    assert dispatcher.drain(SECONDS)
    assert list(range(2000)) == seen


def test_lanes_keep_their_order_among_each_other(make):
    """Whichever worker runs them."""
    dispatcher = make(4)
    seen = {lane: [] for lane in range(50)}
    for i in range(40):
        for lane in seen:
            dispatcher.submit(lane, lambda lane=lane, i=i: seen[lane].append(i))
    assert dispatcher.drain(SECONDS)
    assert {lane: list(range(40)) for lane in range(50)} == seen


def test_one_lane_never_runs_two_jobs_at_once(make):
    """Also when several threads submit to it."""
    dispatcher, inside, most = make(8), [], []

    def job():
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    def submit():
        for _ in range(500):
            dispatcher.submit("a", job)

    for thread in [Running(submit) for _ in range(4)]:
        thread.result()
    assert dispatcher.drain(SECONDS)
    assert 2000 == len(most)
    assert {1} == set(most)


def test_lanes_run_side_by_side(make):
    """Each of two jobs waits until the other one runs."""
    dispatcher, both = make(2), threading.Barrier(2, timeout=SECONDS)
    dispatcher.submit("a", both.wait)
    dispatcher.submit("b", both.wait)
    assert dispatcher.drain(SECONDS)
    assert not both.broken


def test_a_blocked_lane_holds_up_no_other(make):
    """As long as there is a worker left."""
    dispatcher, gate, done = make(2), Gate(), threading.Event()
    dispatcher.submit("a", gate)
    dispatcher.submit("a", lambda: None)
    assert gate.begun.wait(SECONDS)
    dispatcher.submit("b", done.set)
    assert done.wait(SECONDS)
    assert 1 == dispatcher.queued
    gate.go.set()


def test_no_more_threads_than_workers(make):
    """What does not fit waits, and runs when a worker is free again."""
    dispatcher, before = make(3), callback_threads()
    gates = [Gate() for _ in range(5)]
    for lane, gate in enumerate(gates):
        dispatcher.submit(lane, gate)
    for gate in gates[:3]:
        assert gate.begun.wait(SECONDS)
    assert 2 == dispatcher.queued
    assert 3 == len(callback_threads() - before)
    assert not gates[3].begun.is_set()
    gates[1].go.set()
    assert gates[3].begun.wait(SECONDS)
    for gate in gates:
        gate.go.set()
    assert gates[4].begun.wait(SECONDS)


def test_a_busy_lane_does_not_starve_the_others(make):
    """With one worker, a lane with much to do goes to the end of the queue after each job."""
    dispatcher, gate, seen = make(1), Gate(), []
    dispatcher.submit("gate", gate)
    assert gate.begun.wait(SECONDS)
    for i in range(5):
        dispatcher.submit("a", lambda i=i: seen.append(f"a{i}"))
    dispatcher.submit("b", lambda: seen.append("b"))
    gate.go.set()
    assert dispatcher.drain(SECONDS)
    assert ["a0", "b", "a1"] == seen[:3]


def test_workers_are_used_again(make):
    """Jobs one after the other need but one thread."""
    dispatcher, threads = make(16), set()
    for lane in range(20):
        dispatcher.submit(lane, lambda: threads.add(threading.current_thread()))
        assert dispatcher.drain(SECONDS)
    assert 1 <= len(threads) < 16
    assert all(thread.daemon for thread in threads)


def test_idle_workers_end(make, monkeypatch):
    """And come back with the work."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    dispatcher, workers = make(2), []
    for _ in range(2):
        dispatcher.submit("a", lambda: workers.append(threading.current_thread()))
        assert dispatcher.drain(SECONDS)
        workers[-1].join(SECONDS)
        assert not workers[-1].is_alive()
    assert workers[0] is not workers[1]


def test_a_job_may_submit_jobs(make):
    """To its own lane and to others."""
    dispatcher, seen = make(1), []

    def first():
        dispatcher.submit("a", lambda: seen.append("own"))
        dispatcher.submit("b", lambda: seen.append("other"))
        seen.append("first")

    dispatcher.submit("a", first)
    assert dispatcher.drain(SECONDS)
    assert "first" == seen[0]
    assert {"own", "other"} == set(seen[1:])


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, BaseException])
def test_a_job_that_raises_stops_nothing(make, caplog, error):
    """What it raised is logged; the jobs behind it on its lane run."""
    dispatcher, done = make(1), threading.Event()

    def fail():
        raise error("of the job")

    gate = Gate(fail)
    dispatcher.submit("a", gate)
    assert gate.begun.wait(SECONDS)
    dispatcher.submit("a", done.set)
    gate.go.set()
    assert done.wait(SECONDS)
    assert dispatcher.drain(SECONDS)
    assert "of the job" in caplog.text


# --- drain -----------------------------------------------------------------------------------


def test_nothing_to_drain(make):
    """It returns at once, also with no time."""
    assert make(1).drain(0)


def test_drain_waits_for_running_and_queued_jobs(make):
    """And says whether they are done."""
    dispatcher, gate, done = make(1), Gate(), threading.Event()
    dispatcher.submit("a", gate)
    dispatcher.submit("a", done.set)
    assert gate.begun.wait(SECONDS)
    assert not dispatcher.drain(0.01)
    draining = Running(dispatcher.drain, SECONDS)
    gate.go.set()
    assert draining.result()
    assert done.is_set()


def test_drain_within_a_job_does_not_wait_for_itself(make):
    """But for the jobs of the others."""
    dispatcher, gate, drained = make(2), Gate(), []
    dispatcher.submit("b", gate)
    assert gate.begun.wait(SECONDS)

    def drain():
        drained.append(dispatcher.drain(0))
        gate.go.set()
        drained.append(dispatcher.drain(SECONDS))

    dispatcher.submit("a", drain)
    assert dispatcher.drain(SECONDS)
    assert [False, True] == drained


def test_two_jobs_that_drain_do_not_wait_for_each_other(make):
    """``close(drain=…)`` in two callbacks at once."""
    dispatcher, both, drained = make(2), threading.Barrier(2, timeout=SECONDS), []

    def drain():
        both.wait()
        drained.append(dispatcher.drain(60))

    dispatcher.submit("a", drain)
    dispatcher.submit("b", drain)
    assert Running(dispatcher.drain, SECONDS).result(2 * SECONDS)
    assert [True, True] == drained


def test_drain_outside_waits_for_a_job_that_drains(make):
    """To those who are no job themselves it is a running job as any other."""
    dispatcher = make(2)
    for _ in range(200):
        gate, done = Gate(), threading.Event()

        def drain(done=done):
            dispatcher.drain(SECONDS)
            done.set()

        dispatcher.submit("b", gate)
        assert gate.begun.wait(SECONDS)
        draining = Running(lambda done=done: (dispatcher.drain(SECONDS), done.is_set()))
        dispatcher.submit("a", drain)
        gate.go.set()
        assert (True, True) == draining.result()


# --- stop and join ---------------------------------------------------------------------------


def test_what_is_queued_still_runs_after_stop(make):
    """Then the workers end."""
    dispatcher, gate, seen = make(1), Gate(), []
    dispatcher.submit("a", gate)
    assert gate.begun.wait(SECONDS)
    for i in range(3):
        dispatcher.submit(i, lambda i=i: seen.append((i, threading.current_thread())))
    dispatcher.stop()
    gate.go.set()
    assert dispatcher.drain(SECONDS)
    assert [0, 1, 2] == [i for i, _ in seen]
    seen[0][1].join(SECONDS)
    assert not seen[0][1].is_alive()


def test_a_job_after_stop_runs(make):
    """The last events of a client are still told; no worker stays for more."""
    dispatcher, seen = make(1), []
    dispatcher.submit("a", lambda: seen.append(threading.current_thread()))
    assert dispatcher.drain(SECONDS)
    dispatcher.stop()
    seen[0].join(SECONDS)
    assert not seen[0].is_alive()
    dispatcher.submit("a", lambda: seen.append(threading.current_thread()))
    assert dispatcher.drain(SECONDS)
    assert 2 == len(seen)
    seen[1].join(SECONDS)
    assert not seen[1].is_alive()


def test_join_waits_for_idle_workers(make):
    """So that a closed client leaves no thread behind."""
    dispatcher, four = make(4), threading.Barrier(4, timeout=SECONDS)
    for lane in range(4):
        dispatcher.submit(lane, four.wait)
    assert dispatcher.drain(SECONDS)
    assert 4 == len(dispatcher._threads)
    dispatcher.stop()
    dispatcher.join(SECONDS)
    assert set() == dispatcher._threads


def test_join_does_not_wait_for_a_job_that_is_stuck(make):
    """Only for idle workers: a stuck callback must not hang a script's end."""
    dispatcher, gate = make(1), Gate()
    dispatcher.submit("a", gate)
    assert gate.begun.wait(SECONDS)
    dispatcher.stop()
    Running(dispatcher.join, 60).result(SECONDS)
    assert not gate.go.is_set()
    gate.go.set()


def test_join_within_a_job_does_not_wait_for_itself(make):
    """``close()`` in a callback."""
    dispatcher, done = make(1), threading.Event()

    def job():
        dispatcher.stop()
        dispatcher.join(60)
        done.set()

    dispatcher.submit("a", job)
    assert done.wait(SECONDS)


def test_no_thread_can_be_had(make, monkeypatch, caplog):
    """The job waits; it runs when there are threads again."""
    dispatcher, first, second = make(2), threading.Event(), threading.Event()

    def no_threads(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_threads)
        dispatcher.submit("a", first.set)
    assert "no thread" in caplog.text
    assert 1 == dispatcher.queued
    dispatcher.submit("b", second.set)
    assert first.wait(SECONDS)
    assert second.wait(SECONDS)


class Interrupted(list):
    """Ctrl-C comes right after the first item was taken off."""

    rest = None

    def pop(self):
        item = super().pop()
        if self.rest is None:
            self.rest = True
            raise KeyboardInterrupt
        return item


@pytest.mark.parametrize("do", [lambda d: d.submit("a", lambda: None), lambda d: d.stop()])
def test_ctrl_c_while_a_worker_is_woken(make, do):
    """It is woken all the same, and the next jobs wake workers too."""
    dispatcher, done = make(2), threading.Event()
    dispatcher.submit("a", lambda: None)
    assert dispatcher.drain(SECONDS)
    asleep(dispatcher)
    dispatcher._asleep = Interrupted(dispatcher._asleep)
    with pytest.raises(KeyboardInterrupt):
        do(dispatcher)
    for lane in "bc":
        dispatcher.submit(lane, done.set)
    assert done.wait(SECONDS)
    assert dispatcher.drain(SECONDS)


def test_a_worker_woken_just_when_its_time_is_over(make, monkeypatch):
    """Neither it nor anybody else hangs, and it sleeps again."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    dispatcher, seen = make(1), []
    for number in range(50):
        dispatcher.submit("a", lambda number=number: seen.append(number))
        assert dispatcher.drain(SECONDS)
        with dispatcher.lock:
            if dispatcher._asleep:
                dispatcher._wake()
    assert list(range(50)) == seen


def asleep(dispatcher):
    """Wait until a worker is asleep."""
    deadline = Deadline(SECONDS)
    while not deadline.expired:
        with dispatcher.lock:
            if dispatcher._asleep:
                return
    raise AssertionError("no worker fell asleep")
