"""What one writes first: a reader thread, ``recv()``, ``json.loads`` and a thread pool."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import websocket

from tests.bench.subjects.bare import opened
from tests.bench.subjects.base import STUCK_SECONDS, Ear, Listener, Place

Frame = dict[str, Any]


class _Slot:
    """Where one command's answer is put."""

    def __init__(self) -> None:
        self.filled = threading.Event()
        self.frame: Frame = {}


class Naive(Listener):
    ordered = False

    def __init__(self, place: Place, workers: int = 32) -> None:
        super().__init__(place)
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()  # guards the slots
        self._sending = threading.Lock()
        self._callback: Callable[[Frame], None] | None = None

    def connect(self) -> None:
        self._ws = opened(self.place)
        json.loads(self._ws.recv())
        self._ws.send(json.dumps(self._registration()))
        json.loads(self._ws.recv())
        self._reader = threading.Thread(target=self._read, name="naive-reader", daemon=True)
        self._reader.start()

    def close(self) -> None:
        if self._ws.sock is not None:
            self._ws.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader
        self._reader.join()
        self._ws.shutdown()  # type: ignore[no-untyped-call]
        self._pool.shutdown()

    def _read(self) -> None:
        while True:
            try:
                text = self._ws.recv()
            except (websocket.WebSocketException, OSError):
                return
            frame = json.loads(text)
            request_id = frame.get("request_id")
            if request_id is None:
                if self._callback is not None:
                    self._pool.submit(self._callback, frame)
                continue
            with self._lock:
                slot = self._slots.pop(request_id)
            slot.frame = frame
            slot.filled.set()

    def ask(self, action: str, **fields: Any) -> Frame:
        command = self._command(action, fields)
        slot = _Slot()
        with self._lock:
            self._slots[command["request_id"]] = slot
        text = json.dumps(command)
        with self._sending:
            self._ws.send(text)
        if not slot.filled.wait(STUCK_SECONDS):
            raise TimeoutError(action)
        return slot.frame

    def hear(self, count: int, pause: float = 0.0) -> Ear:
        ear = Ear(count)
        heard, ran, last, done = ear.heard, ear.ran, ear.last, ear.done

        def key(frame: Frame) -> None:
            heard[frame["callid"]].append(frame["digits"])
            if next(ran) == last:
                done.set()

        def slow(frame: Frame) -> None:
            time.sleep(pause)
            key(frame)

        self._callback = slow if pause else key
        return ear

    def deaf(self) -> None:
        self._callback = None
