"""How far a recording has been played, and whether the client does what it did then."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Iterable, Iterator

import attrs

from telephony.errors import ProtocolError
from telephony.protocol.wire import MASK, Frame, Secrets, encode, masked
from telephony.recording import (
    DISCONNECTED,
    NUMBER_FIELDS,
    RECEIVED,
    SENT,
    Disguise,
    Entry,
    Recording,
    RecordingError,
    holds_number,
)
from telephony.sandbox.words import WIRE, command, differ, differing

#: What is another one each time, or not recorded.
_OWN = frozenset({"action", "request_id", "client_id", "auth_token", "token", "sip"})


class ReplayDifference(AssertionError):
    """The client does something else than the recording; the message says where and what."""


@attrs.define(eq=False)
class Step:
    """A frame of the recording. *pause*: seconds after the step before it."""

    entry: Entry
    pause: float
    claimed: bool = False  # the client has sent this command
    live_id: object = None  # and the request_id that it gave it

    @property
    def sent(self) -> bool:
        """Whether it is the client's."""
        return self.entry.what == SENT

    @property
    def action(self) -> str:
        """The command's word."""
        return str(self.entry.frame.get("action", ""))

    @property
    def request_id(self) -> str | None:
        """As it was recorded."""
        found = self.entry.frame.get("request_id")
        return found if isinstance(found, str) else None

    def __str__(self) -> str:
        frame = self.entry.frame
        return command(self.action, {k: v for k, v in frame.items() if v != MASK})


@attrs.define(eq=False)
class Take:
    """One connection of the recording."""

    steps: list[Step] = attrs.field(factory=list)
    lost: bool = False  # it was seen to end

    def unanswered(self) -> bool:
        """Whether a command was still without its response when the recording left it."""
        answered = self.answered
        return any(step.request_id not in answered for step in self.steps if step.sent)

    @property
    def answered(self) -> set[str | None]:
        """The request_ids that the CM has answered; a registration has none."""
        return {None, *(step.request_id for step in self.steps if not step.sent)}


def takes_of(recording: Recording) -> list[Take]:
    """The connections of *recording*; raises ``RecordingError`` if it cannot be played."""
    takes: list[Take] = []
    clients: dict[object, int] = {}
    before = 0.0
    for entry in recording.entries:
        if entry.what == DISCONNECTED and takes:
            takes[-1].lost = True
        if entry.what not in (SENT, RECEIVED):
            continue
        if entry.what == RECEIVED and entry.frame.get("status") == "connected":
            takes.append(Take())
            before = entry.at  # how long an outage was is the client's own affair
        if not takes:
            raise RecordingError(
                f"{recording.path}, line {entry.line}: comes before the CM's greeting"
            )
        if entry.frame.get("action") == "register":
            clients.setdefault(entry.frame.get("client_id"), entry.line)
            if len(clients) > 1:
                raise RecordingError(
                    f"{recording.path}, line {entry.line}: is of another client than line "
                    f"{min(clients.values())}; each needs a recorder of its own"
                )
        takes[-1].steps.append(Step(entry, max(0.0, entry.at - before)))
        before = entry.at
    if not takes:
        raise RecordingError(f"{recording.path}: there is no connection in it to play")
    return takes


