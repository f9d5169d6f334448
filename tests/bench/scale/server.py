"""A Call Manager for many clients that costs little: ``python -m tests.bench.scale.server``.

It is `tests.bench.server` with one thread for all connections. Its clients steer it with more
commands of their own:

``number``  this client's calls, in the order of its dials, are ``first``, ``first + step`` …
``raise``   the events by which its calls from the ``since``-th on come up, before the answer
``flow``    ``count`` digits, ``rate`` a second on average, of its calls at random; each says when
            it was ``written`` (nanoseconds of the monotonic clock, which all processes share)
``ring``    ``count`` inbound calls, ``rate`` a second, offered to all clients at once; answered
            when one of them, or with ``all`` each of them, has tried to accept each call
``hold``    from now on this client's dials get no answer; ``held`` is answered when there are
            ``count`` of them, and ``release`` answers all
``spent``   what this process has used of the processor

It prints its port and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import selectors
import signal
import socket
import sys
import time
from typing import Any, Callable

from tests.bench.frames import beginnings, call_id, event, text_frame
from tests.bench.server import Serving, answer, field
from tests.bench.subjects.base import cpu_seconds

#: What is replaced by the time, and is as long.
_STAMP = b"#" * 20
#: The digit that is heard. Clients send another, so that none is taken for an echo.
HEARD = "5"
#: Inbound calls have numbers of their own, from here on.
INBOUND_FIRST = 500_000


@functools.lru_cache(maxsize=None)
def stamped(number: int, name: str, **more: str) -> tuple[bytes, bytes]:
    """The frame of an event before and after the time at which it is written."""
    before, _, after = event(number, name, written=_STAMP.decode(), **more).partition(_STAMP)
    return before, after


def now_written(parts: tuple[bytes, bytes]) -> bytes:
    """The whole frame, with the time that it is now."""
    return b"%b%020d%b" % (parts[0], time.monotonic_ns(), parts[1])


def report(action: str, request_id: bytes, **data: Any) -> bytes:
    """The answer to a command that asks for figures."""
    told = {
        "response": action, "status_code": 200, "data": {"success": True, **data},
        "request_id": request_id.decode(),
    }  # fmt: skip
    return text_frame(json.dumps(told).encode())


class Pace:
    """Has *step* done *count* times, *rate* a second; what is late is made up for at once.

    With *choice* the pauses are random ones (a Poisson process): then the paces of many clients
    together are like that of one, and never fall into step.
    """

    def __init__(
        self,
        count: int,
        rate: float,
        step: Callable[[], object],
        choice: random.Random | None = None,
    ) -> None:
        self.left = count
        self._rate = rate
        self._step = step
        self._choice = choice
        self.due = time.monotonic() + self._pause()

    def _pause(self) -> float:
        return self._choice.expovariate(self._rate) if self._choice else 1 / self._rate

    def keep(self) -> None:
        now = time.monotonic()  # what falls due meanwhile waits until clients were read again
        while self.left and self.due <= now:
            self._step()
            self.left -= 1
            self.due += self._pause()


class Ringing:
    """Inbound calls that are offered to all clients, and what comes back."""

    def __init__(self, crowd: Crowd, asker: Member, told: dict[str, Any]) -> None:
        self._crowd = crowd
        self.asker = asker
        self._request_id = told["request_id"].encode()
        self._tries = told["count"] * (len(crowd.members) if told["all"] else 1)
        self._order = random.Random(0)
        self._held: dict[str, float] = {}  # call → when it was offered first
        self._times: list[float] = []  # from then until an accept was here
        self._frames = 0
        self._cpu = cpu_seconds()
        self.pace = Pace(told["count"], told["rate"], self._offer)

    def _offer(self) -> None:
        """One more call, for all; who hears of it first is a matter of luck."""
        number = INBOUND_FIRST + self._crowd.rung
        self._crowd.rung += 1
        members = list(self._crowd.members.values())
        self._order.shuffle(members)
        parts = stamped(number, "call_incoming", direction="inbound")
        self._held[call_id(number)] = time.monotonic()
        frame = now_written(parts)
        for member in members:
            member.send(frame)
        self._frames += len(members)

    def accept(self, payload: bytes, request_id: bytes) -> bytes:
        """The answer to somebody who accepts: the first has the call."""
        offered = self._held.pop(field(payload, b'"callid"').decode(), None)
        if offered is not None:
            self._times.append(time.monotonic() - offered)
        self._frames += 2
        self._tries -= 1
        if not self._tries:
            self._crowd.ringing = None
            self.asker.send(
                report(
                    "ring", self._request_id, times=self._times, frames=self._frames,
                    cpu=cpu_seconds() - self._cpu,
                )  # fmt: skip
            )
        if offered is not None:
            return answer(b"accept", request_id)
        return text_frame(b'{"error":"callid not found","request_id":"' + request_id + b'"}')


class Member(Serving):
    """One client's connection among others."""

    def __init__(self, sock: socket.socket, crowd: Crowd) -> None:
        super().__init__(sock)
        self._crowd = crowd
        self._numbers = 0, 1
        self._choice = random.Random(0)
        self._held: list[bytes] | None = None  # the answers to dials that are not given yet
        self._held_most: tuple[int, bytes] | None = None  # who is told when there are so many
        self.pace: Pace | None = None

    def send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # it is gone, and is forgotten when it is read next
            self._sock.sendall(frame)

    def _number(self, n: int) -> int:
        """That of the call that was dialled as the n-th."""
        first, step = self._numbers
        return first + n * step

    def _command(self, payload: bytes, out: list[bytes]) -> bytes:
        if b'"send_dtmf"' in payload or b'"register"' in payload:
            return super()._command(payload, out)
        action, request_id = field(payload, b'"action"'), field(payload, b'"request_id"')
        if action == b"outbound":
            self._dialled += 1
            answered = answer(action, request_id, call_id(self._number(self._dialled - 1)))
            if self._held is None:
                return answered
            self._held.append(answered)
            return self._tell_held()
        if action == b"accept" and self._crowd.ringing is not None:
            return self._crowd.ringing.accept(payload, request_id)
        told = json.loads(payload)
        if action == b"number":
            self._numbers = told["first"], told["step"]
            self._choice.seed(told["first"])
        elif action == b"raise":
            out.append(beginnings(map(self._number, range(told["since"], self._dialled))))
        elif action == b"flow":
            self.pace = Pace(told["count"], told["rate"], self._digit, self._choice)
        elif action == b"hold":
            self._held = []
        elif action == b"held":
            self._held_most = told["count"], request_id
            return self._tell_held()
        elif action == b"release":
            out += self._held or []
            self._held = None
        elif action == b"spent":
            return report("spent", request_id, cpu=cpu_seconds())
        elif action == b"ring":
            self._crowd.ringing = Ringing(self._crowd, self, told)
            return b""
        return answer(action, request_id)

    def _tell_held(self) -> bytes:
        """The answer to ``held``, once as many dials wait as it asks for."""
        if self._held_most is None or len(self._held or []) < self._held_most[0]:
            return b""
        request_id, self._held_most = self._held_most[1], None
        return answer(b"held", request_id)

    def _digit(self) -> None:
        number = self._number(self._choice.randrange(self._dialled))
        self.send(now_written(stamped(number, "dtmf_received", digits=HEARD)))


