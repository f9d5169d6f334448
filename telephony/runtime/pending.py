"""One slot per command under way, where its caller waits for the end."""

from __future__ import annotations

import threading

from telephony.errors import TelephonyError
from telephony.protocol.wire import Frame
from telephony.runtime.deadline import wait

#: So many slots are kept for the commands to come.
SPARE_MOST = 100


class Slot:
    """Where one caller waits; it is filled once, with a response or an error (or both)."""

    __slots__ = ("_filled", "response", "error")

    def __init__(self) -> None:
        self._filled = threading.Event()
        self.response: Frame | None = None
        self.error: TelephonyError | None = None

    def wait(self, timeout: float | None) -> bool:
        """Wait at most *timeout* seconds (None: for ever); true if the slot is filled."""
        return wait(self._filled, timeout)

    def fill(self, response: Frame | None, error: TelephonyError | None) -> None:
        self.response = response
        self.error = error
        self._filled.set()

    def clear(self) -> None:
        """Make it as new; waits until ``fill`` is done with it."""
        self._filled.clear()
        self.response = self.error = None

    def result(self) -> Frame:
        """The response; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        assert self.response is not None
        return self.response


class Pending:
    """The slots by ``request_id``. Single dict operations are atomic: no lock of its own."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        # Slots that nobody looks at any more: to make an Event takes 8 µs, to use one again 2.
        self._spare: list[Slot] = []

    def add(self, request_id: str) -> Slot:
        try:
            slot = self._spare.pop()
        except IndexError:
            slot = Slot()
        self._slots[request_id] = slot
        return slot

    def put_back(self, slot: Slot) -> None:
        """Its caller has the result, and lets go of it."""
        if len(self._spare) < SPARE_MOST:
            slot.clear()
            self._spare.append(slot)

    def remove(self, request_id: str) -> None:
        self._slots.pop(request_id, None)

    def fill(self, request_id: str, response: Frame | None, error: TelephonyError | None) -> None:
        slot = self._slots.pop(request_id, None)
        if slot is not None:
            slot.fill(response, error)
