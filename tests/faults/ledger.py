"""What went over the wire in a run, against what was asked for and what was told."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from telephony import Call, CallOrphaned
from tests.faults.proxy import DOWN, Proxy
from tests.faults.story import SENT, Story
from tests.faults.tape import frames_of

#: What an event can be told of once in a call's life.
ONCE = ("call_incoming", "call_ringing", "call_answered", "call_hangup")
#: What each method sends; all others send nothing.
_ACTIONS = {
    "dial": ("outbound",),
    "hangup": ("endcall", "hangup"),
    "leave": ("endcall", "hangup"),
    **{name: (name,) for name in ("accept", "reject", "send_dtmf", "bridge", "unbridge",
                                  "rebridge", "transfer", "subscribe")},
}  # fmt: skip


class Ledger:
    """*frames* are those the Call Manager heard; the proxy's tapes have what it said."""

    def __init__(
        self, story: Story, frames: list[dict[str, Any]], proxy: Proxy, keep: bool
    ) -> None:
        self.story = story
        self.frames = frames
        self.proxy = proxy
        self.keep = keep

    def check(self, records: dict[str, Any]) -> None:
        """Find what does not fit; each goes to ``story.faults``."""
        self._identities(records)
        self._requests()
        self._order()

    def _identities(self, records: dict[str, Any]) -> None:
        """Each dial has the call that came of it, and no other."""
        for deed in self.story.deeds:
            if deed.name != "dial":
                continue
            call = deed.value or getattr(deed.error, "call", None)
            record = records.get(call.call_id) if call is not None else None
            if record is not None:
                number = deed.args["from_"]
                self.story.check(
                    record.from_ == number, f"{call!r}, dialled from {number}, is another's call"
                )

    def _requests(self) -> None:
        """No request came twice; what was not sent did not come; what was answered did."""
        story = self.story
        frames = [frame for frame in self.frames if frame["action"] not in ("register", "sync")]
        ids = Counter(frame["request_id"] for frame in frames)
        for request_id, count in ids.items():
            story.check(count == 1, f"{request_id} came {count} times")
        came = Counter((frame["action"], self._subject(frame)) for frame in frames)
        most, least = Counter(), Counter()  # type: ignore[var-annotated]
        for deed in story.deeds:
            subject = deed.args.get("from_") or deed.call_id
            actions = _ACTIONS.get(deed.name, ())
            if deed.name == "subscribe":
                subject = json.dumps(deed.args["numbers"])
            for action in actions:
                sent = deed.end in SENT
                # Leaving a call may hang it up or have no need to.
                most[action, subject] += deed.name == "leave" or sent
            if deed.end in ("result", "refused") and len(actions) == 1:
                least[actions[0], subject] += 1
        closing = any(deed.args.get("hangup_active") for deed in story.deeds)
        for event in story.of(CallOrphaned):
            most["endcall", event.call.call_id] += not self.keep
        for (action, subject), count in came.items():
            allowed = most[action, subject] + (closing and action in ("endcall", "hangup"))
            story.check(
                count <= allowed, f"{action} {subject} came {count} times, asked {allowed} times"
            )
        for (action, subject), count in least.items():
            story.check(
                count <= came[action, subject],
                f"{action} {subject} was answered {count} times, came {came[action, subject]}",
            )

    @staticmethod
    def _subject(frame: dict[str, Any]) -> str:
        if "numbers" in frame:
            return json.dumps(frame["numbers"])
        return str(frame.get("from") or frame.get("callid", ""))

    def _order(self) -> None:
        """What was told of a call is what came, in the order it came, and nothing twice."""
        story = self.story
        places: dict[str, list[int]] = {}
        for place, frame in enumerate(
            frame for link in self.proxy.links for frame in frames_of(link.tape(DOWN))
        ):
            places.setdefault(json.dumps(frame, sort_keys=True), []).append(place)
        last: dict[Call, int] = {}
        counts: Counter[tuple[Call, str]] = Counter()
        for event in story.events:
            call = getattr(event, "call", None)
            if call is None or isinstance(event, CallOrphaned):
                continue
            counts[call, event.name] += 1
            key = json.dumps(dict(event.raw), sort_keys=True)
            later = [place for place in places.get(key, ()) if place > last.get(call, -1)]
            if later:
                last[call] = later[0]
            else:
                story.fault(f"{event.name} of {call!r} was told out of order, or never came")
        for (call, name), count in counts.items():
            story.check(count == 1 or name not in ONCE, f"{name} of {call!r} told {count} times")
