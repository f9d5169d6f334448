"""``telephony demo``: a day of phone calls, on a real socket and without an account.

A sandbox is the Call Manager and everybody who can be called. One client places a call,
trades digits with whoever picked up, takes a call, turns another one down, and everything is
hung up. Nothing is claimed that did not happen: `Story` checks every event.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from telephony.call import Call
from telephony.client import Client
from telephony.errors import TelephonyError
from telephony.protocol.events import CallEvent, CallIncoming, ErrorOccurred, Event

if TYPE_CHECKING:
    from telephony.cli.output import Output
    from telephony.sandbox import Sandbox

_T = TypeVar("_T")

#: Calls go this many times as fast as real ones.
SPEED = 2.0
#: No step takes anywhere near so many seconds; one that does has failed.
PATIENCE = 5.0

OURS = "+15551234567"
CALLEE = "+18005551234"
HOTLINE = "+18005550100"
CLOSED_LINE = "+18005550199"
CALLER = "+15557654321"


class StepMissingError(TelephonyError):
    """Something the demo is about did not happen."""


def run(out: Output) -> None:
    """Tell the whole story, in a few seconds.

    Raises ``StepMissingError`` or another ``TelephonyError`` if it does not go as told, and
    ImportError without aiohttp.
    """
    from telephony.sandbox import Sandbox

    with Sandbox(time_scale=SPEED, dids=[HOTLINE, CLOSED_LINE]) as cm:
        tell(cm, out)


def tell(cm: Sandbox, out: Output) -> None:
    """Tell the story on a running sandbox that serves the two DIDs."""
    began = time.monotonic()
    story = Story(out)
    out.step("sandbox", f"a Call Manager on this machine, {cm.url}")
    client = cm.client(client_id="demo")
    client.on(Event, story.hear)
    out.watch(client)
    try:
        client.connect()
        story.expect(None, "connected")
        place_a_call(client, cm, story)
        take_a_call(client, cm, story)
        turn_a_call_down(client, cm, story)
        story.check(not client.calls(), "the client tracks no call any more")
        story.check(all(call.ended for call in cm.calls), "every call has ended")
    finally:
        client.close(drain=PATIENCE, hangup_active=True)
    story.expect(None, "disconnected")
    story.check_nothing_else()
    seconds = time.monotonic() - began
    out.line(
        "\nAll went well: 3 calls (1 placed, 1 accepted, 1 rejected), digits both ways,\n"
        f"{story.events} events, everything hung up, in {seconds:.1f} s.",
        event="summary",
        ok=True,
        placed=1,
        accepted=1,
        rejected=1,
        events=story.events,
        seconds=round(seconds, 3),
    )


def place_a_call(client: Client, cm: Sandbox, story: Story) -> None:
    """Dial, send digits, collect digits, hang up."""
    story.step("dial", f"{OURS} -> {CALLEE}")
    with client.dial(
        to=CALLEE,
        from_=OURS,
        channel="demo",
        uid="100",
        token="an-rtc-token",
        region="AREA_CODE_NA",
    ) as call:
        call.wait_bridged(timeout=PATIENCE)
        story.expect(
            call, "call_initiated", "call_ringing", "call_answered", "agora_bridge_start"
        )
        callee = cm.peer(call)

        story.step("send_dtmf", "1234#", call)
        call.send_dtmf("1234#")
        callee.wait_heard("1234#", timeout=PATIENCE)
        story.expect(call, "dtmf_received")
        story.step("callee heard", callee.heard, call)

        story.step("callee presses", "42#", call)
        callee.press("42#")
        digits = call.collect_digits(terminator="#", timeout=PATIENCE)
        story.expect(call, "dtmf_received", "dtmf_received", "dtmf_received")
        story.check(digits == "42", f"the callee's digits were collected (got {digits!r})")
        story.step("collected", digits, call)

        story.step("hangup", "", call)
    story.expect(call, "agora_bridge_end", "call_hangup")
    story.check(call.hangup_cause == "NORMAL_CLEARING", "the placed call was hung up")
    story.check(callee.ended, "the callee's phone is down")


def take_a_call(client: Client, cm: Sandbox, story: Story) -> None:
    """Accept an inbound call in a callback, and talk in digits until the caller hangs up."""
    taken: queue.SimpleQueue[Call] = queue.SimpleQueue()

    @client.on(CallIncoming, to=HOTLINE)
    def answer(event: CallIncoming) -> None:
        story.step("accept", "into channel hotline", event.call)
        event.call.accept(token="an-rtc-token", channel="hotline", uid="200")
        taken.put(event.call)

    story.step("caller dials", f"{CALLER} -> {HOTLINE}")
    caller = cm.incoming(to=HOTLINE, from_=CALLER)
    call = story.next(taken, "the inbound call was accepted")
    call.wait_bridged(timeout=PATIENCE)
    story.expect(call, "call_incoming", "call_answered", "agora_bridge_start")
    story.check(caller.accepted, "the caller was put through")

    story.step("caller presses", "7", call)
    caller.press("7")
    choice = call.collect_digits(max_digits=1, timeout=PATIENCE)
    story.expect(call, "dtmf_received")
    story.check(choice == "7", f"the caller's choice was collected (got {choice!r})")

    story.step("send_dtmf", "99", call)
    call.send_dtmf("99")
    caller.wait_heard("99", timeout=PATIENCE)
    story.expect(call, "dtmf_received")
    story.step("caller heard", caller.heard, call)

    story.step("caller hangs up", "", call)
    caller.hang_up()
    call.wait_ended(timeout=PATIENCE)
    story.expect(call, "agora_bridge_end", "call_hangup")
    story.check(call.hangup_cause == "NORMAL_CLEARING", "the accepted call was hung up")


def turn_a_call_down(client: Client, cm: Sandbox, story: Story) -> None:
    """Reject an inbound call in a callback; its caller hears so."""
    refused: queue.SimpleQueue[Call] = queue.SimpleQueue()

    @client.on(CallIncoming, to=CLOSED_LINE)
    def refuse(event: CallIncoming) -> None:
        story.step("reject", "closed for today", event.call)
        event.call.reject("closed for today")
        refused.put(event.call)

    story.step("caller dials", f"{CALLER} -> {CLOSED_LINE}")
    caller = cm.incoming(to=CLOSED_LINE, from_=CALLER)
    call = story.next(refused, "the other inbound call was rejected")
    cause = caller.wait_ended(timeout=PATIENCE)
    story.expect(call, "call_incoming")
    story.check(cause == "CALL_REJECTED", f"the caller heard the rejection (heard {cause})")
    story.step("rejected", f"the caller hears {caller.sip_status}, {cause}", call)


class Story:
    """Prints what happens, and keeps each call's events until they are expected.

    The client's own events are kept under None.
    """

    def __init__(self, out: Output) -> None:
        self.step = out.step
        self.events = 0
        self._out = out
        self._lock = threading.Lock()  # guards `events` and the making of queues
        self._heard: defaultdict[Call | None, queue.SimpleQueue[str]]
        self._heard = defaultdict(queue.SimpleQueue)
        self._errors: list[str] = []

    def hear(self, event: Event) -> None:
        """Print an event and keep it; the client's callback for all of them."""
        self._out.event(event)
        if isinstance(event, ErrorOccurred):
            self._errors.append(str(event.error))
            return
        with self._lock:
            self.events += 1
            heard = self._heard[event.call if isinstance(event, CallEvent) else None]
        heard.put(event.name)

    def expect(self, call: Call | None, *names: str) -> None:
        """Wait until the call's next events are here; they must be these, in this order."""
        with self._lock:
            heard = self._heard[call]
        for name in names:
            what = name if call is None else f"{name} of {call}"
            came = self.next(heard, what)
            self.check(came == name, f"{what} (there was {came})")

    def next(self, coming: queue.SimpleQueue[_T], what: str) -> _T:
        """Wait for the next thing in a queue."""
        try:
            return coming.get(timeout=PATIENCE)
        except queue.Empty:
            self.check_no_errors()
            raise StepMissingError(f"this did not happen: {what}") from None

    def check(self, happened: bool, what: str) -> None:
        """Raise unless it happened."""
        if not happened:
            raise StepMissingError(f"this did not happen: {what}")

    def check_no_errors(self) -> None:
        """Raise if anything went wrong, a callback for example."""
        if self._errors:
            raise StepMissingError(f"something went wrong: {'; '.join(self._errors)}")

    def check_nothing_else(self) -> None:
        """Raise if there was an error, or an event that nobody expected."""
        self.check_no_errors()
        for call, heard in self._heard.items():
            self.check(heard.empty(), f"the end of {call or 'the story'}")
