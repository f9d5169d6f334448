"""Every command with its connection ended at every byte of it and of its answer.

One *bench* is a sandbox, a proxy and a client; a case is one command over it, with one cut.
What must come of a case follows from what the proxy let pass, and from nothing else: the
request's last byte, the answer's last byte.
"""

from __future__ import annotations

import re
from typing import Iterator

import attrs

from telephony import CommandRefusedError, ConnectionLostError, NotConnectedError, TelephonyError
from tests.faults.bench import SECONDS, Bench
from tests.faults.proxy import DOWN, FIN, RST, UP, Cut
from tests.faults.subjects import SUBJECTS, Subject
from tests.faults.tape import frame_length

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
    overtaken = case.direction == BEFORE and error is None
    if overtaken:  # the client was connected again before it was asked, and it was carried out
        assert proxy.links[-1] is not link
    elif case.direction == BEFORE:
        assert isinstance(error, (NotConnectedError, ConnectionLostError)), error
        assert [] == frames
    elif whole_answer:
        assert error is None, "the answer came, and was lost here"
    else:
        assert isinstance(error, ConnectionLostError), error
        assert cut.done.is_set()
    if overtaken:
        assert [subject.action] == [frame["action"] for frame in frames]
    elif not whole_request:
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
