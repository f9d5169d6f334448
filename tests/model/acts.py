"""What users, far ends, the network and time may do. What cannot be done now does nothing."""

from __future__ import annotations

from typing import Any

from telephony.sandbox.calls import Leg
from tests.model.one_call import TRACKED, OneCall
from tests.model.play import TOKEN, Play

DIDS = ["+18005550001", "+18005550002"]


def pick(calls: list[OneCall], number: int) -> OneCall | None:
    return calls[number % len(calls)] if calls else None


class Acts(Play):
    """The steps of a play."""

    # --- dials --------------------------------------------------------------------------------

    def dial(
        self, spot: Any, app: int, outcome: str, early: bool, delay: bool, composite: bool,
        direction: str, on: int, then: str = "",
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
        if then == "give_up":
            self.give_up(-1)
        elif then == "drop" and self.model.connected:
            self.drop()
            self.come_back(refuse=False)

    def give_up(self, number: int) -> None:
        """Whoever waits for an answer waits no longer."""
        if not self.running:
            return
        running = self.running[number % len(self.running)]
        self.model.gives_up(running.request_id)
        self.stage.give_up(running)
        self.settle()

    def happens(self, numbers: list[int]) -> None:
        """Timers of the CM go off: it rings, is answered, joins, an answer leaves at last …"""
        for number in numbers:
            if self.stage.timers.waiting:
                self.stage.let_go(number)
        self.settle()

    # --- incoming calls -----------------------------------------------------------------------

    def incoming(self, way: str, app: int, did: str) -> None:
        """Somebody phones one of the DIDs."""
        number = f"+1555{len(self.ways) + 1000}"
        self.ways[number] = way
        self.cm.incoming(to=did, from_=number, app_id=self.apps[app % len(self.apps)])
        self.settle()

    def take_or_leave(self, number: int, spot: Any, accept: bool) -> None:
        """Accept or reject an incoming call, also one that is long gone."""
        call = pick([c for c in self.named() if c.direction == "inbound"], number)
        if call is None:
            return
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

    def hang_up(self, number: int) -> None:
        """Hang up a call, also one that is over."""
        call = pick(self.up() or self.named(), number)
        if call is None:
            return
        dialled = call.place == TRACKED and call.direction != "inbound"
        key = self.model.key("endcall" if dialled else "hangup", call.call_id)
        self.ask(key, lambda: self.client.hangup(call.call_id))

    def send_digits(self, number: int, text: str) -> None:
        call = pick(self.up(), number)
        if call is None:
            return
        key = self.model.key("send_dtmf", call.call_id)
        self.ask(key, lambda: self.client.send_dtmf(call.call_id, text))

    def collect(self, number: int, most: int) -> None:
        """What was pressed so far is there, and no echo among it."""
        call = pick(self.up(), number)
        if call is None:
            return
        live = self.client.call(call.call_id)
        assert live is not None
        expected = call.collect(most, "#")
        assert expected == live.collect_digits(max_digits=most, timeout=0)

    def bridge(self, number: int, spot: Any) -> None:
        call = pick(self.up(), number)
        if call is None:
            return
        name, (channel, uid) = call.call_id, spot
        key = self.model.key("bridge", name)
        self.ask(key, lambda: self.client.bridge(name, **TOKEN, channel=channel, uid=uid))

    def rebridge(self, number: int, spot: Any, fail: bool) -> None:
        """Move the audio; the CM answers when that is done, or could not be."""
        call = pick(self.up(), number)
        if call is None:
            return
        if fail:
            self.cm.fail_rebridge()
        name, (channel, uid) = call.call_id, spot
        key = self.model.key("rebridge", name)
        self.ask(key, lambda: self.client.rebridge(name, **TOKEN, channel=channel, uid=uid))

    def unbridge(self, number: int) -> None:
        call = pick(self.up(), number)
        if call is None:
            return
        key = self.model.key("unbridge", call.call_id)
        self.ask(key, lambda: self.client.unbridge(call.call_id))

    def transfer(self, number: int) -> None:
        call = pick(self.up(), number)
        if call is None:
            return
        key = self.model.key("transfer", call.call_id)
        self.ask(key, lambda: self.client.transfer(call.call_id, "+15550009"))

    # --- the far end --------------------------------------------------------------------------

    def legs(self) -> list[Leg]:
        legs: list[Leg] = self.cm.run(lambda: list(self.cm._server().switch._active.values()))
        return legs

    def far_end_hangs_up(self, number: int, cause: str) -> None:
        legs = self.legs()
        if legs:
            self.cm.peer(legs[number % len(legs)].call_id).hang_up(cause)
            self.settle()

    def press(self, number: int, text: str, together: bool) -> None:
        legs = [leg for leg in self.legs() if leg.up]
        if legs:
            self.cm.peer(legs[number % len(legs)].call_id).press(text, together=together)
            self.settle()

    # --- the network, the CM's moods, and time ------------------------------------------------

    def drop(self) -> None:
        """The connection breaks."""
        self.stage.cut()
        self.model.lost()
        self.out = True
        self.settle()

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

    def connect(self) -> None:
        """After a refusal it can be tried again."""
        self.client.connect()
        self.stage.await_event("gap")
        self.reconnects += 1
        self.read()
        self.settle()

    def subscribe(self, numbers: list[str]) -> None:
        """Be offered calls for these DIDs; before a connect the list is kept for it."""
        if self.model.refused:
            self.client.subscribe(numbers)
            self.model.numbers = numbers
        else:
            self.ask(("subscribe", "", ""), lambda: self.client.subscribe(numbers))

    def moods(self, twice: bool, shuffled: bool, seed: int, slow: str | None) -> None:
        """From now on events come twice, or late and in another order, or answers late."""
        self.cm.duplicate(twice)
        self.cm.reorder(seed, on=shuffled)
        self.cm.delay(0)
        if slow:
            self.cm.delay(1, slow)

    def refuse(self, action: str, form: str) -> None:
        """The next command of this kind will be refused."""
        self.cm._faults._refusals.clear()
        self.cm.refuse("no resource", action=action, form=form)

    def late_copy(self, back: int) -> None:
        """An event of a while ago comes once more."""
        if not self.frames or not self.model.connected:
            return
        self.stage.replay(self.frames[-min(back, len(self.frames))])
        self.settle()

    def unheard_of(self, back: int) -> None:
        """An event whose name nobody knows."""
        if not self.frames or not self.model.connected:
            return
        frame = self.frames[-min(back, len(self.frames))]
        self.stage.replay({**frame, "event": "call_teleported"})
        self.settle()

    def time_passes(self, seconds: int) -> None:
        """Nothing is heard for a while."""
        self.stage.wait_out(seconds)
        self.model.time_passes(seconds)
        self.settle()
