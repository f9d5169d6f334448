"""A TCP proxy on loopback that does to a connection what networks do to it.

It stands between clients and one Call Manager: bytes go ``UP`` to the Call Manager and ``DOWN``
to the client. Undisturbed it passes them on at once. What it is told to do holds for the
connections there are and for those to come, until ``heal()``; a cut happens once.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from typing import Any, Callable

UP, DOWN = "up", "down"
FIN, RST = "fin", "rst"

_CHUNK = 1 << 16
#: A direction that is held back takes in no more than this.
_MOST_WAITING = 1 << 20
_LINGER_NOT = struct.pack("ii", 1, 0)
_SECONDS = 10.0


class Pipe:
    """One direction of one connection; ``tape`` is what has passed. The proxy's thread writes."""

    def __init__(self, direction: str, source: socket.socket, sink: socket.socket | None) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.line: deque[tuple[float, bytes]] = deque()  # what is to pass, and when
        self.ended = False  # the source has said its last
        self.shut = False  # and the sink was told so
        self.blocked = False  # the sink takes no more
        self.awaited = 0  # what the selector is asked about the source
        self.pieces = 0  # in how many sends it passed
        self.tape = bytearray()

    @property
    def waiting(self) -> int:
        return sum(len(data) for _, data in self.line)


class Link:
    """One proxied connection. ``over`` is how it ended, and why if nobody asked for it."""

    def __init__(self, client: socket.socket, cm: socket.socket | None) -> None:
        self.sockets = [client] if cm is None else [client, cm]
        self.up = Pipe(UP, client, cm)
        self.pipes = [self.up]
        self.down: Pipe | None = None
        if cm is not None:
            self.down = Pipe(DOWN, cm, client)
            self.pipes.append(self.down)
        self.lossy = cm is None  # bytes were swallowed: nothing good can come over it any more
        self.over = ""
        self.closed = threading.Event()

    def tape(self, direction: str) -> bytes:
        """What has passed in this direction."""
        pipe = self.up if direction == UP else self.down
        return b"" if pipe is None else bytes(pipe.tape)


class Cut:
    """A cut to come: after ``left`` more bytes; ``done`` is set when it was made."""

    def __init__(self, direction: str, left: int, how: str) -> None:
        self.direction = direction
        self.left = left
        self.how = how
        self.done = threading.Event()


class Proxy:
    """The proxy; as a context manager. Every method may be called from any thread, and returns
    when it has taken effect."""

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

    def __enter__(self) -> Proxy:
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._answer)
        self._listen(True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every connection with a reset, and the thread; again: nothing."""
        self._do(lambda: setattr(self, "_stopping", True))
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive(), "the proxy does not stop"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    # --- what can be done to connections ---------------------------------------------------

    def delay(self, direction: str, seconds: float) -> None:
        """Let every byte that comes from now on be so much later."""
        self._do(lambda: self._delay.update({direction: seconds}))

    def slice(self, direction: str, size: int) -> None:
        """Pass on no more than *size* bytes at a time; 0: as they come."""
        self._do(lambda: self._piece.update({direction: size}))

    def hold(self, direction: str, on: bool = True) -> None:
        """Take bytes in and keep them, until told to go on."""
        self._do(lambda: self._held.update({direction: on}))

    def trickle(self, direction: str) -> int:
        """Of what is held back let one piece go (see ``slice``); returns its length."""
        passed: list[int] = []
        self._do(lambda: passed.append(self._trickle(direction)))
        return sum(passed)

    def stop_reading(self, direction: str, on: bool = True) -> None:
        """Leave bytes where they are, so that whoever sends them gets stuck in the end."""
        self._do(lambda: self._unread.update({direction: on}))

    def blackhole(self) -> None:
        """Swallow all that comes, both ways; who connects now reaches nobody."""
        self._do(self._begin_swallowing)

    def refuse(self, on: bool = True) -> None:
        """Refuse whoever connects."""
        self._do(lambda: self._listen(not on))

    def cut(self, direction: str, after: int, how: str = RST) -> Cut:
        """End the connection once *after* more bytes have passed; with 0, at the next byte."""
        cut = Cut(direction, after, how)
        self._do(lambda: setattr(self, "_cut", cut))
        return cut

    def call_off(self) -> None:
        """Forget about a cut that has not happened."""
        self._do(lambda: setattr(self, "_cut", None))

    def end(self, how: str = RST) -> None:
        """End every connection now."""
        self._do(lambda: [self._end(link, how) for link in list(self._open)])

    def half_close(self, direction: str) -> None:
        """Let who receives in this direction believe that the other side has said its last."""
        self._do(lambda: [self._half_close(link, direction) for link in list(self._open)])

    def heal(self) -> None:
        """Behave again. Connections that lost bytes are reset, others get what they waited for."""
        self._do(self._heal)

    def mark(self) -> None:
        """Forget what has passed up to now: tapes begin here."""
        self._do(lambda: [pipe.tape.clear() for link in self.links for pipe in link.pipes])

    def wait_accepted(self, count: int, timeout: float = _SECONDS) -> bool:
        """Wait until so many connections have come in all."""
        with self._arrival:
            return self._arrival.wait_for(lambda: self.accepted >= count, timeout)

    def sync(self) -> None:
        """Return when what was passed on by now is on the tapes."""
        self._do(lambda: None)

    @property
    def open_links(self) -> int:
        return len(self._open)

    # --- the proxy's thread ------------------------------------------------------------------

    def _do(self, step: Callable[[], Any]) -> None:
        if self._stopping:
            return
        done = threading.Event()
        self._asked.append((step, done))
        try:
            self._wake.send(b"x")
        except OSError:
            return  # stopped meanwhile
        assert done.wait(_SECONDS), "the proxy is stuck"

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
            self._woken.recv(_CHUNK)
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
                cm = socket.create_connection(self._target, _SECONDS)
            except OSError:
                _close(client, RST)
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
            data = pipe.source.recv(_CHUNK)
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

    def _half_close(self, link: Link, direction: str) -> None:
        for pipe in link.pipes:
            if pipe.direction == direction and pipe.sink is not None and not pipe.shut:
                pipe.shut = True
                _shut(pipe.sink)
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
            _close(end, how)
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


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it is gone altogether


def _close(end: socket.socket, how: str) -> None:
    """End a socket. What it has not read would turn its FIN into a reset: that is read first."""
    if how == RST:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    else:
        _shut(end)
        try:
            while end.recv(_CHUNK):
                pass
        except OSError:
            pass
    end.close()
