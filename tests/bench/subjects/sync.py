"""The threaded client of ``websockets``, with ``json.loads``."""

from __future__ import annotations

import contextlib
import json
import ssl
from typing import Any

from websockets.sync.client import connect

from tests.bench.subjects.base import Stopwatch, Subject


class Sync(Subject):
    def connect(self) -> None:
        authority = self.place.authority
        context = ssl.create_default_context(cafile=authority) if authority else None
        self._stack = contextlib.ExitStack()
        self._ws = self._stack.enter_context(connect(self.place.url, ssl=context))
        json.loads(self._ws.recv())
        self._ws.send(json.dumps(self._registration()))
        json.loads(self._ws.recv())

    def close(self) -> None:
        self._stack.close()

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
