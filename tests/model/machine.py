"""The machine: what users, far ends, the network and time may do, in any order."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from telephony import Call, CallIncoming, TelephonyError
from telephony.sandbox.calls import Leg
from tests.model.model import Model
from tests.model.one_call import TRACKED, Frame, OneCall
from tests.model.stage import Running, Stage, client_told, seen, told

APPS = ["APP-A", "APP-B"]
SPOTS = [("room", "100"), ("hall", "200")]
DIDS = ["+18005550001", "+18005550002"]
TOKEN = {"token": "rtc-token"}

which = st.integers(0, 7)
spots = st.sampled_from(SPOTS)
digits = st.sampled_from(["1", "2#", "12", "121"])


def same(expected: Any, actual: Any) -> None:
    assert expected == actual, f"\n  the model: {expected}\n the client: {actual}"


class Machine(RuleBasedStateMachine):
    """After every step the client, caught up, agrees with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: Stage | None = None
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

    @initialize(multi=st.booleans(), keep=st.booleans())
    def begin(self, multi: bool, keep: bool) -> None:
        self.apps = APPS if multi else APPS[:1]
        app_id = "MULTI" if multi else APPS[0]
        self.model = Model("" if multi else app_id, keep_orphans=keep)
        self.stage = stage = Stage(app_id, self.apps, "keep" if keep else "hangup")
        self.cm, self.client = stage.cm, stage.client
        stage.client.on(CallIncoming, self.decide)
        self.client.connect()
        stage.await_event("connected")
        self.settle()

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
            first = next(r for r in self.running if not r.request_id and self.keys[r] == key)
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

    def pick(self, calls: list[OneCall], number: int) -> OneCall:
        return calls[number % len(calls)]

    def named(self) -> list[OneCall]:
        """Every call that was ever known by an id."""
        return [call for call in self.model.calls if call.call_id.count(":") < 2 and call.call_id]

    def up(self) -> list[OneCall]:
        return [c for c in self.model.tracked() if c.call_id and c.state != "incoming"]

    # --- dials --------------------------------------------------------------------------------

    @rule(
        spot=spots,
        app=st.sampled_from([0, 0, 1]),
        outcome=st.sampled_from(
            ["answer", "answer", "answer", "busy", "no_answer", "no_gateway", "invalid"]
        ),
        early=st.booleans(),
        delay=st.booleans(),
        composite=st.booleans(),
        direction=st.sampled_from(["outbound", "outbound", "outbound_sip"]),
        on=st.integers(0, 4),
    )
    def dial(
        self, spot: Any, app: int, outcome: str, early: bool, delay: bool, composite: bool,
        direction: str, on: int,
    ) -> None:  # fmt: skip
        """Dial; what becomes of it happens at once or later."""
        if self.model.connected:
            self.cm.script_dial(
                outcome,
                respond="early" if early else "answer",
                delay=1.0 if delay else 0.0,
                composite_hangup=composite,
                direction=direction,
            )
        channel, uid = spot
        app_id = self.apps[app % len(self.apps)]
        self.ask(
            ("outbound", uid, app_id),
            lambda: self.client.dial(
                to="+15550007", from_="+15550001", channel=channel, uid=uid, app_id=app_id,
                region="AREA_CODE_EU", **TOKEN,
            ),
            on,
        )  # fmt: skip

    @precondition(lambda self: self.running)
    @rule(number=which)
    def give_up(self, number: int) -> None:
        """Whoever waits for an answer waits no longer."""
        running = self.running[number % len(self.running)]
        self.model.gives_up(running.request_id)
        self.stage.give_up(running)
        self.settle()

    @precondition(lambda self: self.stage and self.stage.timers.waiting)
    @rule(numbers=st.lists(which, min_size=1, max_size=6))
    def happens(self, numbers: list[int]) -> None:
        """Timers of the CM go off: it rings, is answered, joins, an answer leaves at last …"""
        for number in numbers:
            if self.stage.timers.waiting:
                self.stage.let_go(number)
        self.settle()

    # --- incoming calls -----------------------------------------------------------------------

    @rule(
        way=st.sampled_from(["keep", "keep", "decline", "accept", "reject"]),
        app=st.integers(0, 1),
        did=st.integers(0, 1),
    )
    def incoming(self, way: str, app: int, did: int) -> None:
        """Somebody phones one of the DIDs."""
        number = f"+1555{len(self.ways) + 1000}"
        self.ways[number] = way
        self.cm.incoming(to=DIDS[did], from_=number, app_id=self.apps[app % len(self.apps)])
        self.settle()

    @precondition(lambda self: any(c.direction == "inbound" for c in self.named()))
    @rule(number=which, spot=spots, accept=st.booleans())
    def take_or_leave(self, number: int, spot: Any, accept: bool) -> None:
        """Accept or reject an incoming call, also one that is long gone."""
        call = self.pick([c for c in self.named() if c.direction == "inbound"], number)
        channel, uid = spot
        name, app = call.call_id, call.app_id
        if accept:
            self.ask(
                ("accept", name, app),
                lambda: self.client.accept(name, **TOKEN, channel=channel, uid=uid, app_id=app),
            )
        else:
            self.ask(("reject", name, app), lambda: self.client.reject(name, app_id=app))

    # --- during a call ------------------------------------------------------------------------

    @precondition(lambda self: self.named())
    @rule(number=which)
    def hang_up(self, number: int) -> None:
        """Hang up a call, also one that is over."""
        call = self.pick(self.up() or self.named(), number)
        dialled = call.place == TRACKED and call.direction != "inbound"
        key = self.model.key("endcall" if dialled else "hangup", call.call_id)
        self.ask(key, lambda: self.client.hangup(call.call_id))

    @precondition(lambda self: self.up())
    @rule(number=which, text=digits)
    def send_digits(self, number: int, text: str) -> None:
        call = self.pick(self.up(), number)
        key = self.model.key("send_dtmf", call.call_id)
        self.ask(key, lambda: self.client.send_dtmf(call.call_id, text))

    @precondition(lambda self: self.up())
    @rule(number=which, most=st.integers(1, 3))
    def collect(self, number: int, most: int) -> None:
        """What was pressed so far is there, and no echo among it."""
        call = self.pick(self.up(), number)
        live: Call | None = self.client.call(call.call_id)
        assert live is not None
        expected = call.collect(most, "#")
        assert expected == live.collect_digits(max_digits=most, timeout=0)

    @precondition(lambda self: self.up())
    @rule(number=which, spot=spots, again=st.booleans(), fail=st.booleans())
    def bridge(self, number: int, spot: Any, again: bool, fail: bool) -> None:
        """Move the audio, by bridge or by re-bridge."""
        call = self.pick(self.up(), number)
        channel, uid = spot
        if fail and again:
            self.cm._faults.clear()
            self.cm.fail_rebridge()
        act = self.client.rebridge if again else self.client.bridge
        key = self.model.key("rebridge" if again else "bridge", call.call_id)
        self.ask(key, lambda: act(call.call_id, **TOKEN, channel=channel, uid=uid))

    @precondition(lambda self: self.up())
    @rule(number=which)
    def unbridge(self, number: int) -> None:
        call = self.pick(self.up(), number)
        key = self.model.key("unbridge", call.call_id)
        self.ask(key, lambda: self.client.unbridge(call.call_id))

    @precondition(lambda self: self.up())
    @rule(number=which)
    def transfer(self, number: int) -> None:
        call = self.pick(self.up(), number)
        key = self.model.key("transfer", call.call_id)
        self.ask(key, lambda: self.client.transfer(call.call_id, "+15550009"))

    # --- the far end --------------------------------------------------------------------------

    def legs(self) -> list[Leg]:
        legs: list[Leg] = self.cm.run(lambda: list(self.cm._server().switch._active.values()))
        return legs

    @rule(number=which, cause=st.sampled_from(["NORMAL_CLEARING", "USER_BUSY"]))
    def far_end_hangs_up(self, number: int, cause: str) -> None:
        legs = self.legs()
        if legs:
            self.cm.peer(legs[number % len(legs)].call_id).hang_up(cause)
            self.settle()

    @rule(number=which, text=digits, together=st.booleans())
    def press(self, number: int, text: str, together: bool) -> None:
        legs = [leg for leg in self.legs() if leg.up]
        if legs:
            self.cm.peer(legs[number % len(legs)].call_id).press(text, together=together)
            self.settle()

    # --- the network, the CM's moods, and time ------------------------------------------------

    @precondition(lambda self: self.model.connected)
    @rule()
    def drop(self) -> None:
        """The connection breaks."""
        self.stage.cut()
        self.model.lost()
        self.out = True
        self.settle()

    @precondition(lambda self: self.out)
    @rule(refuse=st.sampled_from([False, False, True]))
    def come_back(self, refuse: bool) -> None:
        """The client comes back, or is told that it may not."""
        self.out = False
        self.stage.mend(refuse=refuse)
        if refuse:
            self.read()
            self.model.turned_away()
        else:
            self.reconnects += 1
            self.read()
        self.settle()

    @precondition(lambda self: self.model.refused)
    @rule()
    def connect(self) -> None:
        """After a refusal it can be tried again."""
        self.client.connect()
        self.stage.await_event("gap")
        self.reconnects += 1
        self.read()
        self.settle()

    @rule(numbers=st.sampled_from([[], DIDS[:1], DIDS]))
    def subscribe(self, numbers: list[str]) -> None:
        """Be offered calls for these DIDs; before a connect the list is kept for it."""
        if self.model.refused:
            self.client.subscribe(numbers)
            self.model.numbers = numbers
        else:
            self.ask(("subscribe", "", ""), lambda: self.client.subscribe(numbers))

    @rule(twice=st.booleans(), shuffled=st.booleans(), seed=st.integers(0, 9),
          slow=st.sampled_from([None, "endcall", "hangup", "send_dtmf", "bridge"]))  # fmt: skip
    def moods(self, twice: bool, shuffled: bool, seed: int, slow: str | None) -> None:
        """From now on events come twice, or late and in another order, or answers late."""
        self.cm.duplicate(twice)
        self.cm.reorder(seed, on=shuffled)
        self.cm.delay(0)
        if slow:
            self.cm.delay(1, slow)

    @rule(action=st.sampled_from(["endcall", "accept", "outbound", "bridge", "subscribe"]),
          form=st.sampled_from(["error", "data", "status"]))  # fmt: skip
    def refuse(self, action: str, form: str) -> None:
        """The next command of this kind will be refused."""
        self.cm._faults._refusals.clear()
        self.cm.refuse("no resource", action=action, form=form)

    @precondition(lambda self: self.frames and self.model.connected)
    @rule(back=st.integers(1, 12))
    def late_copy(self, back: int) -> None:
        """An event of a while ago comes once more."""
        self.stage.replay(self.frames[-min(back, len(self.frames))])
        self.settle()

    @precondition(lambda self: self.frames and self.model.connected)
    @rule(back=st.integers(1, 12))
    def unheard_of(self, back: int) -> None:
        """An event whose name nobody knows."""
        frame = self.frames[-min(back, len(self.frames))]
        self.stage.replay({**frame, "event": "call_teleported"})
        self.settle()

    @rule(seconds=st.sampled_from([61, 61, 601, 3601]))
    def time_passes(self, seconds: int) -> None:
        """Nothing is heard for a while."""
        self.stage.wait_out(seconds)
        self.model.time_passes(seconds)
        self.settle()

    # --- the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.stage is not None:
            try:
                if self.agreed:
                    self.close()
            finally:
                self.client.close()
                self.stage.close()

    def close(self) -> None:
        """Closing ends every command, and every call if it is asked to."""
        self.client.close()
        for running in self.running:
            running.wait()
            same("lost", running.end)
        same([], self.client.calls())
        same(0, self.client.health().in_flight)


__all__ = ["Machine", "TelephonyError"]
