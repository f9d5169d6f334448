"""Callbacks on a bounded set of worker threads, in order per lane.

A lane is whatever must stay in order (a call); jobs of one lane run one at a time in the
order they came, lanes run side by side. Workers are our own daemon threads, made as needed:
``concurrent.futures`` joins its threads at exit, so that one stuck callback would hang a
script, and it keeps no order.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any, Callable, Hashable, Sequence

from telephony.runtime import forks
from telephony.runtime.deadline import Deadline

log = logging.getLogger("telephony")

#: The lane, and whatever else says what is to be done.
Job = tuple[Any, ...]

#: A worker with nothing to do ends after this many seconds.
IDLE_SECONDS = 30.0


class Dispatcher:
    """Has *perform* called with each job, on at most *workers* threads.

    What it raises is logged, and ends no worker.
    """

    def __init__(self, workers: int, perform: Callable[[Job], object]) -> None:
        self._most = workers
        self._perform = perform
        self.lock = threading.Lock()  # guards everything below; never held while a job runs
        self._quiet = threading.Condition(self.lock)
        # A lane is here while a job of it is ready or runs; the deque is made for a second one.
        self._lanes: dict[Hashable, deque[Job] | None] = {}
        self._ready: deque[Job] = deque()  # the next job of each lane
        self._threads: set[threading.Thread] = set()
        # A worker that waits for work waits for a lock of its own, which it holds. A Condition
        # takes a tenth more time, and wakes the one that slept longest instead of the quickest.
        self._asleep: list[threading.Lock] = []
        self._waking = False  # a worker was woken or started, and has not looked yet
        self._queued = 0
        self._running = 0  # workers that have a job, or look for one with the lock held
        self._drains = 0  # threads that wait in drain() …
        self._draining = 0  # … and those of them that are jobs
        self._numbers = 0
        self._stopped = False
        self._pid = forks.pid

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return self._queued

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have each done after all that was submitted to its lane before. Never blocks for long.

        The lock is taken once for all of them.
        """
        lanes, ready = self._lanes, self._ready
        with self.lock:
            self._queued += len(jobs)
            for job in jobs:
                lane = job[0]
                if lane not in lanes:
                    lanes[lane] = None
                    ready.append(job)
                    continue
                waiting = lanes[lane]
                if waiting is None:
                    lanes[lane] = deque((job,))
                else:
                    waiting.append(job)
            self._wake_one()

    def _wake_one(self) -> None:
        """Have one more worker look, if there is work. Wants the lock.

        One at a time: who is woken wakes the next if there is more, so that none is woken (or
        started) for work that is done by then.
        """
        if self._ready and not self._waking:
            if self._asleep:
                self._wake()
                self._waking = True  # not sooner: Ctrl-C in between must not leave it so
            elif len(self._threads) < self._most:
                self._waking = self._start_worker()

    def _wake(self) -> None:
        """Wake the worker that fell asleep last. Wants the lock.

        Ctrl-C may come in between: then it is woken, and takes itself off the list.
        """
        alarm = self._asleep[-1]
        if alarm.locked():
            alarm.release()
        self._asleep.pop()

    def stop(self) -> None:
        """Workers end once nothing is left to run; what is queued still runs."""
        with self.lock:
            self._stopped = True
            while self._asleep:
                self._wake()

    def drain(self, timeout: float) -> bool:
        """Wait at most *timeout* seconds until all jobs have run; true if they have.

        A job that waits here waits neither for itself nor for others that do.
        """
        deadline = Deadline(timeout)
        with self.lock:
            own = threading.current_thread() in self._threads
            self._drains += 1
            self._draining += own
            try:
                self._quiet.notify_all()  # to others in here this job is one less to wait for
                while self._queued or self._running > (self._draining if own else 0):
                    if not self._threads:  # none could be started
                        return False
                    if not self._quiet.wait(deadline.remaining()) and deadline.expired:
                        return False
                return True
            finally:
                self._drains -= 1
                self._draining -= own

    def join(self, timeout: float) -> None:
        """Wait at most *timeout* seconds for idle workers to be gone, after ``stop``."""
        deadline = Deadline(timeout)
        with self.lock:
            threads = [] if self._running else list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(deadline.remaining())

    def _start_worker(self) -> bool:
        """Whether there is one more."""
        self._numbers += 1
        thread = threading.Thread(
            target=self._run, name=f"telephony-callback-{self._numbers}", daemon=True
        )
        self._threads.add(thread)
        try:
            thread.start()
            return True
        except RuntimeError:  # no more threads to be had: those there are must do
            self._threads.discard(thread)
            ending = not threading.main_thread().is_alive()  # in exit handlers Python has none
            level = logging.DEBUG if ending else logging.ERROR
            log.log(
                level, "no thread could be started for callbacks; %d there are", len(self._threads)
            )
            return False
        except BaseException:  # Ctrl-C
            if thread.ident is None:
                self._threads.discard(thread)
            raise

    def _run(self) -> None:
        me, alarm = threading.current_thread(), threading.Lock()
        alarm.acquire()
        ready, lanes, lock, perform = self._ready, self._lanes, self.lock, self._perform
        pid, most = self._pid, self._most
        lock.acquire()
        self._waking = False
        self._running += 1
        while ready or self._sleep(alarm):
            job = ready.popleft()
            if ready and self._running < most and not self._waking:
                self._wake_one()
            self._queued -= 1
            lock.release()
            try:
                perform(job)
            except BaseException:
                if forks.pid != pid:
                    raise
                log.exception("a job failed")
            if forks.pid != pid:
                # The job forked, and this is the child, whose only thread this one is: the queue
                # and its lock are the parent's. The end of the thread is the end of the child.
                return
            lock.acquire()
            lane = job[0]
            waiting = lanes[lane]
            if waiting:
                ready.append(waiting.popleft())
            else:
                del lanes[lane]
            if self._drains:
                self._quiet.notify_all()
        self._running -= 1
        self._quiet.notify_all()
        self._threads.discard(me)
        lock.release()

    def _sleep(self, alarm: threading.Lock) -> bool:
        """Wait for work: true with a lane ready, false to end this worker. Wants the lock."""
        while not self._ready:
            if self._stopped:
                return False
            self._running -= 1
            self._asleep.append(alarm)
            if self._drains:
                self._quiet.notify_all()
            self.lock.release()
            woken = alarm.acquire(timeout=IDLE_SECONDS)
            self.lock.acquire()
            self._running += 1
            self._waking = False
            if alarm in self._asleep:
                self._asleep.remove(alarm)
                if not woken:
                    return bool(self._ready)
            alarm.acquire(blocking=False)  # if it was woken just when the time was over
        return True
