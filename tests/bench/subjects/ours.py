"""The library that all this is about, as its users have it."""

from __future__ import annotations

import ssl
import threading
import time
from typing import Any

from telephony import Call, Client, DtmfReceived
from tests.bench.frames import APP_ID, call_id, place_of
from tests.bench.subjects.base import STUCK_SECONDS, Ear, Listener, Place, Wrong

#: So many calls are dialled one by one; of more the server tells us, which is faster.
DIALLED_MOST = 2000


class Ours(Listener):
    ordered = True

    def __init__(self, place: Place, workers: int = 16) -> None:
        super().__init__(place)
        authority = place.authority
        self.client = Client(
            place.url, "Basic bench", "bench", APP_ID, workers=workers, proxy=False,
            ssl_context=ssl.create_default_context(cafile=authority) if authority else None,
        )  # fmt: skip
        self._calls: list[Call] = []

    def connect(self) -> None:
        self.client.connect()

    def close(self) -> None:
        self.client.close()

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return self.client.command(action, command_timeout=STUCK_SECONDS, **fields)

    def track(self, calls: int) -> None:
        if calls <= DIALLED_MOST:
            self._calls = [self._dial(number) for number in range(calls)]
        self.ask("raise", calls=calls)
        last = self.client.call(call_id(calls - 1))
        if len(self.client.calls()) != calls or last is None or last.state != "answered":
            raise Wrong(f"of {calls} calls {len(self.client.calls())} are tracked")

    def _dial(self, number: int) -> Call:
        where = place_of(number)
        return self.client.dial(
            to=where["to"], from_=where["from"], channel=where["channel"], uid=where["uid"],
            token="bench-token", region="AREA_CODE_NA",
        )  # fmt: skip

    def press(self, number: int) -> None:
        self._calls[number].send_dtmf("1")

    def hear(self, count: int, pause: float = 0.0) -> Ear:
        ear = Ear(count)
        heard, ran, last, done = ear.heard, ear.ran, ear.last, ear.done

        def key(event: DtmfReceived) -> None:
            heard[event.call].append(event.digits)
            if next(ran) == last:
                done.set()

        def slow(event: DtmfReceived) -> None:
            time.sleep(pause)
            key(event)

        self._callback = self.client.on(DtmfReceived, slow if pause else key)
        return ear

    def hear_pressing(self, times: list[float]) -> threading.Event:
        """Let callbacks send a digit, and note how long it took; each sets what is returned."""
        pressed = threading.Event()

        def key(event: DtmfReceived) -> None:
            began = time.perf_counter()
            event.call.send_dtmf("1")
            times.append(time.perf_counter() - began)
            pressed.set()

        self._callback = self.client.on(DtmfReceived, key)
        return pressed

    def deaf(self) -> None:
        self.client.off(self._callback)
        health = self.client.health()
        if health.reconnects or health.dropped_events or health.protocol_errors:
            raise Wrong(f"the client is not well: {health}")
