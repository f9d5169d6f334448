"""How late this machine is just now, for tests that hold a promise in seconds against it."""

from __future__ import annotations

import threading
import time

_EVERY = 0.05


class Pulse:
    """Waits over and over while the test runs; ``late`` is by how much at most it woke too late.

    A machine that others use may let a thread wait for seconds; a deadline of ours that does not
    hold leaves this one as punctual as ever.
    """

    def __init__(self) -> None:
        self.late = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse")

    def _beat(self) -> None:
        due = time.monotonic() + _EVERY
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            self.late = max(self.late, now - due)
            due = now + _EVERY

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
