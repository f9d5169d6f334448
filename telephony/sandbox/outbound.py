"""Calls that clients dial: setting up, ringing, and what comes of it."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from telephony.sandbox.audio import Audio
from telephony.sandbox.calls import Leg, LookupResult, Reply
from telephony.sandbox.dialplan import REASONS, DialPlan, split_number
from telephony.sandbox.inbound import Inbound
from telephony.sandbox.settings import digits_of
from telephony.sandbox.switch import FAR_END, Switch

# From taking a dial to the far end's first ring.
SETUP = 1.0
# From the first ring to the answer, when no script says otherwise.
USUAL_RING = 1.0
# How long nobody answers, when neither the script nor the dial says.
LONGEST_RING = 30.0


class Outbound:
    """Dials, those that loop back to a DID of ours included."""

    def __init__(self, switch: Switch, audio: Audio, inbound: Inbound, dialplan: DialPlan) -> None:
        self._switch = switch
        self._audio = audio
        self._inbound = inbound
        self._dialplan = dialplan

    def dial(
        self,
        fields: Mapping[str, Any],
        app_id: str,
        owner: str | None,
        ring_limit: float | None,
        reply: Callable[[Reply], None],
    ) -> None:
        """Place a call; ``reply`` is called when it is answered or refused (see `DialScript`)."""
        number, post_dial = split_number(fields["to"])
        script = self._dialplan.take(number)
        if script.outcome in ("no_gateway", "invalid"):
            data: dict[str, Any] = {"success": False}
            if script.outcome == "invalid":
                data["reason"] = script.reason or REASONS["INVALID_NUMBER_FORMAT"]
            elif script.reason:
                data["reason"] = script.reason
            refusal = Reply(data, status=503 if script.outcome == "no_gateway" else 200)
            self._switch.clock.after(script.delay, lambda: reply(refusal))
            return
        leg = self._switch.new_leg(None, app_id, script.direction, from_=fields["from"], to=number)
        leg.channel, leg.uid = fields["channel"], fields["uid"]
        leg.video = fields.get("video", False)
        leg.sdk_options = fields.get("sdk_options")
        leg.owner = owner
        leg.post_dial = post_dial
        leg.reply = reply
        leg.response_delay = script.delay
        leg.refusal = script.reason
        leg.composite_hangup = script.composite_hangup
        self._switch.emit(leg, "call_initiated", callid="")
        if script.respond == "early":
            self._switch.respond(leg, Reply({"success": True, "callid": leg.call_id}))
        did_owner = self._loops_back(app_id, number) if script.outcome == "answer" else None
        if did_owner is not None:
            app = did_owner
            self._switch.after(leg, "step", SETUP, lambda: self._loop_back(leg, app, ring_limit))
            return
        ring = script.ring
        if script.outcome == "busy" and not ring:
            self._switch.after(leg, "step", SETUP, lambda: self._fail(leg, "USER_BUSY"))
            return
        if ring is None:
            ring = USUAL_RING if script.outcome == "answer" else ring_limit or LONGEST_RING
        outcome = script.outcome
        if ring_limit is not None and ring > ring_limit:
            ring, outcome = ring_limit, "no_answer"
        self._switch.after(leg, "step", SETUP, lambda: self._ring(leg, ring, outcome))

    def _ring(self, leg: Leg, seconds: float, outcome: str) -> None:
        self._alert(leg)
        leg.pick_up = lambda: self._answer(leg)
        if outcome == "answer":
            self._switch.after(leg, "step", seconds, lambda: self._answer(leg))
        else:
            cause = "USER_BUSY" if outcome == "busy" else "NO_ANSWER"
            self._switch.after(leg, "step", seconds, lambda: self._fail(leg, cause))

    def _alert(self, leg: Leg) -> None:
        leg.state = "ringing"
        self._switch.emit(leg, "call_ringing", callid="")
        leg.notify()

    def _answer(self, leg: Leg) -> None:
        """The callee picked up: the dial's response, and then the events, leave."""
        leg.cancel_timer("limit")
        leg.cancel_timer("step")
        leg.state = "answered"
        leg.answered = self._switch.clock.now()
        self._switch.respond(leg, Reply({"success": True, "callid": leg.call_id}))
        more = {"wav_file": f"{leg.call_id}.wav"} if leg.direction == "outbound_sip" else {}
        self._switch.emit(leg, "call_answered", **more)
        if leg.post_dial:
            self._switch.to_far_end(leg, leg.post_dial)
        self._audio.join(leg)
        leg.notify()

    def _fail(self, leg: Leg, cause: str) -> None:
        """It was never answered: a refusal, or a hangup for a client that has the callid."""
        self._switch.end(leg, cause, recv_bye=True, by=FAR_END, announce=leg.responded)

    def _loops_back(self, app_id: str, number: str) -> str | None:
        """Return the App ID whose clients get a dial to ``number``, or None if we do not serve it.

        Without an allow-list the DIDs served are those that a client has subscribed to.
        """
        digits = digits_of(number)
        if self._switch.settings.dids is not None:
            apps = self._switch.settings.dids.get(digits, ())
            return app_id if app_id in apps else next(iter(apps), None)
        if digits in self._switch.settings.loop_back:
            return app_id
        return app_id if self._switch.registry.subscribed_to(app_id, digits) else None

    def _loop_back(self, leg: Leg, did_owner: str, ring_limit: float | None) -> None:
        self._alert(leg)
        if ring_limit is not None:
            self._switch.after(
                leg,
                "limit",
                ring_limit,
                lambda: self._switch.end(leg, "NO_ANSWER", recv_bye=True, by="timeout"),
            )

        def hear(result: LookupResult) -> None:
            # Anything but 200 ends the inbound leg, and that leg's end ends this one.
            if result.status == 200:
                self._answer(leg)

        self._inbound.offer(leg.to, leg.from_, did_owner, other=leg, lookup=hear)
