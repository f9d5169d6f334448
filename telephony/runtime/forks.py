"""What is to be done around a fork, for every connection of the process.

Our threads do not exist in the child, but what they held at the moment of the fork stays held.
Locks of our own are made anew there. Those of the streams that log handlers write to cannot be:
a thread in the midst of a log line would leave the child waiting at its first one. So the fork
waits until no line is being written.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any, Iterator, Protocol

#: A fork waits this long for a log handler that is at work.
PATIENCE_SECONDS = 1.0


class Abandoned(Protocol):
    def abandon(self) -> None: ...


#: Of the process, as of the last fork that Python knew of: to ask the system after each callback
#: takes 1 µs. (Who forks inside a callback without Python's hooks is not seen; a connection asks.)
pid = os.getpid()

_connections: weakref.WeakSet[Any] = weakref.WeakSet()
# Between the hooks of one fork, which Python runs in a row.
_held: list[threading.Lock | threading.RLock] = []


def add(connection: Abandoned) -> None:
    """Have *connection* abandoned in every child process."""
    _connections.add(connection)


def _handlers() -> Iterator[logging.Handler]:
    """Those that lines of our logger, and of the root's, go to."""
    logger: logging.Logger | None = logging.getLogger("telephony")
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent


def _before() -> None:
    if not _connections:
        return
    # logging's own order: its module's lock, then a handler's.
    locks = [getattr(logging, "_lock", None), *(handler.lock for handler in _handlers())]
    for lock in locks:
        if lock is not None and lock.acquire(timeout=PATIENCE_SECONDS):
            _held.append(lock)


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    global pid
    pid = os.getpid()
    _held.clear()  # logging makes its locks anew
    for connection in list(_connections):
        connection.abandon()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not so on Windows only
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
