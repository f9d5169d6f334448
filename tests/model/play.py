"""A play on the stage: what is done there is told to the model too, and the two are compared."""

from __future__ import annotations

from typing import Any, Callable

from telephony import CallIncoming
from tests.model.model import Model
from tests.model.one_call import Frame, OneCall
from tests.model.stage import Running, Stage, client_told, seen, told

APPS = ["APP-A", "APP-B"]
SPOTS = [("room", "100"), ("hall", "200")]
TOKEN = {"token": "rtc-token"}


def same(expected: Any, actual: Any) -> None:
    assert expected == actual, f"\n  the model: {expected}\n the client: {actual}"


class Play:
    """After every step the client, caught up, agrees with the model."""

    def __init__(self, *, multi: bool = False, keep: bool = False) -> None:
        self.running: list[Running] = []
        self.keys: dict[Running, tuple[str, str, str]] = {}
        self.frames: list[Frame] = []  # events sent so far, to be sent again
        self.ways: dict[str, str] = {}  # by the caller's number: what a callback does
        self.mark = 0
        self.by_callback = 0  # commands that callbacks have sent
        self.settled = (0, 0)
        self.agreed = False
        self.reconnects = 0
        self.out = False  # nobody lets the client in
        self.apps = APPS if multi else APPS[:1]
        app_id = "MULTI" if multi else APPS[0]
        self.model = Model("" if multi else app_id, keep_orphans=keep)
        self.stage = stage = Stage(app_id, self.apps, "keep" if keep else "hangup")
        self.cm, self.client = stage.cm, stage.client
        self.client.on(CallIncoming, self.decide)
        self.client.connect()
        stage.await_event("connected")
        self.settle()

    def end(self, *, hang_up: bool = False) -> None:
        """Close the client, if all went well so far with a look at what that does."""
        try:
            if self.agreed:
                self._close(hang_up)
        finally:
            self.client.close()
            self.stage.close()

    def _close(self, hang_up: bool) -> None:
        """Closing ends every command, and every call of ours if it is asked to."""
        self.cm.delay(0)
        if hang_up and self.model.connected:
            for call in self.model.tracked():
                if call.call_id and call.held_until is None:  # what is only offered is not ours
                    action = "hangup" if call.direction == "inbound" else "endcall"
                    self.model.due.append(self.model.key(action, call.call_id))
        self.client.close(hangup_active=hang_up)
        self.read()
        for running in self.running:
            running.wait()  # an answer that leaves as the client closes may come or not
            assert running.end in ("lost", self.model.answers.get(running.request_id)), running.end
        same([], self.client.calls())
        same(0, self.client.health().in_flight)

    # --- catching up ------------------------------------------------------------------------

    def settle(self) -> None:
        """Let the client catch up, tell the model the same, and compare the two."""
        self.agreed = False
        while True:
            sent = (self.model.by_itself, self.by_callback)
            if self.model.connected:
                self.stage.fence()
            self.stage.drain()
            self.read()
            if self.model.own_due:
                self.stage.wire.await_command(self.mark, lambda: False)
            elif self.settled == sent == (self.model.by_itself, self.by_callback):
                break
            self.settled = sent
        self.compare()
        self.agreed = True

    def read(self) -> None:
        """Tell the model what went over the wire since the last time."""
        for kind, frame in self.stage.wire.since(self.mark):
            self.mark += 1
            action, status = frame.get("action"), frame.get("status")
            if action == "register":
                assert self.model.numbers == frame.get("subscribe_numbers", [])
            elif status == "registered":
                self.model.registered()
            elif kind == "command" and action != "fence":
                self.name(self.model.sent(frame), frame)
            elif "event" in frame:
                self.frames.append(frame)
                self.model.happened(frame)
                if frame["event"] == "call_incoming" and self.ways[frame["from"]] == "decline":
                    self.model.declined(frame["callid"])
            elif frame.get("request_id", "fence").partition("_")[0] != "fence":
                self.model.answered(frame)
        assert [] == self.model.due, "what was asked for was not sent"

    def name(self, request_id: str, frame: Frame) -> None:
        """The command that was sent is one of those that run, or the library's own."""
        asked = self.model.asked[request_id]
        if asked.ours:
            about = frame["uid"] if asked.action == "outbound" else frame.get("callid", "")
            key = (asked.action, about, frame.get("appid", ""))
            waiting = (r for r in self.running if not r.request_id and self.keys[r] == key)
            first = next(waiting, None)  # none: close() does it
            if first is not None:
                first.request_id = request_id

    def compare(self) -> None:
        model, client = self.model, self.client
        expected = sorted((call.seen() for call in model.tracked()), key=repr)
        same(expected, sorted((seen(call.info) for call in client.calls()), key=repr))
        events: dict[Any, list[Any]] = {}
        others = []
        for event in self.stage.events():
            call = getattr(event, "call", None)
            if call is None:
                others.append(client_told(event))
            else:
                events.setdefault(call, []).append(told(event))
        same(sorted(model.told.values(), key=repr), sorted(events.values(), key=repr))
        same(model.client_told, others)
        model.told, model.client_told = {}, []
        for running in [r for r in self.running if r.request_id in model.answers]:
            running.wait()
            same(model.answers[running.request_id], running.end)
            self.running.remove(running)
        health = client.health()
        same((len(model.asked), len(expected)), (health.in_flight, health.active_calls))
        same((model.connected, self.reconnects), (health.connected, health.reconnects))
        same((0, 0), (health.queued_events, health.protocol_errors))

    # --- giving commands --------------------------------------------------------------------

    def ask(self, key: tuple[str, str, str], command: Callable[[], Any], on: int = 0) -> None:
        """Give a command; while there is no connection it must fail at once."""
        if not self.model.connected:
            running = self.stage.launch(command)
            running.wait()
            assert "NotConnectedError" == running.end
        else:
            self.model.due.append(key)
            running = self.stage.launch(command)
            self.running.append(running)
            self.keys[running] = key
            self.go_on(on)
        self.settle()

    def go_on(self, steps: int) -> None:
        """The newest of what waits at the CM happens, so many times."""
        for _ in range(steps):
            if self.stage.timers.waiting:
                self.stage.let_go(-1)

    def decide(self, event: CallIncoming) -> Any:
        """The callback for incoming calls."""
        way = self.ways[event.info.from_]
        if way in ("accept", "reject"):
            call = event.call
            self.by_callback += 1
            if way == "reject":
                running = Running(self.stage.wire, call.reject)
            else:
                channel, uid = SPOTS[0]
                running = Running(
                    self.stage.wire, lambda: call.accept(**TOKEN, channel=channel, uid=uid)
                )
            key = (way, call.call_id, call.app_id)
            self.keys[running] = key
            self.running.append(running)
            self.model.due.append(key)
            running.run()
        return way == "keep" or None

    def named(self) -> list[OneCall]:
        """Every call that was ever known by an id."""
        return [call for call in self.model.calls if call.call_id.count(":") < 2 and call.call_id]

    def up(self) -> list[OneCall]:
        return [c for c in self.model.tracked() if c.call_id and c.state != "incoming"]
