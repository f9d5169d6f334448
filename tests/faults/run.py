"""Runs one schedule: a sandbox, a proxy and a client, all of its own; then the audit."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from telephony import (
    Call,
    CallIncoming,
    Client,
    ConnectError,
    DtmfReceived,
    Event,
    TelephonyError,
)
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox
from tests.faults.audit import Audit
from tests.faults.proxy import Proxy
from tests.faults.schedule import COMMAND_SECONDS, DIAL_SECONDS, Schedule, Step
from tests.faults.story import Deed, Story

SECONDS = 30.0
DID = "+18005550001"
#: ``with call:`` may wait so long for the ``call_hangup`` of its own hangup.
LEAVING_SECONDS = 2 * COMMAND_SECONDS + 5.0


class Run:
    """One run of one schedule; ``faults`` is empty if all promises were kept.

    ``go()`` does all but the last: whether the closed client connects again shows only later,
    and is for ``finish()`` to say.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.story = Story()
        self._proxy: Proxy | None = None
        self._accepted = 0

    @property
    def faults(self) -> list[str]:
        return self.story.faults

    @property
    def counts(self) -> Counter[str]:
        """What the schedule did, and what came of it."""
        counts = Counter(f"weather: {step.do}" for step in self.schedule.weather)
        return counts + self.story.counts()

    def __str__(self) -> str:
        parts = [str(self.schedule), *self.story.lines]
        return "\n".join(parts + [f"FAULT: {fault}" for fault in self.faults])

    def go(self) -> None:
        settings = self.schedule.settings
        with Sandbox(time_scale=50, lookup_hold=15, respond=settings["respond"]) as cm:
            self._proxy = proxy = Proxy(cm.port).__enter__()
            client = Client(
                proxy.url, cm.auth_token, "faults", cm.app_id,
                reconnect=Backoff(initial=0.01, maximum=0.04),
                connect_timeout=0.5, command_timeout=COMMAND_SECONDS, dial_timeout=DIAL_SECONDS,
                ping_interval=0.1, ping_timeout=0.3, send_timeout=0.3, workers=6,
                orphan_policy=settings["orphan_policy"],
                subscribe_numbers=[DID] if settings["subscribe"] else None,
            )  # fmt: skip
            try:
                _Cast(self.schedule, self.story, cm, proxy, client).play()
            except Exception as error:  # the run itself went wrong: as bad as a broken promise
                self.story.fault(f"the run ended with {error!r}")
            finally:
                client.close()
            proxy.sync()
            self._accepted = proxy.accepted

    def finish(self) -> None:
        """Any time after ``go()``, the later the better."""
        if self._proxy is not None:
            self._proxy.stop()
            more = self._proxy.accepted - self._accepted
            self.story.check(more == 0, f"{more} connections were made after close()")


