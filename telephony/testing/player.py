"""The server of a replay: says what the Call Manager said, and hears what the client sends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from typing import Any, AsyncGenerator, Callable

from aiohttp import WSMsgType, web

from telephony.protocol.wire import Frame
from telephony.sandbox.serving import GOODBYE
from telephony.testing.playback import Playback, Step, Take

logger = logging.getLogger(__name__)

MAX_MESSAGE = 1 << 20


class Line:
    """The client's connection. Used on the server's thread only."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.ws = ws
        self._transport = transport
        self._pings: dict[bytes, asyncio.Future[bool]] = {}
        self._count = itertools.count()
        self.claimed = asyncio.Event()  # the client sent something

    async def send(self, frame: Frame) -> None:
        """Send a frame as it is."""
        await self.ws.send_str(json.dumps(frame, separators=(",", ":")))

    async def followed(self) -> None:
        """Return once the client has taken in all that was sent before, or is gone.

        A reader that answers the first ping may have just read what came before it. When it
        answers the second, sent after that answer, it has come back for more.
        """
        for _ in range(2):
            payload = str(next(self._count)).encode()
            answered = self._pings[payload] = asyncio.get_running_loop().create_future()
            try:
                await self.ws.ping(payload)
            except (ConnectionError, RuntimeError):
                self.answered(payload, False)
            if not await answered:
                return

    def answered(self, payload: bytes, here: bool = True) -> None:
        """A ping was answered, or will not be."""
        ping = self._pings.pop(payload, None)
        if ping is not None and not ping.done():
            ping.set_result(here)

    def gone(self) -> None:
        """It is closed: whoever waits need not."""
        for payload in list(self._pings):
            self.answered(payload, False)

    def cut(self) -> None:
        """End it without a word; what was sent still arrives."""
        self._transport.close()


class Player:
    """Plays a recording to the one client that is connected."""

    def __init__(
        self, playback: Playback, speed: float, is_token: Callable[[object], bool]
    ) -> None:
        self._playback = playback
        self._speed = speed
        self._is_token = is_token
        self._line: Line | None = None

    def application(self) -> web.Application:
        """Return what answers the requests."""
        app = web.Application()
        app.router.add_get("/v1/ws/events", self._websocket)
        return app

    @contextlib.asynccontextmanager
    async def living(self, url: str) -> AsyncGenerator[None, None]:
        """In the end cut the client off."""
        yield
        if self._line is not None:
            self._line.cut()

    async def follow(self) -> None:
        """Return once the client has taken in all that was sent, or is gone."""
        if self._line is not None:
            await self._line.followed()

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        take = self._playback.begin()
        if take is None:
            raise web.HTTPServiceUnavailable(reason="a replay is played once, to one client")
        line = None
        try:
            ws = web.WebSocketResponse(
                autoping=False, autoclose=False, compress=False, timeout=GOODBYE,
                max_msg_size=MAX_MESSAGE,
            )  # fmt: skip
            await ws.prepare(request)
            if request.transport is not None:
                line = self._line = Line(ws, request.transport)
                await self._serve(line, take)
            return ws
        finally:
            self._playback.left()  # whoever follows the client learns what its end means
            self._line = None
            if line is not None:
                line.gone()

    async def _serve(self, line: Line, take: Take) -> None:
        playing = asyncio.ensure_future(self._play(line, take))
        try:
            await self._read(line)
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing

    async def _play(self, line: Line, take: Take) -> None:
        try:
            await self._say(line, take)
        except (ConnectionError, RuntimeError):  # it is gone: the reading side says so
            pass
        except Exception:
            logger.exception("a replay cannot go on")
            line.cut()

    async def _say(self, line: Line, take: Take) -> None:
        live_ids: dict[object, object] = {}
        for step in take.steps:
            if step.sent:
                await self._hear(line, step)
                if step.request_id is not None:
                    live_ids[step.request_id] = step.live_id
            else:
                await asyncio.sleep(step.pause / self._speed if self._speed else 0)
                frame = step.entry.frame
                if step.request_id in live_ids:
                    frame = {**frame, "request_id": live_ids[step.request_id]}
                await line.send(frame)
            self._playback.advance()
        await line.followed()
        if not self._playback.last_take:
            line.cut()
            return
        self._playback.end()
        if take.lost and take.unanswered():
            line.cut()

    async def _hear(self, line: Line, step: Step) -> None:
        while not step.claimed:
            line.claimed.clear()
            await line.claimed.wait()

    async def _read(self, line: Line) -> None:
        async for message in line.ws:
            if message.type is WSMsgType.TEXT:
                await self._text(line, message.data)
            elif message.type is WSMsgType.PING:
                await line.ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                line.answered(bytes(message.data))
        with contextlib.suppress(ConnectionError, RuntimeError):
            await line.ws.close()

    async def _text(self, line: Line, text: str) -> None:
        frame: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            frame = json.loads(text)
        if not isinstance(frame, dict):
            frame = {}
        if frame.get("action") == "register" and not self._is_token(frame.get("auth_token")):
            refused: str | None = "unauthorized"
            self._playback.intruded()
        else:
            refused = self._playback.arrived(frame)
        if refused is not None:
            echo = {"request_id": frame["request_id"]} if "request_id" in frame else {}
            await line.send({"error": refused, **echo})
        line.claimed.set()
