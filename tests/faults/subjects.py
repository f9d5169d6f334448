"""The commands that are cut: what must be there for each, and what must be there afterwards."""

from __future__ import annotations

from typing import Any

from telephony import Call, ConnectionLostError, NotConnectedError, TelephonyError
from tests.faults.bench import SECONDS, Bench


class Subject:
    """One command, and what is to be there for it."""

    action = ""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def prepare(self) -> None:
        """Make sure that the command can be carried out."""

    def run(self) -> None:
        raise NotImplementedError

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        """After the case, connected again: is everything accounted for?"""


class Dialling(Subject):
    action = "outbound"
    call: Call | None = None

    def run(self) -> None:
        self.call = None
        self.call = self.bench.dial()

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        bench = self.bench
        if error is None:
            assert self.call is not None and self.call in bench.client.calls()
            self.call.hangup()
            return
        assert [] == bench.client.calls()
        if isinstance(error, NotConnectedError):
            return
        assert isinstance(error, ConnectionLostError) and error.call is not None
        if not seen:
            return
        # It is up there, and its dial's answer is lost: the next event must tell the client.
        far = bench.cm.peer(bench.dialled().call_id)
        far.wait_accepted(SECONDS)
        try:
            far.press("1")
        except TelephonyError:
            pass  # an earlier event did
        far.wait_ended(SECONDS)
        assert bench.orphaned.next(SECONDS).call is error.call
        assert "endcall" == bench.dialled().ended_by
        bench.sync()
        assert bench.orphaned.empty()
        ends = [frame for frame in bench.cm.frames if frame.get("callid") == far.call_id]
        assert ["endcall"] == [frame["action"] for frame in ends]
        assert [] == bench.client.calls()


class WithCall(Subject):
    """A command for a call whose audio is in its channel."""

    call: Call | None = None
    lasting = False  # whether the call is as it was when the CM took the command

    def prepare(self) -> None:
        if self.call is None:
            self.call = self.bench.dial()
            self.call.wait_bridged(SECONDS)

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        assert self.call is not None
        record = self.record()
        if not record.ended:
            assert self.call in self.bench.client.calls(), "a call that is up was let go of"
            assert self.call.active
        if seen and not self.lasting:
            if not record.ended:
                self.call.hangup()
            self.call = None

    def record(self) -> Any:
        assert self.call is not None
        return [call for call in self.bench.cm.calls if call.call_id == self.call.call_id][0]


class EndCall(WithCall):
    action = "endcall"

    def run(self) -> None:
        self.bench.client.hangup(self.call)  # type: ignore[arg-type]

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        call = self.call
        assert call is not None
        assert seen == self.record().ended
        if error is None:
            assert call not in self.bench.client.calls()
        else:  # it may be up: it is kept, and said to be uncertain
            assert call in self.bench.client.calls() and call.stale
        super().settle(error, seen)


class SendDtmf(WithCall):
    action = "send_dtmf"
    lasting = True
    sent = 0

    def run(self) -> None:
        self.sent = len(self.bench.cm.peer(self.call).heard)
        self.bench.client.send_dtmf(self.call, "7")  # type: ignore[arg-type]

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        assert self.sent + seen == len(self.bench.cm.peer(self.call).heard)
        super().settle(error, seen)


class Bridge(WithCall):
    action = "bridge"

    def run(self) -> None:
        move = getattr(self.bench.client, self.action)
        move(self.call, token="rtc", channel="hall", uid="7")


class Unbridge(WithCall):
    action = "unbridge"

    def run(self) -> None:
        self.bench.client.unbridge(self.call)  # type: ignore[arg-type]


class Rebridge(Bridge):
    action = "rebridge"


class Transfer(WithCall):
    action = "transfer"

    def run(self) -> None:
        self.bench.client.transfer(self.call, "+18005550000")  # type: ignore[arg-type]

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        if seen:
            self.bench.cm.peer(self.call).wait_ended(SECONDS)  # it leaves for there
            self.call = None
        else:
            super().settle(error, seen)


class Other(WithCall):
    """``command()``, with a command that there is also a method for."""

    action = "send_dtmf"
    lasting = True

    def run(self) -> None:
        assert self.call is not None
        self.bench.client.command("send_dtmf", callid=self.call.call_id, digits="1")


class Accept(Subject):
    action = "accept"
    call: Call | None = None
    far: Any = None

    def prepare(self) -> None:
        if self.call is None:
            self.far = self.bench.cm.incoming(to="+18005550001", from_="+15550000001")
            self.call = self.bench.incoming.next(SECONDS).call

    def run(self) -> None:
        self.bench.client.accept(self.call, token="rtc", channel="in", uid="9")  # type: ignore

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        client = self.bench.client
        assert seen == self.far.accepted
        assert self.call is not None and self.call in client.calls()
        if seen:
            self.far.press("5")
            self.bench.sync()
            assert not self.call.stale  # an event told of it, if no answer did
            self.far.hang_up()
            self.bench.sync()
            assert self.call not in client.calls()
            self.call = None


class Reject(Accept):
    action = "reject"

    def run(self) -> None:
        self.bench.client.reject(self.call)  # type: ignore[arg-type]

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        assert seen == self.far.ended
        assert self.call is not None
        assert (error is not None) == (self.call in self.bench.client.calls())
        if seen:
            self.call = None


class HangUp(Accept):
    """The end of a call that came in."""

    action = "hangup"

    def prepare(self) -> None:
        if self.call is None:
            super().prepare()
            super().run()
            assert self.call is not None
            self.call.wait_bridged(SECONDS)

    def run(self) -> None:
        assert self.call is not None
        self.call.hangup()

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        assert seen == self.far.ended
        assert self.call is not None
        assert (error is not None) == (self.call in self.bench.client.calls())
        if seen:
            self.call = None


class Subscribe(Subject):
    action = "subscribe"
    taken: list[str] = []
    count = 0

    def run(self) -> None:
        self.count += 1
        self.bench.client.subscribe([f"+1800555{self.count:04}"])

    def settle(self, error: TelephonyError | None, seen: bool) -> None:
        if error is None:
            self.taken = [f"+1800555{self.count:04}"]
        elif not isinstance(error, NotConnectedError):
            # Registered again with what the CM was known to have taken, and nothing else.
            last = [frame for frame in self.bench.cm.frames if frame["action"] == "register"][-1]
            assert self.taken == last.get("subscribe_numbers", [])


SUBJECTS: dict[str, type[Subject]] = {
    "dial": Dialling,
    "endcall": EndCall,
    "hangup": HangUp,
    "accept": Accept,
    "reject": Reject,
    "send_dtmf": SendDtmf,
    "bridge": Bridge,
    "unbridge": Unbridge,
    "rebridge": Rebridge,
    "transfer": Transfer,
    "subscribe": Subscribe,
    "command": Other,
}
