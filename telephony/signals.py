"""SIGINT and SIGTERM as the way to end ``Client.run_forever``."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from typing import Callable, Generator


class Stopped(BaseException):
    """Raised by the signals that end ``run_forever``."""


@contextlib.contextmanager
def stopped_by_signals(elsewhere: Callable[[], None]) -> Generator[None, None, None]:
    """SIGINT and SIGTERM raise ``Stopped`` in here; elsewhere than on the main thread nothing.

    They raise, because a handler that sets an event can deadlock with the wait it interrupts.
    Under gevent a signal interrupts whichever greenlet runs, and must raise in no other than
    this one: then *elsewhere* is called instead, in a greenlet of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        for number in before:  # a second one while we close must not tear that apart
            signal.signal(number, signal.SIG_IGN)
        if threading.get_ident() == ours:
            raise Stopped
        _thread.start_new_thread(elsewhere, ())

    ours = threading.get_ident()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, stop)
        yield
    except Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
