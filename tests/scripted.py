"""A Call Manager that says exactly what a test tells it to, on a real socket.

The sandbox behaves as the real one does; this one can misbehave: answers that never come,
events out of order, frames nobody has heard of.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from telephony import Client
from tests.canary import AUTH_TOKEN

SECONDS = 30.0


def close_pipe(server: Server) -> None:
    """Close what the last websockets for Python 3.10 leaves open of a server that has ended."""
    for name in ("shutdown_watcher", "shutdown_notifier"):
        descriptor = getattr(server, name, None)
        if isinstance(descriptor, int):  # later ones have sockets there, and close them
            os.close(descriptor)


class Line:
    """One client's connection, seen from the Call Manager."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._received: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.closed = threading.Event()

    def send(self, *frames: dict[str, Any] | str | bytes) -> None:
        """Send frames: objects as JSON, text and bytes as they are."""
        for frame in frames:
            self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    def receive(self, action: str | None = None, timeout: float = SECONDS) -> dict[str, Any]:
        """The next command; one of another action than *action* fails the test."""
        try:
            frame = self._received.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no {action or 'command'} came within {timeout} s") from None
        if action is not None:
            assert action == frame.get("action"), frame
        return frame

    def nothing_came(self) -> bool:
        """Whether no command waits to be received."""
        return self._received.empty()

    def greet(self) -> dict[str, Any]:
        """Do the handshake; returns the ``register`` frame."""
        self.send({"status": "connected", "session_id": "session-1"})
        frame = self.receive("register")
        self.send({"status": "registered", "client_id": frame["client_id"]})
        return frame

    def answer(self, command: dict[str, Any], **data: Any) -> None:
        """Answer a command with ``data``; success unless it says otherwise."""
        self.send(
            {
                "response": command["action"],
                "status_code": 200,
                "data": {"success": True, **data},
                "request_id": command["request_id"],
            }
        )

    def refuse(self, command: dict[str, Any], error: str) -> None:
        self.send({"error": error, "request_id": command["request_id"]})

    def event(self, name: str, callid: str = "", **fields: Any) -> None:
        """Send an event."""
        self.send({"event": name, "callid": callid, "timestamp": 1_700_000_000, **fields})

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._socket.socket.shutdown(2)

    def _read(self) -> None:
        try:
            for message in self._socket:
                self._received.put(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()


class ScriptedCM:
    """The server; as a context manager. ``line()`` is the next client to have connected."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._all: list[Line] = []
        self._server = serve(self._serve, "127.0.0.1", 0, ping_interval=None, close_timeout=1)
        self._server.SHUTDOWN_POLLING_INTERVAL = 0.002  # how long its end takes, at the least
        self._thread = threading.Thread(target=self._server.serve_forever, name="scripted-cm")
        host, port = self._server.socket.getsockname()[:2]
        self.url = f"ws://{host}:{port}"

    def _serve(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self._all.append(line)
        self._lines.put(line)
        line._read()

    def __enter__(self) -> ScriptedCM:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for line in self._all:
            line._socket.close()
        for line in self._all:
            line.closed.wait(SECONDS)
        self._thread.join(SECONDS)
        close_pipe(self._server)

    def line(self, timeout: float = SECONDS) -> Line:
        """Wait for the next connection."""
        return self._lines.get(timeout=timeout)

    def client(self, **options: Any) -> Client:
        """A client for this server, not connected."""
        app_id = options.pop("app_id", "APP")
        client_id = options.pop("client_id", "client-1")
        return Client(self.url, AUTH_TOKEN, client_id, app_id, **options)

    def connected(self, **options: Any) -> tuple[Client, Line]:
        """A connected client and its line."""
        client = self.client(**options)
        thread = threading.Thread(target=client.connect)
        thread.start()
        line = self.line()
        line.greet()
        thread.join(SECONDS)
        assert client.connected
        return client, line


class Running:
    """A function on a thread of its own; ``result()`` is what it returned, or raises."""

    def __init__(self, fn: Any, *args: Any, **kwargs: Any) -> None:
        self._value: Any = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._value = fn(*args, **kwargs)
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, timeout: float = SECONDS) -> Any:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "still running"
        if self._error is not None:
            raise self._error
        return self._value


class Recorded:
    """A callback that keeps its events; ``next()`` waits for one."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, event: Any) -> None:
        self._events.put(event)

    def next(self, timeout: float = SECONDS) -> Any:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no event came within {timeout} s") from None

    def empty(self) -> bool:
        return self._events.empty()
