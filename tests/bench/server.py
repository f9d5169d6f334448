"""A server that costs its clients as little as it can: ``python -m tests.bench.server``.

It knows just enough of WebSocket and of the Call Manager to be connected to, answers every
command, and sends prepared bytes; so it is not what is measured. One client at a time. The
client steers it with commands of its own over the same connection:

``raise``    the events by which ``calls`` calls come up, before the answer
``prepare``  make ``count`` digits of ``calls`` calls, ``bunch`` of a call side by side
``go``       send ``count`` of them (all that are left, if not given) as fast as they are taken
``pace``     send all ``rate`` a second, ``burst`` at a time, and go on answering meanwhile

It prints its port and ends when its standard input does.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import itertools
import json
import os
import re
import select
import signal
import socket
import ssl
import sys
import time
from typing import Iterator

from tests.bench.frames import beginnings, call_id, presses, text_frame

#: So much is written at once.
WRITTEN_AT_ONCE = 1 << 18
#: A pause shorter than this is spun through: the kernel would oversleep it.
SPUN_SECONDS = 300e-6
#: How long a client may take for its part of a handshake.
PATIENCE_SECONDS = 30.0

_number = int.from_bytes
_TEXT, _CLOSE, _PING = 1, 8, 9
_CLOSED, _PONG = b"\x88\x00", b"\x8a\x00"
_CONNECTED = text_frame(b'{"status":"connected","session_id":"bench-session"}')
_REGISTERED = text_frame(b'{"status":"registered","client_id":"bench"}')
_PRESSED = b'{"response":"send_dtmf","status_code":200,"data":{"success":true},"request_id":"'
_KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@functools.lru_cache(maxsize=2)
def prepared(count: int, calls: int, bunch: int) -> tuple[memoryview, list[int]]:
    """The bytes of so many digits, and where each ends (the first entry is 0)."""
    frames = list(presses(count, calls, bunch))
    return memoryview(b"".join(frames)), [0, *itertools.accumulate(map(len, frames))]


def field(payload: bytes, key: bytes) -> bytes:
    """The text under a key (in its quotes) of a JSON object, which is not read otherwise."""
    start = payload.index(b'"', payload.index(key) + len(key)) + 1
    return payload[start:payload.index(b'"', start)]


def answer(action: bytes, request_id: bytes, call: str = "") -> bytes:
    """The frame that says that a command was taken."""
    data = b'{"success":true,"callid":"' + call.encode() + b'"}' if call else b'{"success":true}'
    return text_frame(
        b'{"response":"' + action + b'","status_code":200,"data":' + data
        + b',"request_id":"' + request_id + b'"}'
    )  # fmt: skip


class Serving:
    """One client's connection, from the upgrade to the end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""  # what was read and is not a whole frame yet
        self._dialled = 0
        self._bytes, self._ends = prepared(0, 1, 1)
        self._sent = 0  # how many of those prepared
        self._pace: tuple[int, float] | None = None  # a burst's size, and seconds to the next
        self._due = 0.0  # when the next burst is

    def run(self) -> None:
        self.upgrade()
        while True:
            if self._wait():
                data = self._sock.recv(1 << 16)
                if not data or not self.take(data):
                    return
            if self._pace is not None:
                self._keep_pace(*self._pace)

    def upgrade(self) -> None:
        """Answer the client's handshake."""
        self._sock.settimeout(PATIENCE_SECONDS)
        while b"\r\n\r\n" not in self._buffer:
            data = self._sock.recv(1 << 16)
            if not data:
                raise ConnectionError("gone before the upgrade")
            self._buffer += data
        self._sock.settimeout(None)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        key = _KEY.search(head)
        if key is None:
            raise ConnectionError("no WebSocket")
        accept = base64.b64encode(hashlib.sha1(key[1] + _MAGIC).digest())
        self._sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + _CONNECTED
        )

    def _wait(self) -> bool:
        """Whether there is something to read, before the next burst is due."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        timeout = None
        if self._pace is not None:
            timeout = self._due - time.perf_counter()
            timeout = 0.0 if timeout < SPUN_SECONDS else timeout
        return bool(select.select([self._sock], [], [], timeout)[0])

    # --- what comes in ---------------------------------------------------------------------

    def take(self, data: bytes) -> bool:
        """Answer all that was read, in one write; false once the client closes."""
        out: list[bytes] = []
        for opcode, payload in self._frames(data):
            if opcode == _TEXT:
                out.append(self._command(payload, out))
            elif opcode == _PING:
                out.append(_PONG)
            elif opcode == _CLOSE:
                self._sock.sendall(b"".join([*out, _CLOSED]))
                return False
        self._sock.sendall(b"".join(out))
        return True

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The whole frames there are, opcode and payload."""
        buffer = self._buffer + data
        start, end = 0, len(buffer)
        while end - start >= 6:
            size, at = buffer[start + 1] & 0x7F, start + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if end < at + width:
                    break
                size, at = int.from_bytes(buffer[at:at + width], "big"), at + width
            after = at + 4 + size
            if end < after:
                break
            key = (buffer[at:at + 4] * (size // 4 + 1))[:size]  # then all at once, in C
            payload = _number(buffer[at + 4:after], "big") ^ _number(key, "big")
            yield buffer[start] & 15, payload.to_bytes(size, "big")
            start = after
        self._buffer = buffer[start:]

    def _command(self, payload: bytes, out: list[bytes]) -> bytes:
        """What is to be sent for one command; *out* is what is to be sent before."""
        if b'"send_dtmf"' in payload:  # the one that is timed: as little as will do
            return text_frame(_PRESSED + field(payload, b'"request_id"') + b'"}')
        action = field(payload, b'"action"')
        if action == b"register":
            return _REGISTERED
        request_id = field(payload, b'"request_id"')
        if action == b"outbound":
            self._dialled += 1
            return answer(action, request_id, call_id(self._dialled - 1))
        told = json.loads(payload)
        if action == b"raise":
            return beginnings(range(told["calls"])) + answer(action, request_id)
        if action == b"prepare":
            self._bytes, self._ends = prepared(told["count"], told["calls"], told["bunch"])
            self._sent = 0
        elif action == b"pace":
            self._pace = told["burst"], told["burst"] / told["rate"]
            self._due = time.perf_counter()
        elif action == b"go":
            self._sock.sendall(b"".join([*out, answer(action, request_id)]))
            out.clear()
            self._send(told.get("count") or len(self._ends))
            return b""
        return answer(action, request_id)

    # --- what goes out ---------------------------------------------------------------------

    def _send(self, count: int) -> None:
        """The next *count* of what was prepared."""
        last = min(self._sent + count, len(self._ends) - 1)
        start, end = self._ends[self._sent], self._ends[last]
        for at in range(start, end, WRITTEN_AT_ONCE):
            self._sock.sendall(self._bytes[at:min(at + WRITTEN_AT_ONCE, end)])
        self._sent = last

    def _keep_pace(self, burst: int, seconds: float) -> None:
        """Send the bursts that are due, each by itself."""
        now = time.perf_counter()
        while self._due <= now:
            if self._sent == len(self._ends) - 1:
                self._pace = None
                return
            self._send(burst)
            self._due += seconds


def serve(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Serve one client after another, until standard input ends."""
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            Serving(sock).run()
        except OSError:
            pass  # the client is gone, and it is the client that knows what is missing
        finally:
            sock.close()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.server", description=__doc__)
    parser.add_argument("--certificate", help="a file with certificate and key, for wss")
    parser.add_argument("--core", type=int, help="run on this one alone")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    context = None
    if args.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        serve(listener, context)


if __name__ == "__main__":
    main()