class Crowd:
    """All connections of one server."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.SelectSelector()  # sleeps to the microsecond; epoll does not
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self.members: dict[socket.socket, Member] = {}
        self.ringing: Ringing | None = None
        self.rung = 0  # inbound calls so far

    def serve(self) -> None:
        """Serve all, until standard input ends."""
        while True:
            for key, _ in self._selector.select(self._pause()):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is self._listener:
                    self._admit()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
            for pace in self._paces():
                pace.keep()

    def _paces(self) -> list[Pace]:
        """Those with something left to do."""
        paces = [member.pace for member in self.members.values()]
        if self.ringing is not None:
            paces.append(self.ringing.pace)
        return [pace for pace in paces if pace is not None and pace.left]

    def _pause(self) -> float | None:
        """Seconds until something is due."""
        dues = [pace.due for pace in self._paces()]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _admit(self) -> None:
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member = Member(sock, self)
        try:
            member.upgrade()
        except OSError:
            sock.close()
            return
        self.members[sock] = member
        self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
            if data and self.members[sock].take(data):
                return
        except OSError:
            pass  # the client is gone, and it is the client that knows what is missing
        self._selector.unregister(sock)
        member = self.members.pop(sock)
        if self.ringing is not None and self.ringing.asker is member:
            self.ringing = None
        sock.close()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        Crowd(listener).serve()


if __name__ == "__main__":
    main()
