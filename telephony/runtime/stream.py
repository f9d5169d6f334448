"""A byte stream over TCP or TLS for one reading thread and many writing ones.

OpenSSL forbids two threads in one TLS object, and a thread that waits on the network with a lock
held stops every other. So the socket never blocks; each touch of it or of the TLS object happens
under one lock, held only for calls that return at once; and whoever must wait does so in
``poll()``, outside the lock. TLS runs over ``ssl.MemoryBIO``, so that reading ahead 64 KiB is one
system call, and plain TCP goes the same way with the TLS step left out.

What is to be sent is owned by the stream, in its `Outbox`: whoever has the lock sends all there is,
for everyone. So frames cannot land inside one another, also when the thread that brought one gives
up or is interrupted halfway.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import threading
from typing import Any, Sequence

from telephony.runtime.deadline import Deadline
from telephony.runtime.outbox import LEAVING, LEFT, Frame, Outbox

READ_SIZE = 1 << 16

_IN_PROGRESS = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR)


class ConnectionDown(Exception):
    """The established connection is gone.

    ``reason``: short plain words, with no secret. ``nothing_sent``: not a byte of the frame that
    was being sent left. ``protocol_error``: the server broke the WebSocket protocol or a limit.
    """

    def __init__(
        self, reason: str, *, nothing_sent: bool = False, protocol_error: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.nothing_sent = nothing_sent
        self.protocol_error = protocol_error


class Stream:
    def __init__(self) -> None:
        # Guards all attributes below. Held only around calls that cannot block.
        self._lock = threading.Lock()
        # A byte in this pair wakes the thread in wait(): the reader, or the one that opens.
        self._ear: socket.socket | None = None
        self._bell: socket.socket | None = None
        self._sock: socket.socket | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unread = b""  # what the caller read too much, and put back
        self._outbox = Outbox()
        self._unheeded = False  # the reader waits, and not for room to write
        self._rung = False
        self._waiting = 0  # threads inside poll(); the last one out closes the descriptors
        self._write_error: str | None = None  # no more can be sent; reading goes on to its end
        self._down: str | None = None  # why it is over; set without the lock by abort()
        self._shut = False
        self._closed = False

    @property
    def down(self) -> str | None:
        """Why nothing can be sent any more, or None."""
        return self._down or self._write_error

    # Opening: one thread, each step within the deadline.

    def prepare(self) -> None:
        """Take what waiting needs; before anything else, once. Raises ConnectionDown, OSError."""
        with self._lock:
            self._check()
            self._ear, self._bell = socket.socketpair()
            self._ear.setblocking(False)
            self._bell.setblocking(False)

    def connect(self, addresses: Sequence[tuple[Any, ...]], deadline: Deadline) -> None:
        """Connect to the first address that answers; each gets its share of the time left.

        Raises OSError (TimeoutError too) for the last address, ConnectionDown if aborted.
        """
        for tried, (family, kind, proto, _, address) in enumerate(addresses):
            left = deadline.remaining()
            share = None if left is None else left / (len(addresses) - tried)
            try:
                return self._connect_one(family, kind, proto, address, Deadline(share))
            except OSError:
                if tried + 1 == len(addresses):
                    raise
        raise OSError(errno.EADDRNOTAVAIL, "no address")

    def _connect_one(
        self, family: int, kind: int, proto: int, address: Any, deadline: Deadline
    ) -> None:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            with self._lock:
                self._check()
                code = sock.connect_ex(address)
                self._sock = sock
            if code not in _IN_PROGRESS:
                raise OSError(code, os.strerror(code))
            while not self.wait(write=True, deadline=deadline):
                if deadline.expired:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except OSError:
            with self._lock:
                self._sock = None
                sock.close()
                self._check()  # an abort looks like a failure of the network here
            raise
        except BaseException:
            with self._lock:
                if self._sock is not sock:
                    sock.close()
            raise

    def start_tls(self, context: ssl.SSLContext, hostname: str, deadline: Deadline) -> None:
        """Do the TLS handshake. Raises ssl.SSLError, TimeoutError, ConnectionDown."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        with self._lock:
            self._tls = tls
            self._incoming.write(self._unread)
            self._unread = b""
        while not self._step_handshake(tls):
            if deadline.expired:
                raise TimeoutError
            self.wait(read=True, deadline=deadline)

    def _step_handshake(self, tls: ssl.SSLObject) -> bool:
        try:
            with self._lock:
                self._check()
                data = self._recv()
                if data:
                    self._incoming.write(data)
                elif data is not None:
                    self._incoming.write_eof()
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    return False
                except ssl.SSLError:
                    self._flush()  # the alert that tells the server why
                    raise
                self._flush()
                return True
        finally:
            self._look_again()

    def read_some(self, deadline: Deadline) -> bytes:
        """The next bytes, at least one. Raises TimeoutError, ConnectionDown."""
        while not deadline.expired:
            data = self.read()
            if data:
                return data
            if data is not None:
                raise ConnectionDown("the connection was closed by the other side")
            self.wait(read=True, deadline=deadline)
        raise TimeoutError

    def unread(self, data: bytes) -> None:
        """Put back what was read too much, before TLS starts or frames are read."""
        with self._lock:
            self._unread = data + self._unread

    # Reading.

    def read(self) -> bytes | None:
        """What is at hand, b"" at the end, None if nothing. Sends what waits. Never blocks."""
        try:
            with self._lock:
                self._check()
                data = self._pull()
                if self._outbox or self._tls is not None:
                    self._flush()
                return data
        finally:
            self._look_again()

    def _pull(self) -> bytes | None:
        if self._unread:
            unread, self._unread = self._unread, b""
            return unread
        data = self._recv()
        tls = self._tls
        if tls is None or (data is None and not self._incoming.pending):
            return data
        if data:
            self._incoming.write(data)
        elif data is not None:
            self._incoming.write_eof()
        clear = []
        try:
            while True:
                piece = tls.read(READ_SIZE)
                if not piece:
                    break
                clear.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(clear) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as error:
            raise self._fail(words(error)) from None
        return b"".join(clear)

    def _recv(self) -> bytes | None:
        assert self._sock is not None
        try:
            return self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise self._fail(words(error)) from None

    # Writing.

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send ``data`` whole; blocks until the kernel took it, no longer than ``deadline``.

        Any other end is ConnectionDown. If the time ran out while the frame still stood in line
        behind others it is taken back and the stream stays up (see ``down``): those in front have
        deadlines of their own. If it was leaving, the stream is aborted.
        """
        frame = Frame(data, owned=True)
        try:
            while not self._try_write(frame, deadline):
                self.wait(write=True, deadline=deadline, bell=False)
        except BaseException:
            with self._lock:
                self._outbox.disown(frame)
                self._ring_if_unheeded()
            self._look_again()
            raise

    def _try_write(self, frame: Frame, deadline: Deadline) -> bool:
        outbox = self._outbox
        try:
            with self._lock:
                if not frame.place:
                    self._check(writing=True)
                    outbox.put(frame)
                if frame.place != LEFT:
                    self._flush()
                if frame.place == LEFT:
                    return True
                down = self.down
                if down is None and deadline.expired:
                    if frame.place == LEAVING or not outbox.guarded:
                        self._down = "a frame did not leave in time: the server does not read"
                    down = "the frame did not leave in time"
                if down is not None:
                    raise ConnectionDown(down, nothing_sent=not outbox.begun(frame))
                return False
        finally:
            self._look_again()

    def post(self, data: bytes) -> None:
        """Queue ``data``; it leaves as soon as the socket takes it. Never blocks."""
        try:
            with self._lock:
                self._check(writing=True)
                if not self._outbox.has_room(len(data)):
                    raise self._fail("too much waits to be sent: the server does not read")
                self._outbox.put(Frame(data, owned=False))
                self._flush()
                self._ring_if_unheeded()
        finally:
            self._look_again()

    def _flush(self) -> None:
        """Send all that the socket takes. With the lock held; failures go to ``down``."""
        if self._outbox.torn:
            self._down = self._down or "sending was interrupted halfway"
        if self.down is not None:
            return
        assert self._sock is not None
        try:
            self._outbox.flush(self._sock.send, self._encrypt if self._tls else None)
        except OSError as error:
            self._write_error = words(error)

    def _encrypt(self, clear: bytes) -> bytes:
        """TLS records for ``clear``, behind what TLS itself has to say."""
        assert self._tls is not None
        rest = memoryview(clear)
        while rest:
            rest = rest[self._tls.write(rest):]
        return self._outgoing.read()

    def _ring_if_unheeded(self) -> None:
        """Have the reader look for room to write, if something waits for it."""
        if self._outbox and self._unheeded:
            self._ring()

    # Waiting and ending.

    def wait(
        self, *, deadline: Deadline, read: bool = False, write: bool = False, bell: bool = True
    ) -> bool:
        """Block until the socket is ready, someone rings, or the deadline: is it ready?

        A reader is woken for room to write as well, if there is something to write.
        With ``bell`` (the reader, or the thread that opens) raises ConnectionDown if the stream
        is over; without it (writers), returns True.
        """
        counted = False
        try:
            with self._lock:
                if self._down is not None and not bell:
                    return True
                self._check()
                counted = True
                self._waiting += 1
                if read:
                    write = bool(self._outbox) and self._write_error is None
                    self._unheeded = not write
                sock, ear = self._sock, self._ear if bell else None
            return _poll(sock, ear, read, write, deadline)
        finally:
            if counted:
                with self._lock:
                    self._waiting -= 1
                    if bell:
                        self._unheeded = False
                        self._hush()
            self._look_again()

    def wake(self) -> None:
        """Make the thread in ``wait(bell=True)`` return. Never blocks."""
        with self._lock:
            self._ring()
        self._look_again()

    def _ring(self) -> None:
        self._unheeded = False
        if self._bell is not None and not self._rung and not self._closed:
            self._rung = True
            self._bell.send(b"\0")

    def _hush(self) -> None:
        if self._ear is not None and self._rung and self._down is None:
            self._rung = False
            self._ear.recv(1)

    def _check(self, *, writing: bool = False) -> None:
        down = self.down if writing else self._down
        if down is not None:
            raise ConnectionDown(down, nothing_sent=writing)

    def _fail(self, reason: str) -> ConnectionDown:
        self._down = self._down or reason
        return ConnectionDown(self._down)

    def try_lock(self, timeout: float) -> bool:
        """Can the lock be had? Not in a signal handler that runs while its thread holds it."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._lock.release()
        return True

    def abort(self, reason: str) -> None:
        """End it and wake all who wait. Any thread, also a signal handler; never blocks."""
        self._down = self._down or reason
        self._look_again()

    def _look_again(self) -> None:
        """Finish what abort() asked for. Whoever lets go of the lock calls this.

        abort() cannot wait for the lock: if another holds it, that one looks here afterwards.
        """
        if self._down is None or self._closed:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._lock.release()

    def _finish(self) -> None:
        if not self._shut:
            self._shut = True
            if self._sock is not None:
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._ring()
        if self._waiting == 0 and not self._closed:
            # Closed while someone polls it, the number could soon mean another file.
            self._closed = True
            for sock in (self._sock, self._ear, self._bell):
                if sock is not None:
                    sock.close()

    def abandon(self) -> None:
        """In a forked child: close the descriptors only. Takes no lock, sends nothing."""
        self._down = self._down or "the connection belongs to the parent process"
        self._closed = self._shut = True
        self._lock = threading.Lock()  # the old one may have been held when the fork happened
        for sock in (self._sock, self._ear, self._bell):
            if sock is not None:
                try:
                    os.close(sock.detach())
                except OSError:
                    pass


def _poll(
    sock: socket.socket | None,
    ear: socket.socket | None,
    read: bool,
    write: bool,
    deadline: Deadline,
) -> bool:
    """Wait for ``sock`` (or ``ear``); True if it is ``sock`` that is ready."""
    seconds = deadline.remaining()
    if seconds is not None:
        seconds = min(seconds, 1e6)  # what a C int of milliseconds holds
    if not hasattr(select, "poll"):
        readers = [s for s in (sock if read else None, ear) if s is not None]
        writers = [sock] if write and sock is not None else []
        ready = select.select(readers, writers, writers, seconds)
        return any(sock in part for part in ready)
    poller = select.poll()
    number = -1
    if sock is not None:
        number = sock.fileno()
        poller.register(number, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    if ear is not None:
        poller.register(ear.fileno(), select.POLLIN)
    found = poller.poll(None if seconds is None else math.ceil(seconds * 1000))
    return any(fd == number for fd, _ in found)


def words(error: OSError) -> str:
    """What the operating system says, in words; never the text of the exception."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset by the other side"
    return f"the network failed ({os.strerror(error.errno) if error.errno else 'unknown error'})"
