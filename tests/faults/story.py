"""What happened in one run of a schedule: what the application did, and what it was told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, Callable

import attrs

from telephony import (
    Call,
    CallEndedError,
    ClientClosedError,
    CommandRefusedError,
    Event,
    InvalidArgumentError,
    NotConnectedError,
    OutcomeUnknownError,
    WaitTimeoutError,
)

#: The promise is half a second; a shared machine may add this much. A hang would be for ever.
SLACK_SECONDS = 0.5 + 5.0

_ENDS: list[tuple[type[Exception], str]] = [
    (NotConnectedError, "not sent"),
    (ClientClosedError, "closed"),
    (OutcomeUnknownError, "unknown"),
    (CommandRefusedError, "refused"),
    (CallEndedError, "call ended"),
    (WaitTimeoutError, "time over"),
    (InvalidArgumentError, "invalid"),
]
#: The ends of commands of which the CM may have heard.
SENT = ("result", "refused", "unknown")


@attrs.define
class Deed:
    """One blocking method that the application called, and its end."""

    name: str
    timeout: float
    args: dict[str, Any]
    end: str = "under way"
    value: Any = None
    error: Exception | None = None
    call_id: str = ""
    seconds: float = 0.0


class Story:
    """The deeds and the events of one run; filled from many threads."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._lock = threading.Lock()  # guards all below
        self.deeds: list[Deed] = []
        self.events: list[Event] = []
        self.lines: list[str] = []
        self.faults: list[str] = []
        self._notes: Counter[str] = Counter()
        self._telling: set[Call] = set()

    def say(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self.began:6.3f} {text}")

    def note(self, text: str) -> None:
        """Something that is counted, since schedules are there to bring it about."""
        self._notes[text] += 1
        self.say(text)

    def fault(self, text: str) -> None:
        """Something that must not be."""
        self.faults.append(text)
        self.say(f"FAULT {text}")

    def check(self, good: bool, text: str) -> None:
        if not good:
            self.fault(text)

    def attempt(
        self,
        name: str,
        timeout: float,
        fn: Callable[[], Any],
        call: Call | None = None,
        **args: Any,
    ) -> Deed:
        """Call a blocking method; its end is noted, and whether it came in time."""
        deed = Deed(name, timeout, args, call_id=call.call_id if call is not None else "")
        with self._lock:
            self.deeds.append(deed)
        self.say(f"{name} {args or ''} {deed.call_id}")
        began = time.monotonic()
        try:
            deed.value = fn()
            deed.end = "result"
        except Exception as error:
            deed.error = error
            ends = [end for kind, end in _ENDS if isinstance(error, kind)]
            deed.end = ends[0] if ends else "unforeseen"
            if not ends:
                self.fault(f"{name} raised {error!r}")
        deed.seconds = time.monotonic() - began
        self.say(f"{name} -> {deed.end} {deed.error or ''}")
        if deed.seconds > timeout + SLACK_SECONDS:
            self.fault(f"{name} took {deed.seconds:.1f} s, its timeout was {timeout:g} s")
        return deed

    def tell(self, event: Event) -> None:
        """As a callback for all events: those of one call must not overlap."""
        call = getattr(event, "call", None)
        with self._lock:
            self.events.append(event)
            if call is not None:
                if call in self._telling:
                    self.fault(f"two callbacks at once for {call!r}")
                self._telling.add(call)
        error = getattr(event, "error", None)
        self.say(f"told {event.name} {call or ''} {error or ''}")

    def told(self, event: Event) -> None:
        """As the last callback for all events."""
        with self._lock:
            self._telling.discard(getattr(event, "call", None))

    def of(self, kind: type[Event]) -> list[Any]:
        with self._lock:
            return [event for event in self.events if isinstance(event, kind)]

    def counts(self) -> Counter[str]:
        """How often each method came to each end, and each event was told."""
        with self._lock:
            counts = Counter(f"{deed.name}: {deed.end}" for deed in self.deeds)
            counts.update(f"told {event.name}" for event in self.events)
            return counts + self._notes
