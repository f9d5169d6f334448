"""Audio in and out of channels."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from telephony.sandbox.calls import BRIDGED, Leg, Reply
from telephony.sandbox.switch import Switch

# From a channel's being asked for to the audio's being in it, in seconds of the call clock.
JOIN = 0.1


class Audio:
    """Bridges between call legs and channels."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def join(self, leg: Leg, then: Callable[[], None] | None = None) -> None:
        """Let the audio join the leg's channel a little later."""
        leg.cancel_timer("join")
        leg.timers["join"] = self._switch.clock.after(JOIN, then or (lambda: self._joined(leg)))

    def _joined(self, leg: Leg, **more: Any) -> None:
        leg.timers.pop("join", None)
        leg.state = BRIDGED
        leg.bridged_since = self._switch.clock.now()
        if leg.sdk_options is not None:
            more["sdk_options"] = leg.sdk_options
        self._switch.emit(leg, "agora_bridge_start", **more)
        leg.notify()

    def _part(self, leg: Leg, **more: Any) -> None:
        """Take the audio out of the channel, or keep it from getting there."""
        leg.cancel_timer("join")
        if leg.state == BRIDGED:
            self._switch.emit(leg, "agora_bridge_end", **more)
        leg.state = "unbridged"

    def bridge(self, leg: Leg, app_id: str, fields: Mapping[str, Any]) -> None:
        """Move the audio to another channel."""
        self._part(leg)
        leg.app_id = app_id
        leg.channel, leg.uid = fields["channel"], fields["uid"]
        leg.video = fields.get("video", leg.video)
        leg.sdk_options = fields.get("sdk_options", leg.sdk_options)
        self.join(leg)

    def joining_or_bridged(self, leg: Leg) -> bool:
        """Return whether there is audio to take out of the channel."""
        return leg.state == BRIDGED or "join" in leg.timers

    def unbridge(self, leg: Leg) -> None:
        """Take the audio out of the channel; the SIP leg stays up."""
        self._part(leg)
        leg.notify()

    def rebridge(
        self,
        leg: Leg,
        fields: Mapping[str, Any],
        failure: str | None,
        reply: Callable[[Reply], None],
    ) -> None:
        """Move a bridged leg over; ``reply`` is called when it has joined, or could not."""
        previous = {"previous_channel": leg.channel, "previous_uid": leg.uid}
        segment = str(int(self._switch.clock.now() - leg.bridged_since))
        self._part(leg, rebridge=True, segment_billsec=segment)
        leg.rebridging = True
        leg.response_delay = 0.0
        leg.reply = reply

        def arrive() -> None:
            leg.timers.pop("join", None)
            leg.rebridging = False
            if failure is not None:
                self._switch.respond(leg, Reply(error=failure, status=500))
                self._switch.emit(leg, "agora_bridge_failed", rebridge=True, reason=failure)
                return
            leg.channel, leg.uid = fields["channel"], fields["uid"]
            leg.sdk_options = fields.get("sdk_options", leg.sdk_options)
            self._switch.respond(leg, Reply({"success": True}))
            self._joined(leg, rebridge=True, **previous)

        self.join(leg, arrive)
