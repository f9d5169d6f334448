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
import os
import socket
import ssl
from typing import Any, Sequence

from telephony.runtime.deadline import Deadline
from telephony.runtime.descriptor import ConnectionDown, Descriptor
from telephony.runtime.outbox import LEAVING, LEFT, Frame, Outbox

READ_SIZE = 1 << 16

_IN_PROGRESS = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR)


class Stream:
    def __init__(self) -> None:
        # Its lock guards all attributes below too.
        self._descriptor = Descriptor()
        self._lock = self._descriptor.lock
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unread = b""  # what the caller read too much, and put back
        self.more = True  # after a read: there may be more that the socket does not tell of
        self._outbox = Outbox()
        self._write_error: str | None = None  # no more can be sent; reading goes on to its end

    @property
    def down(self) -> str | None:
        """Why nothing can be sent any more, or None."""
        return self._descriptor.down or self._write_error

    # Opening: one thread, each step within the deadline.

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
                self._descriptor.check()
                code = sock.connect_ex(address)
                self._descriptor.sock = sock
            if code not in _IN_PROGRESS:
                raise OSError(code, os.strerror(code))
            while not self._descriptor.wait(deadline.remaining(), write=True):
                if deadline.expired:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except OSError:
            with self._lock:
                self._descriptor.sock = None
                sock.close()
                self._descriptor.check()  # an abort looks like a failure of the network here
            raise
        except BaseException:
            with self._lock:
                if self._descriptor.sock is not sock:
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
            self.wait_for_bytes(deadline.remaining())

    def _step_handshake(self, tls: ssl.SSLObject) -> bool:
        try:
            with self._lock:
                self._descriptor.check()
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
            self._descriptor.look_again()

    def read_some(self, deadline: Deadline) -> bytes:
        """The next bytes, at least one. Raises TimeoutError, ConnectionDown."""
        while not deadline.expired:
            data = self.read()
            if data:
                return data
            if data is not None:
                raise ConnectionDown("the connection was closed by the other side")
            self.wait_for_bytes(deadline.remaining())
        raise TimeoutError

    def unread(self, data: bytes) -> None:
        """Put back what was read too much, before TLS starts or frames are read."""
        with self._lock:
            self._unread = data + self._unread
            self.more = True

    # Reading.

    def read(self) -> bytes | None:
        """What is at hand, b"" at the end, None if nothing. Sends what waits. Never blocks."""
        try:
            with self._lock:
                self._descriptor.check()
                data = self._pull()
                if self._outbox or self._outgoing.pending:
                    self._flush()
                return data
        finally:
            self._descriptor.look_again()

    def _pull(self) -> bytes | None:
        if self._unread:
            unread, self._unread = self._unread, b""
            self.more = True
            return unread
        data = self._recv()
        tls = self._tls
        if tls is None or (data is None and not self._incoming.pending):
            return data
        if data:
            self._incoming.write(data)
        elif data is not None:
            self._incoming.write_eof()
        clear: list[bytes] = []
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
            raise self._descriptor.fail(words(error)) from None
        return b"".join(clear)

    def _recv(self) -> bytes | None:
        assert self._descriptor.sock is not None
        try:
            data = self._descriptor.sock.recv(READ_SIZE)
            self.more = len(data) == READ_SIZE
            return data
        except (BlockingIOError, InterruptedError):
            self.more = False
            return None
        except OSError as error:
            raise self._descriptor.fail(words(error)) from None

    # Writing.

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send ``data`` whole; blocks until the kernel took it, no longer than ``deadline``.

        Any other end is ConnectionDown. If the time ran out while the frame still stood in line
        behind others it is taken back and the stream stays up (see ``down``): those in front have
        deadlines of their own. If it was leaving, the stream is aborted.
        """
        frame = Frame(data, owned=True)
        try:
            self._outbox.put(frame)
            while not self._try_write(frame, deadline):
                self._descriptor.wait_for_room(deadline.remaining())
        except BaseException:
            with self._lock:
                self._outbox.disown(frame)
                self._ask_for_room()
            self._descriptor.look_again()
            raise

    def _try_write(self, frame: Frame, deadline: Deadline) -> bool:
        outbox = self._outbox
        try:
            with self._lock:
                if frame.place is not LEFT:  # else another thread has sent it with its own
                    self._flush()
                if frame.place is LEFT:
                    return True
                down = self.down
                if down is None and deadline.expired:
                    if frame.place == LEAVING or not outbox.guarded:
                        self._descriptor.fail("the server does not read")
                    down = "the server does not read: the frame did not leave in time"
                if down is not None:
                    raise ConnectionDown(down, nothing_sent=not outbox.begun(frame))
                return False
        finally:
            self._descriptor.look_again()

    def post(self, data: bytes) -> None:
        """Queue ``data``; it leaves as soon as the socket takes it. Never blocks."""
        try:
            with self._lock:
                self._check_writable()
                if not self._outbox.has_room(len(data)):
                    raise self._descriptor.fail("the server does not read: too much waits to leave")
                self._outbox.put(Frame(data, owned=False))
                self._flush()
                self._ask_for_room()
        finally:
            self._descriptor.look_again()

    def _flush(self) -> None:
        """With the lock held: send all that the socket takes. Failures go to ``down``."""
        if self.down is not None:
            return
        assert self._descriptor.sock is not None
        try:
            self._outbox.flush(self._descriptor.sock.send, self._encrypt if self._tls else None)
        except OSError as error:
            self._write_error = words(error)
        finally:
            if self._outbox.torn:
                self._descriptor.fail("sending was interrupted halfway")

    def _encrypt(self, clear: bytes) -> bytes:
        """TLS records for ``clear``, behind what TLS itself has to say."""
        assert self._tls is not None
        rest = memoryview(clear)
        while rest:
            rest = rest[self._tls.write(rest):]
        return self._outgoing.read()

    def _ask_for_room(self) -> None:
        """Have the reader look for room to write, if something waits for it."""
        if self._outbox:
            self._descriptor.ask_for_room()

    def _check_writable(self) -> None:
        if self.down is not None:
            raise ConnectionDown(self.down, nothing_sent=True)

    # Waiting and ending: see `descriptor`.

    def prepare(self) -> None:
        """Before anything else, once. Raises ConnectionDown, OSError."""
        self._descriptor.prepare()

    def wait_for_bytes(self, seconds: float | None) -> None:
        """Block until something may be read or (if anything waits for that) written, or a `wake`.

        At most so many *seconds*.
        """
        self._descriptor.wait(seconds, read=True, write=self._wants_room)

    def _wants_room(self) -> bool:
        return bool(self._outbox) and self._write_error is None

    def wait_for_wake(self, seconds: float | None) -> None:
        """Block until `wake`, at most so many *seconds*."""
        self._descriptor.wait(seconds)

    def wake(self) -> None:
        self._descriptor.wake()

    def try_lock(self, timeout: float) -> bool:
        return self._descriptor.try_lock(timeout)

    def abort(self, reason: str) -> None:
        self._descriptor.abort(reason)

    def abandon(self) -> None:
        self._descriptor.abandon()
        self._lock = self._descriptor.lock


def words(error: OSError) -> str:
    """What the operating system says, in words; never the text of the exception."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the connection was closed by the other side"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset by the other side"
    return f"the network failed ({os.strerror(error.errno) if error.errno else 'unknown error'})"
