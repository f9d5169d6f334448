"""Calls that come in for our DIDs: offered, held, and taken or turned away."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from telephony.sandbox.audio import Audio
from telephony.sandbox.calls import Leg, LookupResult
from telephony.sandbox.settings import digits_of
from telephony.sandbox.switch import Switch


class Inbound:
    """The gateway's lookups: from HTTP, from a loop-back dial, or from a test."""

    def __init__(self, switch: Switch, audio: Audio) -> None:
        self._switch = switch
        self._audio = audio

    def did_app(self, did: str, app_id: str | None) -> str | None:
        """Return the App ID an inbound call is for, or None if nobody here serves the DID."""
        settings, digits = self._switch.settings, digits_of(did)
        serving = settings.app_ids if settings.dids is None else settings.dids.get(digits, ())
        apps = [app for app in serving if app_id is None or app == app_id]
        # Of several that serve the DID, one whose clients are there to take the call.
        there = (app for app in apps if self._switch.registry.eligible(app, digits))
        return next(there, apps[0] if apps else None)

    def offer(
        self,
        did: str,
        from_: str,
        app_id: str | None,
        *,
        call_id: str | None = None,
        pin: str | None = None,
        sip_headers: Mapping[str, str] | None = None,
        hold: float | None = None,
        other: Leg | None = None,
        lookup: Callable[[LookupResult], None] | None = None,
    ) -> Leg:
        """Offer an inbound call to every eligible client and hold it.

        ``lookup`` hears where the gateway is to join, or why not: 500 when nobody is eligible,
        404 when it was rejected or the hold ended. The call is over then.
        """
        app = self.did_app(did, app_id)
        leg = self._switch.new_leg(call_id, app or app_id or "", "inbound", from_=from_, to=did)
        leg.pin, leg.sip_headers = pin or None, sip_headers or None
        leg.lookup = lookup
        leg.other = other
        if other is not None:
            other.other = leg
        clients = self._switch.registry.eligible(app, digits_of(did)) if app is not None else []
        if not clients:
            self._switch.answer_lookup(leg, LookupResult(500, {"error": "not found"}))
            self._switch.end(leg, "UNALLOCATED_NUMBER", recv_bye=False, by="no client")
            return leg
        leg.offered_to = frozenset(client.client_id for client in clients)
        seconds = self._switch.settings.lookup_hold if hold is None else hold
        self._switch.after(leg, "step", seconds, lambda: self.turn_away(leg, "NO_ANSWER"))
        more: dict[str, Any] = {"did": did}
        if leg.sip_headers:
            more["sip_headers"] = dict(leg.sip_headers)
        frame = leg.event("call_incoming", **more)
        for client in clients:
            client.send_event(frame)
        return leg

    def accept(self, leg: Leg, owner: str | None, app_id: str, fields: Mapping[str, Any]) -> None:
        """Give the call to who accepted it; the far end is put through."""
        leg.cancel_timer("step")
        leg.owner = owner
        leg.app_id = app_id
        leg.channel, leg.uid = fields["channel"], fields["uid"]
        leg.video = fields.get("video", False)
        leg.sdk_options = fields.get("sdk_options")
        leg.state = "answered"
        leg.answered = self._switch.clock.now()
        body = {name: fields[name] for name in ("token", "channel", "uid")}
        body["appid"] = app_id
        for name in ("webhook_url", "sdk_options", "audio_scenario", "video"):
            if name in fields:
                body[name] = fields[name]
        if leg.pin:
            headers = dict(leg.sip_headers or {})
            self._switch.emit(leg, "call_initiated", pin=leg.pin, sip_headers=headers)
        self._switch.emit(leg, "call_answered")
        self._audio.join(leg)
        leg.notify()
        # Last, since it answers a loop-back's other leg, and digits may follow from there.
        self._switch.answer_lookup(leg, LookupResult(200, body))

    def turn_away(self, leg: Leg, cause: str) -> None:
        """Let the caller hear a 404: the call was rejected, or nobody took it in time."""
        by = "reject" if cause == "CALL_REJECTED" else "hold"
        self._switch.end(leg, cause, recv_bye=False, by=by)
