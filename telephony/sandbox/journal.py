"""What the clients sent, kept for assertions."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import islice
from typing import Any

from telephony.errors import WaitTimeoutError
from telephony.sandbox.words import Wanted

# A sandbox left running for weeks must not fill the memory.
KEPT_FRAMES = 100_000


class Journal:
    """The frames in order of arrival, readable from any thread."""

    def __init__(self) -> None:
        # Guards the three below; the sandbox's thread notifies, tests wait.
        self._arrived = threading.Condition()
        self._frames: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT_FRAMES)
        self._count = 0
        self._handed_out: set[int] = set()

    def record(self, frame: dict[str, Any]) -> None:
        """Add a frame and wake who waits for it."""
        with self._arrived:
            self._frames.append((self._count, frame))
            self._count += 1
            self._arrived.notify_all()

    def clear(self) -> None:
        """Forget all frames."""
        with self._arrived:
            self._frames.clear()
            self._handed_out.clear()

    def frames(self) -> list[dict[str, Any]]:
        """Return a copy of the list, oldest first."""
        with self._arrived:
            return [frame for _, frame in self._frames]

    def wait(self, wanted: Wanted, timeout: float | None) -> dict[str, Any]:
        """Return the oldest frame that fits and was not returned before, waiting for it."""
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        looked_at = 0
        with self._arrived:
            while True:
                dropped = self._count - len(self._frames)
                for number, frame in islice(self._frames, max(looked_at - dropped, 0), None):
                    if number not in self._handed_out and wanted.fits(frame):
                        self._handed_out.add(number)
                        return frame
                looked_at = self._count
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    break
                self._arrived.wait(remaining)
        raise WaitTimeoutError(
            f"no client sent {wanted} within {timeout:g} s\n{wanted.nearest(self._unused())}"
        )

    def _unused(self) -> list[dict[str, Any]]:
        """What was not returned by `wait` yet."""
        with self._arrived:
            return [f for number, f in self._frames if number not in self._handed_out]
