"""The commands clients send: what each needs, who may give it, and what it is answered.

The same for the WebSocket and the HTTP API. A command is answered exactly once, through
``reply``, perhaps much later; what is wrong with one is said in its answer, and never in an
exception.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Mapping

import attrs

from telephony.sandbox.audio import Audio
from telephony.sandbox.calls import BRIDGED, Leg, Reply
from telephony.sandbox.clients import Connection, Registry
from telephony.sandbox.faults import Faults
from telephony.sandbox.inbound import Inbound
from telephony.sandbox.outbound import Outbound
from telephony.sandbox.settings import MULTI, Settings, digits_of
from telephony.sandbox.switch import Switch

Respond = Callable[[Reply], None]

TAKEN = Reply({"success": True})
LEGS = ("A", "B", "aleg", "bleg")
# Nobody's App ID: a command over HTTP whose app follows from its call.
OF_THE_CALL = ""


@attrs.frozen
class Caller:
    """Who gives a command: a registered client, or somebody with a token over HTTP.

    ``app_id`` is what it registered for. Over HTTP ``client_id`` and ``connection`` are None.
    """

    app_id: str
    client_id: str | None = None
    connection: Connection | None = None
    token: str | None = attrs.field(default=None, repr=False)


class Refused(Exception):
    """A command that is not carried out, and why."""

    def __init__(self, error: str, status: int) -> None:
        super().__init__(error)
        self.reply = Reply(error=error, status=status)


def not_found() -> Refused:
    """Return the refusal for a call that is unknown, over, or somebody else's."""
    return Refused("callid not found", 404)


@attrs.frozen
class Spec:
    """A command's fields: ``filled`` must be there and not empty, ``present`` just there."""

    filled: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    needs_app: bool = True


_JOIN = ("callid", "channel", "uid")
SPECS: Mapping[str, Spec] = {
    "outbound": Spec(("to", "channel", "uid"), ("from", "token", "region")),
    "accept": Spec(_JOIN, ("token",)),
    "reject": Spec(("callid",)),
    "endcall": Spec(("callid",)),
    "hangup": Spec(("callid",)),
    "send_dtmf": Spec(("callid", "digits")),
    "bridge": Spec(_JOIN, ("token",)),
    "unbridge": Spec(("callid",)),
    "rebridge": Spec((*_JOIN, "current_channel", "current_uid"), ("token",)),
    "transfer": Spec(("callid", "destination")),
    # It is about the client, not about an App ID's call.
    "subscribe": Spec((), ("numbers",), needs_app=False),
}
# What is not text on the wire; every other field known here is.
_NOT_TEXT = {"video": bool, "numbers": list}
_TEXT = frozenset(
    "to from channel uid token region timeout sip sip_domain appid sdk_options audio_scenario"
    " prompt callid webhook_url reason digits destination leg current_channel current_uid".split()
)

#: What a command, or a registration, may carry.
KNOWN_FIELDS = _TEXT | set(_NOT_TEXT) | {"auth_token", "client_id", "subscribe_numbers"}


