"""What becomes of the next dials: scripts that wait their turn."""

from __future__ import annotations

import threading
from collections import deque

import attrs

from telephony.errors import InvalidArgumentError
from telephony.sandbox.settings import digits_of

OUTCOMES = ("answer", "busy", "no_answer", "no_gateway", "invalid")

# How a call that ended before it was answered is spoken of in the dial's response.
REASONS = {
    "USER_BUSY": "Busy",
    "NO_ANSWER": "No Answer",
    "CALL_REJECTED": "Call Rejected",
    "UNALLOCATED_NUMBER": "Not Found",
    "ORIGINATOR_CANCEL": "Originator Cancel",
    "INVALID_NUMBER_FORMAT": "Invalid number",
}


@attrs.frozen
class DialScript:
    """One dial's fate. Times are seconds of the call clock; None is the outcome's usual time."""

    outcome: str = "answer"
    ring: float | None = None
    delay: float = 0.0
    respond: str = "answer"
    reason: str | None = None
    to: str | None = None
    direction: str = "outbound"
    composite_hangup: bool = False

    def __attrs_post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise InvalidArgumentError(
                f"outcome must be one of {', '.join(OUTCOMES)}, not {self.outcome!r}"
            )
        if self.respond not in ("answer", "early"):
            raise InvalidArgumentError(f"respond must be 'answer' or 'early', not {self.respond!r}")
        if self.direction not in ("outbound", "outbound_sip"):
            raise InvalidArgumentError(
                f"direction must be 'outbound' or 'outbound_sip', not {self.direction!r}"
            )
        for name, seconds in (("ring", self.ring), ("delay", self.delay)):
            if seconds is not None and seconds < 0:
                raise InvalidArgumentError(f"{name} must not be negative, is {seconds!r}")


class DialPlan:
    """The scripts not used yet, oldest first."""

    def __init__(self, respond: str) -> None:
        self._usual = DialScript(respond=respond)
        self._lock = threading.Lock()  # guards the scripts: tests add, the sandbox's thread takes
        self._scripts: deque[DialScript] = deque()

    def add(self, script: DialScript) -> None:
        """Keep ``script`` for a dial to come."""
        with self._lock:
            self._scripts.append(script)

    def clear(self) -> None:
        """Forget the scripts."""
        with self._lock:
            self._scripts.clear()

    def take(self, number: str) -> DialScript:
        """Return the oldest script that is for ``number`` or for any, and forget it."""
        with self._lock:
            for script in self._scripts:
                if script.to is None or digits_of(script.to) == digits_of(number):
                    self._scripts.remove(script)
                    return script
        return self._usual


def split_number(to: str) -> tuple[str, str]:
    """Return the number and the digits to send after the answer.

    Both spellings are known: ``+1555…;dtmf=1234#`` and ``+1555…#1234``.
    """
    number, mark, digits = to.partition(";dtmf=")
    if not mark:
        number, mark, digits = to.partition("#")
    return number, digits
