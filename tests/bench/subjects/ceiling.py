"""``picows`` and ``msgspec``, both compiled, under asyncio: about what can be had in Python."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.bench.subjects.base import Place, Stopwatch, Subject, digit_on

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Reader(WSListener):
    """Decodes every frame, and wakes who waits once so many have come."""

    def __init__(self) -> None:
        self._left = 0
        self._waiting: asyncio.Future[Any] | None = None

    def expect(self, count: int) -> asyncio.Future[Any]:
        """Done, with the last of them, once *count* more frames have come."""
        self._left = count
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        told = _decode(frame.get_payload_as_memoryview())
        self._left -= 1
        if self._left == 0 and self._waiting is not None:
            self._waiting.set_result(told)


class Ceiling(Subject):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._loop = asyncio.new_event_loop()

    def connect(self) -> None:
        self._loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        authority = self.place.authority
        context = ssl.create_default_context(cafile=authority) if authority else None
        reader = _Reader()
        connected = reader.expect(1)
        self._transport, _ = await ws_connect(lambda: reader, self.place.url, ssl_context=context)
        self._reader = reader
        await connected
        await self._said(self._registration())

    def close(self) -> None:
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        self._transport.send_close()
        await self._transport.wait_disconnected()

    def _said(self, command: dict[str, Any], frames: int = 1) -> asyncio.Future[Any]:
        """Send *command*; what is returned is done once so many frames have come."""
        expected = self._reader.expect(frames)
        self._transport.send(WSMsgType.TEXT, _encode(command))
        return expected

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        async def asked() -> dict[str, Any]:
            frame: dict[str, Any] = await self._said(self._command(action, fields))
            return frame

        return self._loop.run_until_complete(asked())

    def round_trips(self, count: int) -> list[float]:
        async def timed() -> list[float]:
            times = []
            for _ in range(count):
                began = time.perf_counter()
                await self._said(self._command("send_dtmf", digit_on(0)))
                times.append(time.perf_counter() - began)
            return times

        return self._loop.run_until_complete(timed())

    def receive(self, count: int, action: str, **fields: Any) -> Stopwatch:
        async def taken() -> Stopwatch:
            with Stopwatch() as watch:
                await self._said(self._command(action, fields), 1 + count)
            return watch

        return self._loop.run_until_complete(taken())
