"""SIGINT and SIGTERM as the way to end ``Client.run_forever``."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Generator


class Stopped(BaseException):
    """Raised by the signals that end ``run_forever``."""


@contextlib.contextmanager
def stopped_by_signals() -> Generator[None, None, None]:
    """SIGINT and SIGTERM raise ``Stopped`` in here; elsewhere than on the main thread nothing.

    They raise, because a handler that sets an event can deadlock with the wait it interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        for number in before:  # a second one while we close must not tear that apart
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

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
