"""What must hold after a schedule, once the network has healed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from telephony import Call, CallHangup, CallOrphaned, Client, CommandRefusedError
from telephony import Connected, ErrorOccurred, Gap, OutcomeUnknownError, TelephonyError
from telephony.sandbox import Sandbox
from tests.faults.ledger import Ledger
from tests.faults.proxy import DOWN, Proxy
from tests.faults.schedule import LONGEST_DELAY, Schedule
from tests.faults.story import Story
from tests.faults.tape import frames_of

SECONDS = 20.0
_UP = ("answered", "bridged", "unbridged")


class Audit:
    """Looks at the client, at the sandbox, and at what went between them."""

    def __init__(
        self, schedule: Schedule, story: Story, cm: Sandbox, proxy: Proxy, client: Client
    ) -> None:
        self.keep = schedule.settings["orphan_policy"] == "keep"
        self.reordered = any(step.do == "cm_reorder" for step in schedule.weather)
        self._undecided = _undecided(schedule)
        self.story = story
        self.cm = cm
        self.proxy = proxy
        self.client = client
        self._paused = threading.Event()  # never set: what a pause waits for
        self._orphans: set[str] = set()  # the ids of those that must be told, once
        self._lost_ends = 0
        self._ended_at_last: list[Call] = []

    def check(self) -> None:
        """Find every promise that was not kept; each goes to ``story.faults``."""
        self.story.say("healed")
        self.proxy.heal()
        self.cm.clear_faults()
        if not self.client.closed:
            self._settle(LONGEST_DELAY + 0.05)  # late answers, and events held to be shuffled
            self._states()
            self._late_answers()
            self._unowned()
            self._last_words()
            self._idle()
        self._close()
        Ledger(self.story, self.cm.frames, self.proxy, self.keep).check(self._records())

    def _settle(self, seconds: float = 0.0) -> None:
        """Return when the client has taken in all that the sandbox has had to say.

        A sync is answered behind it, on one connection, which must still be the same then.
        """
        self.cm.delay(seconds, "sync")
        for _ in range(40):
            if not self.client.wait_connected(SECONDS):
                break
            reconnects = self.client.health().reconnects
            try:
                self.client.command("sync", command_timeout=SECONDS)
            except CommandRefusedError:
                if self.client.health().reconnects == reconnects and self._old_links_closed():
                    return
            except TelephonyError as error:
                self.story.say(f"sync: {error}")
                self._paused.wait(0.01)  # the client's reader may not have noticed yet
        self.story.fault("the client does not come to rest")

    def _old_links_closed(self) -> bool:
        """Whether nothing can arrive any more over a connection of the past."""
        if self.proxy.open_links == 1:
            return True
        for link in self.proxy.links[:-1]:
            self.story.check(link.closed.wait(SECONDS), "an old connection stays open")
        return False  # what it brought at last is to be waited for

    def _records(self) -> dict[str, Any]:
        return {record.call_id: record for record in self.cm.calls}

    # --- while connected ---------------------------------------------------------------------

    def _states(self) -> None:
        """Each call is as the sandbox has it, or was said to be uncertain."""
        check = self.story.check
        self.proxy.sync()
        before = b"".join(link.tape(DOWN) for link in self.proxy.links[:-1])
        given_up = {
            deed.args["from_"] for deed in self.story.deeds
            if deed.name == "dial" and deed.end == "unknown"
        }  # fmt: skip
        records = self._records()
        for call in self.client.calls():
            check(bool(call.call_id), f"{call!r} has no id, and nobody dials it")
            record = records.get(call.call_id)
            if record is None:
                self.story.fault(f"{call!r} is of no call that there is")
            elif record.ended:
                check(
                    self._may_be_over(call),
                    f"{call!r} is {call.state}, and ended {record.hangup_cause}",
                )
            elif call.stale or record.from_ in given_up or call.call_id.encode() in before:
                pass  # there was an outage, and a Gap told that something may be missing
            elif self.reordered:  # the last bridge event need not be the last that happened
                check(
                    (call.state in _UP) == (record.state in _UP),
                    f"{call!r} is {call.state}, and {record.state} in truth",
                )
            else:
                check(
                    _shown(str(call.state)) == _shown(record.state),
                    f"{call!r} is {call.state}, and {record.state} in truth",
                )

    def _may_be_over(self, call: Call) -> bool:
        """It is said to be uncertain, or its end could not be told to be its own.

        Whoever gives up before we accept is not reported by the CM.
        """
        return call.stale or call.state == "incoming" or call.from_ in self._undecided

    def _late_answers(self) -> None:
        """A dial's answer that came when nobody waited any more was heeded."""
        story = self.story
        given_up = {
            deed.error.request_id: deed.error for deed in story.deeds
            if deed.name == "dial" and isinstance(deed.error, OutcomeUnknownError)
        }  # fmt: skip
        self.proxy.sync()
        # What came over earlier connections may not have been read any more.
        late = [
            (given_up[frame["request_id"]], frame["data"]["callid"])
            for frame in frames_of(self.proxy.links[-1].tape(DOWN))
            if frame.get("request_id") in given_up and frame.get("data", {}).get("success")
        ]
        if late:
            self._settle()  # what the client said to it may be on its way
        records, owned = self._records(), {call.call_id for call in self.client.calls()}
        for error, call_id in late:
            story.note("a dial was answered too late")
            # Whether its endcall got through is another question.
            orphan = error.call is not None and error.call.active
            good = call_id in owned if self.keep else not orphan
            story.check(
                good or records[call_id].ended,
                f"the answer to {error.request_id} came late, and nothing was done",
            )

    def _unowned(self) -> None:
        """A call that is up is owned, or a dial's error told of it, and it is recognised."""
        story = self.story
        calls = self.client.calls()
        owned = {call.call_id: call for call in calls}
        unknown = {
            deed.args["from_"]: deed for deed in story.deeds
            if deed.name == "dial" and deed.end == "unknown"
        }  # fmt: skip
        lost: list[tuple[Any, Call]] = []
        for record in self._records().values():
            if record.ended or record.state == "incoming" or record.call_id in owned:
                continue
            deed = unknown.get(record.from_)
            if deed is None or not isinstance(deed.error, OutcomeUnknownError):
                story.fault(f"{record.call_id} is {record.state}, and nobody knows of it")
            elif deed.error.call is None:
                story.fault(f"the error of {deed} has no call")
            else:
                dialled = deed.error.call
                if dialled.active and dialled.call_id:
                    story.fault(f"{dialled!r} is up, its id is known, and nothing was done")
                lost.append((record, dialled))
        open_routes = Counter(
            call.uid for deed in unknown.values()
            if (call := getattr(deed.error, "call", None)) is not None
            and call.active and call not in calls
        )  # fmt: skip
        turned_up = {call for _, call in lost if not call.active}  # but its end was lost
        if lost:
            self._provoke([record.call_id for record, _ in lost])
        after, owned = self._records(), {call.call_id: call for call in self.client.calls()}
        for record, call in lost:
            new = after[record.call_id]
            if call in turned_up:
                story.note("an orphan's end was lost")
                self._lost_ends += 1
            elif open_routes[record.uid] > 1:  # which of the dials it is cannot be known
                story.note("an ambiguous call was kept")
                story.check(record.call_id in owned, f"{record.call_id} is ambiguous, and lost")
                story.check(not new.ended, f"{record.call_id} was guessed to be an orphan")
            elif self.keep:
                story.note("an orphan was recognised and kept")
                story.check(not new.ended, f"{record.call_id} was ended, against the policy")
                story.check(owned.get(record.call_id) is call, f"{record.call_id} is not kept")
            else:
                story.note("an orphan was recognised by an event after all")
                story.check("endcall" == new.ended_by, f"the orphan {record.call_id} is still up")
            if open_routes[record.uid] <= 1:
                self._orphans.add(record.call_id)

    def _provoke(self, call_ids: list[str]) -> None:
        """Let the far ends do something that the client hears of, over one connection.

        On a busy machine the shortest of ping timeouts can end one at any time.
        """
        for _ in range(20):
            reconnects = self.client.health().reconnects
            for call_id in call_ids:
                try:
                    self.cm.peer(call_id).press("9")
                except TelephonyError:
                    pass  # it is over: an earlier time was enough
            self._settle()
            self._settle()  # the first brings the news to the client, the second its answer back
            if self.client.health().reconnects == reconnects:
                return
        self.story.fault("no connection lasts")

    def _last_words(self) -> None:
        """Whatever is owned and ends now, its end is told, once, and it is owned no more."""
        story, records = self.story, self._records()
        up = [
            call for call in self.client.calls()
            if call.call_id in records and records[call.call_id].state in _UP
            and call.from_ not in self._undecided
        ]  # fmt: skip
        reconnects = self.client.health().reconnects
        for record in records.values():
            if not record.ended:
                self.cm.peer(record.call_id).hang_up("ALLOTTED_TIMEOUT")
        self._settle()
        left = self.client.calls()
        if self.client.health().reconnects != reconnects:
            story.note("an outage came into the audit")
            up = []
        for call in up:
            story.check(call not in left, f"{call!r} ended, and is still in calls()")
            story.check(
                call.hangup_cause == "ALLOTTED_TIMEOUT",
                f"{call!r} ended of {call.hangup_cause}",
            )
        for call in left:
            story.check(
                self._may_be_over(call), f"{call!r} is over, and in calls() as if nothing were"
            )
        self.story.say(f"{len(up)} ended at last")
        self._ended_at_last = up

    def _idle(self) -> None:
        """Nothing is under way any more."""
        health = self.client.health()
        self.story.check(health.in_flight == 0, f"{health.in_flight} commands are in flight")
        self.story.check(health.protocol_errors == 0, f"{health.protocol_errors} protocol errors")

    # --- afterwards --------------------------------------------------------------------------

    def _close(self) -> None:
        story = self.story
        story.attempt("last close", 12.0, lambda: self.client.close(drain=10.0))
        health = self.client.health()
        story.check(health.queued_events == 0, f"{health.queued_events} events are queued")
        story.check(health.in_flight == 0, "commands are in flight after close()")
        ends = Counter(event.call for event in story.of(CallHangup))
        for call in self._ended_at_last:
            story.check(ends[call] == 1, f"the end of {call!r} was told {ends[call]} times")
        # By id: on a route of two dials events can have made a call before it was known whose.
        orphaned = Counter(event.call.call_id for event in story.of(CallOrphaned))
        for call_id in self._orphans | set(orphaned):
            times = orphaned[call_id]
            story.check(times == 1, f"{call_id} was told to be an orphan {times} times")
        reconnected = sum(event.reconnected for event in story.of(Connected))
        gaps = len(story.of(Gap))
        story.check(gaps == reconnected, f"{reconnected} reconnects, and {gaps} gaps told")
        errors = [getattr(event.error, "action", "") for event in story.of(ErrorOccurred)]
        story.check(
            errors.count("endcall") >= self._lost_ends, "an orphan's end was lost without a word"
        )


def _undecided(schedule: Schedule) -> set[str]:
    """Who dials a call whose hangup has a route for an id, a route that another dial has too.

    While both are up it ends neither of them: the client never guesses.
    """
    steps = [step for steps in schedule.actors for step in steps if step.do == "dial"]
    dials = Counter(step.args["uid"] for step in steps)
    return {
        step.args["from_"]
        for step in steps
        if step.args.get("script", {}).get("composite_hangup") and dials[step.args["uid"]] > 1
    }


def _shown(state: str) -> str:
    """A bridge that is taken back before the audio joined is not reported."""
    return "answered" if state == "unbridged" else state
