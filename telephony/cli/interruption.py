"""Ctrl-C, and SIGTERM and SIGHUP (the terminal is closed), which are taken for the same."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Generator

if TYPE_CHECKING:
    from telephony.cli.output import Output

#: A signal may wait this long to be noticed.
NOTICE_SECONDS = 0.5


@contextlib.contextmanager
def on_interruption(handler: Callable[[int, FrameType | None], Any]) -> Generator[None, None, None]:
    """SIGINT, SIGTERM and SIGHUP are for *handler* in here, in background jobs of a shell too.

    But not a SIGHUP that is ignored: so does nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        with _noticed():
            yield
    finally:
        for number, earlier in zip(numbers, before):
            signal.signal(number, earlier)


@contextlib.contextmanager
def _noticed() -> Generator[None, None, None]:
    """Have the main thread look up from whatever it waits for, now and then.

    CPython's waits for locks and queues check for signals, and then wait: a signal that comes
    in between is not noticed before the next one. So there is always a next one.
    """
    if not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0):
        yield  # no such timer here, or it is somebody's already
        return
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, NOTICE_SECONDS, NOTICE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class Patience:
    """``held()``: the first interruption is only noted, a second one raises.

    A dial that is dropped half-way leaves a call that nobody can hang up: its id comes with
    the answer.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._interrupted = False

    def held(self) -> ContextManager[None]:
        return on_interruption(self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._out.obeys(number):
            return
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._out.held()

    def check(self) -> None:
        """Raise what was held back."""
        if self._interrupted:
            raise KeyboardInterrupt
