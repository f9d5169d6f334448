"""The clock that calls live by: real time, run faster or slower."""

from __future__ import annotations

import asyncio
from typing import Callable


class Clock:
    """Seconds of the call clock, ``scale`` of which pass in one real second."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scale: float) -> None:
        self._loop = loop
        self._scale = scale

    def now(self) -> float:
        """Return the call clock's reading, in seconds from an arbitrary start."""
        return self._loop.time() * self._scale

    def after(self, seconds: float, step: Callable[[], None]) -> asyncio.TimerHandle:
        """Take ``step`` when ``seconds`` have passed on this clock; the handle can cancel it."""
        return self._loop.call_later(seconds / self._scale, step)