class _Cast:
    """Everybody who takes part, each on a thread of their own."""

    def __init__(
        self, schedule: Schedule, story: Story, cm: Sandbox, proxy: Proxy, client: Client
    ) -> None:
        self.schedule = schedule
        self.story = story
        self.cm = cm
        self.proxy = proxy
        self.client = client
        self._paused = threading.Event()  # never set: what a pause waits for
        self._offers = iter(schedule.settings["incoming"])

    def play(self) -> None:
        self._connect()
        self.story.began = time.monotonic()
        threads = [threading.Thread(target=self._weather, daemon=True)]
        for steps in self.schedule.actors:
            threads.append(threading.Thread(target=self._act, args=(steps,), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            if thread.is_alive():
                self.story.fault("an actor hangs")
        Audit(self.schedule, self.story, self.cm, self.proxy, self.client).check()

    def _connect(self) -> None:
        story, client = self.story, self.client
        client.on(Event, story.tell)
        client.on(CallIncoming, self._offered)
        if self.schedule.settings["on_digits"]:
            client.on(DtmfReceived, self._digits)
        client.on(Event, story.told)
        for _ in range(10):  # a busy machine can be slower than the shortest of timeouts
            try:
                client.connect()
                return
            except ConnectError as error:
                story.say(f"connect: {error}")
        raise AssertionError("cannot connect with nothing in the way")

    # --- callbacks -------------------------------------------------------------------------

    def _offered(self, event: CallIncoming) -> bool | None:
        do = next(self._offers, "accept")
        call = event.call
        if do == "accept":
            self.story.attempt(
                "accept", COMMAND_SECONDS,
                lambda: call.accept(token="rtc", channel="in", uid=event.info.from_), call,
            )  # fmt: skip
        elif do == "reject":
            self.story.attempt("reject", COMMAND_SECONDS, lambda: call.reject("no"), call)
        elif do == "keep":
            return True
        elif do == "raise":
            raise ValueError("as an application may")
        return None

    def _digits(self, event: DtmfReceived) -> None:
        if event.echo or event.digits == "9":  # those are the audit's
            return
        if self.schedule.settings["on_digits"] == "hangup":
            self._command("hangup", event.call)
        else:
            self._command("send_dtmf", event.call)

    # --- what the application does -----------------------------------------------------------

    def _act(self, steps: tuple[Step, ...]) -> None:
        call: Call | None = None
        for step in steps:
            self._paused.wait(step.at)
            if step.do == "dial":
                call = self._dial(**step.args)
            elif step.do == "subscribe":
                numbers = step.args["numbers"]
                self.story.attempt(
                    "subscribe", COMMAND_SECONDS, lambda: self.client.subscribe(numbers),
                    numbers=numbers,
                )  # fmt: skip
            elif step.do == "close":
                self._close(**step.args)
            elif call is not None:
                self._command(step.do, call)

    def _dial(self, from_: str, uid: str, script: dict[str, Any] | None = None) -> Call | None:
        to = "+1800" + from_[5:]
        if script is not None:
            self.cm.script_dial(to=to, **script)
        deed = self.story.attempt(
            "dial", DIAL_SECONDS,
            lambda: self.client.dial(
                to=to, from_=from_, channel="room", uid=uid, token="rtc",
                region="AREA_CODE_NA", timeout=4,
            ),
            from_=from_, uid=uid,
        )  # fmt: skip
        if deed.end == "result":
            deed.call_id = deed.value.call_id
            self.story.check(bool(deed.call_id), "a dial returned a call without an id")
            return deed.value  # type: ignore[no-any-return]
        return None

    def _command(self, do: str, call: Call) -> Deed:
        attempt, seconds = self.story.attempt, COMMAND_SECONDS
        if do == "wait_answered":
            return attempt(do, 0.1, lambda: call.wait_answered(0.1), call)
        if do == "wait_ended":
            return attempt(do, 0.05, lambda: call.wait_ended(0.05), call)
        if do == "collect":
            collect = lambda: call.collect_digits(max_digits=2, timeout=0.05)  # noqa: E731
            return attempt(do, 0.05, collect, call)
        if do == "leave":
            return attempt(do, LEAVING_SECONDS, lambda: call.__exit__(None, None, None), call)
        if do == "send_dtmf":
            return attempt(do, seconds, lambda: call.send_dtmf("12"), call)
        if do == "transfer":
            return attempt(do, seconds, lambda: call.transfer("+18005550000"), call)
        if do in ("bridge", "rebridge"):
            where = {"token": "rtc", "channel": "hall", "uid": call.uid or "1"}
            return attempt(do, seconds, lambda: getattr(call, do)(**where), call)
        return attempt(do, seconds, getattr(call, do), call)

    def _close(self, hangup_active: bool, twice: bool) -> None:
        seconds = 2.0 + (2.0 if hangup_active else 0.0)
        other = threading.Thread(target=self.client.close) if twice else None
        if other is not None:
            other.start()
        self.story.attempt(
            "close", seconds, lambda: self.client.close(hangup_active=hangup_active),
            hangup_active=hangup_active,
        )  # fmt: skip
        if other is not None:
            other.join(SECONDS)
            self.story.check(not other.is_alive(), "a second close() hangs")

    # --- what happens to it --------------------------------------------------------------------

    def _weather(self) -> None:
        for step in self.schedule.weather:
            self._paused.wait(max(0.0, self.story.began + step.at - time.monotonic()))
            self.story.say(f"weather: {step.do} {step.args}")
            try:
                self._strike(step.do, dict(step.args))
            except TelephonyError as error:  # there is no such call, or it is over
                self.story.say(f"{step.do}: {error}")

    def _strike(self, do: str, args: dict[str, Any]) -> None:
        cm = self.cm
        if do == "incoming":
            cm.incoming(to=DID, **args)
        elif do in ("press", "hang_up"):
            up = [record for record in cm.calls if not record.ended]
            if up:
                far = cm.peer(up[args["which"] % len(up)].call_id)
                far.press("5") if do == "press" else far.hang_up("USER_BUSY")
        elif do == "cm_drop":
            cm.drop_connections()
        elif do.startswith("cm_"):
            getattr(cm, do[3:])(**args)
        else:
            getattr(self.proxy, do)(**args)
