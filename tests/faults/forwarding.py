"""How a proxy passes bytes on: one thread, one selector, and nothing that ever blocks it."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from typing import Any, Callable

from tests.faults.links import CHUNK, DOWN, FIN, RST, UP, Cut, Link, Pipe, close, shut

#: A direction that is held back takes in no more than this.
_MOST_WAITING = 1 << 20
SECONDS = 10.0


class Forwarding:
    """The thread of a proxy, and what it keeps. All of it is the thread's, but ``_do``."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        # Holds the port while no connection is taken: bound, and not listening.
        self._place = self._bound(0)
        self.port: int = self._place.getsockname()[1]
        self.links: list[Link] = []  # all there ever were; the thread's to change
        self.accepted = 0
        self._arrival = threading.Condition()  # guards the above, wakes who waits for it
        self._open: set[Link] = set()
        self._busy: set[Link] = set()  # those to be looked at in the next round
        self._delay = {UP: 0.0, DOWN: 0.0}
        self._piece = {UP: 0, DOWN: 0}
        self._held = {UP: False, DOWN: False}
        self._unread = {UP: False, DOWN: False}
        self._swallows = False
        self._cut: Cut | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._asked: deque[tuple[Callable[[], Any], threading.Event]] = deque()
        self._stopping = False
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="faults-proxy", daemon=True)

    def _bound(self, port: int) -> socket.socket:
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", port))
        return place

    def _do(self, step: Callable[[], Any]) -> None:
        if self._stopping:
            return
        done = threading.Event()
        self._asked.append((step, done))
        try:
            self._wake.send(b"x")
        except OSError:
            return  # stopped meanwhile
        assert done.wait(SECONDS), "the proxy is stuck"

    def _run(self) -> None:
        try:
            while not self._stopping:
                wait = self._look(time.monotonic())
                for key, mask in self._selector.select(wait):
                    key.data(mask)
        finally:
            self._stopping = True
            for link in list(self._open):
                self._end(link, RST, "stopped")
            self._listen(False)
            self._selector.close()
            for end in (self._place, self._wake, self._woken):
                end.close()
            while self._asked:
                self._asked.popleft()[1].set()

    def _look(self, now: float) -> float | None:
        """Pass on what can be; returns the seconds until there is more to do, None: no such."""
        busy, self._busy = self._busy & self._open, set()
        wait: float | None = None
        for link in busy:
            for pipe in link.pipes:
                due = self._pump(pipe, link, now)
                if due is not None:
                    self._busy.add(link)
                    wait = max(0.0, min(due - now, wait if wait is not None else due - now))
            self._watch(link)
        return wait

    def _answer(self, mask: int) -> None:
        try:
            self._woken.recv(CHUNK)
        except BlockingIOError:
            pass
        while self._asked:
            step, done = self._asked.popleft()
            step()
            done.set()
        self._busy |= self._open  # whatever was asked may concern them all

    def _listen(self, on: bool) -> None:
        if on and self._listener is None:
            self._listener = self._bound(self.port)
            self._listener.listen(64)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif not on and self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, mask: int) -> None:
        if self._listener is None:
            return  # refused meanwhile, in the same round
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # gone again
        with self._arrival:
            self.accepted += 1
            self._arrival.notify_all()
        cm: socket.socket | None = None
        if not self._swallows:
            try:
                cm = socket.create_connection(self._target, SECONDS)
            except OSError:
                close(client, RST)
                return
        link = Link(client, cm)
        self.links.append(link)
        self._open.add(link)
        self._busy.add(link)
        for end in link.sockets:
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _watch(self, link: Link) -> None:
        """Tell the selector what this connection waits for."""
        for pipe in () if link.over else link.pipes:
            awaited = 0
            full = pipe.line and pipe.waiting > _MOST_WAITING
            if not (pipe.ended or self._unread[pipe.direction] or full):
                awaited |= selectors.EVENT_READ
            if any(other.blocked and other.sink is pipe.source for other in link.pipes):
                awaited |= selectors.EVENT_WRITE
            if awaited != pipe.awaited:
                if pipe.awaited:
                    self._selector.unregister(pipe.source)
                if awaited:
                    self._selector.register(pipe.source, awaited, self._ready(link, pipe))
                pipe.awaited = awaited

    def _ready(self, link: Link, pipe: Pipe) -> Callable[[int], None]:
        def ready(mask: int) -> None:
            if link.over:
                return
            self._busy.add(link)
            if mask & selectors.EVENT_WRITE:
                for other in link.pipes:
                    other.blocked = other.blocked and other.sink is not pipe.source
            if mask & selectors.EVENT_READ:
                self._read(link, pipe)

        return ready

    def _read(self, link: Link, pipe: Pipe) -> None:
        try:
            data = pipe.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            if not (link.lossy or self._swallows):
                self._end(link, RST, "reset by an end")
                return
        if not data:
            pipe.ended = True
            if link.down is None:
                self._end(link, RST, "the client gave up")
        elif self._swallows or link.lossy:
            link.lossy = True
        else:
            pipe.line.append((time.monotonic() + self._delay[pipe.direction], data))

    def _pump(self, pipe: Pipe, link: Link, now: float) -> float | None:
        """Pass on what is due; returns when there is more to do, None: when something comes."""
        if link.over or pipe.blocked or self._held[pipe.direction] or link.lossy:
            return None
        if pipe.shut:
            pipe.line.clear()  # the sink was told that nothing more comes
        piece = self._piece[pipe.direction]
        while pipe.line:
            due, data = pipe.line[0]
            if due > now:
                return due
            cut = self._cut if self._cut and self._cut.direction == pipe.direction else None
            size = min(len(data), piece or len(data), cut.left if cut else len(data))
            try:
                count = pipe.sink.send(data[:size]) if size and pipe.sink else 0
            except BlockingIOError:
                pipe.blocked = True
                return None
            except OSError:
                self._end(link, RST, "an end was gone")
                return None
            pipe.tape += data[:count]
            pipe.pieces += 1
            if count == len(data):
                pipe.line.popleft()
            else:
                pipe.line[0] = (due, data[count:])
            if cut is not None:
                cut.left -= count
                if cut.left == 0:
                    self._cut = None
                    self._end(link, cut.how)
                    cut.done.set()
                    return None
            if piece and pipe.line:
                return now  # others first: a piece is a packet of its own
        if pipe.ended and not pipe.shut:
            self._half_close(link, pipe.direction)
        return None

    def _trickle(self, direction: str) -> int:
        self._held[direction] = False
        passed, now = 0, time.monotonic()
        for link in list(self._open):
            for pipe in link.pipes:
                if pipe.direction == direction:
                    passed -= len(pipe.tape)
                    self._pump(pipe, link, now)
                    passed += len(pipe.tape)
        self._held[direction] = True
        return passed

    def _end_all(self, how: str) -> None:
        for link in list(self._open):
            self._end(link, how)

    def _half_close_all(self, direction: str) -> None:
        for link in list(self._open):
            self._half_close(link, direction)

    def _clear_tapes(self) -> None:
        for link in self.links:
            for pipe in link.pipes:
                pipe.tape.clear()

    def _half_close(self, link: Link, direction: str) -> None:
        for pipe in link.pipes:
            if pipe.direction == direction and pipe.sink is not None and not pipe.shut:
                pipe.shut = True
                shut(pipe.sink)
        if all(pipe.ended and pipe.shut for pipe in link.pipes):
            self._end(link, FIN, "both ends were done")

    def _end(self, link: Link, how: str, why: str = "") -> None:
        if link.over:
            return
        link.over = f"{how}: {why}" if why else how
        self._open.discard(link)
        for pipe in link.pipes:
            if pipe.awaited:
                self._selector.unregister(pipe.source)
        for end in link.sockets:
            close(end, how)
        link.closed.set()

    def _begin_swallowing(self) -> None:
        self._swallows = True
        for link in self._open:
            link.lossy = link.lossy or any(pipe.line for pipe in link.pipes)

    def _heal(self) -> None:
        self._delay = {UP: 0.0, DOWN: 0.0}
        self._piece = {UP: 0, DOWN: 0}
        self._held = {UP: False, DOWN: False}
        self._unread = {UP: False, DOWN: False}
        self._swallows = False
        self._cut = None
        for link in list(self._open):
            for pipe in link.pipes:
                pipe.line = deque((0.0, data) for _, data in pipe.line)
            if link.lossy or any(pipe.shut for pipe in link.pipes):
                self._end(link, RST, "lost bytes")
        self._listen(True)
