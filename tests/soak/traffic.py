"""Callers, people who phone in, and a line that breaks: what a soak soaks in."""

from __future__ import annotations

import faulthandler
import random
import threading
import time
from typing import Any, Callable

from telephony import (
    Call,
    CallHangup,
    CallIncoming,
    CallOrphaned,
    Client,
    ConnectionState,
    DtmfReceived,
    Event,
    Gap,
    OutcomeUnknownError,
    TelephonyError,
)
from tests.soak.cm import RemoteSandbox

DID = "+18005550100"
PATIENCE = 5.0


class Planned(Exception):
    """What some callbacks raise."""


class Traffic:
    """Everything that goes on over one client; ``failures`` is what must not happen."""

    def __init__(self, cm: RemoteSandbox, client: Client, seed: int, leak: bool = False) -> None:
        self._cm = cm
        self._client = client
        self._chance = random.Random(seed)
        self._seed = seed
        self._lock = threading.Lock()  # guards the counts and sets below
        self.placed = self.orphans = self.ended = 0
        self._numbers = 0
        self._dialling: set[str] = set()  # uids
        self._told: set[str] = set()  # ids and uids of calls whose fate is said to be unknown
        self._suspects: set[str] = set()
        self.failures: list[str] = []
        self.ends: dict[str, int] = {}  # stories by how they ended
        self._kept: list[Event] | None = [] if leak else None
        self._stopping = threading.Event()
        self._open = threading.Event()  # cleared while callers are to stand still
        self._open.set()
        self._standing = threading.Semaphore(0)
        self._callers: list[threading.Thread] = []
        self._listen()

    # --- callbacks -------------------------------------------------------------------------

    def _listen(self) -> None:
        on = self._client.on
        on(CallIncoming, self._phoned, to=DID)
        on(CallOrphaned, self._orphaned)
        on(CallHangup, self._hung_up)
        on(Gap, self._gap)
        on(DtmfReceived, self._slow)
        on(Event, self._raising)
        if self._kept is not None:
            on(Event, self._kept.append)

    def _phoned(self, event: CallIncoming) -> None:
        call, number = event.call, int(event.info.from_[-6:])
        try:
            if number % 3 == 0:
                call.reject("busy")
            elif number % 3 == 1:
                call.accept(token="t", channel="in", uid=str(number), command_timeout=PATIENCE)
                call.wait_bridged(PATIENCE)
        except OutcomeUnknownError:
            self._tell(call.call_id)
        except TelephonyError:
            pass  # the line broke, or the caller was gone

    def _orphaned(self, event: CallOrphaned) -> None:
        with self._lock:
            self.orphans += 1
            self._told |= {event.call.call_id, event.call.uid}

    def _hung_up(self, event: CallHangup) -> None:
        with self._lock:
            self.ended += 1
            self._told -= {event.call.call_id, event.call.uid}

    def _gap(self, event: Gap) -> None:
        with self._lock:
            self._told |= {call.call_id for call in event.stale_calls}

    def _slow(self, event: DtmfReceived) -> None:
        self._stopping.wait(0.01)

    def _raising(self, event: Event) -> None:
        if event.name == "agora_bridge_end":
            raise Planned

    def _tell(self, *names: str) -> None:
        with self._lock:
            self._told.update(names)

    # --- callers -----------------------------------------------------------------------------

    def start(self, callers: int) -> None:
        for number in range(callers):
            thread = threading.Thread(target=self._call, args=(self._seed + number + 1,))
            thread.start()
            self._callers.append(thread)

    def still(self, fn: Callable[[], Any]) -> Any:
        """Call *fn* while all callers are between two calls."""
        self._open.clear()
        try:
            for _ in self._callers:
                self._waited_for(lambda: self._standing.acquire(timeout=0.1))
            return fn()
        finally:
            self._open.set()

    def stop(self) -> None:
        self._stopping.set()
        self._open.set()
        for thread in self._callers:
            self._waited_for(lambda: thread.join(0.1) or not thread.is_alive())

    def _waited_for(self, done: Callable[[], bool]) -> None:
        """Wait for a caller, who may itself wait for the connection."""
        end = time.monotonic() + 8 * PATIENCE
        while not done():
            self.mend()
            if time.monotonic() > end:
                self.failures.append("a caller hangs")
                return faulthandler.dump_traceback()

    def _call(self, seed: int) -> None:
        chance = random.Random(seed)
        stories = [
            self._talk, self._talk, self._far_end_ends, self._refused, self._move,
            self._impatient, self._incoming, self._incoming,
        ]  # fmt: skip
        while not self._stopping.is_set():
            if not self._open.is_set():
                self._standing.release()
                self._open.wait()
            end = "done"
            try:
                if self._client.wait_connected(0.5):
                    chance.choice(stories)(chance)
            except TelephonyError as error:
                end = type(error).__name__
            except Exception as error:
                end = type(error).__name__
                if "the sandbox could not" not in str(error):  # its call was over by then
                    self.failures.append(f"a caller got {error!r}")
            with self._lock:
                self.ends[end] = self.ends.get(end, 0) + 1

    def _number(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers

    def _dial(self, number: int, **options: Any) -> Call:
        uid = str(number)
        with self._lock:
            self.placed += 1
            self._dialling.add(uid)
        try:
            return self._client.dial(
                to=f"+1800{number:07d}", from_="+15550001", channel="soak", uid=uid, token="t",
                region="AREA_CODE_NA", **{"command_timeout": PATIENCE, **options},
            )  # fmt: skip
        except OutcomeUnknownError:
            self._tell(uid)
            raise
        finally:
            with self._lock:
                self._dialling.discard(uid)

    def _talk(self, chance: random.Random) -> None:
        """Digits both ways, and we hang up."""
        with self._dial(self._number()) as call:
            call.wait_bridged(PATIENCE)
            call.send_dtmf("12", command_timeout=PATIENCE)
            self._cm.peer(call.call_id, "press", "34#")
            call.collect_digits(timeout=PATIENCE)

    def _far_end_ends(self, chance: random.Random) -> None:
        """The other side hangs up."""
        call = self._dial(self._number())
        self._cm.peer(call.call_id, "hang_up", "NORMAL_CLEARING")
        call.wait_ended(PATIENCE)

    def _refused(self, chance: random.Random) -> None:
        """Busy, not there, no gateway."""
        number = self._number()
        outcome = chance.choice(["busy", "no_answer", "no_gateway", "invalid"])
        self._cm.script_dial(outcome, to=f"+1800{number:07d}")
        self._dial(number)

    def _move(self, chance: random.Random) -> None:
        """To another channel and back."""
        with self._dial(self._number()) as call:
            call.wait_bridged(PATIENCE)
            call.unbridge(command_timeout=PATIENCE)
            call.bridge(
                token="t", channel="other", uid=f"b{call.uid}", command_timeout=PATIENCE
            )
            call.wait_bridged(PATIENCE)

    def _impatient(self, chance: random.Random) -> None:
        """The dial gives up, and its answer comes late."""
        number = self._number()
        self._cm.script_dial(delay=10, to=f"+1800{number:07d}")  # of the call clock
        self._dial(number, command_timeout=0.1)

    def _incoming(self, chance: random.Random) -> None:
        """Somebody phones in, and leaves at some moment."""
        call_id = self._cm.incoming(DID, f"+1555{self._number():07d}")
        self._stopping.wait(chance.choice([0.0, 0.05, 0.1]))
        self._cm.peer(call_id, "hang_up", "NORMAL_CLEARING")

    # --- trouble ---------------------------------------------------------------------------

    def disturb(self) -> None:
        """Break the line, sometimes refuse who comes back, and change how events come."""
        chance = self._chance
        self._cm.duplicate(chance.random() < 0.3)
        self._cm.reorder(seed=chance.randrange(1000), on=chance.random() < 0.3)
        if chance.random() < 0.2:
            self._cm.refuse("unauthorized", action="register")
        self._cm.drop_connections()

    def mend(self) -> None:
        """Connect again when it was refused for good."""
        if self._client.state is ConnectionState.IDLE:
            try:
                self._client.connect()
            except TelephonyError:
                pass  # refused once more

    def look_after(self) -> None:
        """Find calls that are nobody's; those at the far ends hang up calls left to them."""
        up = {call_id: uid for call_id, uid in self._cm.up()}
        with self._lock:
            lost = {
                call_id
                for call_id, uid in up.items()
                if not self._told & {call_id, uid} and uid not in self._dialling
            }
        lost = {call_id for call_id in lost if self._client.call(call_id) is None}
        nobodys = lost & self._suspects
        self._suspects = lost - nobodys
        self.failures += [f"call {call_id} is up and nobody's" for call_id in sorted(nobodys)]
        for call_id, uid in up.items():
            if call_id in nobodys or self._told & {call_id, uid}:
                self._cm.peer(call_id, "hang_up", "NORMAL_CLEARING")

    def hang_up_all(self) -> None:
        for call_id, _ in self._cm.up():
            self._cm.peer(call_id, "hang_up", "NORMAL_CLEARING")
