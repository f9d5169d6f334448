"""The registered clients: their connections, and which of them a DID's calls are for."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import uuid
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from telephony.sandbox.faults import Faults
from telephony.sandbox.settings import MULTI

if TYPE_CHECKING:
    from aiohttp import web

# A client that stops reading is cut off before its frames fill the memory.
MAX_UNSENT = 20_000
# How long reordered events are collected, in real seconds.
REORDER_WINDOW = 0.05


class _Ping:
    """A WebSocket ping, waiting to leave."""


class _Close:
    """The end of a connection, waiting to leave behind what was said before."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class Connection:
    """One WebSocket, registered or not. Used on the sandbox's thread only.

    Nothing that is sent blocks: frames wait in a queue for `write_until_closed`.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        faults: Faults,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.session_id = str(uuid.uuid4())
        self.client_id = ""
        self.app_id = ""
        self.numbers: tuple[str, ...] = ()
        self.last_seen = loop.time()
        self._ws = ws
        self._transport = transport
        self._faults = faults
        self._loop = loop
        self._unsent: asyncio.Queue[str | bytes | _Ping | _Close] = asyncio.Queue()
        self._events: list[dict[str, Any]] = []

    @property
    def registered(self) -> bool:
        """Whether it has said who it is, and was let in."""
        return bool(self.client_id)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame as it is."""
        text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
        if not text.isascii():
            # A lone surrogate that a client sent must not come back as broken UTF-8.
            text = text.encode("utf-8", "replace").decode("utf-8")
        self._put(text)

    def send_text(self, text: str) -> None:
        """Send text that need not be a frame at all."""
        self._put(text)

    def send_response(self, action: str, frame: dict[str, Any]) -> None:
        """Send a response, later if it is to be delayed."""
        delay = self._faults.delay_of(action)
        if delay:
            self._loop.call_later(delay, self.send, frame)
        else:
            self.send(frame)

    def send_event(self, frame: dict[str, Any]) -> None:
        """Send an event, twice or in another order if it is to be."""
        frames = [frame, frame] if self._faults.duplicate else [frame]
        if not self._faults.reorder:
            for each in frames:
                self.send(each)
            return
        if not self._events:
            self._loop.call_later(REORDER_WINDOW, self._flush_events)
        self._events += frames

    def _flush_events(self) -> None:
        events, self._events = self._events, []
        self._faults.shuffle(events)
        for event in events:
            self.send(event)

    def ping(self) -> None:
        """Send a WebSocket ping."""
        self._put(_Ping())

    def pong(self, payload: bytes) -> None:
        """Answer a WebSocket ping."""
        self._put(payload)

    def close(self, code: int, reason: str) -> None:
        """Close in an orderly way, after what was sent before."""
        self._put(_Close(code, reason))

    def abort(self) -> None:
        """End it as a crash would: a TCP reset, no WebSocket close."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            # Lingering for no time makes the kernel answer with a reset.
            shape = "hh" if sys.platform == "win32" else "ii"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(shape, 1, 0))
        self._transport.abort()

    def _put(self, item: str | bytes | _Ping | _Close) -> None:
        if self._faults.silent:
            return
        self._unsent.put_nowait(item)
        if self._unsent.qsize() > MAX_UNSENT:
            self.abort()

    async def write_until_closed(self) -> None:
        """Write what is put in the queue, in order, until the connection is closed."""
        while True:
            item = await self._unsent.get()
            if self._faults.silent:
                continue
            try:
                if isinstance(item, str):
                    await self._ws.send_str(item)
                elif isinstance(item, bytes):
                    await self._ws.pong(item)
                elif isinstance(item, _Ping):
                    await self._ws.ping()
                else:
                    await self._ws.close(code=item.code, message=item.reason.encode())
                    return
            except (ConnectionError, RuntimeError):
                # Gone in the meantime: the reading side says goodbye.
                return


class Registry:
    """Who is connected, who is registered, and who is to be offered which calls."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self._by_client: dict[str, Connection] = {}
        # By App ID and DID digits ("" for the catch-all), so that an incoming call finds its
        # clients without asking everyone.
        self._by_did: dict[tuple[str, str], dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_client.values())

    def get(self, client_id: str | None) -> Connection | None:
        """Return the connection a client is registered on now, or None."""
        return self._by_client.get(client_id) if client_id is not None else None

    def register(
        self, connection: Connection, client_id: str, app_id: str, numbers: Iterable[str]
    ) -> Connection | None:
        """Take a client in; return the connection it had before, which is not its own any more."""
        self._forget(connection)
        replaced = self._by_client.get(client_id)
        if replaced is not None:
            self._forget(replaced)
        connection.client_id = client_id
        connection.app_id = app_id
        self._by_client[client_id] = connection
        self.subscribe(connection, numbers)
        return replaced

    def subscribe(self, connection: Connection, numbers: Iterable[str]) -> None:
        """Replace the DIDs a client is subscribed to; none is all."""
        self._unlist(connection)
        connection.numbers = tuple(dict.fromkeys(numbers))
        for number in connection.numbers or ("",):
            self._by_did.setdefault((connection.app_id, number), {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        self._forget(connection)

    def send(self, frame: dict[str, Any] | str, client_id: str | None) -> None:
        """Send a frame as it is to one client, if it is there, or to all."""
        for connection in list(self) if client_id is None else [self.get(client_id)]:
            if connection is None:
                continue
            if isinstance(frame, str):
                connection.send_text(frame)
            else:
                connection.send(frame)

    def abort_all(self) -> None:
        """Cut every connection off, registered or not."""
        for connection in list(self.connections):
            connection.abort()

    def eligible(self, app_id: str, number: str) -> list[Connection]:
        """Return who is to be offered a call for a DID of an App ID."""
        found: list[Connection] = []
        for app in (app_id, MULTI):
            # A DID without digits is in no list, and in the catch-all's once.
            for subscribed in dict.fromkeys((number, "")):
                found.extend(self._by_did.get((app, subscribed), ()))
        return found

    def subscribed_to(self, app_id: str, number: str) -> bool:
        """Return whether a client has asked for exactly this DID."""
        return (app_id, number) in self._by_did or (MULTI, number) in self._by_did

    def _forget(self, connection: Connection) -> None:
        self._unlist(connection)
        if self._by_client.get(connection.client_id) is connection:
            del self._by_client[connection.client_id]

    def _unlist(self, connection: Connection) -> None:
        for number in connection.numbers or ("",):
            listed = self._by_did.get((connection.app_id, number))
            if listed is not None:
                listed.pop(connection, None)
                if not listed:
                    del self._by_did[(connection.app_id, number)]