class Commands:
    """Carries commands out."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        faults: Faults,
        switch: Switch,
        audio: Audio,
        inbound: Inbound,
        outbound: Outbound,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._faults = faults
        self._switch = switch
        self._audio = audio
        self._inbound = inbound
        self._outbound_calls = outbound
        self.webhook_url = ""

    def execute(self, frame: Mapping[str, Any], caller: Caller, reply: Respond) -> None:
        """Carry out the command in ``frame``, or refuse it."""
        try:
            action = frame.get("action")
            if not isinstance(action, str):
                action = ""
            refusal = self._faults.take_refusal(action)
            if refusal is not None:
                reply(refusal.reply())
                return
            if not action:
                raise Refused("missing parameters: action", 500)
            spec = SPECS.get(action)
            if spec is None:
                raise Refused(f"unknown action: {action[:80]}", 400)
            app_id = self._app_of(frame, caller) if spec.needs_app else caller.app_id
            check(frame, spec)
            getattr(self, "_" + action)(frame, caller, app_id, reply)
        except Refused as refused:
            reply(refused.reply)

    def _app_of(self, frame: Mapping[str, Any], caller: Caller) -> str:
        """Return the App ID a command is for; the caller must be allowed it."""
        app_id = frame.get("appid", "")
        if not isinstance(app_id, str):
            raise Refused("appid must be a string", 500)
        if caller.client_id is None:
            if not app_id:
                return OF_THE_CALL
            if not self._settings.authorised(app_id, caller.token or "") or app_id == MULTI:
                raise Refused("unauthorized", 401)
            return app_id
        if caller.app_id == MULTI:
            if not app_id or app_id == MULTI:
                raise Refused("appid required in MULTI mode", 500)
            if app_id not in self._settings.app_ids:
                raise Refused("appid not authorized", 401)
            return app_id
        if app_id not in ("", caller.app_id):
            raise Refused("appid not authorized", 401)
        return caller.app_id

    def _may_touch(self, leg: Leg, caller: Caller, app_id: str) -> bool:
        """Return whether a call is within reach of a command for ``app_id``."""
        if caller.client_id is None and app_id == OF_THE_CALL:
            return self._settings.authorised(leg.app_id, caller.token or "")
        return leg.app_id == app_id

    def _own_leg(self, frame: Mapping[str, Any], caller: Caller, app_id: str) -> Leg:
        """Return the call a command is for: a client's own, over HTTP any of the App ID's."""
        leg = self._switch.leg(frame["callid"])
        if leg is None or not self._may_touch(leg, caller, app_id):
            raise not_found()
        if caller.client_id is not None and leg.owner != caller.client_id:
            raise not_found()
        return leg

    def _answered_leg(self, frame: Mapping[str, Any], caller: Caller, app_id: str) -> Leg:
        leg = self._own_leg(frame, caller, app_id)
        if not leg.up:
            raise Refused("call not answered", 400)
        return leg

    def _offered_leg(self, frame: Mapping[str, Any], caller: Caller) -> Leg:
        """Return a held call that was offered to the caller."""
        leg = self._switch.leg(frame["callid"])
        if leg is None:
            raise not_found()
        if caller.client_id is None:
            if not self._settings.authorised(leg.app_id, caller.token or ""):
                raise not_found()
        elif caller.client_id not in leg.offered_to:
            raise not_found()
        if leg.state != "incoming":
            # The owner is told so; the clients that came too late never had the call.
            if caller.client_id is not None and leg.owner == caller.client_id:
                raise Refused("call already accepted", 400)
            raise not_found()
        return leg

    # One method for each action ---------------------------------------------------------

    def _outbound(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        if app == OF_THE_CALL:
            raise Refused("missing parameters: appid", 500)
        ring_limit = None
        if frame.get("timeout"):
            ring_limit = seconds_of(frame["timeout"])
        if not digits_of(frame["to"].partition(";")[0]) and "@" not in frame["to"]:
            reply(Reply({"success": False, "reason": "Invalid number"}))
            return
        self._outbound_calls.dial(frame, app, caller.client_id, ring_limit, reply)

    def _accept(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._offered_leg(frame, caller)
        reply(TAKEN)
        app_id = leg.app_id if app == OF_THE_CALL or "appid" not in frame else app
        fields = {"webhook_url": self.webhook_url, **frame}
        self._inbound.accept(leg, caller.client_id, app_id, fields)

    def _reject(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._offered_leg(frame, caller)
        reply(TAKEN)
        self._inbound.turn_away(leg, "CALL_REJECTED")

    def _endcall(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._own_leg(frame, caller, app)
        reply(TAKEN)
        self._switch.hang_up(leg, frame["action"])

    # Both end a call of either direction; which of them it was can be seen in `CallRecord`.
    _hangup = _endcall

    def _send_dtmf(
        self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond
    ) -> None:
        leg = self._answered_leg(frame, caller, app)
        if set(frame["digits"]) - set("0123456789*#"):
            raise Refused("digits must be of 0-9 * #", 500)
        reply(TAKEN)
        self._switch.send_dtmf(leg, frame["digits"])

    def _bridge(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._moving_leg(frame, caller, app)
        reply(TAKEN)
        self._audio.bridge(leg, leg.app_id, frame)

    def _unbridge(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._moving_leg(frame, caller, app)
        if not self._audio.joining_or_bridged(leg):
            raise Refused("call not bridged", 400)
        reply(TAKEN)
        self._audio.unbridge(leg)

    def _rebridge(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._moving_leg(frame, caller, app)
        if leg.state != BRIDGED:
            raise Refused("call not bridged; use bridge", 400)
        if (frame["current_channel"], frame["current_uid"]) != (leg.channel, leg.uid):
            raise Refused("current channel/uid mismatch", 400)
        self._audio.rebridge(leg, frame, self._faults.take_failing_join(), reply)

    def _moving_leg(self, frame: Mapping[str, Any], caller: Caller, app: str) -> Leg:
        leg = self._answered_leg(frame, caller, app)
        if leg.rebridging:
            raise Refused("rebridge already in progress", 400)
        return leg

    def _transfer(self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond) -> None:
        leg = self._answered_leg(frame, caller, app)
        if frame.get("leg", "aleg") not in LEGS:
            raise Refused(f"leg must be one of {', '.join(LEGS)}", 500)
        reply(TAKEN)
        self._switch.transfer(leg, frame["destination"])

    def _subscribe(
        self, frame: Mapping[str, Any], caller: Caller, app: str, reply: Respond
    ) -> None:
        # Numbers outside the allow-list are taken, here and in a registration: nothing is known of
        # a refusal, and that a client must be of the DID's App ID and subscribed to it as well
        # to be offered its calls says that it can be one without the other.
        if caller.connection is None:
            raise Refused("subscribe is for clients on the WebSocket", 400)
        self._registry.subscribe(caller.connection, numbers_of(frame["numbers"], "numbers"))
        reply(TAKEN)


def check(frame: Mapping[str, Any], spec: Spec) -> None:
    """Raise `Refused`, naming the fields that are missing or of the wrong kind."""
    missing = [name for name in (*spec.filled, *spec.present) if name not in frame]
    missing += [name for name in spec.filled if frame.get(name) == ""]
    if missing:
        raise Refused(f"missing parameters: {', '.join(missing)}", 500)
    for name, value in frame.items():
        if name in _TEXT and not isinstance(value, str):
            raise Refused(f"{name} must be a string", 500)
        if name == "numbers" and value is None:
            continue
        if name in _NOT_TEXT and not isinstance(value, _NOT_TEXT[name]):
            raise Refused(f"{name} must be a {_NOT_TEXT[name].__name__}", 500)


def seconds_of(text: str) -> float:
    """Return a number of seconds from its text on the wire; raises `Refused`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds <= 0 or not math.isfinite(seconds):
        raise Refused("timeout must be a number of seconds", 500)
    return seconds


def numbers_of(numbers: Any, name: str) -> list[str]:
    """Return the digits of a list of DIDs; raises `Refused`. None is how some write no list."""
    if numbers is None:
        return []
    if not isinstance(numbers, list) or not all(isinstance(number, str) for number in numbers):
        raise Refused(f"{name} must be a list of strings", 500)
    digits = [digits_of(number) for number in numbers]
    if not all(digits):
        raise Refused(f"{name} must be phone numbers", 500)
    return digits
