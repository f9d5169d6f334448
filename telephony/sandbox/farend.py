"""The far end of a call: whoever phones in, or picks up."""

from __future__ import annotations

import time
from typing import Callable

from telephony.errors import InvalidArgumentError, TelephonyError, WaitTimeoutError
from telephony.sandbox.calls import Leg
from telephony.sandbox.controls import Controls
from telephony.sandbox.switch import Switch


class FarEnd:
    """The person or machine a client's call is with. Usable from any thread.

    `pick_up`, `press` and `hang_up` block only until the sandbox's thread has done it; the
    ``wait_*`` methods take real seconds, None for ever.
    """

    def __init__(self, host: Controls, switch: Switch, leg: Leg) -> None:
        self._host = host
        self._switch = switch
        self._leg = leg

    @property
    def call_id(self) -> str:
        """The call's id, known from the start."""
        return self._leg.call_id

    @property
    def state(self) -> str:
        """``initiated``, ``incoming``, ``ringing``, ``answered``, ``bridged`` … ``hangup``."""
        return self._leg.state

    @property
    def accepted(self) -> bool:
        """Whether the call was ever answered: an inbound one by a client, another by us."""
        return self._leg.answered is not None

    @property
    def ended(self) -> bool:
        """Whether the call is over. An inbound one that nobody took ends with a 404."""
        return self._leg.ended

    @property
    def hangup_cause(self) -> str | None:
        """Why it ended, or None. ``UNALLOCATED_NUMBER``: no client was eligible;
        ``CALL_REJECTED``; ``NO_ANSWER``: nobody accepted while it was held."""
        return self._leg.hangup_cause

    @property
    def sip_status(self) -> int | None:
        """What the caller of an inbound call hears: 200, 404, or None while it is held."""
        if self.accepted:
            return 200
        return 404 if self.ended else None

    @property
    def heard(self) -> str:
        """All digits the client has sent so far, those of the dialled number included."""
        return self._leg.heard

    @property
    def transferred_to(self) -> str | None:
        """Where the client transferred the call to, or None."""
        return self._leg.transferred_to

    def wait_accepted(self, timeout: float | None = None) -> bool:
        """Wait until the call is answered; False if it ended without.

        Raises `WaitTimeoutError` when neither happens in time.
        """
        __tracebackhide__ = True
        self._wait(lambda: self.accepted or self.ended, "answered", timeout)
        return self.accepted

    def wait_ended(self, timeout: float | None = None) -> str:
        """Wait until the call is over and return its hangup cause.

        Raises `WaitTimeoutError` when it does not end in time.
        """
        __tracebackhide__ = True
        self._wait(lambda: self.ended, "ended", timeout)
        return self._leg.hangup_cause or ""

    def wait_heard(self, digits: str, timeout: float | None = None) -> str:
        """Wait until ``digits`` were heard, and return all that was.

        Raises `WaitTimeoutError` when they are not heard in time.
        """
        __tracebackhide__ = True
        self._wait(lambda: digits in self.heard, f"heard {digits!r}", timeout)
        return self.heard

    def press(self, digits: str, *, together: bool = False) -> None:
        """Press keys: the call's owner gets one ``dtmf_received`` a digit, or one in all.

        Raises `InvalidArgumentError` for what is no key, and `TelephonyError` while the call
        is not answered or when it is over.
        """
        if not digits or set(digits) - set("0123456789*#"):
            raise InvalidArgumentError(f"digits must be of 0-9 * #, not {digits!r}")
        self._host.run(self._press, [digits] if together else list(digits))

    def _press(self, parts: list[str]) -> None:
        if not self._leg.up:
            raise TelephonyError(
                f"call {self.call_id} is {self.state}: nobody is there to hear digits"
            )
        self._switch.press(self._leg, parts)

    def pick_up(self) -> None:
        """Answer a dialled call that rings, now, whatever its script says.

        For one that is to ring until then, give `Sandbox.script_dial` a long ``ring``. Raises
        `TelephonyError` while the call does not ring here: when it has not come so far, is
        answered or over, or has looped back to a client, which is to accept it.
        """
        self._host.run(self._pick_up)

    def _pick_up(self) -> None:
        if self._leg.state != "ringing" or self._leg.pick_up is None:
            raise TelephonyError(f"call {self.call_id} is {self.state}: it does not ring here")
        self._leg.pick_up()

    def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        """Put the receiver down: before the answer too. A call that is over stays as it is."""
        self._host.run(self._switch.far_end_hangs_up, self._leg, cause)

    def _wait(self, done: Callable[[], bool], what: str, timeout: float | None) -> None:
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._leg.changed:
            while not done():
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise WaitTimeoutError(
                        f"call {self.call_id} was not {what} within {timeout} s: {self.state}"
                    )
                self._leg.changed.wait(remaining)

    def __repr__(self) -> str:
        return f"<FarEnd of {self.call_id}, {self.state}>"
