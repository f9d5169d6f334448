"""Looking up a name within a deadline.

``getaddrinfo`` has no timeout and cannot be cancelled, so it runs in a daemon thread that is left
behind when time is up. It ends by itself, and holds nothing that anyone waits for.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

from telephony.runtime.deadline import Deadline
from telephony.runtime.stream import Stream

Address = tuple[Any, ...]  # as getaddrinfo gives them


def is_ip_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def resolve(host: str, port: int, stream: Stream, deadline: Deadline) -> list[Address]:
    """The addresses of ``host``; blocks no longer than ``deadline`` or until an abort.

    ``stream`` is the one that will connect: its wait is what an abort wakes.
    Raises OSError (socket.gaierror), TimeoutError, ConnectionDown.
    """
    if is_ip_literal(host):
        return _lookup(host, port)
    found: list[list[Address] | BaseException] = []

    def look() -> None:
        try:
            found.append(_lookup(host, port))
        except BaseException as error:
            found.append(error)
        stream.wake()

    threading.Thread(target=look, name="telephony-dns", daemon=True).start()
    while not found:
        if deadline.expired:
            raise TimeoutError
        stream.wait_for_wake(deadline.remaining())
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _lookup(host: str, port: int) -> list[Address]:
    return [*socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP)]
