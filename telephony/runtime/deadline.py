"""One total time limit, carried through the steps of an operation."""

from __future__ import annotations

import time


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

    @property
    def expired(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at
