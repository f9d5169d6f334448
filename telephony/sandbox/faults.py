"""How the Call Manager misbehaves when it is told to."""

from __future__ import annotations

import random
from typing import Any

import attrs

from telephony.errors import InvalidArgumentError
from telephony.sandbox.calls import Reply


@attrs.frozen
class Refusal:
    """A refusal in one of the three forms the Call Manager has for one.

    ``error``: an ``error`` string; ``data``: ``success`` is false, with a reason;
    ``status``: a ``status_code`` of 400 and above (for a registration, another ``status``).
    """

    reason: str
    form: str = "error"
    status_code: int = 404

    def __attrs_post_init__(self) -> None:
        if self.form not in ("error", "data", "status"):
            raise InvalidArgumentError(f"form must be error, data or status, not {self.form!r}")
        if self.status_code < 400:
            raise InvalidArgumentError(f"status_code must be 400 or more, is {self.status_code}")

    def reply(self) -> Reply:
        """Return it as the answer to a command."""
        if self.form == "error":
            return Reply(error=self.reason, status=500)
        if self.form == "data":
            return Reply({"success": False, "reason": self.reason})
        code = self.status_code
        return Reply({"reason": self.reason}, status=code, status_code=code)

    def of_registration(self) -> dict[str, str]:
        """Return it as the answer to a registration."""
        return {"status" if self.form == "status" else "error": self.reason}


class Faults:
    """The faults in force. Changed and read on the sandbox's thread only."""

    def __init__(self) -> None:
        self.silent = False
        self.duplicate = False
        self._shuffler: random.Random | None = None
        self._refusals: list[tuple[Refusal, str | None]] = []
        self._delay_of_all = 0.0
        self._delays: dict[str, float] = {}
        self._failing_joins: list[str] = []

    def clear(self) -> None:
        """Behave again."""
        self.__init__()  # type: ignore[misc]

    def refuse(self, refusal: Refusal, action: str | None, times: int) -> None:
        """Queue refusals of the next commands, or of those with one action."""
        self._refusals.extend([(refusal, action)] * times)

    def take_refusal(self, action: str) -> Refusal | None:
        """Return how to refuse a command, or None to carry it out."""
        for index, (refusal, only) in enumerate(self._refusals):
            if only is None or only == action:
                del self._refusals[index]
                return refusal
        return None

    def set_delay(self, seconds: float, action: str | None) -> None:
        """Hold every response, or those to one action, back for real seconds."""
        if action is None:
            self._delay_of_all = seconds
            if not seconds:
                self._delays.clear()
        else:
            self._delays[action] = seconds

    def delay_of(self, action: str) -> float:
        """Return how long to hold the response to ``action`` back, in real seconds."""
        return self._delays.get(action, self._delay_of_all)

    def set_reorder(self, seed: int | None, on: bool) -> None:
        """Shuffle events that come close together, the same way for the same seed."""
        self._shuffler = random.Random(seed) if on else None

    @property
    def reorder(self) -> bool:
        """Whether events are to be shuffled."""
        return self._shuffler is not None

    def shuffle(self, frames: list[Any]) -> None:
        """Put frames in another order, in place."""
        if self._shuffler is not None:
            self._shuffler.shuffle(frames)

    def fail_joins(self, reason: str, times: int) -> None:
        """Let the next re-bridges fail to join."""
        self._failing_joins.extend([reason] * times)

    def take_failing_join(self) -> str | None:
        """Return why a re-bridge cannot join, or None to let it."""
        return self._failing_joins.pop(0) if self._failing_joins else None
