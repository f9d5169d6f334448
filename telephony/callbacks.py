"""Events on their way to the callbacks that asked for them."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, ContextManager, Sequence

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
        self.dispatcher = Dispatcher(workers, self._perform)
        self._context = context
        self._decline = decline
        self._hooks = hooks
        self._pid = forks.pid
        self.dropped = 0

    def emit(self, events: Sequence[Event]) -> None:
        """Hand each event to its lane; runs on the reader's thread and never blocks."""
        hooks, wanting_of = self._hooks, self.handlers.wanting
        room = QUEUED_MOST - self.dispatcher.queued
        crowded = room < len(events)
        jobs: list[Job] = []
        for event in events:
            if hooks is not None:
                hooks.event_received(event.name)
            call = getattr(event, "call", None)
            wanting = wanting_of(event, call)
            if crowded and wanting and len(jobs) >= room:
                self._drop(event)
                wanting = ()
            if not wanting:
                if type(event) is CallIncoming:
                    self._decline(event.call)
                continue
            now = 0.0
            if hooks is not None:
                now = time.monotonic()
                hooks.callback_queued(self.dispatcher.queued + len(jobs) + 1)
            jobs.append((call, event, wanting, now))
        if jobs:
            self.dispatcher.submit(jobs)

    def _drop(self, event: Event) -> None:
        if self.dropped % 1000 == 0:
            log.error(
                "%d events wait for callbacks: %s is dropped, %d so far",
                QUEUED_MOST,
                event.name,
                self.dropped + 1,
            )
        self.dropped += 1

    def _perform(self, job: tuple[Call | None, Event, tuple[Callback, ...], float]) -> None:
        """Let the callbacks that want it have an event, one after the other.

        An incoming call that is not claimed, and for which none of them returned True, goes.
        """
        _, event, wanting, queued_at = job
        if self._hooks is not None:
            waited = time.monotonic() - queued_at
            self._hooks.callback_started(self.dispatcher.queued, waited)
        wanted = False
        for callback in wanting:
            try:
                if self._context is None:
                    answer = callback(event)
                else:
                    with self._context():
                        answer = callback(event)
                if answer is True:
                    wanted = True
            except BaseException as error:  # a worker must outlive whatever a callback raises
                if forks.pid != self._pid:  # the callback forked, and all else is the parent's
                    raise
                log.exception("a callback for %s failed", event.name)
                if not isinstance(event, ErrorOccurred):  # its own failures would go round
                    self.emit([ErrorOccurred(error=error)])
            if forks.pid != self._pid:
                raise SystemExit
        if type(event) is CallIncoming and not wanted and not event.call._claimed:
            self._decline(event.call)
