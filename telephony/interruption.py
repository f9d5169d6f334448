"""Ctrl-C, and SIGTERM, which is taken for the same."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Iterator

if TYPE_CHECKING:
    from telephony.output import Output

_HELD = b"telephony: interrupted: hanging up as soon as it can be (again: leave at once)\n"


@contextlib.contextmanager
def on_interruption(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """SIGINT and SIGTERM are for *handler* in here, in background jobs of a shell too."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, earlier in zip(numbers, before):
            signal.signal(number, earlier)


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
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        if not self._out.broken:
            os.write(2, _HELD)  # a stream may be in use by what this interrupts

    def check(self) -> None:
        """Raise what was held back."""
        if self._interrupted:
            raise KeyboardInterrupt
