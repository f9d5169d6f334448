"""Events on their way to the callbacks that asked for them."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any, Callable, ContextManager, Iterable

from telephony.call import Call
from telephony.handlers import Callback, Handlers
from telephony.hooks import Hooks
from telephony.protocol.events import CallIncoming, ErrorOccurred, Event
from telephony.runtime import forks
from telephony.runtime.dispatcher import Dispatcher, Job

log = logging.getLogger("telephony")


#: So many events wait for callbacks at most; what comes then is followed, but told to nobody.
QUEUED_MOST = 200_000


class Callbacks:
    """Runs the callbacks that ``handlers`` names on the dispatcher's threads.

    A call's events share a lane, so its callbacks run one at a time and in order; the
    client's own events share another. ``decline`` is told of incoming calls nobody wanted.
    """

    def __init__(
        self,
        handlers: Handlers,
        workers: int,
        context: Callable[[], ContextManager[Any]] | None,
        decline: Callable[[Call], None],
        hooks: Hooks | None = None,
    ) -> None:
        self.handlers = handlers
        self.dispatcher = Dispatcher(workers)
        self._context = context
        self._decline = decline
        self._hooks = hooks
        self._pid = forks.pid
        self.dropped = 0

    def emit(self, events: Iterable[Event]) -> None:
        """Hand each event to its lane; runs on the reader's thread and never blocks."""
        hooks = self._hooks
        room = QUEUED_MOST - self.dispatcher.queued
        jobs: list[tuple[Call | None, Job]] = []
        for event in events:
            if hooks is not None:
                hooks.event_received(event.name)
            wanting = self.handlers.wanting(event)
            if wanting and len(jobs) >= room:
                self._drop(event)
                wanting = ()
            job: Job
            if isinstance(event, CallIncoming):
                if not wanting:
                    self._decline(event.call)
                    continue
                job = partial(self._offer, event, wanting)
            elif wanting:
                job = partial(self._tell, event, wanting)
            else:
                continue
            if hooks is not None:
                job = self._timed(hooks, job, len(jobs))
            jobs.append((getattr(event, "call", None), job))
        if jobs:
            self.dispatcher.submit_all(jobs)

    def _drop(self, event: Event) -> None:
        if self.dropped % 1000 == 0:
            log.error(
                "%d events wait for callbacks: %s is dropped, %d so far",
                QUEUED_MOST,
                event.name,
                self.dropped + 1,
            )
        self.dropped += 1

    def _timed(self, hooks: Hooks, job: Job, before: int) -> Job:
        """*job*, of which the hooks are told; so many are about to be queued *before* it."""
        dispatcher, queued_at = self.dispatcher, time.monotonic()

        def timed() -> None:
            hooks.callback_started(dispatcher.queued, time.monotonic() - queued_at)
            job()

        hooks.callback_queued(dispatcher.queued + before + 1)
        return timed

    def _offer(self, event: CallIncoming, wanting: tuple[Callback, ...]) -> None:
        """Let the callbacks have an incoming call; one that none of them wants goes."""
        results = self._tell(event, wanting)
        if not event.call._claimed and not any(result is True for result in results):
            self._decline(event.call)

    def _tell(self, event: Event, wanting: tuple[Callback, ...]) -> list[Any]:
        results = []
        for callback in wanting:
            try:
                if self._context is None:
                    results.append(callback(event))
                else:
                    with self._context():
                        results.append(callback(event))
            except BaseException as error:  # a worker must outlive whatever a callback raises
                if self._forked():
                    raise
                log.exception("a callback for %s failed", event.name)
                if not isinstance(event, ErrorOccurred):  # its own failures would go round
                    self.emit([ErrorOccurred(error=error)])
            if self._forked():
                raise SystemExit
        return results

    def _forked(self) -> bool:
        """Whether the callback forked and this is the child; all else happens in the parent."""
        return forks.pid != self._pid
