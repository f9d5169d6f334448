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


Teller = Callable[[Any, tuple[Callback, ...]], object]


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
            tell: Teller = self._tell
            if type(event) is CallIncoming:
                if not wanting:
                    self._decline(event.call)
                    continue
                tell = self._offer
            elif not wanting:
                continue
            if hooks is not None:
                tell = self._timed(hooks, tell, len(jobs))
            jobs.append((call, tell, (event, wanting)))
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

    def _timed(self, hooks: Hooks, tell: Teller, before: int) -> Teller:
        """*tell* with the hooks told of it; so many jobs are about to be queued *before* it."""
        dispatcher, queued_at = self.dispatcher, time.monotonic()

        def timed(event: Any, wanting: tuple[Callback, ...]) -> None:
            hooks.callback_started(dispatcher.queued, time.monotonic() - queued_at)
            tell(event, wanting)

        hooks.callback_queued(dispatcher.queued + before + 1)
        return timed

    def _offer(self, event: CallIncoming, wanting: tuple[Callback, ...]) -> None:
        """Let the callbacks have an incoming call; one that none of them wants goes."""
        if not self._tell(event, wanting) and not event.call._claimed:
            self._decline(event.call)

    def _tell(self, event: Event, wanting: tuple[Callback, ...]) -> bool:
        """Call them one after the other; whether one of them returned True."""
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
        return wanted

