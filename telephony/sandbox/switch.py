"""The switch: all the calls there are, what they tell their owners, and how they end.

How calls come to be is in `outbound` and `inbound`, where their audio goes in `audio`, who may
do what in `commands`. All of it runs on the sandbox's thread; all seconds are the call
clock's, timers and durations alike.
"""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any, Callable, Iterator

from telephony.sandbox.calls import BRIDGED, HANGUP, Leg, LookupResult, Reply
from telephony.sandbox.clients import Registry
from telephony.sandbox.clock import Clock
from telephony.sandbox.dialplan import REASONS
from telephony.sandbox.settings import Settings

# From a transfer to the far end's leaving for its destination.
TRANSFER = 5.0
# Ended calls kept for assertions.
KEPT_CALLS = 10_000

FAR_END = "far end"


class Switch:
    """The call table."""

    def __init__(self, settings: Settings, clock: Clock, registry: Registry) -> None:
        self.settings = settings
        self.clock = clock
        self.registry = registry
        self._active: dict[str, Leg] = {}
        self._ended: deque[Leg] = deque(maxlen=KEPT_CALLS)
        self._ended_by_id: dict[str, Leg] = {}

    def leg(self, call_id: str) -> Leg | None:
        """Return a call that is up or on its way there, or None."""
        return self._active.get(call_id)

    def any_leg(self, call_id: str) -> Leg | None:
        """Return a call, ended or not, or None."""
        return self._active.get(call_id) or self._ended_by_id.get(call_id)

    def legs(self) -> Iterator[Leg]:
        """Return the calls in the order they began, without ended ones long ago."""
        return iter(sorted((*self._ended, *self._active.values()), key=lambda leg: leg.created))

    def _split_digits(self, digits: str) -> list[str]:
        return [digits] if self.settings.dtmf_echo == "whole" else list(digits)

    def send_dtmf(self, leg: Leg, digits: str) -> None:
        """Let the far end hear digits, and echo them to the sender."""
        for part in self._split_digits(digits):
            self.emit(leg, "dtmf_received", digits=part)
        self.to_far_end(leg, digits)

    def to_far_end(self, leg: Leg, digits: str) -> None:
        """Let the far end hear digits: the other leg's owner too, when it loops back."""
        leg.hear(digits)
        if leg.other is not None:
            for part in self._split_digits(digits):
                self.emit(leg.other, "dtmf_received", digits=part)

    def press(self, leg: Leg, parts: list[str]) -> None:
        """The far end presses keys: one event for each part."""
        for part in parts:
            self.emit(leg, "dtmf_received", digits=part)

    def transfer(self, leg: Leg, destination: str) -> None:
        """Refer the far end elsewhere: it leaves for there in `TRANSFER` seconds."""
        leg.transferred_to = destination
        self.after(
            leg,
            "transfer",
            TRANSFER,
            lambda: self.end(leg, "BLIND_TRANSFER", recv_bye=True, by="transfer"),
        )
        leg.notify()

    def hang_up(self, leg: Leg, action: str) -> None:
        """End a call from our side, answered or not; ``action`` is kept for assertions."""
        cause = "NORMAL_CLEARING" if leg.up else "ORIGINATOR_CANCEL"
        self.end(leg, cause, recv_bye=False, by=action)

    def far_end_hangs_up(self, leg: Leg, cause: str) -> None:
        """End a call from the far end's side, answered or not."""
        self.end(leg, cause, recv_bye=True, by=FAR_END)

    def end(self, leg: Leg, cause: str, *, recv_bye: bool, by: str, announce: bool = True) -> None:
        """End a leg, and the leg it loops back to; a call that is over stays as it is.

        A dial that is still pending is refused, after the ``call_hangup`` when there is one.
        """
        if leg.ended:
            return
        leg.cancel_timers()
        if announce and leg.state == BRIDGED:
            self.emit(leg, "agora_bridge_end")
        now = self.clock.now()
        leg.state = HANGUP
        leg.ended_at = now
        leg.hangup_cause = cause
        leg.sip_disposition = "recv_bye" if recv_bye else "send_bye"
        leg.ended_by = by
        self._retire(leg)
        if announce:
            more = {"callid": _composite(leg)} if leg.composite_hangup else {}
            self.emit(
                leg,
                "call_hangup",
                hangup_cause=cause,
                duration=str(int(now - leg.created)),
                billsec=str(int(now - leg.answered)) if leg.answered is not None else "0",
                sip_disposition=leg.sip_disposition,
                **more,
            )
        if leg.rebridging:
            self.respond(leg, Reply(error="callid not found", status=404))
        else:
            reason = leg.refusal or REASONS.get(cause, cause)
            self.respond(leg, Reply({"success": False, "reason": reason}))
        self.answer_lookup(leg, LookupResult(404, {"error": REASONS.get(cause, cause)}))
        leg.notify()
        if leg.other is not None:
            self.end(leg.other, cause, recv_bye=not recv_bye, by=by)

    def end_all(self) -> None:
        """Forget every call, telling those who wait and no client: the switch is going down."""
        for leg in list(self._active.values()):
            leg.owner = None
            self.end(leg, "SYSTEM_SHUTDOWN", recv_bye=False, by="stop", announce=False)

    def forget_all(self) -> None:
        """End every call, telling its client, and forget all that ever were."""
        for leg in list(self._active.values()):
            self.end(leg, "SYSTEM_SHUTDOWN", recv_bye=False, by="reset")
        self._ended.clear()
        self._ended_by_id.clear()

    def new_leg(
        self, call_id: str | None, app_id: str, direction: str, *, from_: str, to: str
    ) -> Leg:
        """Put a new leg in the table; without a call id it gets one."""
        leg = Leg(
            call_id or str(uuid.uuid4()),
            app_id,
            direction,
            from_=from_,
            to=to,
            created=self.clock.now(),
        )
        self._active[leg.call_id] = leg
        return leg

    def _retire(self, leg: Leg) -> None:
        self._active.pop(leg.call_id, None)
        if len(self._ended) == KEPT_CALLS:
            self._ended_by_id.pop(self._ended[0].call_id, None)
        self._ended.append(leg)
        self._ended_by_id[leg.call_id] = leg

    def after(self, leg: Leg, purpose: str, seconds: float, step: Callable[[], None]) -> None:
        """Take a step of the leg later, unless it ends or has another for this purpose before."""
        leg.cancel_timer(purpose)
        leg.timers[purpose] = self.clock.after(seconds, step)

    def respond(self, leg: Leg, reply: Reply) -> None:
        """Answer a pending dial or re-bridge, once."""
        respond, leg.reply = leg.reply, None
        if respond is None:
            return
        leg.responded = True
        if leg.response_delay:
            self.clock.after(leg.response_delay, lambda: respond(reply))
        else:
            respond(reply)

    def answer_lookup(self, leg: Leg, result: LookupResult) -> None:
        """Answer the gateway that holds this call, once."""
        lookup, leg.lookup = leg.lookup, None
        if lookup is not None:
            lookup(result)

    def emit(self, leg: Leg, name: str, **more: Any) -> None:
        """Send an event to the leg's owner, wherever it is registered now; else it is lost."""
        owner = self.registry.get(leg.owner)
        if owner is not None:
            owner.send_event(leg.event(name, **more))


def _composite(leg: Leg) -> str:
    return f"{leg.app_id}:{leg.channel}:{leg.uid}"
