"""Events on their way to the callbacks that asked for them."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any, Callable, ContextManager

from telephony.call import Call
from telephony.handlers import Callback, Handlers
from telephony.hooks import Hooks
from telephony.protocol.events import CallIncoming, ErrorOccurred, Event
from telephony.runtime.dispatcher import Dispatcher

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
        self._context = context or contextlib.nullcontext
        self._decline = decline
        self._hooks = hooks
        self._pid = os.getpid()
        self.dropped = 0

    def emit(self, event: Event) -> None:
        """Hand *event* to its lane; runs on the reader's thread and never blocks."""
        if self._hooks is not None:
            self._hooks.event_received(event.name)
        wanting = self.handlers.wanting(event)
        call: Call | None = getattr(event, "call", None)
        if wanting and self.dispatcher.queued >= QUEUED_MOST:
            self._drop(event)
            wanting = []
        if isinstance(event, CallIncoming):
            if wanting:
                self._submit(call, lambda: self._offer(event, wanting))
            else:
                self._decline(event.call)
        elif wanting:
            self._submit(call, lambda: self._tell(event, wanting))

    def _drop(self, event: Event) -> None:
        if self.dropped % 1000 == 0:
            log.error(
                "%d events wait for callbacks: %s is dropped, %d so far",
                self.dispatcher.queued,
                event.name,
                self.dropped + 1,
            )
        self.dropped += 1

    def _submit(self, lane: Call | None, job: Callable[[], object]) -> None:
        hooks, dispatcher = self._hooks, self.dispatcher
        if hooks is None:
            dispatcher.submit(lane, job)
            return
        queued_at = time.monotonic()

        def timed() -> None:
            hooks.callback_started(dispatcher.queued, time.monotonic() - queued_at)
            job()

        hooks.callback_queued(dispatcher.queued + 1)
        dispatcher.submit(lane, timed)

    def _offer(self, event: CallIncoming, wanting: list[Callback]) -> None:
        """Let the callbacks have an incoming call; one that none of them wants goes."""
        results = self._tell(event, wanting)
        if not event.call._claimed and not any(result is True for result in results):
            self._decline(event.call)

    def _tell(self, event: Event, wanting: list[Callback]) -> list[Any]:
        results = []
        for callback in wanting:
            try:
                with self._context():
                    results.append(callback(event))
            except BaseException as error:  # a worker must outlive whatever a callback raises
                if self._forked():
                    raise
                log.exception("a callback for %s failed", event.name)
                if not isinstance(event, ErrorOccurred):  # its own failures would go round
                    self.emit(ErrorOccurred(error=error))
            if self._forked():
                raise SystemExit
        return results

    def _forked(self) -> bool:
        """Whether the callback forked and this is the child; all else happens in the parent."""
        return os.getpid() != self._pid
