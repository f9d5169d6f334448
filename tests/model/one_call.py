"""One call in the model: what is known of it, and what an event of its own changes."""

from __future__ import annotations

from typing import Any

Frame = dict[str, Any]
Told = tuple[Any, ...]

# Where a call is kept. "lost": its dial gave up, and it has not turned up.
TRACKED, CLOSING, LOST, GONE = "tracked", "closing", "lost", "gone"

UP = ("answered", "bridged", "unbridged")
ONLY_ONCE = ("call_incoming", "call_initiated", "call_ringing")
KNOWN = (*ONLY_ONCE, "call_answered", "agora_bridge_start", "agora_bridge_end",
         "agora_bridge_failed", "dtmf_received", "call_hangup")  # fmt: skip
# What is still told of a call that we hung up.
OF_A_CLOSING_CALL = ("agora_bridge_end", "dtmf_received", "call_hangup")


class OneCall:
    """A call as the client has to know it."""

    def __init__(self, direction: str, state: str) -> None:
        self.call_id = ""
        self.direction = direction
        self.state = state  # as users see it
        self.leg = state  # as the CM tells it: a call that we hung up may still be heard of
        self.from_ = self.to = self.channel = self.uid = self.app_id = ""
        self.cause: str | None = None
        self.stale = False
        self.place = TRACKED
        self.until: float | None = None  # when it is let go of where it is now
        self.held_until: float | None = None  # it is offered to us: nobody accepted or declined
        self.accepted = False
        self.routes: list[tuple[str, str]] = []
        self.digits = ""  # pressed, and not collected
        self.echoes = ""  # sent, and not heard back
        self._seen: set[str] = set()
        self._spot: tuple[str, str] | None = None
        self._failure: str | None = None

    def learn(self, frame: Frame) -> None:
        """Fill in what was not known; what is known stays."""
        self.direction = self.direction or frame["direction"]
        if self.direction == "outbound" and frame["direction"] == "outbound_sip":
            self.direction = "outbound_sip"
        self.from_ = self.from_ or frame["from"]
        self.to = self.to or frame["to"]
        self.channel = self.channel or frame["channel"]
        self.uid = self.uid or frame["uid"]
        self.app_id = self.app_id or frame["appid"]

    def happens(self, frame: Frame) -> bool:
        """Take in an event; false if it is late or a copy, and changes nothing."""
        name = frame["event"]
        after = self._after(name, frame)
        if after is None or name in self._seen:
            return False
        if self.place == CLOSING and name in KNOWN and name not in OF_A_CLOSING_CALL:
            return False
        if name in ONLY_ONCE:
            self._seen.add(name)
        self.learn(frame)
        if name == "agora_bridge_start":
            self.channel, self.uid = self._spot = (frame["channel"], frame["uid"])
            self._failure = None
        elif name == "agora_bridge_end":
            self._failure = None
        elif name == "agora_bridge_failed":
            self._failure = frame["reason"]
        elif name == "call_hangup":
            self.cause = frame["hangup_cause"]
        if name in KNOWN:
            self.leg = after
            if self.place != CLOSING or after == "hangup":
                self.state = after
        return True

    def can_be_next(self, name: str, frame: Frame) -> bool:
        """Whether an event would be news."""
        return self._after(name, frame) is not None and name not in self._seen

    def _after(self, name: str, frame: Frame) -> str | None:
        """The state after an event, None if it cannot be one of this call's now."""
        now = self.leg
        if now == "hangup":
            return None
        if name == "call_incoming":
            return now if now == "incoming" else None
        if name == "call_ringing":
            return "ringing" if now in ("incoming", "ringing") else None
        if name == "call_answered":
            return "answered" if now in ("incoming", "ringing") else None
        if name == "agora_bridge_start":
            moved = self._spot != (frame["channel"], frame["uid"])
            return "bridged" if now != "bridged" or moved else None
        if name == "agora_bridge_end":
            return "unbridged" if now != "unbridged" else None
        if name == "agora_bridge_failed":
            again = now == "unbridged" and self._failure == frame["reason"]
            return None if again else "unbridged"
        return "hangup" if name == "call_hangup" else now

    def hears(self, digits: str) -> bool:
        """Whether digits are the echo of ours; if not, somebody pressed them."""
        if self.echoes.startswith(digits):
            self.echoes = self.echoes[len(digits):]
            return True
        if self.leg in UP:
            self.digits += digits
        return False

    def collect(self, most: int, terminator: str) -> str:
        """What `collect_digits` is to return when it looks once."""
        taken = ""
        while self.digits and len(taken) < most:
            digit, self.digits = self.digits[0], self.digits[1:]
            if digit == terminator:
                break
            taken += digit
        return taken

    def seen(self) -> Told:
        """Everything that users can see of it."""
        return (self.call_id, self.state, self.direction, self.from_, self.to, self.channel,
                self.uid, self.app_id, self.cause, self.stale)  # fmt: skip

    def __repr__(self) -> str:
        return f"<{self.call_id or 'nameless'} {self.place} {self.state} {self.routes}>"
