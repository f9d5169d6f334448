"""A non-blocking socket that many threads can wait on and any thread can end.

Two things are easy to get wrong here. A thread that waits must be woken at once by an end that
comes from elsewhere, at any step from the look-up of a name on. And a descriptor that is closed
while another thread polls it may by then be the number of some other file; so the last thread to
leave ``poll()`` closes it.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import threading
from typing import Callable, Protocol


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


class Descriptor:
    """``lock`` is the caller's to hold around anything that touches ``sock``.

    Whoever lets go of the lock calls `look_again`.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards all below, and what `stream` builds on top
        self.sock: socket.socket | None = None
        self.down: str | None = None  # why it is over; set without the lock by abort()
        # A byte in this pair wakes the thread in wait(): the reader, or the one that opens.
        self._ear: socket.socket | None = None
        self._bell: socket.socket | None = None
        self._rung = False
        self._unheeding = False  # the reader waits, and not for room to write
        self._waiting = 0  # threads inside poll()
        self._poller: _Poller | None = None  # of the thread that heeds the bell, for …
        self._polled: tuple[object, ...] = ()  # … this; to tell the system once is enough
        self._shut = False
        self._closed = False

    def prepare(self) -> None:
        """Take what waiting needs; before anything else, once. Raises ConnectionDown, OSError."""
        with self.lock:
            self.check()
            self._ear, self._bell = socket.socketpair()
            self._ear.setblocking(False)
            self._bell.setblocking(False)

    def check(self) -> None:
        """With the lock held: raise ConnectionDown if it is over."""
        if self.down is not None:
            raise ConnectionDown(self.down)

    def fail(self, reason: str) -> ConnectionDown:
        """With the lock held: it is over, for this reason unless there was one before."""
        self.down = self.down or reason
        return ConnectionDown(self.down)

    def wait(
        self,
        seconds: float | None,
        *,
        read: bool = False,
        write: Callable[[], bool] | bool = False,
    ) -> bool:
        """Block until the socket is ready, someone rings, or the time is over: is it ready?

        For the reader, or the thread that opens: one at a time. ``write`` may be a question, asked
        with the lock held. Raises ConnectionDown if it is over.
        """
        try:
            with self.lock:
                self.check()
                write = write() if callable(write) else write
                sock = self.sock
                if self._polled != (sock, read, write) or self._poller is None:
                    self._poller = _poller(sock, self._ear, read, write)
                    self._polled = (sock, read, write)
                poller = self._poller
                self._unheeding = read and not write
                self._waiting += 1
            try:
                return _poll(poller, sock, seconds)
            finally:
                with self.lock:
                    self._waiting -= 1
                    self._unheeding = False
                    self._hush()
        finally:
            self.look_again()

    def wait_for_room(self, seconds: float | None) -> None:
        """Block until the socket takes more, the time is over, or all is; any number of writers."""
        counted = False
        try:
            with self.lock:
                if self.down is not None:
                    return
                # In this order, for Ctrl-C in between: counted too often it stays open too long.
                self._waiting += 1
                counted = True
                sock = self.sock
            _poll(_poller(sock, None, False, True), sock, seconds)
        finally:
            if counted:
                with self.lock:
                    self._waiting -= 1
            self.look_again()

    def wake(self) -> None:
        """Make the thread in ``wait`` return. Never blocks."""
        with self.lock:
            self._ring()
        self.look_again()

    def ask_for_room(self) -> None:
        """With the lock held: have the reader wait for room to write as well."""
        if self._unheeding:
            self._unheeding = False
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._rung and not self._closed:
            self._rung = True
            self._bell.send(b"\0")

    def _hush(self) -> None:
        if self._rung and self.down is None and self._ear is not None:
            self._rung = False
            self._ear.recv(1)

    def try_lock(self, timeout: float) -> bool:
        """Can the lock be had? Not in a signal handler that runs while its thread holds it."""
        if not self.lock.acquire(timeout=timeout):
            return False
        self.lock.release()
        return True

    def abort(self, reason: str) -> None:
        """End it and wake all who wait. Any thread, also a signal handler; never blocks."""
        self.down = self.down or reason
        self.look_again()

    def look_again(self) -> None:
        """Finish what abort() asked for, if the lock can be had.

        abort() cannot wait for the lock; but who holds it then looks here on letting go.
        """
        if self.down is None or self._closed:
            return
        if self.lock.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self.lock.release()

    def _finish(self) -> None:
        if not self._shut:
            self._shut = True
            if self.sock is not None:
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._ring()
        if self._waiting == 0 and not self._closed:
            self._closed = True
            for sock in (self.sock, self._ear, self._bell):
                if sock is not None:
                    sock.close()

    def abandon(self) -> None:
        """In a forked child: close the descriptors only. Takes no lock, sends nothing."""
        self.down = self.down or "the connection belongs to the parent process"
        self._closed = self._shut = True
        self.lock = threading.Lock()  # the old one may have been held when the fork happened
        for sock in (self.sock, self._ear, self._bell):
            if sock is not None:
                number = sock.detach()
                if number >= 0:
                    with contextlib.suppress(OSError):
                        os.close(number)


def _poll(poller: _Poller, sock: socket.socket | None, seconds: float | None) -> bool:
    """Wait for what *poller* waits for; True if it is ``sock`` that is ready."""
    # A C int of milliseconds holds no more.
    found = poller.poll(None if seconds is None else math.ceil(min(seconds, 1e6) * 1000))
    number = -1 if sock is None else sock.fileno()
    for descriptor, _ in found:
        if descriptor == number:
            return True
    return False


class _Poller(Protocol):
    def poll(self, milliseconds: int | None, /) -> list[tuple[int, int]]: ...


class _Select:
    """``select.poll`` for systems that have none."""

    def __init__(self, readers: list[socket.socket], writers: list[socket.socket]) -> None:
        self._sets = readers, writers, writers

    def poll(self, milliseconds: int | None, /) -> list[tuple[int, int]]:
        seconds = None if milliseconds is None else milliseconds / 1000
        found = {sock for part in select.select(*self._sets, seconds) for sock in part}
        return [(sock.fileno(), 0) for sock in found]


def _poller(
    sock: socket.socket | None, ear: socket.socket | None, read: bool, write: bool
) -> _Poller:
    """What waits for ``sock`` (or ``ear``)."""
    if not hasattr(select, "poll"):
        readers = [one for one in (sock if read else None, ear) if one is not None]
        return _Select(readers, [sock] if write and sock is not None else [])
    poller = select.poll()
    if sock is not None:
        poller.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    if ear is not None:
        poller.register(ear, select.POLLIN)
    return poller
