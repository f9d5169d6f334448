"""websocket-client by itself: ``recv()`` and ``json.loads``, no threads."""

from __future__ import annotations

import json
from typing import Any

import websocket

from tests.bench.subjects.base import Place, Stopwatch, Subject


def opened(place: Place) -> websocket.WebSocket:
    """A connection as the library makes it when it is told nothing."""
    options = {"ca_certs": place.authority} if place.authority else None
    return websocket.create_connection(place.url, sslopt=options)


class Bare(Subject):
    def connect(self) -> None:
        self._ws = opened(self.place)
        json.loads(self._ws.recv())
        self._ws.send(json.dumps(self._registration()))
        json.loads(self._ws.recv())

    def close(self) -> None:
        self._ws.close()

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        self._ws.send(json.dumps(self._command(action, fields)))
        frame: dict[str, Any] = json.loads(self._ws.recv())
        return frame

    def receive(self, count: int, action: str, **fields: Any) -> Stopwatch:
        with Stopwatch() as watch:
            self.ask(action, **fields)
            for _ in range(count):
                json.loads(self._ws.recv())
        return watch
