"""What a proxy knows of a connection, and the words for what it can do to one."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque

UP, DOWN = "up", "down"  # to the Call Manager, and back
FIN, RST = "fin", "rst"
#: How much is read at a time.
CHUNK = 1 << 16
_LINGER_NOT = struct.pack("ii", 1, 0)


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


def shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it is gone altogether


def close(end: socket.socket, how: str) -> None:
    """End a socket. What it has not read would turn its FIN into a reset: that is read first."""
    if how == RST:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    else:
        shut(end)
        try:
            while end.recv(CHUNK):
                pass
        except OSError:
            pass
    end.close()