class Playback:
    """Shared by the server, which plays, and the threads that wait for it."""

    def __init__(self, recording: Recording, ignore: Iterable[str] = ()) -> None:
        self.recording = recording
        self.takes = takes_of(recording)
        self._ignored = _OWN | {WIRE.get(name, name) for name in ignore}
        if not recording.numbers:
            self._ignored |= NUMBER_FIELDS
        self._zeros = Disguise(numbers=True, digits=recording.digits)
        self._changed = threading.Condition()  # guards all below
        self._take = -1  # which is played, or was last; -1: none yet
        self._at = 0  # its next step
        self._playing = False  # a client is connected
        self._frames: list[Frame] = []
        self.finished = False
        self.stopped = False
        self.difference: str | None = None

    @property
    def over(self) -> bool:
        """Whether no more will be played."""
        return self.finished or self.stopped or self.difference is not None

    @property
    def broken(self) -> bool:
        """Whether it was over before its end."""
        return self.over and not self.finished

    def frames(self) -> list[Frame]:
        """What the client sent so far."""
        with self._changed:
            return list(self._frames)

    # --- the server's --------------------------------------------------------------------

    def begin(self) -> Take | None:
        """A client has connected; what is to be played to it, None if there is nothing."""
        with self._changed:
            if self._playing or self.over:
                return None
            self._take += 1
            self._at = 0
            self._playing = True
            self._changed.notify_all()
            return self.takes[self._take]

    @property
    def last_take(self) -> bool:
        """Whether no connection comes after this one."""
        return self._take == len(self.takes) - 1

    def advance(self) -> None:
        """The step at hand was played."""
        with self._changed:
            self._at += 1
            self._changed.notify_all()

    def arrived(self, frame: Frame) -> str | None:
        """The client sent *frame*; words if the recording has no such command here."""
        with self._changed:
            self._frames.append(frame)
            cut_short = not self.takes[self._take].lost  # and nobody knows how it went on
            if self.stopped or self.difference or self.finished and cut_short:
                return "the replay is over"
            for step in self._open_steps():
                if step.action == frame.get("action") and not self._differing(frame, step):
                    step.claimed, step.live_id = True, frame.get("request_id")
                    self._changed.notify_all()
                    return None
            return self._differ(self._in_words(frame))

    def _open_steps(self) -> Iterator[Step]:
        """What the client is still to send over this connection. Wants the lock."""
        steps = itertools.islice(self.takes[self._take].steps, self._at, None)
        return (step for step in steps if step.sent and not step.claimed)

    def left(self) -> None:
        """The client's connection has ended, by whomever."""
        with self._changed:
            self._playing = False
            steps = self.takes[self._take].steps[self._at:]
            if not self.over and steps:
                self._differ(
                    f"line {steps[0].entry.line}: the client closed its connection here; "
                    f"the recording goes on with {_told(steps[0])}"
                )
            elif self.last_take and not self.over:
                self.finished = True
            self._changed.notify_all()

    def end(self, *, stopped: bool = False) -> None:
        """All was played, or nothing more is wanted."""
        with self._changed:
            if stopped:
                self.stopped = True
            elif not self.over:
                self.finished = True
            self._changed.notify_all()

    def intruded(self) -> None:
        """Somebody registered who does not know the replay's token."""
        with self._changed:
            self._differ("the client registered with another token than the replay's")

    def _differ(self, what: str) -> str:
        """Wants the lock."""
        self.difference = f"{self.recording.path}: {what}"
        self._changed.notify_all()
        return self.difference

    # --- comparing -----------------------------------------------------------------------

    def _differing(self, frame: Frame, step: Step) -> list[str]:
        """The fields in which a command of the client's is not the recorded one."""
        try:
            frame = self._zeros(masked(encode(frame), Secrets("")))
        except ProtocolError:
            return ["length"]
        recorded = step.entry.frame
        wanted = {n: recorded.get(n) for n in {**recorded, **frame} if n not in self._ignored}
        for name, value in list(wanted.items()):
            text = encode({name: value})
            if MASK in text or (not self.recording.numbers and holds_number(text)):
                del wanted[name]
        return differing(frame, wanted)

    def _in_words(self, frame: Frame) -> str:
        open_steps = list(self._open_steps())
        sent = f"the client sent {command(frame.get('action'), frame)}"
        if not open_steps:
            steps = self.takes[self._take].steps
            where = steps[min(self._at, len(steps) - 1)].entry.line
            return f"line {where}: the recording has no more commands here; {sent}"
        same = [step for step in open_steps if step.action == frame.get("action")]
        step = min(same, key=lambda s: len(self._differing(frame, s))) if same else open_steps[0]
        why = f" ({differ(self._differing(frame, step))})" if same else ""
        return f"line {step.entry.line}: the recording has {step}; {sent}{why}"

    # --- waiting -------------------------------------------------------------------------

    def wait_over(self, timeout: float | None) -> bool:
        """Wait until no more will be played; false if *timeout* seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: self.over, timeout)

    def wait_reached(self, take: int, at: int, timeout: float) -> bool:
        """Wait until a step is the next to be played; false if *timeout* was not enough."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.over or (self._take, self._at) >= (take, at), timeout
            )

    def wait_claimed(self, step: Step, given_up: threading.Event) -> bool:
        """Wait until the client has sent *step*; false if it will not."""
        with self._changed:
            self._changed.wait_for(lambda: step.claimed or self.over or given_up.is_set())
            return step.claimed

    def wake(self) -> None:
        """Have those that wait look again."""
        with self._changed:
            self._changed.notify_all()

    def stands(self) -> str:
        """Where it is, in words."""
        with self._changed:
            path = self.recording.path
            if self._take < 0:
                return f"{path}: no client has connected"
            steps = self.takes[self._take].steps
            if not self._playing and not self.last_take:  # between two connections
                line = self.takes[self._take + 1].steps[0].entry.line
                return f"{path}: line {line}: the client has not connected again"
            if self._at >= len(steps):
                return f"{path}: all was sent, but the client has not read it"
            step = steps[self._at]
            if step.sent:
                return f"{path}: line {step.entry.line}: the client has not sent {step}"
            return f"{path}: line {step.entry.line}: {_told(step)} is to come"


def _told(step: Step) -> str:
    frame = step.entry.frame
    if step.sent:
        return str(step)
    what = frame.get("event") or frame.get("response") or frame.get("status") or "a refusal"
    of = f" of call {frame['callid']}" if frame.get("callid") else ""
    return f"{what}{of}"


def app_id_of(recording: Recording) -> str:
    """The App ID its client registered for."""
    return str(registration_of(recording).get("appid") or "replay")


def registration_of(recording: Recording) -> dict[str, Any]:
    """Its first registration; empty if there is none."""
    found = (e.frame for e in recording.entries if e.frame.get("action") == "register")
    return next(found, {})
