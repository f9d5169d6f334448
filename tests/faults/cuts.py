"""Every command with its connection ended at every byte of it and of its answer.

One *bench* is a sandbox, a proxy and a client; a case is one command over it, with one cut.
What must come of a case follows from what the proxy let pass, and from nothing else: the
request's last byte, the answer's last byte.
"""

from __future__ import annotations

import re
from typing import Any, Iterator

import attrs

from telephony import (
    Call,
    CallIncoming,
    CallOrphaned,
    Client,
    CommandRefusedError,
    Connected,
    ConnectionLostError,
    NotConnectedError,
    TelephonyError,
)
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox
from tests.faults.proxy import DOWN, FIN, RST, UP, Cut, Proxy
from tests.scripted import Recorded

SECONDS = 20.0
BEFORE = "before"
_ANSWER = re.compile(rb'"request_id":"[a-z_]+_[0-9]+"\}')


@attrs.frozen
class Case:
    """One command, cut after so many bytes of one direction, or just before it is sent."""

    command: str
    direction: str
    after: int
    how: str

    def __str__(self) -> str:
        return f"{self.command}:{self.direction}:{self.after}:{self.how}"

    @classmethod
    def parse(cls, text: str) -> Case:
        command, direction, after, how = text.split(":")
        return cls(command, direction, int(after), how)


def frame_length(tape: bytes) -> int | None:
    """The length of the client's frame that *tape* begins with, None if that is not there yet."""
    if len(tape) < 2:
        return None
    size = tape[1] & 0x7F
    if size == 126:
        return 8 + int.from_bytes(tape[2:4], "big") if len(tape) >= 4 else None
    assert size < 126, "no command is as long as that"
    return 6 + size


class Bench:
    """A sandbox, a proxy in front of it, and a client that comes back at once."""

    def __init__(self, respond: str = "answer") -> None:
        long = 1e6  # nothing but the commands is to be on the wire
        self.cm = Sandbox(time_scale=500, ping_interval=long, ping_timeout=long,
                          lookup_hold=long, cm_hold=long, respond=respond)  # fmt: skip
        self._uid = 0

    def __enter__(self) -> Bench:
        self.cm.start()
        self.proxy = Proxy(self.cm.port).__enter__()
        self.client = Client(
            self.proxy.url, self.cm.auth_token, "bench", self.cm.app_id,
            reconnect=Backoff(initial=0.001, maximum=0.002),
            ping_interval=3600, ping_timeout=7200,
            command_timeout=SECONDS, dial_timeout=SECONDS,
        )  # fmt: skip
        self.connected, self.orphaned, self.incoming = Recorded(), Recorded(), Recorded()
        self.client.on(Connected, self.connected)
        self.client.on(CallOrphaned, self.orphaned)
        self.client.on(CallIncoming, lambda event: self.incoming(event) or True)
        self.client.connect()
        self.connected.next(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.proxy.stop()
        self.cm.stop()

    def dial(self) -> Call:
        self._uid += 1
        return self.client.dial(
            to="+18005551234", from_="+15551234567", channel="room", uid=str(self._uid),
            token="rtc", region="AREA_CODE_NA",
        )  # fmt: skip

    def dialled(self) -> Any:
        """What the sandbox knows of the last dial, or None."""
        found = [call for call in self.cm.calls if call.uid == str(self._uid)]
        return found[0] if found else None

    def commands_since(self, count: int) -> list[dict[str, Any]]:
        """What the sandbox has heard since, but for registrations and our own syncs."""
        frames = self.cm.frames[count:]
        return [frame for frame in frames if frame["action"] not in ("register", "sync")]

    def sync(self) -> None:
        """Return when the client has taken in all that the sandbox sent it by now."""
        try:
            self.client.command("sync")
        except CommandRefusedError:
            return
        raise AssertionError("the sandbox took a sync for a command")


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
        self.bench.client.bridge(
            self.call, token="rtc", channel="hall", uid="7"  # type: ignore[arg-type]
        )


class Unbridge(WithCall):
    action = "unbridge"

    def run(self) -> None:
        self.bench.client.unbridge(self.call)  # type: ignore[arg-type]


class Rebridge(WithCall):
    action = "rebridge"

    def run(self) -> None:
        self.bench.client.rebridge(
            self.call, token="rtc", channel="hall", uid="7"  # type: ignore[arg-type]
        )


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


def run_case(bench: Bench, subject: Subject, case: Case) -> tuple[str, bool]:
    """One case; returns its end, and whether no later byte of this direction is left to try."""
    subject.prepare()
    proxy = bench.proxy
    heard = len(bench.cm.frames)
    proxy.mark()
    link = proxy.links[-1]
    cut = Cut(UP, 0, case.how)
    if case.direction == BEFORE:
        proxy.end(case.how)
        cut.done.set()
    else:
        cut = proxy.cut(case.direction, case.after, case.how)
    error: TelephonyError | None = None
    try:
        subject.run()
    except (CommandRefusedError, NotConnectedError, ConnectionLostError) as end:
        error = end
    proxy.call_off()
    up, down = link.tape(UP), link.tape(DOWN)
    whole_request = frame_length(up) is not None and frame_length(up) == len(up)
    whole_answer = _ANSWER.search(down) is not None
    if cut.done.is_set():
        bench.connected.next(SECONDS)
    bench.sync()
    frames = bench.commands_since(heard)
    if case.command == "dial":  # an event may have told of the call already, which is its end
        frames = [frame for frame in frames if frame["action"] != "endcall"]
    if case.direction == BEFORE:
        assert isinstance(error, (NotConnectedError, ConnectionLostError)), error
        assert [] == frames
    elif whole_answer:
        assert error is None, "the answer came, and was lost here"
    else:
        assert isinstance(error, ConnectionLostError), error
        assert cut.done.is_set()
    if not whole_request:
        assert [] == frames, "part of a command was carried out"
    elif case.direction == DOWN or case.how == FIN:  # a reset takes unread bytes with it
        assert [subject.action] == [frame["action"] for frame in frames]
    assert len(frames) <= 1, "sent again"
    subject.settle(error, bool(frames))
    assert 0 == bench.client.health().in_flight
    done = whole_request if case.direction == UP else whole_answer
    return type(error).__name__ if error is not None else "result", done


def sweep(
    command: str, direction: str, *, first: int = 0, step: int = 1, both: bool = False
) -> Iterator[tuple[Case, str]]:
    """Cut one command at every *step*-th byte of one direction, and say how each ended.

    FIN and RST take turns, or with *both* each byte is cut either way.
    """
    # Answered early, a dial has but one event before its answer.
    with Bench("early" if direction == DOWN else "answer") as bench:
        subject = SUBJECTS[command](bench)
        for way in (0, 1) if both else (0,):
            after, done = first, False
            while not done:
                how = (FIN, RST)[way if both else after % 2]
                case = Case(command, direction, after, how)
                try:
                    end, done = run_case(bench, subject, case)
                except Exception as error:
                    raise AssertionError(f"case {case}: {error!r}") from error
                yield case, end
                after += step
                done = done or direction == BEFORE and after >= 10 * step


ALL_SWEEPS = [(command, direction) for command in SUBJECTS for direction in (UP, DOWN, BEFORE)]
