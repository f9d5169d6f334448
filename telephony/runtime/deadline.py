"""One total time limit, carried through the steps of an operation."""

from __future__ import annotations

import threading
import time

#: On the main thread no wait is longer than this many seconds at a time.
SLICE_SECONDS = 0.5


def wait(event: threading.Event, seconds: float | None) -> bool:
    """Wait at most *seconds* (None: for ever) for *event*; whether it is set.

    CPython can miss a signal that comes just as a wait begins, and then Ctrl-C does nothing
    until the wait is over. Signals are the main thread's, so there the wait is cut in slices.
    """
    if seconds is not None and seconds <= SLICE_SECONDS:
        return event.wait(seconds)
    # The first slice on any thread: mostly it is enough, and nothing has to be looked up.
    if event.wait(SLICE_SECONDS):
        return True
    deadline = Deadline(None if seconds is None else seconds - SLICE_SECONDS)
    while True:
        left = deadline.remaining()
        main = threading.current_thread() is threading.main_thread()
        if not main or (left is not None and left <= SLICE_SECONDS):
            return event.wait(left)
        if event.wait(SLICE_SECONDS):
            return True


class Deadline:
    """A moment on the monotonic clock, or never.

    Every step of an operation asks what is left, so that ten steps of a second each cannot
    make ten seconds of a one-second limit.
    """

    __slots__ = ("at",)

    def __init__(self, seconds: float | None) -> None:
        self.at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, never below zero; None if there is no limit."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    def at_most(self, seconds: float) -> Deadline:
        """This one, or one in *seconds* if that is sooner."""
        latest = time.monotonic() + seconds
        return self if self.at is not None and self.at <= latest else Deadline(seconds)

    @property
    def expired(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at
