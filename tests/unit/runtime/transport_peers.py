"""Servers for the tests of the transport: real sockets, one thread a connection.

A server runs a script, a function of a `Peer`, for each connection. Frames are made and read by
hand here, so that a mistake in the library cannot agree with itself.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE = 50  # seconds until a test that hangs is given up


class Gone(Exception):
    """The client went away."""


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server
        self.request = b""
        self.rest = b""

    def read(self, size):
        """Exactly so many bytes."""
        while len(self.rest) < size:
            try:
                data = self.sock.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                raise Gone
            self.rest += data
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def head(self):
        """A request up to its empty line."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.read(1)
        return data

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            raise Gone from None

    def trickle(self, data, every=0.05):
        """One byte after the other, until told to stop."""
        for place in range(len(data)):
            if self.server.stopping.wait(every):
                return
            self.send(data[place:place + 1])

    def until_gone(self):
        """Read and forget, until the client closes."""
        with contextlib.suppress(Gone):
            while True:
                self.read(1)

    def until_stopped(self):
        """Neither read nor write, until the test is over."""
        self.server.stopping.wait(PATIENCE)

    def accept_response(self, extra=""):
        key = ""
        for line in self.request.decode().split("\r\n"):
            if line.lower().startswith("sec-websocket-key:"):
                key = line.partition(":")[2].strip()
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n{extra}\r\n"
        ).encode()

    def upgrade(self, then=b""):
        """Say yes to the upgrade; ``then`` goes out in the same write."""
        self.request = self.head()
        self.send(self.accept_response() + then)
        return self

    def frame(self):
        """The next frame: (opcode, payload)."""
        first, second = self.read(2)
        size = second & 0x7F
        assert second & 0x80, "clients mask"
        assert first & 0x80
        if size == 126:
            (size,) = struct.unpack("!H", self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.read(8))
        key = self.read(4)
        masked = self.read(size)
        pad = (key * (size // 4 + 1))[:size]
        plain = int.from_bytes(masked, "big") ^ int.from_bytes(pad, "big")
        return first & 0x0F, plain.to_bytes(size, "big")

    def close_code(self):
        """Read until a close frame and return its code."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload)[0]


def frame(payload=b"", opcode=TEXT, fin=True, rsv=0, masked=False, claim=None):
    """A server's frame, also a wrong one. ``claim``: a size that is not the payload's."""
    size = len(payload) if claim is None else claim
    first = (0x80 if fin else 0) | rsv | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def close_frame(code=1000, words=b""):
    return frame(struct.pack("!H", code) + words, CLOSE)


class Server:
    """Listens on loopback and runs ``script(peer)`` for each connection."""

    def __init__(self, script, tls=None, family=socket.AF_INET, receive_buffer=None):
        self.script = script
        self.tls = tls
        self.stopping = threading.Event()
        self.connected = threading.Event()
        self.errors = []
        self.results = []
        self.scheme = "ws" if tls is None else "wss"
        self._listener = socket.socket(family)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(100)
        self.port = self._listener.getsockname()[1]
        self._socks = []
        self._threads = []

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/ws/events"

    def __enter__(self):
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        for sock in self._socks:
            sock.close()
        if self.errors:
            raise self.errors[0]

    def wait(self):
        """Until the scripts have ended by themselves."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _run(self, sock):
        self.connected.set()
        peer = Peer(sock, self)
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls is not None:
                    with self.tls.wrap_socket(sock, server_side=True) as secured:
                        peer.sock = secured
                        self.results.append(self.script(peer))
                else:
                    self.results.append(self.script(peer))
        except (Gone, OSError):
            pass  # the client left, or the handshake failed: the client's side is what is tested
        except BaseException as error:
            self.errors.append(error)


def echo(peer):
    """Upgrade, then send every text back, until the client closes."""
    peer.upgrade()
    while True:
        opcode, payload = peer.frame()
        if opcode == CLOSE:
            return struct.unpack("!H", payload)[0]
        if opcode == TEXT:
            peer.send(frame(payload))
