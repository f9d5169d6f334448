"""A call leg as the Call Manager sees it, and the event frames that tell of it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Callable, Mapping

import attrs

BRIDGED = "bridged"
HANGUP = "hangup"
# States in which somebody talks: what needs an answered call needs one of these.
UP = frozenset({"answered", BRIDGED, "unbridged"})


@attrs.frozen
class Reply:
    """What a command is answered with: ``data``, or an ``error``.

    ``status`` is the HTTP status of the answer on the HTTP API. The WebSocket says
    ``status_code`` when there is ``data``, and nothing but the error when there is one.
    """

    data: Mapping[str, Any] | None = None
    error: str | None = None
    status: int = 200
    status_code: int = 200


@attrs.frozen(repr=False)
class LookupResult:
    """What the gateway hears about an inbound call: where to join, or why not."""

    status: int
    body: Mapping[str, Any]


@attrs.frozen
class CallRecord:
    """One call as it was when asked for.

    ``owner`` is the client_id of the client that dialled or accepted it, or None. Times are
    seconds of the call clock. ``ended_by`` is the command that ended it, ``"far end"``, or a
    word for what happened; None while it is up.
    """

    call_id: str
    app_id: str
    direction: str
    owner: str | None
    state: str
    ended: bool
    from_: str
    to: str
    channel: str
    uid: str
    heard: str
    transferred_to: str | None
    hangup_cause: str | None
    sip_disposition: str | None
    ended_by: str | None


class Leg:
    """One call leg. Changed on the sandbox's thread only; single fields may be read anywhere."""

    __slots__ = (
        "call_id", "app_id", "direction", "from_", "to", "channel", "uid", "video",
        "sdk_options", "owner", "state", "created", "answered", "bridged_since", "ended_at",
        "hangup_cause", "sip_disposition", "ended_by", "heard", "transferred_to", "pin",
        "sip_headers", "offered_to", "other", "reply", "lookup", "response_delay",
        "responded", "refusal", "composite_hangup", "post_dial", "pick_up", "rebridging", "timers",
        "changed",
    )  # fmt: skip

    def __init__(
        self, call_id: str, app_id: str, direction: str, *, from_: str, to: str, created: float
    ) -> None:
        self.call_id = call_id
        self.app_id = app_id
        self.direction = direction
        self.from_ = from_
        self.to = to
        self.created = created
        self.channel = ""
        self.uid = ""
        self.video = False
        self.sdk_options: str | None = None
        self.owner: str | None = None
        self.state = "initiated" if direction != "inbound" else "incoming"
        self.answered: float | None = None
        self.bridged_since = 0.0
        self.ended_at: float | None = None
        self.hangup_cause: str | None = None
        self.sip_disposition: str | None = None
        self.ended_by: str | None = None
        self.heard = ""
        self.transferred_to: str | None = None
        self.pin: str | None = None
        self.sip_headers: Mapping[str, str] | None = None
        self.offered_to: frozenset[str] = frozenset()
        # The other leg of a loop-back call.
        self.other: Leg | None = None
        # Who still waits for an answer: a dial or a re-bridge, and the gateway's lookup.
        self.reply: Callable[[Reply], None] | None = None
        self.lookup: Callable[[LookupResult], None] | None = None
        self.response_delay = 0.0
        self.responded = False
        self.refusal: str | None = None
        self.composite_hangup = False
        self.post_dial = ""
        # Answers it at once, while it rings at somebody's who can.
        self.pick_up: Callable[[], None] | None = None
        self.rebridging = False
        # One timer a purpose, so that a new one replaces the one before.
        self.timers: dict[str, asyncio.TimerHandle] = {}
        # Wakes the threads that wait in a `FarEnd`; guards nothing but the sleep.
        self.changed = threading.Condition()

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self.state == HANGUP

    @property
    def up(self) -> bool:
        """Whether it was answered and is not over."""
        return self.state in UP

    def cancel_timer(self, purpose: str) -> bool:
        """Stop one timer; return whether it was running."""
        timer = self.timers.pop(purpose, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def cancel_timers(self) -> None:
        """Stop them all."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()

    def notify(self) -> None:
        """Wake the threads that wait for this call."""
        with self.changed:
            self.changed.notify_all()

    def hear(self, digits: str) -> None:
        """Let the far end hear digits."""
        self.heard += digits
        self.notify()

    def record(self) -> CallRecord:
        """Return how it is now."""
        return CallRecord(
            call_id=self.call_id,
            app_id=self.app_id,
            direction=self.direction,
            owner=self.owner,
            state=self.state,
            ended=self.ended,
            from_=self.from_,
            to=self.to,
            channel=self.channel,
            uid=self.uid,
            heard=self.heard,
            transferred_to=self.transferred_to,
            hangup_cause=self.hangup_cause,
            sip_disposition=self.sip_disposition,
            ended_by=self.ended_by,
        )

    def event(self, name: str, **more: Any) -> dict[str, Any]:
        """Return an event frame: the fields all events have, then ``more`` over them."""
        frame = {
            "event": name,
            "callid": self.call_id,
            "timestamp": int(time.time()),
            "uid": self.uid,
            "channel": self.channel,
            "to": self.to,
            "from": self.from_,
            "direction": self.direction,
            "appid": self.app_id,
            "video": self.video,
        }
        frame.update(more)
        return frame
